//! Deliveries that this process recorded itself: what is offered to the committers, and what comes from
//! them.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use engine::{
    Engine,
    delivery::{attempt::Prepared, prepare::prepare_handed},
    handoff::{Group, Offer, Room},
    schedule::Scheduler,
};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{claiming::apart, leases::Leases, shards::Shards};

/// How often it is said anew for whom nothing can be taken.
const OFFER_EVERY: Duration = Duration::from_millis(20);

/// The pump's end of the hand-off.
pub(crate) struct Handed {
    engine: Engine,
    leases: Arc<Leases>,
    shards: Arc<Shards>,
    /// `None` where another pump of this process took it.
    groups: Option<mpsc::UnboundedReceiver<Group>>,
    preparing: JoinSet<Option<(Vec<Prepared>, Room)>>,
    offer_at: Instant,
}

impl Handed {
    pub(crate) fn new(engine: &Engine, leases: &Arc<Leases>, shards: &Arc<Shards>) -> Self {
        Self {
            groups: engine.handoff.receiver(),
            engine: engine.clone(),
            leases: leases.clone(),
            shards: shards.clone(),
            preparing: JoinSet::new(),
            offer_at: Instant::now(),
        }
    }

    /// Says how much is taken, and for whom. Half of the room stays for what is claimed, and nothing is
    /// taken while claims leave something behind: what waits in the outbox is not passed by for long.
    pub(crate) fn offer(
        &mut self,
        scheduler: &Scheduler<Prepared>,
        known: &HashSet<i16>,
        is_behind: bool,
        now: Instant,
    ) {
        if self.groups.is_none() {
            return;
        }
        let room = scheduler.room().saturating_sub(scheduler.outstanding());
        self.engine.handoff.set_room(if is_behind { 0 } else { room });
        if now < self.offer_at {
            return;
        }
        self.offer_at = now + OFFER_EVERY;
        let owned = self.shards.owned();
        let shards: Arc<[i16]> = owned.iter().copied().filter(|s| known.contains(s)).collect();
        let busy = scheduler.busy(now).into_iter().map(|id| id.0).collect();
        let offer = Offer { worker: self.shards.worker(), busy, shards };
        self.engine.handoff.offer((!offer.shards.is_empty()).then_some(offer));
    }

    /// Has the next offer be a new one: shards came or went.
    pub(crate) fn renew_offer(&mut self, now: Instant) {
        self.offer_at = now;
    }

    /// Waits for what is ready to be queued; its room is free when that has been done.
    pub(crate) async fn next(&mut self) -> (Vec<Prepared>, Room) {
        loop {
            let Some(groups) = &mut self.groups else { return std::future::pending().await };
            tokio::select! {
                Some(prepared) = self.preparing.join_next() => {
                    if let Ok(Some(prepared)) = prepared {
                        return prepared;
                    }
                }
                Some(group) = groups.recv() => {
                    let (engine, leases) = (self.engine.clone(), self.leases.clone());
                    hold(&leases, &group);
                    self.preparing.spawn(prepare(engine, leases, group));
                }
                else => return std::future::pending().await,
            }
        }
    }

    /// Takes nothing more. What came until now is held, and goes back with all that was not begun.
    pub(crate) async fn end(mut self) {
        self.engine.handoff.offer(None);
        if let Some(mut groups) = self.groups.take() {
            groups.close();
            while let Some(group) = groups.recv().await {
                hold(&self.leases, &group);
            }
        }
        while self.preparing.join_next().await.is_some() {}
    }
}

fn hold(leases: &Leases, group: &Group) {
    let claimed: Vec<_> = group.deliveries.iter().map(|handed| handed.claimed.clone()).collect();
    leases.hold(&claimed, group.asked_at);
}

async fn prepare(
    engine: Engine,
    leases: Arc<Leases>,
    group: Group,
) -> Option<(Vec<Prepared>, Room)> {
    let held: Vec<_> = group.deliveries.iter().map(|handed| handed.claimed.held()).collect();
    let preparing = {
        let engine = engine.clone();
        async move { prepare_handed(&engine, group.deliveries).await }
    };
    Some((apart(&engine, &leases, &held, preparing).await?, group.room))
}
