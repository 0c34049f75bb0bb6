-- The schema that everything of Relay lives in, and the ids that order themselves by time.
create schema if not exists relay;
comment on schema relay is 'Deptex Relay: the event log, the outbox of promised deliveries, and the connections.';

-- A UUIDv7 from its first 60 bits: milliseconds since 1970, then 12 bits that keep ids in order
-- within one. Plain expressions, so that Postgres inlines them into the statement.
create function relay.uuid7_at(ticks bigint) returns uuid
language sql volatile parallel safe as $$
    select (
        overlay(lpad(to_hex(ticks), 15, '0') placing '7' from 13 for 0)
        || substr(gen_random_uuid()::text, 20)
    )::uuid
$$;

-- 4096 ticks a millisecond.
create function relay.uuid7_ticks(at timestamptz default clock_timestamp()) returns bigint
language sql volatile parallel safe as $$
    select (extract(epoch from at) * 4096000)::bigint
$$;

create function relay.uuid7() returns uuid
language sql volatile parallel safe as $$
    select relay.uuid7_at(relay.uuid7_ticks(clock_timestamp()))
$$;

-- The smallest id of a moment: the bound of a partition, or of a search by time.
create function relay.uuid7_floor(at timestamptz) returns uuid
language sql immutable parallel safe as $$
    select (
        lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '00000000000000000000'
    )::uuid
$$;

-- The moment that a UUIDv7 was made, to the millisecond.
create function relay.uuid7_time(id uuid) returns timestamptz
language sql immutable parallel safe as $$
    select to_timestamp(
        ('x' || substr(replace(id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0
    )
$$;

-- Which of the 64 shards a connection's deliveries belong to.
create function relay.shard_of(connection_id uuid) returns smallint
language sql immutable parallel safe as $$
    select (get_byte(uuid_send(connection_id), 15) & 63)::smallint
$$;

create function relay.refuse_change() returns trigger
language plpgsql as $$
begin
    raise exception '%.% is append-only: % is refused', tg_table_schema, tg_table_name, tg_op
        using errcode = 'restrict_violation';
end
$$;
