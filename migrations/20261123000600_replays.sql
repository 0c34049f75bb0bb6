-- Replays: jobs that make many deliveries due again.

create table relay.replay_jobs (
    id uuid not null,
    organization_id uuid not null,
    status text not null default 'counting',
    selection jsonb not null,
    configuration text not null,
    rate_per_second integer not null,
    reason text,
    position uuid not null,
    bound uuid not null,
    counted bigint not null default 0,
    total bigint,
    considered bigint not null default 0,
    replayed bigint not null default 0,
    delivered bigint not null default 0,
    skipped_by_reason jsonb not null default '{}',
    withdrawing boolean not null default false,
    failures smallint not null default 0,
    next_at timestamptz not null default now(),
    version bigint not null default 1,
    created_by text not null,
    created_at timestamptz not null default now(),
    started_at timestamptz,
    finished_at timestamptz,
    paused_at timestamptz,
    constraint replay_jobs_key primary key (id),
    constraint replay_jobs_status_known
        check (status in ('counting', 'running', 'paused', 'completed', 'cancelled', 'failed')),
    constraint replay_jobs_configuration_known check (configuration in ('current', 'original')),
    constraint replay_jobs_rate_range check (rate_per_second between 1 and 10000),
    constraint replay_jobs_counts_add_up
        check (counted >= 0 and 0 <= replayed and replayed <= considered and total >= 0),
    constraint replay_jobs_running_is_counted check (status <> 'running' or total is not null),
    constraint replay_jobs_paused_has_a_time check ((status = 'paused') = (paused_at is not null)),
    constraint replay_jobs_end_has_a_time
        check ((status in ('completed', 'cancelled', 'failed')) = (finished_at is not null)),
    constraint replay_jobs_withdrawing_is_cancelled check (not withdrawing or status = 'cancelled')
) with (fillfactor = 70);
comment on table relay.replay_jobs is
    'One row for each replay of many deliveries. Whoever works on one has its row locked, and moves it on in the transaction that makes deliveries due.';
comment on column relay.replay_jobs.position is 'The last delivery that was looked at: they are gone through in the order of their ids.';
comment on column relay.replay_jobs.bound is 'Where they end: nothing is looked at that was promised later.';
comment on column relay.replay_jobs.counted is 'How many were counted so far, while that goes on.';
comment on column relay.replay_jobs.delivered is 'How many of those arrived, but for what replay_arrivals has.';
comment on column relay.replay_jobs.withdrawing is
    'It was called off, and what it promised is being taken back; position is then the last that was looked at for that.';
comment on column relay.replay_jobs.failures is 'How often in a row it could not be moved on.';
comment on column relay.replay_jobs.next_at is 'When it is moved on next: this is how its rate is kept.';
comment on column relay.replay_jobs.version is 'The number of its last event in the log.';
create index replay_jobs_of_organization on relay.replay_jobs (organization_id, id);
create index replay_jobs_under_way on relay.replay_jobs (next_at)
    where status in ('counting', 'running') or withdrawing;

-- Appended by settlements, which must not wait for each other; each batch of the replay adds up what
-- is there.
create table relay.replay_arrivals (
    replay_id uuid not null,
    deliveries integer not null,
    constraint replay_arrivals_some check (deliveries > 0)
);
comment on table relay.replay_arrivals is
    'How many arrived of what a replay made due, beside what replay_jobs.delivered has: one row for each batch of settlements.';
create index replay_arrivals_of_replay on relay.replay_arrivals (replay_id);

alter table relay.outbox add column replay_id uuid, add column replay_promised boolean not null default false,
    add column connection_version bigint;
comment on column relay.outbox.replay_id is 'The replay of many that made it due, if one did.';
comment on column relay.outbox.replay_promised is
    'Nobody but that replay asked for it, so that it is taken back when that is called off.';
comment on column relay.outbox.connection_version is
    'It is sent with the settings that its connection had at this version; null: with those it has.';
create index outbox_of_replay on relay.outbox (replay_id, delivery_id) where replay_id is not null;

-- What did not arrive, by organization: the many deliveries that arrived are not in it. Days to come
-- get it when they are attached; of the days that are there only the empty ones, at once.
create index attempts_not_arrived on only relay.attempts (organization_id, delivery_id)
    where settlement in ('dead', 'skipped', 'expired', 'cancelled');
do $$
declare
    day record;
    is_empty boolean;
begin
    for day in select i.inhrelid::regclass as name from pg_inherits i where i.inhparent = 'relay.attempts'::regclass loop
        execute format('select not exists (select from %s)', day.name) into is_empty;
        continue when not is_empty;
        execute format('create index on %s (organization_id, delivery_id) where settlement in (''dead'', ''skipped'', ''expired'', ''cancelled'')', day.name);
    end loop;
end
$$;

-- Whether a connection, as it is now, would be sent an event: what fan-out asks, of one that is there.
create function relay.wants(connection relay.organization_integrations, event relay.event_log) returns boolean
language sql stable parallel safe as $$
    select case when event.kind is null then false else coalesce(
        connection.event_types && relay.kind_patterns(event.kind)
        and (connection.project_id is null or connection.project_id = event.project_id)
        and (connection.team_id is null or connection.team_id = event.team_id)
        and (connection.conditions_path is null or coalesce(
            relay.condition_document(event.kind, event.priority, event.project_id, event.team_id,
                                     event.subject, event.source, event.payload::jsonb)
            @@ connection.conditions_path, false)), false) end
$$;

-- What was done with replays, and by whom: streams of their own, delivered to nobody.
create table relay.event_log_replay partition of relay.event_log (
    constraint event_log_replay_has_a_stream check (stream_id is not null and version >= 1)
) for values in ('replay');
create unique index event_log_replay_version on relay.event_log_replay (stream_id, version);

-- As before, but a day is looked at once more when nobody can promise anything of it any longer: a
-- replay that began in between would be left without its event.
create or replace function relay.drop_old_partitions(retention interval) returns integer
language plpgsql set timezone = 'UTC' set lock_timeout = '2s' as $$
declare
    p record;
    day date;
    keep_from date := (now() at time zone 'UTC' - retention)::date;
    keys_from date := (now() at time zone 'UTC')::date - 2;
    is_promised boolean;
    dropped integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('relay.ensure_partitions', 0));
    for p in
        select parent.relname as parent, child.relname as part
        from pg_inherits i
        join pg_class child on child.oid = i.inhrelid
        join pg_class parent on parent.oid = i.inhparent
        join pg_namespace n on n.oid = parent.relnamespace
        where n.nspname = 'relay' and child.relname ~ '_[0-9]{8}$'
          and parent.relname in ('event_log_product', 'attempts', 'idempotency_keys')
        order by child.relname
    loop
        day := to_date(right(p.part, 8), 'YYYYMMDD');
        if p.parent = 'idempotency_keys' then
            continue when day >= keys_from;
        else
            continue when day >= keep_from;
        end if;
        if p.parent = 'event_log_product' then
            -- Once without a lock, so that a day that stays costs nobody anything; then for good.
            for round in 1 .. 2 loop
                select exists (
                    select from relay.outbox
                    where event_id >= relay.uuid7_floor(day::timestamptz)
                      and event_id < relay.uuid7_floor((day + 1)::timestamptz)
                ) into is_promised;
                exit when is_promised;
                if round = 1 then
                    -- In the order in which readers take them.
                    lock table only relay.event_log_product in access exclusive mode;
                    execute format('lock table relay.%I in access exclusive mode', p.part);
                end if;
            end loop;
            continue when is_promised;
        end if;
        execute format('drop table relay.%I', p.part);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;
