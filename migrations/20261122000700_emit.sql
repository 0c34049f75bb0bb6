-- Append and fan-out: one transaction records events and the promise of all their deliveries.

-- The subscription patterns that a kind answers to: `a.b.c` → {*, a.b.c, a.*, a.b.*}.
-- In plpgsql, which keeps its plans: the same in SQL would be planned anew for every group commit.
create function relay.kind_patterns(kind text) returns text[]
language plpgsql immutable parallel safe as $$
declare
    parts constant text[] := string_to_array(kind, '.');
    patterns text[] := array['*', kind];
    prefix text := '';
begin
    for n in 1 .. cardinality(parts) - 1 loop
        prefix := prefix || parts[n] || '.';
        patterns := patterns || (prefix || '*');
    end loop;
    return patterns;
end
$$;

-- The document that a connection's conditions are evaluated against.
create function relay.condition_document(
    kind text, priority text, project_id uuid, team_id uuid, subject text, source text, data jsonb
) returns jsonb
language sql immutable parallel safe as $$
    select jsonb_build_object(
        'event', kind, 'priority', priority, 'project_id', project_id, 'team_id', team_id,
        'subject', subject, 'source', source, 'severity', data -> 'severity', 'data', data
    )
$$;

-- Appends events and fans them out: the one way in. One element a position in every array.
-- outcome: 'recorded', 'duplicate' (same key, same content: the first event's id) or
-- 'conflict' (same key, other content: the first event's id, and nothing is recorded).
-- A key holds for the day of its last use and the day after. In the first hour of a day keys are
-- written to the day before as well, so that of two callers on either side of midnight one waits
-- for the other.
create function relay.append_events(
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

    insert into relay.event_log (
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

    with fact as materialized (
        select t.id, t.organization_id, t.kind, t.payload, t.project_id, t.team_id, t.source,
               coalesce(t.priority, 'normal') as priority, t.subject
        from unnest(ids, outcomes, organization_ids, kinds, payloads, project_ids, team_ids, sources,
                    priorities, subjects)
             as t(id, outcome, organization_id, kind, payload, project_id, team_id, source, priority,
                  subject)
        where t.outcome = 'recorded'
    ),
    pattern as materialized (
        select f.kind, relay.kind_patterns(f.kind) as patterns from fact f group by f.kind
    ),
    matched as materialized (
        select relay.uuid7_at(ticks + row_number() over ()) as delivery_id, f.organization_id, c.id as connection_id, f.id as event_id,
               c.version,
               case when c.status <> 'connected' then 'connection_' || c.status
                    when c.paused then 'connection_paused' end as skipped_because
        from fact f
        join pattern p on p.kind = f.kind
        join relay.organization_integrations c
            on c.organization_id = f.organization_id and c.status <> 'disconnected'
        where c.event_types && p.patterns
          and (c.project_id is null or c.project_id = f.project_id)
          and (c.team_id is null or c.team_id = f.team_id)
          and (c.conditions_path is null or coalesce(
                relay.condition_document(f.kind, f.priority, f.project_id, f.team_id, f.subject,
                                         f.source, f.payload::jsonb) @@ c.conditions_path, false))
    ),
    promised as (
        insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard)
        select m.organization_id, m.delivery_id, m.connection_id, m.event_id,
               relay.shard_of(m.connection_id)
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
revoke all on function relay.append_events from public;

-- For the core, inside its own transaction: the event and its deliveries commit or vanish with it.
-- Returns the event's id; with an idempotency key seen before and the same content, the first id.
create function relay.emit(
    kind text, organization_id uuid, data jsonb, project_id uuid default null,
    team_id uuid default null, occurred_at timestamptz default null, source text default null,
    priority text default 'normal', idempotency_key text default null, subject text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    canonical constant text := coalesce((select a.kind from relay.kind_aliases a where a.alias = emit.kind), emit.kind);
    answer record;
begin
    if emit.organization_id is null or canonical is null or data is null then
        raise exception 'relay.emit needs kind, organization_id and data' using errcode = 'null_value_not_allowed';
    end if;
    if canonical !~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' or length(canonical) > 128 then
        raise exception 'the kind "%" is not a dotted name such as vulnerability.found', left(canonical, 100)
            using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(data) <> 'object' then
        raise exception 'data must be a JSON object, not %', jsonb_typeof(data) using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(data::text) > 262144 then
        raise exception 'data is larger than 256 KiB' using errcode = 'program_limit_exceeded';
    end if;
    select a.id, a.outcome into strict answer from relay.append_events(
        array[emit.organization_id], array[canonical], array[data::text], array[emit.project_id],
        array[emit.team_id], array[emit.occurred_at], array[emit.source], array[emit.priority],
        array[emit.idempotency_key], array[emit.subject], array[0::smallint]
    ) a;
    if answer.outcome = 'conflict' then
        raise exception 'the idempotency key was used before with other content, for event %', answer.id
            using errcode = 'unique_violation', constraint = 'idempotency_keys_key';
    end if;
    return answer.id;
end
$$;
revoke all on function relay.emit from public;
comment on function relay.emit is
    'Records an event and promises its deliveries, in the caller''s own transaction. Grant execute to the core''s role.';
