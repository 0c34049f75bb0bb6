//! Events that keep coming, whatever happens to those who take them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    client::{Relay, event},
    ledger::Ledger,
};

/// Events that keep coming until they are told to end.
#[derive(Debug)]
pub struct Load {
    producers: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Each producer repeats an event under its idempotency key until it is acknowledged.
    #[must_use]
    pub fn start(relay: &Relay, ledger: &Ledger, org: Uuid, producers: usize) -> Self {
        Self::paced(relay, ledger, org, "load", producers, Duration::from_millis(5))
    }

    /// The same with a name that no other load of the world has, and a pause after each event.
    #[must_use]
    pub fn paced(
        relay: &Relay,
        ledger: &Ledger,
        org: Uuid,
        name: &str,
        producers: usize,
        pause: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for producer in 0..producers {
            let (relay, ledger, stop) = (relay.clone(), ledger.clone(), stop.clone());
            let name = format!("{name}-{producer}");
            running.spawn(async move {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    insist(&relay, &ledger, org, &format!("{name}-{n}")).await;
                    n += 1;
                    tokio::time::sleep(pause).await;
                }
            });
        }
        Self { producers: running, stop }
    }

    /// Waits until each producer's last event is acknowledged.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.producers.join_all().await;
    }
}

async fn insist(relay: &Relay, ledger: &Ledger, org: Uuid, marker: &str) {
    let mut body = event(org, "vulnerability.found", json!({ "marker": marker }));
    body["idempotency_key"] = json!(marker);
    let body = body.to_string();
    ledger.sending(marker);
    while !relay.try_post_events(body.clone()).await.is_ok_and(|answer| answer.status == 202) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ledger.acknowledged(marker);
}
