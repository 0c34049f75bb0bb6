-- What a group commit costs inside Postgres, by its number of events: no network, no Relay.
--   cargo run --release --bin relay -- with-postgres -- sh -c \
--     'target/release/relay migrate && psql "$DATABASE_URL" -qf loadtest/append.sql'
-- With `-v without_checks=1` the tables lose their check constraints first.
set client_min_messages = notice;
\if :{?without_checks}
do $$
declare
    one record;
begin
    for one in
        select conrelid::regclass as name, conname from pg_constraint
        where contype = 'c' and connamespace = 'relay'::regnamespace and coninhcount = 0
          and conrelid::regclass::text ~ '^relay[.](event_log|outbox|attempts)'
    loop
        execute format('alter table %s drop constraint %I', one.name, one.conname);
    end loop;
end
$$;
\endif

insert into relay.organization_integrations
    (id, organization_id, provider, installation_id, display_name, connected_at, version)
values (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'custom_notification', 'x', 'x', now(), 1)
on conflict do nothing;

create procedure pg_temp.measure(events integer, calls integer) language plpgsql as $$
declare
    began timestamptz;
    spent double precision := 0;
    data constant text := '{"severity":"critical","pad":"' || repeat('x', 900) || '"}';
    none constant text[] := array_fill(null::text, array[events]);
begin
    for n in 1 .. calls loop
        began := clock_timestamp();
        perform relay.append_events(
            array_fill('00000000-0000-0000-0000-000000000001'::uuid, array[events]),
            array_fill('vulnerability.found'::text, array[events]), array_fill(data, array[events]),
            none::uuid[], none::uuid[], none::timestamptz[], none, none, none, none,
            array_fill(0::smallint, array[events]));
        spent := spent + extract(epoch from clock_timestamp() - began);
        commit;
    end loop;
    raise notice '% events a call: % ms a call, % µs an event', events,
        round((spent * 1e3 / calls)::numeric, 3), round((spent * 1e6 / calls / events)::numeric, 1);
end
$$;
call pg_temp.measure(12, 200);
call pg_temp.measure(1, 500);
call pg_temp.measure(12, 500);
call pg_temp.measure(100, 100);
call pg_temp.measure(500, 40);
