//! B40, B40b and F26: many deliveries sent again by one request, whatever happens meanwhile.

mod bounds;
mod choosing;
mod command_line;
mod durable;
mod originals;
mod shared;
mod steering;
mod walls;

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answered, Connection, World, event, new_id, wait_until};
use uuid::Uuid;

/// More than a large replay takes on a busy machine.
const VERY_LONG: Duration = Duration::from_secs(120);

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

fn id_of(object: &Value) -> Uuid {
    object["id"].as_str().and_then(|id| id.parse().ok()).expect("it has an id")
}

fn number(object: &Value, name: &str) -> i64 {
    object[name].as_i64().unwrap_or_else(|| panic!("{name} of {object}"))
}

/// Asks for a replay.
async fn ask(world: &World, org: Uuid, body: &Value) -> Answered {
    world
        .relay
        .admin(org, Method::POST, &format!("/api/organizations/{org}/replays"), Some(body))
        .await
}

/// Starts a replay, and gives it as it was answered.
async fn start(world: &World, org: Uuid, body: &Value) -> Value {
    ask(world, org, body).await.expect(202).json()
}

async fn show(world: &World, org: Uuid, id: Uuid) -> Value {
    let path = format!("/api/organizations/{org}/replays/{id}");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

async fn patch(world: &World, org: Uuid, id: Uuid, body: &Value) -> Answered {
    let path = format!("/api/organizations/{org}/replays/{id}");
    world.relay.admin(org, Method::PATCH, &path, Some(body)).await
}

/// Waits until a replay is as it should be, and gives it.
async fn when(world: &World, org: Uuid, id: Uuid, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_until("the replay to be as it should", VERY_LONG, || async {
        tokio::time::sleep(Duration::from_millis(60)).await; // An admin's calls are rationed.
        Some(show(world, org, id).await).filter(&is_so)
    })
    .await
}

/// Starts a replay and waits until it and all that it made due is over.
async fn replayed(world: &World, org: Uuid, body: &Value) -> Value {
    let id = id_of(&start(world, org, body).await);
    when(world, org, id, |replay| replay["status"] == "completed").await;
    world.run_until_idle().await;
    show(world, org, id).await
}

/// A webhook that missed events with these markers while it was paused.
async fn with_missed(
    world: &World,
    path: &str,
    markers: impl Iterator<Item = String>,
) -> (Uuid, Connection) {
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url(path)).await;
    miss(world, org, hook.id, markers).await;
    (org, hook)
}

async fn miss(world: &World, org: Uuid, hook: Uuid, markers: impl Iterator<Item = String>) {
    world.relay.change(org, hook, &json!({ "paused": true })).await.expect(200);
    let events: Vec<Value> = markers.map(|marker| found(org, &marker)).collect();
    for some in events.chunks(1_000) {
        world.relay.emit_batch(some).await;
    }
    world.relay.change(org, hook, &json!({ "paused": false })).await.expect(200);
}

/// Records so many deliveries of one event as skipped for a reason, however long that takes to come
/// about by itself. The reason is the event's marker.
async fn record_skipped(world: &World, org: Uuid, hook: Uuid, reason: &str, count: i32) {
    sqlx::query(
        "with fact as (
             insert into relay.event_log_product (
                 id, category, organization_id, kind, payload, occurred_at, recorded_at)
             values (relay.uuid7(), 'product', $1, 'vulnerability.found',
                     json_build_object('marker', $3::text), now(), now())
             returning id
         )
         insert into relay.attempts (
             organization_id, delivery_id, number, connection_id, event_id, settlement, reason)
         select $1, relay.uuid7(), 0, $2, fact.id, 'skipped', $3
         from fact, generate_series(1, $4)",
    )
    .bind(org)
    .bind(hook)
    .bind(reason)
    .bind(count)
    .execute(world.sql())
    .await
    .expect("the tests' role may");
}
