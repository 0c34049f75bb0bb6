-- Finds the newest attempts by the transaction that wrote them, wherever they were recorded.

-- A range of pages costs an entry, a row costs nothing. Days to come get it when they are attached. Of the
-- days that are there only those that can still get rows need it, and today's comes last: settlements
-- wait while it is read, about a second for each gigabyte.
do $$
declare
    day record;
begin
    for day in
        select c.oid::regclass as name
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'relay.attempts'::regclass
          and (c.relname = 'attempts_default'
               or right(c.relname, 8) >= to_char(now() at time zone 'UTC' - interval '1 day', 'YYYYMMDD'))
        order by c.relname like '%\_' || to_char(now() at time zone 'UTC', 'YYYYMMDD'), c.relname
    loop
        execute format(
            'create index on %s using brin (transaction_id, recorded_at) with (pages_per_range = 32, autosummarize = on)',
            day.name);
    end loop;
end
$$;
create index attempts_by_transaction on only relay.attempts
    using brin (transaction_id, recorded_at) with (pages_per_range = 32, autosummarize = on);
