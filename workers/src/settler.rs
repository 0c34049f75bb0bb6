//! Writes down how attempts ended: whatever has gathered goes into one statement.

use std::{sync::Arc, time::Duration};

use engine::{
    Engine,
    delivery::{self, DeliveryReason, Settlement, attempt::Settled, store},
    ids::{DeliveryId, OrganizationId},
    metrics,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::leases::Leases;

/// The most verdicts of one statement.
const BATCH_MAX: usize = 500;
/// Below this a batch waits a moment for more.
const BATCH_WORTHWHILE: usize = 64;
/// How long it waits.
const LINGER: Duration = Duration::from_millis(6);
/// The wait between tries while the database is away.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// How one attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With a verdict.
    Settled(Box<Settled>),
    /// Its handler panicked.
    Crashed { organization_id: OrganizationId, delivery_id: DeliveryId, lease: i64 },
    /// It was dropped, or its lease had run out: nothing is written.
    Dropped { delivery_id: DeliveryId, lease: i64 },
}

/// Starts the settler. It ends once every sender is gone and all is written.
pub(crate) fn start(
    engine: Engine,
    leases: Arc<Leases>,
) -> (JoinHandle<()>, mpsc::UnboundedSender<Ended>) {
    // Unbounded, but never more than the leases held: the pump bounds those.
    let (sender, receiver) = mpsc::unbounded_channel();
    (tokio::spawn(run(engine, leases, receiver)), sender)
}

async fn run(engine: Engine, leases: Arc<Leases>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        batch.clear();
        if ended.recv_many(&mut batch, BATCH_MAX).await == 0 {
            return;
        }
        if batch.len() < BATCH_WORTHWHILE {
            tokio::time::sleep(LINGER).await;
            while batch.len() < BATCH_MAX {
                let Ok(next) = ended.try_recv() else { break };
                batch.push(next);
            }
        }
        let mut settled = Vec::with_capacity(batch.len());
        for ended in batch.drain(..) {
            match ended {
                Ended::Settled(one) => settled.push(*one),
                Ended::Crashed { organization_id, delivery_id, lease } => {
                    if let Err(error) = store::crashed(
                        engine.db.settling_pool(),
                        organization_id,
                        delivery_id,
                        lease,
                    )
                    .await
                    {
                        tracing::warn!(delivery.id = %delivery_id, error = %error, "a crash was not written down; its lease will run out");
                    }
                    leases.forget(delivery_id, lease);
                }
                Ended::Dropped { delivery_id, lease } => leases.forget(delivery_id, lease),
            }
        }
        if !settled.is_empty() {
            write(&engine, &leases, &settled).await;
        }
    }
}

/// Writes a batch, for as long as it takes. Repeating is safe: what was written has no lease left.
async fn write(engine: &Engine, leases: &Leases, settled: &[Settled]) {
    let mut wait = Duration::from_millis(50);
    loop {
        match store::settle(engine.db.settling_pool(), settled).await {
            Ok(written) => {
                account(engine, settled, written.len());
                break;
            }
            Err(error) if engine::db::is_unavailable(&error) => {
                metrics::database_retry("settle");
                tracing::warn!(error = %error, deliveries = settled.len(), "settling again shortly");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
            Err(error) if settled.len() > 1 => {
                tracing::error!(error = %error, "a batch of settlements was refused; writing them one by one");
                for one in settled {
                    Box::pin(write(engine, leases, std::slice::from_ref(one))).await;
                }
                break;
            }
            Err(error) => {
                let id = settled[0].claimed.delivery_id;
                tracing::error!(delivery.id = %id, error = %error, "a settlement was refused; its lease will run out");
                break;
            }
        }
    }
    for one in settled {
        leases.forget(one.claimed.delivery_id, one.claimed.lease);
    }
}

fn account(engine: &Engine, settled: &[Settled], written: usize) {
    if settled.iter().any(|one| one.claimed.is_in_lane()) {
        // The next of the lane can be claimed only now.
        engine.work_waiting.notify_one();
    }
    metrics::settle_batch(settled.len());
    metrics::leases_lost((settled.len() - written) as u64);
    for one in settled {
        metrics::settled(one.settlement.as_str());
        match one.settlement {
            Settlement::Dead(reason) => metrics::dead(DeliveryReason::as_str(reason)),
            Settlement::Skipped(reason) => metrics::skipped(DeliveryReason::as_str(reason), 1),
            Settlement::Parked(reason) => metrics::parked(DeliveryReason::as_str(reason)),
            Settlement::Deferred(_, reason) => metrics::deferred(DeliveryReason::as_str(reason)),
            _ => {}
        }
    }
    if delivery::has_follow_up(settled) {
        let telling: Vec<Settled> =
            settled.iter().filter(|one| one.consequence.is_some()).cloned().collect();
        let engine = engine.clone();
        tokio::spawn(async move { delivery::follow_up(&engine, &telling).await });
    }
}
