//! One claim, with all that its deliveries need to be sent.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    Engine,
    delivery::{attempt::Prepared, prepare::prepare},
    ids::{ConnectionId, DeliveryId, OrganizationId},
    metrics,
    outbox::{self, Brought, ClaimRequest, Cursor, Look, Search, Want},
};

use crate::{leases::Leases, shards::Shards};

/// The most deliveries of one claim.
const CLAIM_MAX: usize = 500;

/// What is asked for.
pub(crate) struct Asked {
    /// Shards of which all is known that is to be known.
    pub(crate) shards: Vec<i16>,
    /// Deliveries at most.
    pub(crate) room: usize,
    /// Of connections that are not named in `wants`.
    pub(crate) default_room: usize,
    pub(crate) wants: Vec<Want>,
    /// Where the last claim ended.
    pub(crate) cursor: Cursor,
    pub(crate) look: Look,
}

/// What came of it.
pub(crate) struct Claimed {
    pub(crate) prepared: Vec<Prepared>,
    /// What was asked for.
    wants: Vec<Want>,
    default_room: usize,
    is_of_everything: bool,
    is_from_start: bool,
    asked_at: Instant,
    took: Duration,
    brought: Vec<Brought>,
    /// Whether as many were taken as were asked for: there may be more.
    pub(crate) is_full: bool,
    pub(crate) cursor: Cursor,
}

impl Claimed {
    /// What it searched, and what that tells of the next.
    pub(crate) fn search(&self) -> Search<'_> {
        Search {
            is_of_everything: self.is_of_everything,
            is_from_start: self.is_from_start,
            is_full: self.is_full,
            asked_at: self.asked_at,
            took: self.took,
            wants: &self.wants,
            default_room: self.default_room,
            brought: &self.brought,
        }
    }

    pub(crate) fn wants(&self) -> &[Want] {
        &self.wants
    }
}

/// `None` when the database is away.
pub(crate) async fn claim(
    engine: Engine,
    leases: Arc<Leases>,
    shards: Arc<Shards>,
    asked: Asked,
) -> Option<Claimed> {
    let asked_at = Instant::now();
    let Asked { shards: owned, room, default_room, mut wants, cursor, look } = asked;
    hold_back(&mut wants, &engine.paces.held(asked_at));
    let limit = room.min(CLAIM_MAX);
    let request = ClaimRequest {
        worker: shards.worker(),
        shards: &owned,
        lease: engine.config.lease,
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
        default_room: i32::try_from(default_room).unwrap_or(i32::MAX),
        wants: &wants,
        cursor,
        look: &look,
        may_take_suspect: !leases.has_suspect(),
    };
    let claim = match outbox::claim(engine.db.lease_pool(), request).await {
        Ok(claim) => claim,
        Err(error) => {
            metrics::database_retry("claim");
            tracing::warn!(error = %error, "claiming again shortly");
            return None;
        }
    };
    let taken = claim.deliveries.len();
    let took = asked_at.elapsed();
    metrics::claimed(took, taken, claim.deliveries.iter().filter(|d| d.crashes > 0).count());
    let mut claimed = Claimed {
        prepared: Vec::new(),
        wants,
        default_room,
        is_of_everything: look == Look::Everything,
        is_from_start: cursor.is_start(),
        asked_at,
        took,
        brought: claim.brought,
        is_full: claim.is_full,
        cursor: claim.cursor,
    };
    if taken == 0 {
        return Some(claimed);
    }
    leases.hold(&claim.deliveries, asked_at);
    let held: Vec<_> = claim.deliveries.iter().map(outbox::Claimed::held).collect();
    let preparing = {
        let (engine, deliveries) = (engine.clone(), claim.deliveries);
        async move { prepare(&engine, deliveries).await }
    };
    claimed.prepared = apart(&engine, &leases, &held, preparing).await?;
    Some(claimed)
}

/// Prepares what is held on a task of its own: what one row does to it must not take the others' leases
/// along. `None` where all of it was handed back.
pub(crate) async fn apart<E: std::fmt::Display + Send + 'static>(
    engine: &Engine,
    leases: &Leases,
    held: &[(OrganizationId, DeliveryId, i64)],
    preparing: impl Future<Output = Result<Vec<Prepared>, E>> + Send + 'static,
) -> Option<Vec<Prepared>> {
    match tokio::spawn(preparing).await {
        Ok(Ok(prepared)) => Some(prepared),
        Ok(Err(error)) => {
            metrics::database_retry("prepare");
            tracing::warn!(error = %error, deliveries = held.len(), "held deliveries could not be read; handing them back");
            crate::leases::release(engine, leases, held).await;
            None
        }
        Err(panic) => {
            tracing::error!(error = %panic, deliveries = held.len(), "reading held deliveries crashed");
            crate::leases::crashed(engine, leases, held).await;
            None
        }
    }
}

/// Asks nothing for connections whose providers want to be left alone: what is queued for them stays
/// as it is, however much it is.
fn hold_back(wants: &mut Vec<Want>, held: &[ConnectionId]) {
    if held.is_empty() {
        return;
    }
    let ids: HashSet<ConnectionId> = held.iter().copied().collect();
    wants.retain(|want| !ids.contains(&want.connection_id));
    wants.extend(held.iter().map(|id| Want { connection_id: *id, room: 0 }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b23_nothing_is_claimed_for_who_is_held_and_others_keep_their_room() {
        let id = |n| ConnectionId(uuid::Uuid::from_u128(n));
        let mut wants = [1, 2].map(|n| Want { connection_id: id(n), room: 8 }).to_vec();
        hold_back(&mut wants, &[id(2), id(3)]);
        let rooms: Vec<_> = wants.iter().map(|want| (want.connection_id, want.room)).collect();
        assert_eq!(rooms, [(id(1), 8), (id(2), 0), (id(3), 0)]);
    }
}
