//! The promise to deliver: claimed under a lease, renewed while held, handed back when not used.

mod claim;
mod horizon;

pub use claim::{Brought, Claim, ClaimRequest, Cursor, Want, claim};
pub use horizon::{Horizon, Left, Look, Search};

use std::time::Duration;

use sqlx::{PgPool, postgres::types::PgInterval};
use uuid::Uuid;

use crate::{
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
    shards::SHARDS,
};

/// How often a lease may run out before the delivery is taken for poison.
pub const CRASHES_MAX: i16 = 3;
/// From how many on it is attempted with no other suspect beside it in the process.
const CRASHES_SUSPECT: i16 = CRASHES_MAX - 1;

/// For how long what became due counts as new.
pub(crate) const FRESH: Duration = Duration::from_secs(5);

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
    /// Where it lies: the connection's shard, or its lane.
    pub shard: i16,
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

    /// What renewing it or handing it back asks for.
    #[must_use]
    pub fn held(&self) -> (OrganizationId, DeliveryId, i64) {
        (self.organization_id, self.delivery_id, self.lease)
    }

    /// The shard whose owner may claim it.
    #[must_use]
    pub fn home(&self) -> i16 {
        self.shard % SHARDS
    }

    /// Whether it is the first of those that go one at a time.
    #[must_use]
    pub fn is_in_lane(&self) -> bool {
        self.shard >= SHARDS
    }

    /// Whether it has been due for so long that what is new goes before it.
    #[must_use]
    pub fn is_backlog(&self) -> bool {
        self.late > FRESH
    }

    /// Whether it is likely to be what made workers crash.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.crashes >= CRASHES_SUSPECT
    }
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
