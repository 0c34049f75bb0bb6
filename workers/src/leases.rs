//! What this process holds leases on: renewed while held, checked before use, given back at the end.
//!
//! A lease is held until its settlement is written, and so is the place among those that may be
//! under way: while nothing can be written down, nothing more is sent that a crash would repeat.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use engine::{
    Engine,
    db::is_unavailable,
    delivery::store,
    ids::{ConnectionId, DeliveryId, OrganizationId},
    metrics,
    outbox::{self, Claimed},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How often connections that deliveries wait for are looked at again.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long handing back is tried while the database is away.
const HAND_BACK_MAX: Duration = Duration::from_secs(8);
/// The wait between two tries.
const HAND_BACK_AGAIN: Duration = Duration::from_millis(250);

struct Hold {
    connection_id: ConnectionId,
    organization_id: OrganizationId,
    lease: i64,
    /// The shard that it belongs to.
    home: i16,
    /// By the monotonic clock, just before the statement that took or renewed it.
    good_since: Instant,
    /// Whether its attempt has begun.
    started: bool,
    /// Whether it is likely to have made workers crash.
    is_suspect: bool,
    /// Its place among those under way.
    place: Option<OwnedSemaphorePermit>,
}

/// The leases of one process.
pub(crate) struct Leases {
    holds: Mutex<HashMap<DeliveryId, Hold>>,
    places: Arc<Semaphore>,
}

impl Leases {
    /// `under_way_max`: how many may be started and not yet settled.
    pub(crate) fn new(under_way_max: usize) -> Self {
        Self { holds: Mutex::default(), places: Arc::new(Semaphore::new(under_way_max.max(1))) }
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<DeliveryId, Hold>> {
        self.holds.lock().expect("no holder of this lock panics")
    }

    /// Gives a delivery one of the places, if one is free.
    pub(crate) fn admit(&self, id: DeliveryId) -> bool {
        let Ok(place) = self.places.clone().try_acquire_owned() else { return false };
        if let Some(hold) = self.map().get_mut(&id) {
            hold.place = Some(place);
        }
        true
    }

    /// Waits until one of the places is free.
    pub(crate) async fn place_free(&self) {
        let _ = self.places.acquire().await;
    }

    /// Whether a suspect is here already: two are never held at once.
    pub(crate) fn has_suspect(&self) -> bool {
        self.map().values().any(|hold| hold.is_suspect)
    }

    /// Remembers what a claim took; `asked_at` is the moment before the claim was sent.
    pub(crate) fn hold(&self, claimed: &[Claimed], asked_at: Instant) {
        let mut map = self.map();
        for delivery in claimed {
            let hold = Hold {
                connection_id: delivery.connection_id,
                organization_id: delivery.organization_id,
                lease: delivery.lease,
                home: delivery.home(),
                good_since: asked_at,
                started: false,
                is_suspect: delivery.is_suspect(),
                place: None,
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
        let is_ours = hold.lease == lease && hold.good_since.elapsed() < length;
        hold.started |= is_ours;
        is_ours
    }

    /// How many are held of each shard that has any.
    pub(crate) fn held_by_shard(&self) -> HashMap<i16, usize> {
        let mut held = HashMap::new();
        for hold in self.map().values() {
            *held.entry(hold.home).or_default() += 1;
        }
        held
    }

    /// What is held and not begun, of some shards or of all.
    fn unstarted(&self, shards: Option<&[i16]>) -> Vec<(OrganizationId, DeliveryId, i64)> {
        let map = self.map();
        let is_asked_for = |hold: &Hold| shards.is_none_or(|shards| shards.contains(&hold.home));
        let waiting = map.iter().filter(|(_, hold)| !hold.started && is_asked_for(hold));
        waiting.map(|(id, hold)| (hold.organization_id, *id, hold.lease)).collect()
    }

    /// The connections of what is held and not begun.
    fn awaited(&self) -> Vec<ConnectionId> {
        let map = self.map();
        let waiting = map.values().filter(|hold| !hold.started);
        let mut ids: Vec<ConnectionId> = waiting.map(|hold| hold.connection_id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// What was taken or renewed so long ago.
    fn older_than(&self, age: Duration) -> Vec<(OrganizationId, DeliveryId, i64)> {
        let map = self.map();
        let old = map.iter().filter(|(_, hold)| hold.good_since.elapsed() >= age);
        old.map(|(id, hold)| (hold.organization_id, *id, hold.lease)).collect()
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

/// Learns of changes to the connections that deliveries wait for here, so that what begins later
/// than [`LOOK_EVERY`] after a change is signed with the new secret, or not sent at all.
pub(crate) async fn follow_changes(engine: Engine, leases: Arc<Leases>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let ids = leases.awaited();
        if ids.is_empty() {
            continue;
        }
        match engine.receivers.refresh(&engine, &ids).await {
            Ok(0) => {}
            Ok(changed) => tracing::debug!(changed, "connections changed while deliveries waited"),
            Err(error) => {
                tracing::warn!(error = %error, connections = ids.len(), "changes of connections were not read");
            }
        }
    }
}

/// Renews every lease three times in its length, for as long as it is held.
pub(crate) async fn renew(engine: Engine, leases: Arc<Leases>) {
    let length = engine.config.lease;
    loop {
        tokio::time::sleep(length / 3).await;
        let held = leases.older_than(length / 6);
        if held.is_empty() {
            continue;
        }
        let asked_at = Instant::now();
        match outbox::renew(engine.db.settling_pool(), &held, length).await {
            // Whatever was not renewed is being settled, or is not ours any more: it ages, and runs
            // out here as it does there.
            Ok(renewed) => leases.renewed(&renewed, asked_at),
            Err(error) => {
                tracing::warn!(error = %error, held = held.len(), "leases were not renewed")
            }
        }
    }
}

/// Hands back, at once, whatever is held and not begun; nothing of it can begin afterwards.
pub(crate) async fn release_unstarted(engine: &Engine, leases: &Leases) {
    forget_and_release(engine, leases, leases.unstarted(None)).await;
}

/// The same for what belongs to some shards.
pub(crate) async fn release_unstarted_of(engine: &Engine, leases: &Leases, shards: &[i16]) {
    forget_and_release(engine, leases, leases.unstarted(Some(shards))).await;
}

async fn forget_and_release(
    engine: &Engine,
    leases: &Leases,
    waiting: Vec<(OrganizationId, DeliveryId, i64)>,
) {
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
    let began = Instant::now();
    loop {
        match outbox::release(engine.db.settling_pool(), held).await {
            Ok(released) => {
                metrics::released(released);
                break;
            }
            // A lease that runs out counts as a crash, so it is worth some patience.
            Err(error) if is_unavailable(&error) && began.elapsed() < HAND_BACK_MAX => {
                metrics::database_retry("release");
                tokio::time::sleep(HAND_BACK_AGAIN).await;
            }
            // Their leases run out by themselves.
            Err(error) => {
                tracing::warn!(error = %error, held = held.len(), "deliveries were not handed back");
                break;
            }
        }
    }
    for (_, id, lease) in held {
        leases.forget(*id, *lease);
    }
}

/// Hands back deliveries among which one crashed its reader: each is one crash nearer to being
/// taken alone, which tells the culprit from its neighbours.
pub(crate) async fn crashed(
    engine: &Engine,
    leases: &Leases,
    held: &[(OrganizationId, DeliveryId, i64)],
) {
    for (organization_id, id, lease) in held {
        let pool = engine.db.settling_pool();
        if let Err(error) = store::crashed(pool, *organization_id, *id, *lease).await {
            tracing::warn!(delivery.id = %id, error = %error, "a crash was not written down; its lease will run out");
        }
        leases.forget(*id, *lease);
    }
}
