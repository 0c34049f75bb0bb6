//! Processes that are really killed, frozen and stopped, with an account of what must arrive.

mod bad_lines;
mod clocks;
mod crowded;
mod disk_full;
mod idle_writer;
mod killed;
mod neighbours;
mod pinned;
mod poison;
mod pressure;
mod server_killed;
mod server_stalled;
mod stopped;
mod takeover;
mod together;
mod upgrade;

use std::{ops::Range, time::Duration};

use serde_json::{Value, json};
pub(crate) use tests::owned_evenly;
use tests::{LONG, Ledger, Process, Relay, World, event, wait_until};
use uuid::Uuid;

/// The workers' lease in these worlds, and how much longer a take-over may need on a busy machine.
const LEASE: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(8);

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
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

/// Emits events with such a name, and writes them into the account.
async fn emit_noted(relay: &Relay, ledger: &Ledger, org: Uuid, name: &str, count: usize) {
    let events: Vec<Value> = (0..count)
        .map(|n| {
            let marker = format!("{name}-{n}");
            ledger.acknowledged(&marker);
            found(org, &marker)
        })
        .collect();
    for some in events.chunks(500) {
        relay.emit_batch(some).await;
    }
}

/// How many promised deliveries some process has under a lease now.
async fn leased(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.outbox where lease_until > now()")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
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
