//! Delivery core: what happens to one event at one or more receivers.

use serde_json::json;
use tests::{Answer, World, event, new_id};

/// B2: the attempts stand in order with their answers, and nobody calls a third time.
#[tokio::test]
async fn b2_a_failure_and_then_success_are_two_attempts() {
    let world = World::start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let id = world.relay.emit(&event(org, "vulnerability.found", json!({ "marker": "a" }))).await;
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, id, hook.id).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(world.receiver.count("/hook"), 2);
}
