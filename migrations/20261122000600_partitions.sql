-- Daily partitions: made ahead by a periodic duty, dropped by retention.

-- Makes the partitions from yesterday to `days_ahead` days from now (UTC). Returns how many were new.
-- A partition is built aside and attached, so that appends wait only for the attaching itself.
create function relay.ensure_partitions(days_ahead integer default 3) returns integer
language plpgsql set timezone = 'UTC' set lock_timeout = '2s' as $$
declare
    today date := (now() at time zone 'UTC')::date;
    first_day date;
    parent text;
    part text;
    from_bound text;
    to_bound text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('relay.ensure_partitions', 0));
    foreach parent in array array['event_log_product', 'attempts', 'idempotency_keys'] loop
        for first_day in select generate_series(today - 1, today + days_ahead, interval '1 day')::date loop
            part := parent || '_' || to_char(first_day, 'YYYYMMDD');
            continue when to_regclass('relay.' || part) is not null;
            if parent = 'event_log_product' then
                from_bound := relay.uuid7_floor(first_day::timestamptz)::text;
                to_bound := relay.uuid7_floor((first_day + 1)::timestamptz)::text;
            else
                from_bound := first_day::text;
                to_bound := (first_day + 1)::text;
            end if;
            begin
                execute format('create table relay.%I (like relay.%I including defaults including constraints)', part, parent);
                execute format('alter table relay.%I attach partition relay.%I for values from (%L) to (%L)',
                               parent, part, from_bound, to_bound);
                made := made + 1;
            exception
                -- Rows of that day already lie in the default partition: the alarm tells of them,
                -- and that day is served from there.
                when check_violation then
                    raise warning 'partition % not made: its rows are in the default partition', part;
            end;
        end loop;
    end loop;
    return made;
end
$$;

-- Rows that lie in a default partition, by table: each should be zero.
create function relay.rows_in_default_partitions() returns table (parent text, row_count bigint)
language sql stable as $$
    select 'event_log_product', (select count(*) from (select from relay.event_log_product_default limit 100000) r)
    union all
    select 'attempts', (select count(*) from (select from relay.attempts_default limit 100000) r)
    union all
    select 'idempotency_keys', (select count(*) from (select from relay.idempotency_keys_default limit 100000) r)
$$;

-- Drops the days that retention no longer covers. A day of events with a promised delivery stays.
create function relay.drop_old_partitions(retention interval) returns integer
language plpgsql set timezone = 'UTC' set lock_timeout = '2s' as $$
declare
    p record;
    day date;
    keep_from date := (now() at time zone 'UTC' - retention)::date;
    keys_from date := (now() at time zone 'UTC')::date - 2;
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
    loop
        day := to_date(right(p.part, 8), 'YYYYMMDD');
        if p.parent = 'idempotency_keys' then
            continue when day >= keys_from;
        else
            continue when day >= keep_from;
            continue when p.parent = 'event_log_product' and exists (
                select from relay.outbox
                where event_id >= relay.uuid7_floor(day::timestamptz)
                  and event_id < relay.uuid7_floor((day + 1)::timestamptz)
            );
        end if;
        execute format('drop table relay.%I', p.part);
        dropped := dropped + 1;
    end loop;
    return dropped;
end
$$;

select relay.ensure_partitions();
