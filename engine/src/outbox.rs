//! The promise to deliver: claimed under a lease, renewed while held, handed back when not used.

use std::time::Duration;

use sqlx::{PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use crate::ids::{ConnectionId, DeliveryId, EventId, OrganizationId};

/// How often a lease may run out before the delivery is taken for poison.
pub const CRASHES_MAX: i16 = 3;
/// From how many on it is attempted with no other suspect beside it in the process.
const CRASHES_SUSPECT: i16 = CRASHES_MAX - 1;

/// What a promise is made for; live ones go first where there is a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A first attempt.
    Live,
    /// A later attempt.
    Retry,
    /// Asked for by a person.
    Replay,
}

impl Class {
    /// From the stored number.
    #[must_use]
    pub const fn from_number(number: i16) -> Self {
        match number {
            0 => Self::Live,
            1 => Self::Retry,
            _ => Self::Replay,
        }
    }

    /// As stored.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Live => 0,
            Self::Retry => 1,
            Self::Replay => 2,
        }
    }

    /// As shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Retry => "retry",
            Self::Replay => "replay",
        }
    }
}

/// A promised delivery that this process may attempt until its lease runs out.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// The duty.
    pub delivery_id: DeliveryId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// What.
    pub event_id: EventId,
    /// Why now.
    pub class: Class,
    /// The fence: every later write names it.
    pub lease: i64,
    /// Requests made before.
    pub attempt: i32,
    /// Place in the retry schedule.
    pub step: u16,
    /// Leases that ran out since the last recorded attempt.
    pub crashes: i16,
    /// The connection's version now, so that a cached copy is known to be old.
    pub connection_version: i64,
    /// How long it had been due.
    pub late: Duration,
}

impl Claimed {
    /// The number of the request that is made next, from 1. One that may have been made before a
    /// crash is counted, although nothing was recorded of it.
    #[must_use]
    pub fn next_attempt(&self) -> i32 {
        self.attempt + i32::from(self.crashes) + 1
    }

    /// Whether it is likely to be what made workers crash.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= CRASHES_SUSPECT
    }
}

/// How many more deliveries of one connection the caller can take.
#[derive(Clone, Copy, Debug)]
pub struct Want {
    /// The connection.
    pub connection_id: ConnectionId,
    /// The number, perhaps zero.
    pub room: i32,
}

/// Where the search for ready connections goes on, so that all of them get their turn.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    shard: i16,
    connection_id: Uuid,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { shard: -1, connection_id: Uuid::nil() }
    }
}

/// The answer of a claim.
#[derive(Debug)]
pub struct Claim {
    /// What was taken.
    pub deliveries: Vec<Claimed>,
    /// Where to go on.
    pub cursor: Cursor,
}

/// Takes up to `limit` due deliveries under new leases, a share for each ready connection.
///
/// Connections not named in `wants` may give up to `default_room`. Rows that another worker holds
/// are passed over without waiting, and a lease that has run out counts as a crash. Of those that
/// are suspected of being poison one is taken if `may_take_suspect`, and otherwise none: whatever
/// runs beside the culprit when it takes the process down would be blamed as well. One statement.
pub async fn claim(
    pool: &PgPool,
    lease: Duration,
    limit: i64,
    default_room: i32,
    wants: &[Want],
    cursor: Cursor,
    may_take_suspect: bool,
) -> Result<Claim, sqlx::Error> {
    let connections: Vec<Uuid> = wants.iter().map(|want| want.connection_id.0).collect();
    let rooms: Vec<i32> = wants.iter().map(|want| want.room).collect();
    let lease = interval(lease);
    // `ready` hops from connection to connection along the index: its cost is the number of
    // connections with something queued, whatever the backlog of each.
    let rows = sqlx::query!(
        r#"
        with recursive ready as (
            (
                select o.shard, o.connection_id from relay.outbox o
                where (o.shard, o.connection_id) > ($1::smallint, $2::uuid)
                order by o.shard, o.connection_id limit 1
            )
            union all
            select n.shard, n.connection_id
            from ready r
            cross join lateral (
                select o.shard, o.connection_id from relay.outbox o
                where (o.shard, o.connection_id) > (r.shard, r.connection_id)
                order by o.shard, o.connection_id limit 1
            ) n
        ),
        due as materialized (
            select d.organization_id, d.delivery_id, d.late, d.suspect, r.shard
            from ready r
            left join unnest($3::uuid[], $4::integer[]) as w(connection_id, room)
                on w.connection_id = r.connection_id
            cross join lateral (
                select o.organization_id, o.delivery_id, now() - o.due_at as late,
                       o.crashes + (o.lease is not null)::integer >= $8::integer as suspect
                from relay.outbox o
                where o.shard = r.shard and o.connection_id = r.connection_id and o.due_at <= now()
                  and (o.lease_until is null or o.lease_until < now())
                order by o.due_at
                limit coalesce(w.room, $5)
                for update skip locked
            ) d
            limit $6
        )
        update relay.outbox o
        set lease = nextval('relay.outbox_lease'), lease_until = now() + $7,
            crashes = o.crashes + (o.lease is not null)::integer
        from due
        left join relay.organization_integrations c on true
        where o.organization_id = due.organization_id and o.delivery_id = due.delivery_id
          and c.id = o.connection_id
          and (not due.suspect or ($9 and due.delivery_id =
                  (select s.delivery_id from due s where s.suspect limit 1)))
        returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.shard, o.class,
                  o.lease as "lease!", o.attempt, o.step, o.crashes, c.version as "version!",
                  (extract(epoch from due.late) * 1000)::bigint as "late_ms!"
        "#,
        cursor.shard,
        cursor.connection_id,
        &connections,
        &rooms,
        default_room,
        limit,
        lease,
        i32::from(CRASHES_SUSPECT),
        may_take_suspect,
    )
    .fetch_all(pool)
    .await?;
    // A full batch means that there may be more behind its last connection; else start over.
    let full = i64::try_from(rows.len()).is_ok_and(|taken| taken >= limit);
    let cursor = rows
        .iter()
        .map(|row| (row.shard, row.connection_id))
        .max()
        .filter(|_| full)
        .map_or_else(Cursor::default, |(shard, connection_id)| Cursor { shard, connection_id });
    let deliveries = rows
        .into_iter()
        .map(|row| Claimed {
            organization_id: row.organization_id.into(),
            delivery_id: row.delivery_id.into(),
            connection_id: row.connection_id.into(),
            event_id: row.event_id.into(),
            class: Class::from_number(row.class),
            lease: row.lease,
            attempt: row.attempt,
            step: u16::try_from(row.step).unwrap_or(0),
            crashes: row.crashes,
            connection_version: row.version,
            late: Duration::from_millis(u64::try_from(row.late_ms).unwrap_or(0)),
        })
        .collect();
    Ok(Claim { deliveries, cursor })
}

/// Prolongs leases that are still ours, and returns those. A row that somebody holds locked is left
/// alone: most likely it is being settled, and waiting for it could be a deadlock, since a settlement
/// takes its rows in an order of its own.
pub async fn renew(
    pool: &PgPool,
    held: &[(OrganizationId, DeliveryId, i64)],
    lease: Duration,
) -> Result<Vec<(OrganizationId, DeliveryId, i64)>, sqlx::Error> {
    let (organizations, deliveries, leases) = columns(held);
    let rows = sqlx::query!(
        r#"
        with free as materialized (
            select o.organization_id, o.delivery_id
            from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as h(organization_id, delivery_id, lease)
            join relay.outbox o
                on o.organization_id = h.organization_id and o.delivery_id = h.delivery_id
                   and o.lease = h.lease
            for update of o skip locked
        )
        update relay.outbox o set lease_until = now() + $4
        from free
        where o.organization_id = free.organization_id and o.delivery_id = free.delivery_id
        returning o.organization_id, o.delivery_id, o.lease as "lease!"
        "#,
        &organizations,
        &deliveries,
        &leases,
        interval(lease),
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|r| (r.organization_id.into(), r.delivery_id.into(), r.lease))
        .collect())
}

/// Hands back deliveries that were claimed and never started: due at once, no attempt counted.
pub async fn release(
    pool: &PgPool,
    held: &[(OrganizationId, DeliveryId, i64)],
) -> Result<u64, sqlx::Error> {
    let (organizations, deliveries, leases) = columns(held);
    let done = sqlx::query!(
        r#"
        update relay.outbox o set lease = null, lease_until = null
        from unnest($1::uuid[], $2::uuid[], $3::bigint[]) as h(organization_id, delivery_id, lease)
        where o.organization_id = h.organization_id and o.delivery_id = h.delivery_id
          and o.lease = h.lease
        "#,
        &organizations,
        &deliveries,
        &leases,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// How long the oldest due delivery has been waiting, by shard order of the index: bounded work.
pub async fn oldest_due(pool: &PgPool) -> Result<Duration, sqlx::Error> {
    let ms: i64 = sqlx::query_scalar!(
        r#"select coalesce((extract(epoch from now() - min(due_at)) * 1000)::bigint, 0) as "ms!"
           from (select due_at from relay.outbox where due_at <= now() limit 10000) due"#
    )
    .fetch_one(pool)
    .await?;
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

fn columns(held: &[(OrganizationId, DeliveryId, i64)]) -> (Vec<Uuid>, Vec<Uuid>, Vec<i64>) {
    let mut columns = (Vec::new(), Vec::new(), Vec::new());
    for (organization_id, delivery_id, lease) in held {
        columns.0.push(organization_id.0);
        columns.1.push(delivery_id.0);
        columns.2.push(*lease);
    }
    columns
}

pub(crate) fn interval(span: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(span.as_micros()).unwrap_or(i64::MAX),
    }
}
