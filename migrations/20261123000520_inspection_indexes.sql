-- What people look for: an organization's events, a connection's deliveries, a kind of failure, a ticket.

-- Days to come get these when they are attached. Of the days that are there those get them that are
-- small, or no longer written: building one keeps the writers of that day waiting, about a second for
-- each million rows. What is left without is found all the same, only more slowly, until retention drops
-- it. What each costs while events and attempts are written: docs/decisions/0033.

-- With what events are asked for, so that the search need not read the events themselves.
create index event_log_product_of_organization on only relay.event_log_product (organization_id, id) include (kind, subject);

-- Every attempt has a connection. Only those that failed have a class, and only tickets an id.
create index attempts_of_connection on only relay.attempts (connection_id, delivery_id);
create index attempts_of_error_class on only relay.attempts (organization_id, error_class, delivery_id)
    where error_class is not null;
create index attempts_of_external_id on only relay.attempts (organization_id, external_id, delivery_id)
    where external_id is not null;

do $$
declare
    day record;
begin
    for day in
        select c.oid::regclass as name, i.inhparent = 'relay.attempts'::regclass as is_of_attempts
        from pg_inherits i
        join pg_class c on c.oid = i.inhrelid
        where i.inhparent in ('relay.attempts'::regclass, 'relay.event_log_product'::regclass)
          and (pg_relation_size(c.oid) < 128 * 1024 * 1024
               or right(c.relname, 8) < to_char(now() at time zone 'UTC', 'YYYYMMDD'))
        order by c.relname
    loop
        if day.is_of_attempts then
            execute format('create index on %s (connection_id, delivery_id)', day.name);
            execute format('create index on %s (organization_id, error_class, delivery_id) where error_class is not null', day.name);
            execute format('create index on %s (organization_id, external_id, delivery_id) where external_id is not null', day.name);
        else
            execute format('create index on %s (organization_id, id) include (kind, subject)', day.name);
        end if;
    end loop;
end
$$;
