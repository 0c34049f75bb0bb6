-- Connections in trouble: what a restart, a take-over, the gauges and whoever decides must not forget.
create table relay.connection_health (
    connection_id uuid not null,
    organization_id uuid not null,
    shard smallint not null,
    failing_since timestamptz,
    failed_at timestamptz,
    warned smallint not null default 0,
    exhausted_at timestamptz,
    recovered_at timestamptz,
    held_until timestamptz,
    held_because text,
    breaker_openings smallint not null default 0,
    breaker_open_until timestamptz,
    updated_at timestamptz not null default now(),
    constraint connection_health_key primary key (connection_id),
    constraint connection_health_shard_range check (shard between 0 and 63),
    constraint connection_health_failing_is_whole
        check ((failing_since is null) = (failed_at is null) and failing_since <= failed_at),
    constraint connection_health_warned_known check (warned in (0, 50, 75, 90)),
    constraint connection_health_told_while_failing
        check (failing_since is not null or (warned = 0 and exhausted_at is null and recovered_at is null)),
    constraint connection_health_hold_has_a_reason
        check ((held_until is null) = (held_because is null)),
    constraint connection_health_openings_range check (breaker_openings >= 0),
    constraint connection_health_breaker_is_whole
        check ((breaker_openings = 0) = (breaker_open_until is null))
);
comment on table relay.connection_health is
    'One row for each connection in trouble. One that delivers, or that nothing is sent to, has none.';
comment on column relay.connection_health.shard is 'relay.shard_of the connection: who owns it reads its rows.';
comment on column relay.connection_health.failing_since is
    'When nothing was taken for the first time since the last success; null where it is only held.';
comment on column relay.connection_health.failed_at is
    'When nothing was taken last. Between the two lies what is known: what was not tried is not counted.';
comment on column relay.connection_health.warned is
    'How much of the time until it is switched off had passed at the last warning, in percent.';
comment on column relay.connection_health.exhausted_at is
    'When it was told that a delivery ran out of retries; once for each time of failing.';
comment on column relay.connection_health.recovered_at is
    'When it took something again, as long as that is still to be told to those who heard of the failing.';
comment on column relay.connection_health.held_until is 'Until when its receiver asked us to wait.';
comment on column relay.connection_health.held_because is 'Why, as a stable code.';
comment on column relay.connection_health.breaker_openings is
    'How often its breaker opened in a row; 0 where it is closed.';
comment on column relay.connection_health.breaker_open_until is
    'When the next probe may go; past, while that is under way.';
create index connection_health_of_shard on relay.connection_health (shard);

-- What a connection did not get: what was given up, and what it missed while it was off. The many
-- deliveries that arrived are not in it.
-- Days to come get it when they are attached. Of the days that are there only the empty ones do, at
-- once: building it for the others would keep every settlement waiting, and retention drops them.
create index attempts_given_up on only relay.attempts (connection_id, recorded_at)
    where settlement in ('dead', 'skipped');
do $$
declare
    day record;
    is_empty boolean;
begin
    for day in select i.inhrelid::regclass as name from pg_inherits i where i.inhparent = 'relay.attempts'::regclass loop
        execute format('select not exists (select from %s)', day.name) into is_empty;
        continue when not is_empty;
        execute format('create index on %s (connection_id, recorded_at) where settlement in (''dead'', ''skipped'')', day.name);
    end loop;
end
$$;
