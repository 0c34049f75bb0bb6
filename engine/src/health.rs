//! How connections are doing: since when one fails, whom that is told, and when it is switched off.
//!
//! A connection has a row in `relay.connection_health` only while it is in trouble. The scheduler of
//! the process that owns the connection says what changed ([`record`]), a new owner reads what is known
//! ([`of_shards`]), and a duty decides what follows ([`tend`]): `rule` decides, `store` remembers.
//! Whatever follows is an event of the connection, and `notice` tells it to the organization's other
//! connections, in the same transaction and through the same outbox as everything else.

mod changes;
mod missed;
mod notice;
mod rule;
mod store;
mod tend;

use std::time::Instant;

pub(crate) use self::notice::note;
pub use self::{
    missed::{MISSED_MAX, Missed, missed},
    rule::{FAILING_TOO_LONG, WARNINGS},
    tend::{Tended, tend, tend_every},
};
use crate::{
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    schedule::{Change, Trouble},
};

/// Remembers what changed at connections, in the order given; `now` is the moment that the changes
/// count their times from. Repeating it is harmless. Of a connection that is off nothing is kept.
pub async fn record(
    engine: &Engine,
    changes: &[(OrganizationId, ConnectionId, Change)],
    now: Instant,
) -> Result<(), sqlx::Error> {
    let news = changes::News::of_each(changes, now);
    if news.is_empty() {
        return Ok(());
    }
    for (organization_id, id) in store::ease(&engine.db.work, &news).await? {
        // Whoever was told of the failing hears of its end. The duty tells what is not told here.
        if let Err(error) = tend::tend_one(engine, organization_id, id).await {
            tracing::warn!(connection.id = %id, error = %error, "a recovery is told later");
        }
    }
    store::trouble(&engine.db.work, &news).await
}

/// What is known of the connections of some shards that are in trouble, for their new owner.
pub async fn of_shards(
    engine: &Engine,
    shards: &[i16],
) -> Result<Vec<(ConnectionId, Trouble)>, sqlx::Error> {
    store::of_shards(&engine.db.work, shards).await
}
