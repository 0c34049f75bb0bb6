-- A second wall between organizations: where a role for requests is admitted, Postgres itself shows such a
-- session the rows of one organization, whatever its query forgot to ask. Nothing changes until then.

-- Whose rows the session may see: none of nobody's, where it names no organization.
create function relay.named_organization() returns uuid
language sql stable parallel safe
return nullif(current_setting('relay.organization', true), '')::uuid;

-- Every table that a wall can stand in, and which of its rows are the named organization's. Days are left
-- out: they are reached through their parents alone, by whose walls Postgres goes then.
create function relay.walled_tables() returns table (relation oid, own_rows text)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select c.oid,
           case when a.attname = 'organization_id'
                then 'organization_id = (select relay.named_organization())'
                else 'exists (select from relay.replay_jobs j where j.id = replay_id)' end
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and not a.attisdropped
    where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p') and c.relname !~ '_[0-9]{8}$'
      and (a.attname = 'organization_id' or (c.relname = 'replay_arrivals' and a.attname = 'replay_id'))
$$;

-- Lets a role in, and builds the walls that are not there yet. `requests`: sees and writes what is the
-- organization's that its session names, and of the rest only what is nobody's. `processes`: everything, as
-- `relay api` and `relay workers` need it. `readers`: may look at everything. For the owner to call;
-- repeating it does what is missing, as for tables that came since.
create function relay.admit(admitted name, purpose text) returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
    policy constant name := left(purpose || '_' || admitted, 63);
    wall record;
begin
    if purpose not in ('requests', 'processes', 'readers') then
        raise exception 'a role is admitted for requests, processes or readers, not for %', purpose
            using errcode = 'invalid_parameter_value';
    end if;
    for wall in
        select w.*, w.relation::regclass as name, c.relrowsecurity as stands,
               exists (select from pg_policy p
                       where p.polrelid = w.relation and p.polname = policy) as is_known
        from relay.walled_tables() w join pg_class c on c.oid = w.relation
        order by c.relname
    loop
        if not wall.is_known then
            execute format('create policy %I on %s for %s to %I using (%s)', policy, wall.name,
                           case purpose when 'readers' then 'select' else 'all' end, admitted,
                           case purpose when 'requests' then wall.own_rows else 'true' end);
        end if;
        if not wall.stands then
            execute format('alter table %s enable row level security', wall.name);
        end if;
        execute format('grant %s on %s to %I',
                       case purpose when 'readers' then 'select'
                                    else 'select, insert, update, delete' end, wall.name, admitted);
    end loop;
    execute format('grant usage on schema relay to %I', admitted);
    execute format('grant select on relay.deliveries, relay.kind_aliases, relay.statistics_watermark to %I',
                   admitted);
    if purpose = 'requests' then
        execute format('grant execute on function relay.append_events, relay.is_shared(uuid) to %I', admitted);
        return;
    end if;
    execute format('grant select on relay._sqlx_migrations, relay.workers, relay.shard_owners, relay.token_refreshes to %I',
                   admitted);
    if purpose = 'processes' then
        execute format('grant insert, update, delete on relay.workers, relay.shard_owners, relay.token_refreshes to %I',
                       admitted);
        execute format('grant insert, update on relay.statistics_watermark to %I', admitted);
        execute format('grant usage on all sequences in schema relay to %I', admitted);
        execute format('grant execute on all functions in schema relay to %I', admitted);
    end if;
end
$$;

-- The same once more for every role that was admitted: what a later migration made gets its walls.
create function relay.tend_walls() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    known record;
begin
    for known in
        select pg_get_userbyid(p.polroles[1]) as name, split_part(p.polname, '_', 1) as purpose
        from pg_policy p
        where p.polrelid = 'relay.outbox'::regclass and p.polname ~ '^(requests|processes|readers)_'
    loop
        perform relay.admit(known.name, known.purpose);
    end loop;
end
$$;

-- All as it was before the first role was admitted, but for the grants.
create function relay.take_walls_down() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
    wall record;
    policy name;
begin
    for wall in select relation, relation::regclass as name from relay.walled_tables() loop
        for policy in
            select polname from pg_policy
            where polrelid = wall.relation and polname ~ '^(requests|processes|readers)_'
        loop
            execute format('drop policy %I on %s', policy, wall.name);
        end loop;
        execute format('alter table %s disable row level security', wall.name);
    end loop;
end
$$;

-- Whether access that a connection was given is used by another one as well, be it another
-- organization's: the one question that goes past the wall, and the answer names nobody.
create function relay.is_shared(connection_id uuid) returns boolean
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    -- A Slack workspace has one bot token for all channels, each of which may be a connection.
    select exists (
        select from relay.organization_integrations other
        join relay.organization_integrations own on own.id = is_shared.connection_id
        where other.id <> own.id and other.status <> 'disconnected'
          and other.provider = own.provider
          and (other.installation_id = own.installation_id or other.grant_id = own.grant_id
               or other.metadata ->> 'team_id' = own.metadata ->> 'team_id')
    )
$$;

-- Only the owner makes and drops days: a process that is not the owner asks for it here.
alter function relay.ensure_partitions(integer) security definer set search_path = pg_catalog, pg_temp;
alter function relay.drop_old_partitions(interval) security definer set search_path = pg_catalog, pg_temp;

revoke all on function relay.admit, relay.tend_walls, relay.take_walls_down, relay.is_shared(uuid),
    relay.ensure_partitions(integer), relay.drop_old_partitions(interval) from public;
