-- relay.emit refuses what POST /v1/events refuses, in the same words; the numbers are those of
-- engine/src/event.rs and engine/src/json.rs.

-- Why JSON that Postgres takes is refused all the same: null where it is not.
create function relay.data_refused(data jsonb, written text) returns text
language plpgsql immutable parallel safe as $$
begin
    -- Each of the cheap questions is answered with no by nearly all data. Over HTTP the event around
    -- the data counts as well: one level, and ten keys.
    if length(written) - length(translate(written, '[{', '')) > 63
        and jsonb_path_exists(data, 'strict $.**{63} ? (@.type() == "object" || @.type() == "array")') then
        return 'Arrays and objects are nested deeper than 64';
    end if;
    if length(written) - length(replace(written, '": ', '')) > 3 * 9990
        and (select count(*) from jsonb_path_query(data, 'strict $.** ? (@.type() == "object").keyvalue()')) > 9990 then
        return 'Objects have more than 10000 keys together';
    end if;
    if written ~ '[0-9.]{255}' then
        if jsonb_path_exists(data, 'strict $.** ? (@.type() == "number" && (@ > 1.7976931348623157e308 || @ < -1.7976931348623157e308))') then
            return 'A number is too large for a double';
        end if;
        if exists (select from jsonb_path_query(data, 'strict $.** ? (@.type() == "number")') n where length(n::text) > 1000) then
            return 'A number has more than 1000 characters, or an exponent beyond 400';
        end if;
    end if;
    return null;
end
$$;

-- Why a text is refused: null where it is not.
create function relay.text_refused(name text, value text, bytes_min integer, bytes_max integer) returns text
language sql immutable parallel safe as $$
    select case
        when octet_length(value) not between bytes_min and bytes_max then
            format('%s must have %s %s bytes, not %s', name,
                   case when bytes_min = 0 then 'at most' else bytes_min || ' to' end, bytes_max,
                   octet_length(value))
        when value ~ '[\u0001-\u001f\u007f-\u009f]' then
            format('%s must not hold control characters: %s', name, to_json(left(value, 64)))
    end
$$;

create or replace function relay.emit(
    kind text, organization_id uuid, data jsonb, project_id uuid default null,
    team_id uuid default null, occurred_at timestamptz default null, source text default null,
    priority text default 'normal', idempotency_key text default null, subject text default null
) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    canonical constant text := coalesce((select a.kind from relay.kind_aliases a where a.alias = emit.kind), emit.kind);
    written constant text := data::text;
    refused text;
    answer record;
begin
    if emit.organization_id is null or canonical is null or data is null then
        raise exception 'relay.emit needs kind, organization_id and data' using errcode = 'null_value_not_allowed';
    end if;
    if canonical !~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,7}$' or length(canonical) > 128 then
        raise exception 'kind must be a dotted name such as vulnerability.found (lower-case letters, digits and _, at most 8 parts and 128 characters), not %', to_json(left(canonical, 64))
            using errcode = 'invalid_parameter_value';
    end if;
    if jsonb_typeof(data) <> 'object' then
        raise exception 'data must be a JSON object, not %', case jsonb_typeof(data) when 'array' then 'an array' when 'null' then 'null' else 'a ' || jsonb_typeof(data) end
            using errcode = 'invalid_parameter_value';
    end if;
    if octet_length(written) > 262144 then
        raise exception 'data has % bytes; an event may have 262144 (256 KiB)', octet_length(written)
            using errcode = 'program_limit_exceeded';
    end if;
    refused := relay.data_refused(data, written);
    if refused is not null then
        raise exception '%', refused using errcode = 'program_limit_exceeded';
    end if;
    refused := coalesce(
        relay.text_refused('source', emit.source, 0, 128),
        case when emit.priority not in ('critical', 'high', 'normal', 'low') then
            'priority must be critical, high, normal or low, not ' || to_json(left(emit.priority, 64)) end,
        relay.text_refused('subject', emit.subject, 0, 512),
        relay.text_refused('idempotency_key', emit.idempotency_key, 1, 256)
    );
    if refused is not null then
        raise exception '%', refused using errcode = 'check_violation';
    end if;
    select a.id, a.outcome into strict answer from relay.append_events(
        array[emit.organization_id], array[canonical], array[written], array[emit.project_id],
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
