//! Processes that are really killed, frozen and stopped, with an account of what must arrive.

mod killed;
mod poison;
mod pressure;
mod stopped;
mod takeover;
mod together;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tests::{LONG, Ledger, Process, Relay, World, event, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

/// The workers' lease in these worlds, and how much longer a take-over may need on a busy machine.
const LEASE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(8);

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

/// Events that keep coming until they are told to end.
pub(crate) struct Load {
    producers: JoinSet<()>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Each producer repeats an event under its idempotency key until it is acknowledged.
    pub(crate) fn start(relay: &Relay, ledger: &Ledger, org: Uuid, producers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = JoinSet::new();
        for producer in 0..producers {
            let (relay, ledger, stop) = (relay.clone(), ledger.clone(), stop.clone());
            running.spawn(async move {
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    let marker = format!("load-{producer}-{n}");
                    let mut body = found(org, &marker);
                    body["idempotency_key"] = json!(marker);
                    ledger.sending(&marker);
                    while !relay
                        .try_post_events(body.to_string())
                        .await
                        .is_ok_and(|answer| answer.status == 202)
                    {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    ledger.acknowledged(&marker);
                    n += 1;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        Self { producers: running, stop }
    }

    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.producers.join_all().await;
    }
}

/// Emits events in one array, and writes them into the account.
async fn emit_all(world: &World, ledger: &Ledger, org: Uuid, count: usize) {
    emit_some(world, ledger, org, 0..count).await;
}

async fn emit_some(world: &World, ledger: &Ledger, org: Uuid, which: Range<usize>) {
    let events: Vec<Value> = which
        .map(|n| {
            ledger.acknowledged(&n.to_string());
            found(org, &n.to_string())
        })
        .collect();
    world.relay.emit_batch(&events).await;
}

/// How many promised deliveries some process has under a lease now.
async fn leased(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.outbox where lease_until > now()")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// Waits until so many workers live, and all shards are split evenly among them.
pub(crate) async fn owned_evenly(world: &World, workers: usize) {
    wait_until("the shards to be split evenly", LONG, || async {
        let owned: Vec<i64> = sqlx::query_scalar(
            "select count(s.shard) from relay.workers w
             left join relay.shard_owners s on s.worker = w.worker
             where w.until > now() group by w.worker",
        )
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
        let (least, most) = (64 / workers as i64, 64_usize.div_ceil(workers) as i64);
        let is_even = owned.iter().all(|count| (least..=most).contains(count));
        (is_even && owned.len() == workers && owned.iter().sum::<i64>() == 64).then_some(())
    })
    .await;
}

/// The process that owns a connection's shard.
async fn owner_of(world: &World, connection: Uuid) -> &Process {
    let name: String = wait_until("the shard to have an owner", LONG, || async {
        sqlx::query_scalar(
            "select w.name from relay.workers w
             join relay.shard_owners s on s.worker = w.worker
             where s.shard = relay.shard_of($1) and w.until > now() and not w.is_leaving",
        )
        .bind(connection)
        .fetch_optional(world.sql())
        .await
        .expect("the database answers")
        .filter(|name: &String| find(world, name).is_some())
    })
    .await;
    find(world, &name).expect("it was found before")
}

fn find<'a>(world: &'a World, name: &str) -> Option<&'a Process> {
    let runs = |worker: &&Process| worker.exit_status().is_none();
    let is_it = |worker: &&Process| name.ends_with(&format!("/{}", worker.id()));
    world.workers.iter().filter(runs).find(is_it)
}
