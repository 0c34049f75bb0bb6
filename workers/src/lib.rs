//! Background work: deliveries are pumped from the outbox, attempted in apalis pools, and settled;
//! periodic duties keep the database in shape.
//!
//! `pump` claims what there is room for (`claiming`), takes what this process recorded itself (`handed`) and lets the scheduler of [`engine::schedule`]
//! say what goes next; `pools` hands it to apalis workers and hears how each attempt ended; `settler`
//! writes that down in batches, and `health` what it says of the connection; `leases` knows what this
//! process holds and keeps it; `shards` knows whose deliveries are this process's to claim; `duties`
//! are the clockwork.

mod claiming;
mod closed;
mod duties;
mod handed;
mod health;
mod leases;
mod pools;
mod pump;
mod replays;
mod settler;
mod shards;

use std::{sync::Arc, time::Duration};

use engine::Engine;
use tokio_util::sync::CancellationToken;

/// How long the last words may take.
const END: Duration = Duration::from_secs(2);

/// The workers ended in a way that needs a restart.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// The apalis worker stopped by itself.
    #[error("the delivery pool stopped: {0}")]
    Pool(String),
}

/// Delivers until `stop` is cancelled, then drains: what is under way ends, what was not started is
/// handed back at once. Ends within the longest exchange and a few seconds more.
pub async fn run(engine: Engine, stop: CancellationToken) -> Result<(), WorkersError> {
    let duties = tokio::spawn(duties::run(engine.clone(), stop.clone()));
    let leases = Arc::new(leases::Leases::new(engine.config.worker_concurrency));
    let (shards, gone) =
        (Arc::new(shards::Shards::new(engine.config.lease)), CancellationToken::new());
    let tending = tokio::spawn(shards::tend(
        engine.clone(),
        shards.clone(),
        leases.clone(),
        stop.clone(),
        gone.clone(),
    ));
    let (settler, verdicts) = settler::start(engine.clone(), leases.clone());
    let renewing = tokio::spawn(leases::renew(engine.clone(), leases.clone()));
    let following = tokio::spawn(leases::follow_changes(engine.clone(), leases.clone()));
    let (recording, news) = health::start(engine.clone());
    let (pump, work) = pump::start(engine.clone(), leases.clone(), shards, news, stop.clone());
    let ended = pools::run(engine.clone(), leases.clone(), work, verdicts, stop.clone()).await;
    // The pool is drained. The pump ends by the same token, or is told now if the pool failed.
    stop.cancel();
    let _ = pump.await;
    // While the database is away a settlement is tried again until its lease is over.
    let _ = tokio::time::timeout(engine.config.lease, settler).await;
    renewing.abort();
    following.abort();
    leases::release_unstarted(&engine, &leases).await;
    gone.cancel();
    let _ = tokio::time::timeout(END, async { tokio::join!(tending, duties, recording) }).await;
    ended
}
