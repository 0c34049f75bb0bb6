-- Where one process takes events in and delivers them, what it records is its own to send: the row is
-- inserted under a lease of that process, and nobody has to look for it.

-- Appends events with the promise of their deliveries. Deliveries in shards that `own_worker` owns are
-- leased to it at once, up to `handed_max`: those for custom webhooks that are in no lane (what has an
-- order is for a claim to see) and not among `busy_connections`, of which more is waiting or which may
-- not be called now. `waiting` counts the others. `traceparents` has a trace for each event, or is null.
create function relay.append_and_lease(
    organization_ids uuid[], kinds text[], payloads text[], project_ids uuid[], team_ids uuid[],
    occurred_ats timestamptz[], sources text[], priorities text[], idempotency_keys text[], subjects text[],
    hops smallint[], traceparents text[],
    own_worker uuid, own_shards smallint[], lease_length interval, busy_connections uuid[], handed_max integer,
    out answers uuid[], out outcomes text[], out moment timestamptz, out waiting integer,
    out handed_events uuid[], out handed_connections uuid[], out handed_deliveries uuid[],
    out handed_leases bigint[], out handed_versions bigint[]
)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
-- Planning costs more than a small group's inserts, so it is done once; and always by look-ups, since
-- the tables may be empty at that moment and large in the next. A walk through an index, which seems
-- cheapest then, needs a plain scan of it; a look-up can do with a bitmap.
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_indexscan = off
set enable_indexonlyscan = off set enable_bitmapscan = on
set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
declare
    n constant integer := cardinality(organization_ids);
    keyed constant boolean := cardinality(array_remove(idempotency_keys, null)) > 0;
    today date;
    ticks bigint;
    ids uuid[];
    hashes bytea[];
begin
    moment := clock_timestamp();
    today := (moment at time zone 'UTC')::date;
    ticks := relay.uuid7_ticks(moment);
    ids := array(select relay.uuid7_at(ticks + i) from generate_series(1, n) i);
    answers := ids;
    outcomes := array_fill('recorded'::text, array[n]);
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
        hops, occurred_at, traceparent
    )
    select t.id, 'product', t.organization_id, t.project_id, t.team_id, t.kind, t.subject,
           coalesce(t.priority, 'normal'), t.payload::json, t.source, coalesce(t.hops, 0::smallint),
           coalesce(t.occurred_at, moment), t.traceparent
    from unnest(ids, outcomes, organization_ids, kinds, payloads, project_ids, team_ids, occurred_ats,
                sources, priorities, subjects, hops, traceparents)
         as t(id, outcome, organization_id, kind, payload, project_id, team_id, occurred_at, source,
              priority, subject, hops, traceparent)
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
               c.provider like 'custom%' as is_webhook,
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
    owned as materialized (
        select array_agg(s.shard) as shards
        from relay.workers w
        join relay.shard_owners s on s.worker = w.worker
        where w.worker = own_worker and w.until > now() and s.shard = any(own_shards)
    ),
    promise as materialized (
        select m.*, p.shard,
               case when p.is_handed
                     and count(*) filter (where p.is_handed) over (order by m.delivery_id) <= handed_max
                    then nextval('relay.outbox_lease') end as lease
        from matched m
        cross join lateral (
            select h.shard, coalesce(
                m.is_webhook and h.shard = any((select shards from owned)::smallint[])
                and not m.connection_id = any(busy_connections), false) as is_handed
            from (select relay.home_shard(
                m.connection_id, m.ordering is not null or m.digest_minutes is not null) as shard) h
        ) p
        where m.skipped_because is null
    ),
    promised as (
        insert into relay.outbox (
            organization_id, delivery_id, connection_id, event_id, shard, due_at, lease, lease_until
        )
        select p.organization_id, p.delivery_id, p.connection_id, p.event_id, p.shard,
               case when p.digest_minutes is null then now()
                    else relay.digest_end(p.connection_id, p.digest_minutes) end,
               p.lease, case when p.lease is not null then now() + lease_length end
        from promise p
    ),
    skipped as (
        insert into relay.attempts (
            organization_id, delivery_id, number, connection_id, event_id, settlement, reason,
            connection_version
        )
        select m.organization_id, m.delivery_id, 0, m.connection_id, m.event_id, 'skipped',
               m.skipped_because, m.version
        from matched m where m.skipped_because is not null
    )
    select count(*) filter (where p.lease is null),
           array_agg(p.event_id) filter (where p.lease is not null),
           array_agg(p.connection_id) filter (where p.lease is not null),
           array_agg(p.delivery_id) filter (where p.lease is not null),
           array_agg(p.lease) filter (where p.lease is not null),
           array_agg(p.version) filter (where p.lease is not null)
    into waiting, handed_events, handed_connections, handed_deliveries, handed_leases, handed_versions
    from promise p;
end
$$;

-- The same, with every delivery left for a claim; the trace is the transaction's.
create or replace function relay.append_events(
    organization_ids uuid[], kinds text[], payloads text[], project_ids uuid[], team_ids uuid[],
    occurred_ats timestamptz[], sources text[], priorities text[], idempotency_keys text[], subjects text[],
    hops smallint[]
) returns table (ordinal integer, id uuid, outcome text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    given constant text := relay.given_traceparent();
    done record;
begin
    done := relay.append_and_lease(
        organization_ids, kinds, payloads, project_ids, team_ids, occurred_ats, sources, priorities,
        idempotency_keys, subjects, hops,
        case when given is not null then array_fill(given, array[cardinality(organization_ids)]) end,
        null, '{}', null, '{}', 0);
    return query select i::integer, done.answers[i], done.outcomes[i]
    from generate_series(1, cardinality(organization_ids)) i;
end
$$;

revoke all on function relay.append_and_lease from public;
