//! What this process holds leases on: renewed while held, checked before use, given back at the end.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use engine::{
    Engine,
    ids::{DeliveryId, OrganizationId},
    metrics,
    outbox::{self, Claimed},
};

#[derive(Clone, Copy)]
struct Hold {
    organization_id: OrganizationId,
    lease: i64,
    /// By the monotonic clock, just before the statement that took or renewed it.
    good_since: Instant,
    /// Whether its attempt has begun.
    started: bool,
}

/// The leases of one process.
#[derive(Default)]
pub(crate) struct Leases(Mutex<HashMap<DeliveryId, Hold>>);

impl Leases {
    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<DeliveryId, Hold>> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Remembers what a claim took; `asked_at` is the moment before the claim was sent.
    pub(crate) fn hold(&self, claimed: &[Claimed], asked_at: Instant) {
        let mut map = self.map();
        for delivery in claimed {
            let hold = Hold {
                organization_id: delivery.organization_id,
                lease: delivery.lease,
                good_since: asked_at,
                started: false,
            };
            map.insert(delivery.delivery_id, hold);
        }
        metrics::in_memory(map.len());
    }

    /// Forgets a lease that was settled, lost or handed back.
    pub(crate) fn forget(&self, id: DeliveryId, lease: i64) {
        let mut map = self.map();
        if map.get(&id).is_some_and(|hold| hold.lease == lease) {
            map.remove(&id);
        }
        metrics::in_memory(map.len());
    }

    /// Begins an attempt, if the lease can still be ours: a process that was stopped for longer
    /// than a lease, or has handed the delivery back, must not send it.
    pub(crate) fn begin(&self, id: DeliveryId, lease: i64, length: Duration) -> bool {
        let mut map = self.map();
        let Some(hold) = map.get_mut(&id) else { return false };
        hold.started = hold.lease == lease && hold.good_since.elapsed() < length;
        hold.started
    }

    /// What is held and not begun.
    fn unstarted(&self) -> Vec<(OrganizationId, DeliveryId, i64)> {
        let map = self.map();
        let waiting = map.iter().filter(|(_, hold)| !hold.started);
        waiting.map(|(id, hold)| (hold.organization_id, *id, hold.lease)).collect()
    }

    fn snapshot(&self) -> Vec<(OrganizationId, DeliveryId, i64)> {
        self.map().iter().map(|(id, hold)| (hold.organization_id, *id, hold.lease)).collect()
    }

    fn renewed(&self, held: &[(OrganizationId, DeliveryId, i64)], asked_at: Instant) {
        let mut map = self.map();
        for (_, id, lease) in held {
            if let Some(hold) = map.get_mut(id).filter(|hold| hold.lease == *lease) {
                hold.good_since = asked_at;
            }
        }
    }
}

/// Renews every lease three times in its length, for as long as it is held.
pub(crate) async fn renew(engine: Engine, leases: std::sync::Arc<Leases>) {
    let length = engine.config.lease;
    loop {
        tokio::time::sleep(length / 3).await;
        let held = leases.snapshot();
        if held.is_empty() {
            continue;
        }
        let asked_at = Instant::now();
        match outbox::renew(engine.db.work_pool(), &held, length).await {
            // A lease that another worker took is not ours again by this: only where all were
            // renewed is it known for each; otherwise they age, and run out here as they do there.
            Ok(renewed) if renewed == held.len() as u64 => leases.renewed(&held, asked_at),
            Ok(renewed) => {
                tracing::debug!(held = held.len(), renewed, "some leases had ended before renewal");
                let alive =
                    outbox::still_held(engine.db.work_pool(), &held).await.unwrap_or_default();
                leases.renewed(&alive, asked_at);
            }
            Err(error) => {
                tracing::warn!(error = %error, held = held.len(), "leases were not renewed")
            }
        }
    }
}

/// Hands back, at once, whatever is held and not begun; nothing of it can begin afterwards.
pub(crate) async fn release_unstarted(engine: &Engine, leases: &Leases) {
    let waiting = leases.unstarted();
    for (_, id, lease) in &waiting {
        leases.forget(*id, *lease);
    }
    release(engine, leases, &waiting).await;
}

/// Hands back deliveries that were claimed and not started: no attempt is counted.
pub(crate) async fn release(
    engine: &Engine,
    leases: &Leases,
    held: &[(OrganizationId, DeliveryId, i64)],
) {
    if held.is_empty() {
        return;
    }
    match outbox::release(engine.db.work_pool(), held).await {
        Ok(released) => metrics::released(released),
        // Their leases run out by themselves; all that is lost is time.
        Err(error) => {
            tracing::warn!(error = %error, held = held.len(), "deliveries were not handed back")
        }
    }
    for (_, id, lease) in held {
        leases.forget(*id, *lease);
    }
}
