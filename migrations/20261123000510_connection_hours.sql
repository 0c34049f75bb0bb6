-- What became of deliveries, by connection and hour: counted once from the attempts, a few seconds later.

-- Which transaction wrote an attempt. Rows from before have none, so nothing is rewritten here. A number,
-- since no block range index takes an xid8.
alter table relay.attempts add column transaction_id bigint;
alter table relay.attempts alter column transaction_id set default pg_current_xact_id()::text::bigint;
comment on column relay.attempts.transaction_id is
    'Readers that must miss none ask for transactions that ended since they looked: times and ids do not tell.';

create table relay.connection_hours (
    connection_id uuid not null,
    hour timestamptz not null,
    organization_id uuid not null,
    requests integer not null,
    failed integer not null,
    delivered integer not null,
    dead integer not null,
    skipped integer not null,
    cancelled integer not null,
    expired integer not null,
    parked integer not null,
    latency integer[] not null,
    constraint connection_hours_key primary key (connection_id, hour),
    constraint connection_hours_hour_is_whole check (extract(epoch from hour)::bigint % 3600 = 0),
    constraint connection_hours_counts_positive check (
        least(requests, failed, delivered, dead, skipped, cancelled, expired, parked) >= 0
        and failed <= requests
    )
) with (fillfactor = 50); -- Counts are added in place.
comment on table relay.connection_hours is
    'Attempts counted by connection and the hour (UTC) in which they were recorded. Derived: the attempts are the facts.';
comment on column relay.connection_hours.requests is 'Requests made. A message that spoke for many deliveries is one.';
comment on column relay.connection_hours.latency is
    'Deliveries by how long they took from their event, in the buckets of statistics/histogram.rs; replays left out.';
-- For retention.
create index connection_hours_by_hour on relay.connection_hours (hour);

-- Adds two histograms up, of which one may be longer.
create function relay.add_counts(a integer[], b integer[]) returns integer[]
language sql immutable parallel safe as $$
    select coalesce(array_agg(coalesce(t.x, 0) + coalesce(t.y, 0) order by t.place), '{}')
    from unnest(a, b) with ordinality as t(x, y, place)
$$;

create table relay.statistics_watermark (
    only_one boolean not null default true,
    seen_below bigint not null,
    seen_open bigint[] not null default '{}',
    counts_from timestamptz not null,
    caught_up_at timestamptz not null default now(),
    constraint statistics_watermark_key primary key (only_one),
    constraint statistics_watermark_is_one check (only_one)
);
comment on table relay.statistics_watermark is
    'What connection_hours holds: the attempts of every transaction below seen_below but those in seen_open.';
comment on column relay.statistics_watermark.seen_open is 'Transactions that were still open when it was looked.';
comment on column relay.statistics_watermark.counts_from is
    'Attempts recorded earlier are not counted: they have no transaction_id, or one of another database.';
comment on column relay.statistics_watermark.caught_up_at is 'All that was committed before is counted.';

insert into relay.statistics_watermark (seen_below, counts_from)
values (pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
        date_trunc('day', now() - interval '1 day', 'UTC'));

-- Why a promised delivery that is not parked was not sent yet, as a stable code.
create function relay.waiting_because(
    waiting_for text, due_at timestamptz, lease_until timestamptz, is_collected boolean, is_behind boolean,
    is_limited boolean, held_until timestamptz, breaker_open_until timestamptz
) returns text
language sql stable parallel safe as $$
    select case when lease_until > now() then 'sending'
                when waiting_for is not null then waiting_for
                when is_collected then 'collected'
                when due_at > now() then 'scheduled'
                when breaker_open_until > now() then 'breaker_open'
                when held_until > now() then 'held'
                when is_behind then 'behind_another'
                when is_limited and due_at < now() - interval '1 second' then 'rate_limited'
                else 'due' end
$$;
