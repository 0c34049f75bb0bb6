//! Ordered connections: one at a time, and what one that fails does to those behind it.

use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

/// A webhook that takes its events in order, and whose receiver refuses the first two requests.
async fn ordered(world: &World, org: Uuid, ordering: &Value) -> Uuid {
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let change = json!({ "ordering": ordering, "retry_schedule": [1, 1, 1] });
    world.relay.change(org, hook.id, &change).await.expect(200);
    world.receiver.answer("/hook", [Answer::status(500), Answer::status(500), Answer::ok()]);
    hook.id
}

async fn emit_three(world: &World, org: Uuid) -> Vec<Uuid> {
    let of = |marker: &str| event(org, "vulnerability.found", json!({ "marker": marker }));
    let mut ids = Vec::new();
    for marker in ["a", "b", "c"] {
        ids.push(world.relay.emit(&of(marker)).await);
    }
    ids
}

fn markers(world: &World) -> Vec<String> {
    world.receiver.arrivals("/hook").iter().map(tests::Arrival::marker).collect()
}

async fn after(world: &World, requests: usize) -> Vec<String> {
    wait_until(&format!("{requests} requests"), LONG, || async {
        (world.receiver.count("/hook") >= requests).then_some(())
    })
    .await;
    world.run_until_idle().await;
    markers(world)
}

/// Those behind it wait until it has arrived.
#[tokio::test]
async fn f24_one_that_fails_holds_up_those_behind_it_where_the_policy_is_block() {
    let world = World::start().await;
    let org = new_id();
    ordered(&world, org, &json!({ "policy": "block" })).await;
    emit_three(&world, org).await;
    assert_eq!(after(&world, 5).await, ["a", "a", "a", "b", "c"]);
}

/// It leaves the lane, and goes on by its schedule while the others keep their order.
#[tokio::test]
async fn f24_one_that_fails_lets_the_others_go_first_where_the_policy_is_skip() {
    let world = World::start().await;
    let org = new_id();
    let id = ordered(&world, org, &json!({ "policy": "skip" })).await;
    let events = emit_three(&world, org).await;
    // The first two were refused, and both come again beside the lane.
    let seen = after(&world, 5).await;
    assert_eq!(seen[..3], ["a", "b", "c"]);
    let mut again = seen[3..].to_vec();
    again.sort_unstable();
    assert_eq!(again, ["a", "b"]);
    for event_id in events {
        world.relay.settled(org, event_id, id, "delivered").await;
    }
}

/// It is parked after so many attempts, the others go on, and a person may send it once more.
#[tokio::test]
async fn f24_one_that_fails_is_parked_after_so_many_attempts_where_the_policy_is_park() {
    let world = World::start().await;
    let org = new_id();
    let id = ordered(&world, org, &json!({ "policy": "park", "after": 2 })).await;
    let events = emit_three(&world, org).await;
    assert_eq!(after(&world, 4).await, ["a", "a", "b", "c"]);
    let parked = world.relay.settled(org, events[0], id, "parked").await;
    assert_eq!((&parked["reason"], &parked["attempts"]), (&json!("head_of_line"), &json!(2)));
    let delivery_id = parked["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.relay.replay(org, delivery_id).await.expect(202);
    assert_eq!(after(&world, 5).await, ["a", "a", "b", "c", "a"]);
    world.relay.settled(org, events[0], id, "delivered").await;
}
