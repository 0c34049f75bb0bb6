//! Takes due deliveries from the shards that a worker owns, some of each connection.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use super::{CRASHES_SUSPECT, Claimed, Class, FRESH, Look, interval};
use crate::{
    ids::{ConnectionId, EventId},
    shards::{SHARDS, WorkerId},
};

/// How many more deliveries of one connection the caller can take.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The number, perhaps zero.
    pub room: i32,
}

/// Where the search for ready connections goes on, so that all of them get their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    shard: i16,
    connection_id: Uuid,
}

impl Cursor {
    /// Behind a connection.
    pub(super) fn behind(shard: i16, connection_id: Uuid) -> Self {
        Self { shard, connection_id }
    }

    /// Whether it stands before the first connection.
    #[must_use]
    pub fn is_start(&self) -> bool {
        self.shard < 0
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self { shard: -1, connection_id: Uuid::nil() }
    }
}

/// What a worker asks for.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// Who asks.
    pub worker: WorkerId,
    /// The shards to look into. Those that are not the worker's are passed over.
    pub shards: &'a [i16],
    /// How long the leases are.
    pub lease: Duration,
    /// The most deliveries, one suspect aside.
    pub limit: i64,
    /// The most of a connection that is not named in `wants`.
    pub default_room: i32,
    /// The room for connections that have something here already, or want nothing now.
    pub wants: &'a [Want],
    /// Where the last claim ended.
    pub cursor: Cursor,
    /// Where connections with something due are searched.
    pub look: &'a Look,
    /// Whether one that is suspected of being poison may be among them.
    pub may_take_suspect: bool,
}

/// The answer of a claim.
#[derive(Debug)]
pub struct Claim {
    /// What was taken.
    pub deliveries: Vec<Claimed>,
    /// Whether as many were taken as were asked for: there may be more.
    pub is_full: bool,
    /// Where to go on.
    pub cursor: Cursor,
    /// What it tells of what was left.
    pub brought: Vec<Brought>,
}

/// A delivery that was taken, and what it tells of its connection.
#[derive(Clone, Copy, Debug)]
pub struct Brought {
    /// Whose.
    pub connection_id: ConnectionId,
    /// Its event, if its connection's go one at a time.
    pub in_lane: Option<EventId>,
    /// For how long the first that was found of the connection has been due.
    pub oldest: Duration,
}

/// What `Look` asks for, as the statement takes it.
#[derive(Default)]
struct Back {
    within: Option<i64>,
    connections: Vec<Uuid>,
    withins: Vec<Option<i64>>,
    from_events: Vec<Uuid>,
}

impl Back {
    fn of(look: &Look) -> Self {
        let Look::Since { within, left } = look else { return Self::default() };
        let micros = |span: &Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Self {
            within: Some(micros(within)),
            connections: left.iter().map(|one| one.connection_id.0).collect(),
            withins: left.iter().map(|one| one.within.as_ref().map(micros)).collect(),
            from_events: left
                .iter()
                .map(|one| one.from_event.map_or(Uuid::nil(), |event| event.0))
                .collect(),
        }
    }
}

/// Takes up to `limit` due deliveries under new leases, a share for each ready connection.
///
/// Only from shards that are the worker's at this moment by the database's clock. What became due
/// lately goes before what has been waiting, 8 to 2, and each fills up for the other. Of a lane only
/// the first is ever taken, and nothing while one of it is under way. Rows that are locked are passed
/// over without waiting, and a lease that has run out counts as a crash. Of those that are suspected
/// of being poison one is taken if `may_take_suspect`, beside the others, and otherwise none:
/// whatever runs beside the culprit when it takes the process down would be blamed as well.
pub async fn claim(pool: &PgPool, request: ClaimRequest<'_>) -> Result<Claim, sqlx::Error> {
    let ClaimRequest { limit, cursor, .. } = request;
    let mut wants: Vec<(Uuid, i32)> =
        request.wants.iter().map(|want| (want.connection_id.0, want.room)).collect();
    wants.sort_unstable();
    let (connections, rooms): (Vec<Uuid>, Vec<i32>) = wants.into_iter().unzip();
    // `hop` goes from connection to connection along the index, and over shards that are not ours
    // in one step: its cost is the number of connections with something queued, whatever the backlog
    // of each. It sees when the first of each is due, so that who only waits costs no more than that.
    // `lately` does the same for less, where what was settled long ago still lies about: it reads what
    // became due in the last while, and the first of each connection that is named. Of the two one runs.
    // `place` is where a row lies: it cannot move, since it is locked by then.
    let back = Back::of(request.look);
    let rows = sqlx::query!(
        r#"
        with recursive own as materialized (
            select array_agg(s.shard) as shards
            from relay.workers w
            join relay.shard_owners s on s.worker = w.worker
            where w.worker = $1 and w.until > now() and s.shard = any($2::smallint[])
        ),
        hop as (
            (
                select o.shard, o.connection_id, o.due_at,
                       o.shard & 63 = any((select shards from own)::smallint[]) as is_own
                from relay.outbox o
                where $13::bigint is null and (o.shard, o.connection_id) > ($3::smallint, $4::uuid)
                order by o.shard, o.connection_id, o.due_at limit 1
            )
            union all
            select n.shard, n.connection_id, n.due_at,
                   n.shard & 63 = any((select shards from own)::smallint[])
            from hop h
            cross join lateral (
                select o.shard, o.connection_id, o.due_at from relay.outbox o
                where (o.shard, o.connection_id) > (h.shard,
                    case when h.is_own then h.connection_id
                         else 'ffffffff-ffff-ffff-ffff-ffffffffffff' end)
                order by o.shard, o.connection_id, o.due_at limit 1
            ) n
        ),
        lately as materialized (
            select n.shard, n.connection_id, min(n.due_at) as due_at
            from (
                (
                    -- Ordered and fenced, so that no index but the one on `due_at` will do.
                    select o.shard, o.connection_id, o.due_at from relay.outbox o
                    where o.due_at between now() - $13 * interval '1 microsecond' and now()
                      and o.due_at < 'infinity'
                      and (o.lease_until is null or o.lease_until < now())
                    order by o.due_at
                    offset 0
                )
                union all
                select o.shard, o.connection_id, o.due_at
                from unnest($14::uuid[], $15::bigint[]) as l(connection_id, within_us)
                cross join lateral (
                    select o.shard, o.connection_id, o.due_at from relay.outbox o
                    where o.shard = relay.shard_of(l.connection_id)
                      and o.connection_id = l.connection_id
                      and o.due_at >= coalesce(now() - l.within_us * interval '1 microsecond',
                                               '-infinity')
                    order by o.due_at limit 1
                ) o
                union all
                select o.shard, o.connection_id, o.due_at
                from unnest($14::uuid[], $16::uuid[]) as l(connection_id, from_event)
                cross join lateral (
                    select o.shard, o.connection_id, o.due_at from relay.outbox o
                    where o.connection_id = l.connection_id and o.shard >= 64
                      and o.event_id >= l.from_event
                    order by o.event_id limit 1
                ) o
            ) n
            where n.shard & 63 = any((select shards from own)::smallint[])
              and (n.shard, n.connection_id) > ($3::smallint, $4::uuid)
            group by n.shard, n.connection_id
            order by n.shard, n.connection_id
        ),
        due as materialized (
            select d.place, h.due_at
            from (
                select h.shard, h.connection_id, h.due_at from hop h where h.is_own
                union all
                select l.shard, l.connection_id, l.due_at from lately l
            ) h
            -- The wants are in order: each is found by halving them.
            cross join lateral (
                select least($8::bigint, case
                    when ($5::uuid[])[width_bucket(h.connection_id, $5)] = h.connection_id
                    then ($6::integer[])[width_bucket(h.connection_id, $5)]
                    else $7 end) as places
                offset 0
            ) room
            cross join lateral (
                select unnest(fresh.places || old.places) as place
                from (
                    select count(*) as rows
                    from (
                        select from relay.outbox o
                        where o.shard = h.shard and o.connection_id = h.connection_id
                          and o.due_at >= h.due_at
                          and o.due_at < now() - $12::interval and h.due_at < now() - $12
                          and (o.lease_until is null or o.lease_until < now())
                          and o.crashes + (o.lease is not null)::integer < $10
                        order by o.due_at
                        limit floor(room.places * 0.2 + random())
                    ) waiting
                ) backlog
                cross join lateral (
                    select array(
                        select o.ctid from relay.outbox o
                        where o.shard = h.shard and o.connection_id = h.connection_id
                          and o.due_at between greatest(h.due_at, now() - $12) and now()
                          and (o.lease_until is null or o.lease_until < now())
                          and o.crashes + (o.lease is not null)::integer < $10
                        order by o.due_at
                        limit room.places - backlog.rows
                        for update skip locked
                    ) as places
                    offset 0
                ) fresh
                cross join lateral (
                    select array(
                        select o.ctid from relay.outbox o
                        where o.shard = h.shard and o.connection_id = h.connection_id
                          and o.due_at >= h.due_at
                          and o.due_at < now() - $12 and h.due_at < now() - $12
                          and (o.lease_until is null or o.lease_until < now())
                          and o.crashes + (o.lease is not null)::integer < $10
                        order by o.due_at
                        limit room.places - cardinality(fresh.places)
                        for update skip locked
                    ) as places
                ) old
                where h.shard < 64
                union all
                select head.place
                from (
                    -- What was before is gone, as far as the caller knows.
                    select coalesce(case
                        when ($14::uuid[])[width_bucket(h.connection_id, $14)] = h.connection_id
                        then ($16::uuid[])[width_bucket(h.connection_id, $14)]
                    end, '00000000-0000-0000-0000-000000000000') as event
                    offset 0
                ) earliest
                cross join lateral (
                    select o.ctid as place from relay.outbox o
                    where o.ctid = (
                            select l.ctid from relay.outbox l
                            where l.connection_id = h.connection_id and l.shard >= 64
                              and l.event_id >= earliest.event
                            order by l.event_id limit 1)
                      and o.due_at <= now() and (o.lease_until is null or o.lease_until < now())
                      and o.crashes + (o.lease is not null)::integer < $10
                      -- An earlier event may have been committed after a later one was sent.
                      and not exists (
                            select from (
                                select l.lease_until from relay.outbox l
                                where l.connection_id = o.connection_id and l.shard >= 64
                                  and l.event_id >= earliest.event
                                order by l.event_id limit 100
                            ) near
                            where near.lease_until > now())
                    for update skip locked
                ) head
                where h.shard >= 64
            ) d
            where h.due_at <= now() and room.places > 0
            limit $8
        ),
        suspect as materialized (
            select o.ctid as place, o.due_at from relay.outbox o
            where $11 and o.shard >= 0 and o.crashes > 0 and o.due_at <= now()
              and o.shard & 63 = any((select shards from own)::smallint[])
              and (o.lease_until is null or o.lease_until < now())
              and o.crashes + (o.lease is not null)::integer >= $10
              and case when ($5::uuid[])[width_bucket(o.connection_id, $5)] = o.connection_id
                       then ($6::integer[])[width_bucket(o.connection_id, $5)] else $7 end > 0
              and (o.shard < 64 or not exists (
                    select from relay.outbox l
                    where l.connection_id = o.connection_id and l.shard >= 64
                      and l.event_id < o.event_id))
            limit 1
            for update skip locked
        )
        update relay.outbox o
        set lease = nextval('relay.outbox_lease'), lease_until = now() + $9,
            crashes = o.crashes + (o.lease is not null)::integer
        from (select place, due_at from due union all select place, due_at from suspect) taken
        left join relay.organization_integrations c on true
        where o.ctid = taken.place and c.id = o.connection_id
        returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.shard, o.class,
                  o.lease as "lease!", o.attempt, o.step, o.crashes, c.version as "version!",
                  (extract(epoch from now() - o.due_at) * 1000)::bigint as "late_ms!",
                  (extract(epoch from now() - taken.due_at) * 1000000)::bigint as "oldest_us!"
        "#,
        request.worker.0,
        request.shards,
        cursor.shard,
        cursor.connection_id,
        &connections,
        &rooms,
        request.default_room,
        limit,
        interval(request.lease),
        i32::from(CRASHES_SUSPECT),
        request.may_take_suspect,
        interval(FRESH),
        back.within,
        &back.connections,
        &back.withins as &[Option<i64>],
        &back.from_events,
    )
    .fetch_all(pool)
    .await?;
    // A full batch means that there may be more behind its last connection; else start over. A
    // suspect comes from anywhere.
    let searched = || rows.iter().filter(|row| row.crashes < CRASHES_SUSPECT);
    let is_full = i64::try_from(searched().count()).is_ok_and(|taken| taken >= limit);
    let cursor = searched()
        .map(|row| (row.shard, row.connection_id))
        .max()
        .filter(|_| is_full)
        .map_or_else(Cursor::default, |(shard, connection_id)| {
            Cursor::behind(shard, connection_id)
        });
    let brought = rows
        .iter()
        .map(|row| Brought {
            connection_id: row.connection_id.into(),
            in_lane: (row.shard >= SHARDS).then_some(row.event_id.into()),
            oldest: Duration::from_micros(u64::try_from(row.oldest_us).unwrap_or(0)),
        })
        .collect();
    let deliveries = rows
        .into_iter()
        .map(|row| Claimed {
            organization_id: row.organization_id.into(),
            delivery_id: row.delivery_id.into(),
            connection_id: row.connection_id.into(),
            event_id: row.event_id.into(),
            shard: row.shard,
            class: Class::from_number(row.class),
            lease: row.lease,
            attempt: row.attempt,
            step: u16::try_from(row.step).unwrap_or(0),
            crashes: row.crashes,
            connection_version: row.version,
            late: Duration::from_millis(u64::try_from(row.late_ms).unwrap_or(0)),
        })
        .collect();
    Ok(Claim { deliveries, is_full, cursor, brought })
}
