//! Which shards this process owns: it alone claims the deliveries of their connections, so what it
//! remembers of a connection in memory is all that there is.
//!
//! Time is the database's. Two never own a shard at once there. What a former owner still has under
//! way is fenced by the lease of each delivery.

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

use crate::{ids::ConnectionId, outbox::interval};

/// How many shards there are; a connection's is told by its id.
pub const SHARDS: i16 = 64;

/// Where a connection belongs, as `relay.shard_of` says.
#[must_use]
pub fn shard_of(id: ConnectionId) -> i16 {
    i16::from(id.0.as_bytes()[15]) % SHARDS
}

/// One worker process, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerId(pub Uuid);

impl WorkerId {
    /// A new one for each process: whoever starts again is somebody else.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::new()
    }
}

/// A shard, with the number of its changes of owner until it became ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// From 0 to 63.
    pub shard: i16,
    /// Another number means that somebody else had it in between.
    pub epoch: i64,
}

/// What [`tend`] heard.
#[derive(Clone, Debug, Default)]
pub struct Tended {
    /// What is ours until the time that was asked for is over.
    pub owned: Vec<Owned>,
    /// How many workers there are, this one among them unless it leaves.
    pub workers: usize,
    /// How many shards this one may have: whatever is above that should be given up.
    pub share: usize,
}

/// Tells that a worker lives and will for `ttl`, gives shards up, and takes what is free up to its
/// share. Who leaves takes nothing, and is forgotten once it owns nothing. Repeating it is harmless.
pub async fn tend(
    pool: &PgPool,
    worker: WorkerId,
    name: &str,
    ttl: Duration,
    gives_up: &[i16],
    leaves: bool,
) -> Result<Tended, sqlx::Error> {
    let row = sqlx::query!(
        r#"select shards as "shards!", epochs as "epochs!", workers as "workers!", share as "share!"
           from relay.tend_shards($1, $2, $3, $4, $5)"#,
        worker.0,
        name,
        interval(ttl),
        gives_up,
        leaves,
    )
    .fetch_one(pool)
    .await?;
    let owned = row.shards.into_iter().zip(row.epochs);
    Ok(Tended {
        owned: owned.map(|(shard, epoch)| Owned { shard, epoch }).collect(),
        workers: usize::try_from(row.workers).unwrap_or(1),
        share: usize::try_from(row.share).unwrap_or(0),
    })
}
