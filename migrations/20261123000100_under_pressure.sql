-- Lanes (ordered connections and digests), what connections may ask of us, and why a delivery waits.

-- What an admin sets.
alter table relay.organization_integrations
    add column header_names text[] not null default '{}',
    add column rate_limit_count integer,
    add column rate_limit_seconds integer,
    add column ordering text,
    add column ordering_after smallint,
    add column digest_minutes smallint,
    add constraint organization_integrations_rate_limit_whole
        check ((rate_limit_count is null) = (rate_limit_seconds is null)),
    add constraint organization_integrations_rate_limit_range
        check (rate_limit_count between 1 and 100000 and rate_limit_seconds between 1 and 3600),
    add constraint organization_integrations_ordering_known check (ordering in ('block', 'skip', 'park')),
    add constraint organization_integrations_ordering_after
        check ((ordering is not distinct from 'park') = (ordering_after is not null) and ordering_after between 1 and 20),
    add constraint organization_integrations_digest_range check (digest_minutes between 1 and 1440),
    add constraint organization_integrations_one_lane check (ordering is null or digest_minutes is null);
comment on column relay.organization_integrations.header_names is
    'Names of the headers that its requests carry; their values are sealed in secrets.';
comment on column relay.organization_integrations.ordering is
    'One at a time, in the order of recording. What a failing one does to those behind it: they wait (block), go first (skip), or go on once it was parked after ordering_after attempts (park).';
alter table relay.secrets drop constraint secrets_purpose_known;
alter table relay.secrets add constraint secrets_purpose_known
    check (purpose in ('signing', 'access_token', 'refresh_token', 'headers'));

-- A lane is a shard of its own number, of which only the first delivery of a connection is ever
-- claimed: 64 above the connection's shard.
create function relay.home_shard(connection_id uuid, in_lane boolean) returns smallint
language sql immutable parallel safe as $$
    select (case when in_lane then 64 else 0 end + (get_byte(uuid_send(connection_id), 15) & 63))::smallint
$$;

-- When a digest is sent next. Connections end their minutes at different seconds.
create function relay.digest_end(connection_id uuid, minutes integer) returns timestamptz
language sql stable parallel safe as $$
    select date_bin(
        minutes * interval '1 minute', now(),
        timestamptz '2026-01-01 00:00:00+00' + (get_byte(uuid_send(connection_id), 14) % 60) * interval '1 second'
    ) + minutes * interval '1 minute'
$$;

alter table relay.outbox add column waiting_for text;
comment on column relay.outbox.waiting_for is
    'Why it was put off, or parked, as a stable code; null where it waits for nothing but its time.';
alter table relay.outbox drop constraint outbox_shard_range;
alter table relay.outbox add constraint outbox_shard_range
    check (shard between 0 and 127 or shard between -65 and -2) not valid;
comment on column relay.outbox.shard is
    'relay.shard_of the connection; 64 more in a lane; or, while it is parked, relay.parked_shard_of it.';
-- In a lane the order is that of the events.
create index outbox_lane on relay.outbox (connection_id, event_id) where shard >= 64;

create or replace view relay.deliveries with (security_invoker = true) as
    select o.organization_id, o.delivery_id, o.connection_id, o.event_id,
           case when o.shard < 0 then 'parked'
                when o.lease_until > now() then 'sending'
                else 'pending' end as status,
           o.attempt as attempts, nullif(o.due_at, 'infinity') as next_due_at, o.waiting_for as reason,
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

-- The same ids as before, at two thirds of the cost.
create or replace function relay.uuid7_at(ticks bigint) returns uuid
language sql volatile parallel safe as $$
    select encode(
        overlay(uuid_send(gen_random_uuid()) placing int8send(((ticks >> 12) << 16) | 28672 | (ticks & 4095)) from 1),
        'hex'
    )::uuid
$$;

-- An id of another moment beside one of the same call: it shares its random part, whose making costs
-- most of an id.
create function relay.uuid7_beside(id uuid, ticks bigint) returns uuid
language sql immutable parallel safe as $$
    select encode(
        overlay(uuid_send(id) placing int8send(((ticks >> 12) << 16) | 28672 | (ticks & 4095)) from 1), 'hex'
    )::uuid
$$;

-- As before, but for lanes, digests, and that nothing said of a connection goes to that connection.
create or replace function relay.append_events(
    organization_ids uuid[], kinds text[], payloads text[], project_ids uuid[], team_ids uuid[],
    occurred_ats timestamptz[], sources text[], priorities text[], idempotency_keys text[], subjects text[],
    hops smallint[]
) returns table (ordinal integer, id uuid, outcome text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
-- Planning costs more than a small group's inserts, so it is done once; and always by index, since
-- the tables may be empty at that moment and large in the next.
set plan_cache_mode = force_generic_plan set enable_seqscan = off
set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
    n constant integer := cardinality(organization_ids);
    moment constant timestamptz := clock_timestamp();
    today constant date := (moment at time zone 'UTC')::date;
    keyed constant boolean := cardinality(array_remove(idempotency_keys, null)) > 0;
    ticks constant bigint := relay.uuid7_ticks(moment);
    ids uuid[] := array(select relay.uuid7_at(ticks + i) from generate_series(1, n) i);
    hashes bytea[];
    answers uuid[] := ids;
    outcomes text[] := array_fill('recorded'::text, array[n]);
begin
    if keyed then
        hashes := array(
            select case when idempotency_keys[i] is not null then
                sha256(convert_to(jsonb_build_array(
                    kinds[i], payloads[i]::jsonb, project_ids[i], team_ids[i], occurred_ats[i],
                    sources[i], priorities[i], subjects[i]
                )::text, 'UTF8'))
            end
            from generate_series(1, n) i order by i
        );
        if (moment at time zone 'UTC')::time < time '01:00' then
            insert into relay.idempotency_keys (day, organization_id, key, content_hash, event_id)
            select distinct on (t.organization_id, t.key)
                   today - 1, t.organization_id, t.key, t.content_hash, t.event_id
            from unnest(organization_ids, idempotency_keys, hashes, ids)
                 with ordinality as t(organization_id, key, content_hash, event_id, place)
            where t.key is not null
            order by t.organization_id, t.key, t.place
            on conflict do nothing;
        end if;
        insert into relay.idempotency_keys (day, organization_id, key, content_hash, event_id)
        select distinct on (t.organization_id, t.key)
               today, t.organization_id, t.key,
               coalesce(y.content_hash, t.content_hash), coalesce(y.event_id, t.event_id)
        from unnest(organization_ids, idempotency_keys, hashes, ids)
             with ordinality as t(organization_id, key, content_hash, event_id, place)
        left join lateral (
            -- Asked key by key, so that no plan ever reads a whole day's keys.
            select i.content_hash, i.event_id from relay.idempotency_keys i
            where i.organization_id = t.organization_id and i.key = t.key and i.day = today - 1
            limit 1
        ) y on true
        where t.key is not null
        order by t.organization_id, t.key, t.place
        on conflict do nothing;

        select array_agg(coalesce(k.event_id, t.event_id) order by t.place),
               array_agg(case when k.event_id is null or k.event_id = t.event_id then 'recorded'
                              when k.content_hash = t.content_hash then 'duplicate'
                              else 'conflict' end order by t.place)
        into answers, outcomes
        from unnest(organization_ids, idempotency_keys, hashes, ids)
             with ordinality as t(organization_id, key, content_hash, event_id, place)
        left join lateral (
            select i.content_hash, i.event_id from relay.idempotency_keys i
            where i.organization_id = t.organization_id and i.key = t.key and i.day = today
            limit 1
        ) k on true;
    end if;

    -- Into the category's own table: routing through the upper one costs as much as some rows.
    insert into relay.event_log_product (
        id, category, organization_id, project_id, team_id, kind, subject, priority, payload, source,
        hops, occurred_at
    )
    select t.id, 'product', t.organization_id, t.project_id, t.team_id, t.kind, t.subject,
           coalesce(t.priority, 'normal'), t.payload::json, t.source, coalesce(t.hops, 0::smallint),
           coalesce(t.occurred_at, moment)
    from unnest(ids, outcomes, organization_ids, kinds, payloads, project_ids, team_ids, occurred_ats,
                sources, priorities, subjects, hops)
         as t(id, outcome, organization_id, kind, payload, project_id, team_id, occurred_at, source,
              priority, subject, hops)
    where t.outcome = 'recorded';

    -- What few connections ask for, payloads above all, stays in the arrays until it is needed.
    with fact as materialized (
        select t.place, t.id, t.organization_id, t.kind, t.project_id, t.team_id, t.subject
        from unnest(ids, outcomes, organization_ids, kinds, project_ids, team_ids, subjects)
             with ordinality as t(id, outcome, organization_id, kind, project_id, team_id, subject, place)
        where t.outcome = 'recorded'
    ),
    pattern as materialized (
        select f.kind, relay.kind_patterns(f.kind) as patterns from fact f group by f.kind
    ),
    matched as materialized (
        select relay.uuid7_beside(f.id, ticks + n + row_number() over (order by f.place)) as delivery_id,
               f.organization_id, c.id as connection_id, f.id as event_id, c.version, c.ordering,
               case when priorities[f.place] = 'critical' then null else c.digest_minutes end as digest_minutes,
               case when c.status <> 'connected' then 'connection_' || c.status
                    when c.paused then 'connection_paused' end as skipped_because
        from fact f
        join pattern p on p.kind = f.kind
        join relay.organization_integrations c
            on c.organization_id = f.organization_id and c.status <> 'disconnected'
        where c.event_types && p.patterns
          and (c.project_id is null or c.project_id = f.project_id)
          and (c.team_id is null or c.team_id = f.team_id)
          -- What is told of a connection is told to the others.
          and (f.kind not like 'connection.%' or f.subject is distinct from c.id::text)
          and (c.conditions_path is null or coalesce(
                relay.condition_document(f.kind, coalesce(priorities[f.place], 'normal'), f.project_id,
                                         f.team_id, f.subject, sources[f.place],
                                         payloads[f.place]::jsonb) @@ c.conditions_path, false))
    ),
    promised as (
        insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, due_at)
        select m.organization_id, m.delivery_id, m.connection_id, m.event_id,
               relay.home_shard(m.connection_id, m.ordering is not null or m.digest_minutes is not null),
               case when m.digest_minutes is null then now()
                    else relay.digest_end(m.connection_id, m.digest_minutes) end
        from matched m where m.skipped_because is null
    )
    insert into relay.attempts (
        organization_id, delivery_id, number, connection_id, event_id, settlement, reason,
        connection_version
    )
    select m.organization_id, m.delivery_id, 0, m.connection_id, m.event_id, 'skipped',
           m.skipped_because, m.version
    from matched m where m.skipped_because is not null;

    return query select i::integer, answers[i], outcomes[i] from generate_series(1, n) i;
end
$$;
