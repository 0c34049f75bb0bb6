-- Which worker process owns which shard: it alone claims the deliveries of those connections.

create table relay.workers (
    worker uuid not null,
    name text not null,
    joined_at timestamptz not null default now(),
    until timestamptz not null,
    is_leaving boolean not null default false,
    constraint workers_key primary key (worker)
) with (fillfactor = 20);
comment on table relay.workers is
    'Worker processes that live. One that is past its time owns nothing, whatever is written beside the shards.';
comment on column relay.workers.name is 'Machine and process, for people.';

create table relay.shard_owners (
    shard smallint not null,
    epoch bigint not null default 0,
    worker uuid,
    constraint shard_owners_key primary key (shard),
    constraint shard_owners_range check (shard between 0 and 63)
) with (fillfactor = 20);
comment on table relay.shard_owners is
    'Each shard''s owner. It owns a lane, which is numbered 64 above, along with its shard.';
comment on column relay.shard_owners.epoch is 'Counts the changes of owner.';
create index shard_owners_of_worker on relay.shard_owners (worker);
insert into relay.shard_owners (shard) select generate_series(0, 63);

-- What crashes are suspected of, found without looking through everything that waits. `crashes` of a
-- lease that has run out is written by the claim that takes it over, so one may be missing here.
create index outbox_suspects on relay.outbox (shard, connection_id, due_at) where crashes > 0;

-- A worker says that it lives and which shards it gives up, and hears which it owns. It keeps what it
-- has, even above its share: what is too much, it gives up by itself when nothing of that is under
-- way. Shards that nobody owns, or somebody dead, it takes up to its share. Shares add up to all
-- shards, by order of joining, so that they settle and then stay. Who leaves takes nothing.
create function relay.tend_shards(
    worker_id uuid, worker_name text, ttl interval, gives_up smallint[], leaves boolean,
    out shards smallint[], out epochs bigint[], out workers integer, out share integer
)
language plpgsql volatile set search_path = pg_catalog, pg_temp
-- Two small tables, read whole: a session that forbids that would make the planner expect the worst.
set enable_seqscan = on set jit = off as $$
declare
    moment timestamptz;
    mine integer;
    is_known boolean;
begin
    -- The door: one at a time, so that each sees what the one before has done.
    perform from relay.shard_owners o where o.shard = 0 for update;
    moment := clock_timestamp();

    update relay.workers w set until = moment + ttl, is_leaving = leaves where w.worker = worker_id;
    is_known := found;
    if not is_known then
        insert into relay.workers (worker, name, joined_at, until, is_leaving)
        values (worker_id, worker_name, moment, moment + ttl, leaves);
    end if;
    delete from relay.workers w where w.until <= moment;
    if cardinality(gives_up) > 0 then
        update relay.shard_owners o set worker = null
        where o.worker = worker_id and o.shard = any(gives_up);
    end if;

    select count(*), 64 / greatest(count(*), 1)
           + (count(*) filter (where (w.joined_at, w.worker) < (me.joined_at, me.worker))
              < 64 % greatest(count(*), 1))::integer
    into workers, share
    from relay.workers w cross join relay.workers me
    where me.worker = worker_id and not w.is_leaving;
    if leaves then
        share := 0;
    end if;

    select count(*) into mine from relay.shard_owners o where o.worker = worker_id;
    if mine < share then
        update relay.shard_owners o set worker = worker_id, epoch = o.epoch + 1
        from (
            select f.shard from relay.shard_owners f
            where not exists (select from relay.workers w where w.worker = f.worker)
            order by f.shard limit share - mine
        ) free
        where o.shard = free.shard;
    elsif leaves and mine = 0 then
        delete from relay.workers w where w.worker = worker_id;
    end if;

    select coalesce(array_agg(o.shard order by o.shard), '{}'),
           coalesce(array_agg(o.epoch order by o.shard), '{}')
    into shards, epochs
    from relay.shard_owners o where o.worker = worker_id;
end
$$;
