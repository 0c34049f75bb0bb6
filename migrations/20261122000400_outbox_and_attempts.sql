-- Deliveries that are promised (outbox) and what became of each (attempts).
create sequence relay.outbox_lease;

create table relay.outbox (
    organization_id uuid not null,
    delivery_id uuid not null,
    connection_id uuid not null,
    event_id uuid not null,
    shard smallint not null,
    class smallint not null default 0,
    due_at timestamptz not null default now(),
    lease bigint,
    lease_until timestamptz,
    attempt integer not null default 0,
    step smallint not null default 0,
    crashes smallint not null default 0,
    constraint outbox_key primary key (organization_id, delivery_id),
    constraint outbox_shard_range check (shard between 0 and 63),
    constraint outbox_class_known check (class between 0 and 2),
    constraint outbox_lease_whole check ((lease is null) = (lease_until is null)),
    constraint outbox_counts_positive check (attempt >= 0 and step >= 0 and crashes >= 0)
) with (
    -- Room for the lease to be written in place, and a vacuum that keeps up: rows live for seconds.
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2
);
comment on table relay.outbox is
    'Deliveries not yet settled. A row is deleted when its delivery is final. class: 0 live, 1 retry, 2 replay.';
comment on column relay.outbox.attempt is 'HTTP requests made so far, one that a crash may have cut off among them; goes on through replays.';
comment on column relay.outbox.step is 'Place in the retry schedule; starts anew with a replay.';
comment on column relay.outbox.crashes is 'Leases that ran out since the last recorded attempt.';
-- No lease column is indexed, so that leasing is a heap-only update.
create index outbox_due on relay.outbox (shard, connection_id, due_at);

create table relay.attempts (
    organization_id uuid not null,
    delivery_id uuid not null,
    number integer not null,
    connection_id uuid not null,
    event_id uuid not null,
    class smallint not null default 0,
    lease bigint,
    started_at timestamptz,
    duration_us bigint,
    status_code smallint,
    error_class text,
    error text,
    response_head text,
    settlement text not null,
    reason text,
    next_due_at timestamptz,
    connection_version bigint,
    recorded_at timestamptz not null default now(),
    constraint attempts_settlement_known check (
        settlement in ('delivered', 'retrying', 'dead', 'skipped', 'cancelled', 'expired')
    ),
    constraint attempts_request_whole check ((started_at is null) = (duration_us is null)),
    constraint attempts_answer_needs_request check (status_code is null or started_at is not null),
    constraint attempts_status_range check (status_code between 100 and 999),
    constraint attempts_delivered_is_success
        check (settlement <> 'delivered' or (status_code between 200 and 299)),
    constraint attempts_retry_has_a_time check ((settlement = 'retrying') = (next_due_at is not null)),
    constraint attempts_end_has_a_reason check (
        settlement in ('delivered', 'retrying') or reason is not null
    ),
    constraint attempts_number_positive check (number >= 0)
) partition by range (recorded_at);
comment on table relay.attempts is
    'One row for each HTTP request, or for each settlement without one (skipped, cancelled, expired).';
create index attempts_of_delivery on relay.attempts (organization_id, delivery_id, number);
create table relay.attempts_default partition of relay.attempts default;
create trigger attempts_are_append_only before update on relay.attempts
    for each row execute function relay.refuse_change();

-- For people at a psql prompt: where every delivery stands now.
create view relay.deliveries with (security_invoker = true) as
    select o.organization_id, o.delivery_id, o.connection_id, o.event_id,
           case when o.lease_until > now() then 'sending' else 'pending' end as status,
           o.attempt as attempts, o.due_at as next_due_at, null::text as reason,
           relay.uuid7_time(o.delivery_id) as created_at
    from relay.outbox o
    union all
    select a.organization_id, a.delivery_id, a.connection_id, a.event_id,
           a.settlement, a.number, null, a.reason, relay.uuid7_time(a.delivery_id)
    from (
        select distinct on (organization_id, delivery_id) *
        from relay.attempts
        order by organization_id, delivery_id, number desc, recorded_at desc
    ) a
    where not exists (
        select from relay.outbox o
        where o.organization_id = a.organization_id and o.delivery_id = a.delivery_id
    );
