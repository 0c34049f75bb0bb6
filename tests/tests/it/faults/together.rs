//! One process that takes events in and delivers them: what it hands to itself is as safe as a claim.

use std::time::Duration;

use serde_json::json;
use tests::{Answer, LONG, Ledger, Load, Receiver, World, event, new_id, wait_until};
use uuid::Uuid;

use super::{emit_all, emit_some, leased, owned_evenly};

const HANDED: &str = "relay_deliveries_handed_over_total";

/// Every shard belongs to a worker, and its first claim has found nothing: from now on it is handed
/// what comes.
async fn caught_up(world: &World) {
    owned_evenly(world, 1).await;
    // Of these nobody keeps account.
    let (org, elsewhere) = (new_id(), Receiver::start().await);
    world.relay.create_custom(org, &elsewhere.url("/first")).await;
    wait_until("a delivery to be handed over", LONG, || async {
        world.relay.emit(&event(org, "test.first", json!({}))).await;
        (world.apis[0].metric(HANDED).await > 0.0).then_some(())
    })
    .await;
    world.run_until_idle().await;
}

/// B1: deliveries that no claim saw arrive signed and once, and are accounted for as any other.
#[tokio::test]
async fn b1_what_a_process_records_it_sends_itself() {
    let world = World::builder().together().start().await;
    caught_up(&world).await;
    let (org, ledger) = (new_id(), Ledger::default());
    let connection = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let before = world.apis[0].metric(HANDED).await;
    emit_all(&world, &ledger, org, 100).await;
    world.run_until_idle().await;
    ledger.tally(&world.receiver, &["/hook"]).assert_kept(0);
    assert!(world.receiver.unverified().is_empty());
    let handed = world.apis[0].metric(HANDED).await - before;
    // What is more than half of the room is left to a claim.
    assert!(handed >= 20.0, "{handed} of 100 were handed over");
    let deliveries = world.relay.deliveries_where(org, "status=delivered&limit=200").await;
    assert_eq!(deliveries.len(), 100);
    assert!(deliveries.iter().all(|one| one["attempts"] == 1 && one["class"] == "live"));
    assert!(deliveries.iter().all(|one| one["connection_id"] == json!(connection.id)));
}

/// The body of a first attempt, built from what was in memory, is that of a second, read from the log.
#[tokio::test]
async fn b6_a_retry_says_the_same_as_the_attempt_that_was_handed_over() {
    let world = World::builder().together().start().await;
    caught_up(&world).await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let before = world.apis[0].metric(HANDED).await;
    let mut odd = event(org, "vulnerability.found", json!({ "n": 1.50, "é": [1e2, "\u{1F980}"] }));
    odd["occurred_at"] = json!("2026-02-25T12:00:00.123456789Z");
    odd["subject"] = json!("CVE-1");
    odd["source"] = json!("scanner");
    world.relay.emit(&odd).await;
    world.run_until_idle().await;
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    assert!(world.apis[0].metric(HANDED).await > before, "it was handed over");
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert!(world.receiver.unverified().is_empty());
}

/// B14: an event that is refused for its key, in the same commit as the one that has it, lends it nothing:
/// what is sent is what was recorded.
#[tokio::test]
async fn b14_a_conflict_in_the_same_commit_changes_nothing_of_what_is_sent() {
    let world = World::builder().together().start().await;
    caught_up(&world).await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let keyed = |key: usize, marker: &str| {
        let mut body = event(org, "test.keyed", json!({ "marker": marker }));
        body["idempotency_key"] = json!(key.to_string());
        body
    };
    let before = world.apis[0].metric(HANDED).await;
    let some: Vec<_> = (0..10)
        .flat_map(|key| [keyed(key, "first"), keyed(key, "first"), keyed(key, "other")])
        .collect();
    world.relay.emit_batch(&some).await;
    world.run_until_idle().await;
    assert!(world.apis[0].metric(HANDED).await > before, "some were handed over");
    let markers: Vec<_> = world.receiver.arrivals("/hook").iter().map(|one| one.marker()).collect();
    assert_eq!(markers, ["first"; 10]);
}

/// F1, F6: killed with acknowledged events in its hands, and started again: nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_f6_a_process_that_does_both_is_killed_under_load() {
    const CONCURRENCY: usize = 16;
    let world = World::builder()
        .together()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    caught_up(&world).await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(20))]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 4);
    for round in 1..=3 {
        world.receiver.wait_for("/hook", 100 * round).await;
        world.apis[0].kill9();
        world.apis[0].restart();
        world.apis[0].wait_ready().await;
    }
    load.end().await;
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F1, F6", "`relay serve`, one process, is killed three times under load")
        .kept(3 * CONCURRENCY);
}

/// F4, B38: asked to end, it hands back at once what it had handed to itself and not begun.
#[tokio::test]
async fn f4_b38_sigterm_gives_back_what_was_handed_over() {
    const CONCURRENCY: usize = 4;
    let world = World::builder()
        .together()
        .env("RELAY_LEASE", "10m")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    caught_up(&world).await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 20).await;
    world.receiver.wait_for("/hook", CONCURRENCY).await;
    world.apis[0].sigterm();
    wait_until("what was not begun to be handed back", Duration::from_secs(5), || async {
        (leased(&world).await == CONCURRENCY as i64).then_some(())
    })
    .await;
    world.receiver.release();
    let status = world.apis[0].wait_exit(LONG).await;
    assert!(status.success(), "{status}");
    assert_eq!(leased(&world).await, 0);
    world.apis[0].restart();
    world.apis[0].wait_ready().await;
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F4", "`relay serve` is asked to end with deliveries in its hands")
        .kept(0);
}

/// F24: what has an order is for a claim to see, and a paused connection gets nothing, in one process
/// as in two.
#[tokio::test]
async fn f24_an_ordered_connection_keeps_its_order_in_one_process() {
    let world = World::builder().together().start().await;
    caught_up(&world).await;
    let org = new_id();
    // Each odd one fails first, and the even one behind it waits for it.
    world.receiver.answer("/ordered", [Answer::status(500), Answer::ok()]);
    let ordered = world.relay.create_custom(org, &world.receiver.url("/ordered")).await;
    let paused = world.relay.create_custom(org, &world.receiver.url("/paused")).await;
    world.relay.change(org, paused.id, &json!({ "paused": true })).await.expect(200);
    let change = json!({ "ordering": { "policy": "block" } });
    world.relay.change(org, ordered.id, &change).await.expect(200);
    let before = world.apis[0].metric(HANDED).await;
    for n in 0..20 {
        world
            .relay
            .emit(&event(org, "vulnerability.found", json!({ "marker": n.to_string() })))
            .await;
    }
    world.run_until_idle().await;
    let order: Vec<u32> = world
        .receiver
        .arrivals("/ordered")
        .iter()
        .filter(|arrival| arrival.answered == Some(200))
        .map(|arrival| arrival.marker().parse().expect("a number"))
        .collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>());
    assert!((world.apis[0].metric(HANDED).await - before).abs() < 0.5, "none was handed over");
    assert_eq!(world.receiver.count("/paused"), 0);
    assert_eq!(world.relay.deliveries_where(org, "status=skipped").await.len(), 20);
}

/// Beside other workers it hands itself only what lies in its own shards; theirs are theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b32_beside_other_workers_each_sends_its_own() {
    const HOOKS: usize = 12;
    let mut world = World::builder().together().start().await;
    caught_up(&world).await;
    world.add_worker(&[]).wait_ready().await;
    owned_evenly(&world, 2).await;
    let (org, ledger) = (new_id(), Ledger::default());
    let paths: Vec<String> = (0..HOOKS).map(|n| format!("/hook-{n}")).collect();
    let mut ids: Vec<Uuid> = Vec::new();
    for path in &paths {
        ids.push(world.relay.create_custom(org, &world.receiver.url(path)).await.id);
    }
    let serving = format!("/{}", world.apis[0].id());
    let its_own: i64 = sqlx::query_scalar(
        "select count(*) from unnest($1::uuid[]) as c(id)
         join relay.shard_owners s on s.shard = relay.shard_of(c.id)
         join relay.workers w on w.worker = s.worker
         where right(w.name, length($2)) = $2",
    )
    .bind(&ids)
    .bind(&serving)
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    let before = world.apis[0].metric(HANDED).await;
    const EVENTS: usize = 30;
    for n in 0..EVENTS {
        emit_some(&world, &ledger, org, n..n + 1).await;
    }
    world.run_until_idle().await;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    ledger.tally(&world.receiver, &paths).assert_kept(0);
    let handed = world.apis[0].metric(HANDED).await - before;
    let most = (its_own as usize * EVENTS) as f64;
    println!("{handed} handed over, {its_own} of {HOOKS} webhooks are its own");
    assert!(handed <= most, "{handed} > {most}: the other worker's are its own to claim");
    assert!(its_own == 0 || handed > 0.0, "it goes on handing over beside another");
}
