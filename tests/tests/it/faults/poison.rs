//! Events that break what handles them.

use std::time::Duration;

use serde_json::json;
use tests::{Answer, Ledger, World, event, new_id, wait_until};

use super::{emit_all, found};
use crate::replay::forget_event;

/// F25, B39: an event that makes the handler panic is given up on after three times, alone.
#[tokio::test]
async fn f25_b39_an_event_that_panics_is_quarantined_and_its_siblings_flow() {
    let mut world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.add_worker(&[("RELAY_FAULT", "panic:test.poison")]);
    let ledger = Ledger::default();
    let poison = world.relay.emit(&event(org, "test.poison", json!({ "marker": "poison" }))).await;
    emit_all(&world, &ledger, org, 20).await;
    world.receiver.wait_for("/hook", 20).await;
    let dead = world.relay.settled(org, poison, hook.id, "dead").await;
    assert_eq!(dead["reason"], "poison");
    assert_eq!(world.outbox_len().await, 0);
    ledger.tally(&world.receiver, &["/hook"]).assert_kept(0);
    assert_eq!(world.workers[0].exit_status(), None, "the process goes on");
    // Once what broke is mended, a replay delivers it.
    world.workers[0].kill9();
    world.add_worker(&[]);
    let id = dead["id"].as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID");
    world.relay.replay(org, id).await.expect(202);
    world.run_until_idle().await;
    ledger.acknowledged("poison");
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F25", "an event makes its handler panic; once mended it is replayed")
        .kept(0);
}

/// F25, B39: an event that takes the whole process down is quarantined; its siblings are not blamed.
#[tokio::test]
async fn f25_b39_an_event_that_aborts_the_process_is_quarantined_alone() {
    const SIBLINGS: usize = 12;
    let mut world = World::builder().workers(0).env("RELAY_LEASE", "1s").start().await;
    let org = new_id();
    // Slow enough that siblings are under way whenever the process goes down.
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(700))]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    let poison = world.relay.emit(&event(org, "test.poison", json!({ "marker": "poison" }))).await;
    emit_all(&world, &ledger, org, SIBLINGS).await;
    world.add_worker(&[("RELAY_FAULT", "abort:test.poison")]);
    let mut crashes = 0;
    wait_until("the outbox to be empty", Duration::from_secs(60), || {
        // What a supervisor does.
        if world.workers[0].exit_status().is_some() {
            crashes += 1;
            world.workers[0].restart();
        }
        let world = &world;
        async move { (world.outbox_len().await == 0).then_some(()) }
    })
    .await;
    assert_eq!(crashes, 3, "one crash for each chance it had");
    let dead = world.relay.deliveries_where(org, "status=dead").await;
    assert_eq!(dead.len(), 1, "only the culprit: {dead:?}");
    assert_eq!((&dead[0]["reason"], &dead[0]["event_id"]), (&json!("poison"), &json!(poison)));
    assert_eq!(dead[0]["connection_id"], json!(hook.id));
    // What was under way at a crash may come again: at most all of them, each time.
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F25", "an event takes the whole process down, three times")
        .kept(crashes * SIBLINGS);
}

/// B39: a delivery whose event is no longer kept is given up on at once, and holds nobody up.
#[tokio::test]
async fn b39_a_delivery_without_its_event_is_dead_and_its_siblings_flow() {
    let mut world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    let missing = world.relay.emit(&found(org, "missing")).await;
    emit_all(&world, &ledger, org, 10).await;
    forget_event(&world, missing).await;
    world.add_worker(&[]);
    let dead = world.relay.settled(org, missing, hook.id, "dead").await;
    assert_eq!((&dead["reason"], &dead["attempts"]), (&json!("event_missing"), &json!(0)));
    world.run_until_idle().await;
    ledger.tally(&world.receiver, &["/hook"]).assert_kept(0);
    let id = dead["id"].as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID");
    assert_eq!(world.relay.replay(org, id).await.expect(410).code(), "event_expired");
}
