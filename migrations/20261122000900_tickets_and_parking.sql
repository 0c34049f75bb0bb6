-- Tickets that we opened, and deliveries that wait, never due, until their connection is set right.

-- A parked delivery lies in a shard below zero, where no claim ever looks: however many are parked,
-- claiming costs the same. `due_at` says it to people.
create function relay.parked_shard_of(connection_id uuid) returns smallint
language sql immutable parallel safe as $$
    select (-2 - (get_byte(uuid_send(connection_id), 15) & 63))::smallint
$$;

alter table relay.outbox drop constraint outbox_shard_range;
alter table relay.outbox add constraint outbox_shard_range
    check (shard between 0 and 63 or shard between -65 and -2) not valid;
alter table relay.outbox add constraint outbox_parked_is_never_due
    check ((shard < 0) = (due_at = 'infinity') and (shard >= 0 or lease is null)) not valid;
comment on column relay.outbox.shard is
    'relay.shard_of the connection, or, while it is parked, relay.parked_shard_of it.';
comment on column relay.outbox.step is
    'Place in the retry schedule; starts anew with a replay, and stays where a wait is not charged.';

-- What the provider made of a delivery, for people to look at.
alter table relay.attempts add column external_id text, add column external_url text;
alter table relay.attempts drop constraint attempts_settlement_known;
alter table relay.attempts add constraint attempts_settlement_known check (
    settlement in ('delivered', 'retrying', 'parked', 'dead', 'skipped', 'cancelled', 'expired')
) not valid;
-- What was looked for and found has arrived, and so has what a provider refuses as said before.
alter table relay.attempts drop constraint attempts_delivered_is_success;
alter table relay.attempts add constraint attempts_delivered_had_an_answer
    check (settlement <> 'delivered' or status_code is not null) not valid;
comment on table relay.attempts is
    'One row for each attempt, be it one HTTP request or several, or for each settlement without one (parked, skipped, cancelled, expired).';

create table relay.tickets (
    connection_id uuid not null,
    ticket_key uuid not null,
    organization_id uuid not null,
    subject text not null,
    external_id text,
    external_key text,
    url text,
    is_open boolean not null default false,
    busy_delivery uuid,
    busy_until timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint tickets_key primary key (connection_id, ticket_key),
    constraint tickets_unknown_is_closed
        check (external_id is not null or (external_key is null and url is null and not is_open)),
    constraint tickets_busy_whole check ((busy_delivery is null) = (busy_until is null))
);
comment on table relay.tickets is
    'One ticket for each subject at a connection. A row without external_id: somebody tried to open one, and what came of it is not known.';
comment on column relay.tickets.busy_delivery is
    'The delivery that works on it, until busy_until: a lease of its own, held across HTTP without a transaction.';

create table relay.ticket_turns (
    connection_id uuid not null,
    ticket_key uuid not null,
    delivery_id uuid not null,
    organization_id uuid not null,
    constraint ticket_turns_key primary key (connection_id, ticket_key, delivery_id)
);
comment on table relay.ticket_turns is
    'Deliveries of one subject, in the order of their ids: found before resolved. Those no longer in the outbox count for nothing.';

create or replace view relay.deliveries with (security_invoker = true) as
    select o.organization_id, o.delivery_id, o.connection_id, o.event_id,
           case when o.shard < 0 then 'parked'
                when o.lease_until > now() then 'sending'
                else 'pending' end as status,
           o.attempt as attempts, nullif(o.due_at, 'infinity') as next_due_at, null::text as reason,
           relay.uuid7_time(o.delivery_id) as created_at,
           null::text as external_id, null::text as external_url
    from relay.outbox o
    union all
    select a.organization_id, a.delivery_id, a.connection_id, a.event_id,
           a.settlement, a.number, null, a.reason, relay.uuid7_time(a.delivery_id),
           a.external_id, a.external_url
    from (
        select distinct on (organization_id, delivery_id) *
        from relay.attempts
        order by organization_id, delivery_id, number desc, recorded_at desc
    ) a
    where not exists (
        select from relay.outbox o
        where o.organization_id = a.organization_id and o.delivery_id = a.delivery_id
    );
