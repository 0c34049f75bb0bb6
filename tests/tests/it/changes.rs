//! Connections that are removed, paused, renewed or gone while deliveries are promised to them.

use serde_json::json;
use tests::{Answer, LONG, Outcome, World, event, new_id, wait_until};
use uuid::Uuid;

use crate::delivery::{found, history};

/// B7: what a deleted connection was still promised is cancelled, also when its failure comes later.
#[tokio::test]
async fn b7_a_deleted_connection_gets_nothing_more() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "300ms,60s,60s").start().await;
    let org = new_id();
    let failing = Answer::status(500);
    world.receiver.answer("/hook", [failing.clone(), failing.clone(), failing.clone().held()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let waiting = world.relay.emit(&found(org, "waiting")).await;
    // Its second failure makes it wait for a minute; the next event is held by the receiver.
    wait_until("the second failure to be settled", LONG, || async {
        let attempts = sqlx::query_scalar::<_, i64>("select count(*) from relay.attempts");
        (attempts.fetch_one(world.sql()).await.expect("it answers") == 2).then_some(())
    })
    .await;
    let in_flight = world.relay.emit(&found(org, "in flight")).await;
    world.receiver.wait_for("/hook", 3).await;

    world.relay.delete_connection(org, hook.id).await.expect(200);
    world.receiver.release();
    world.run_until_idle().await;
    world.relay.connection(org, hook.id).await.expect(404);
    let cancelled = world.relay.deliveries_where(org, "status=cancelled").await;
    let mut ids: Vec<&str> = cancelled.iter().filter_map(|d| d["event_id"].as_str()).collect();
    ids.sort_unstable();
    let mut expected = [waiting.to_string(), in_flight.to_string()];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(cancelled.iter().all(|d| d["reason"] == "connection_removed"), "{cancelled:?}");
    // Later events are not promised at all.
    world.relay.emit(&found(org, "later")).await;
    assert_eq!(world.outbox_len().await, 0);
    assert_eq!(world.receiver.count("/hook"), 3);
}

/// B7, B20, F28: what was claimed and had not begun when its connection changed obeys the change.
#[tokio::test]
async fn f28_what_waits_in_a_worker_obeys_a_new_secret_and_a_removal() {
    // Six at a time, so that two more wait in its memory, under leases that will not end. There is
    // room for more: nobody has to give any back.
    let world = World::builder()
        .env("RELAY_WORKER_CONCURRENCY", "6")
        .env("RELAY_LEASE", "10m")
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/slow", [Answer::ok().held()]);
    let mut hooks = Vec::new();
    for name in ["slow", "renewed", "removed"] {
        let only = json!({ "event_types": [format!("test.{name}")] });
        let url = world.receiver.url(&format!("/{name}"));
        hooks.push(world.relay.create_custom_with(org, &url, &only).await);
    }
    let emit = async |name: &str, claimed: i64| {
        world.relay.emit(&event(org, &format!("test.{name}"), json!({ "marker": name }))).await;
        wait_until("it to be claimed", LONG, || async {
            let look = "select count(*) from relay.outbox where lease is not null";
            let count = sqlx::query_scalar::<_, i64>(look).fetch_one(world.sql()).await;
            (count.expect("the database answers") == claimed).then_some(())
        })
        .await;
    };
    for claimed in 1..=6 {
        emit("slow", claimed).await;
    }
    emit("renewed", 7).await;
    emit("removed", 8).await;
    world.receiver.wait_for("/slow", 6).await;

    let custom = format!("/api/integrations/organizations/{org}/custom-integrations");
    let path = format!("{custom}/{}", hooks[1].id);
    let change = json!({ "regenerate_secret": true });
    let changed = world.relay.admin(org, reqwest::Method::PUT, &path, Some(&change)).await;
    let secret = changed.expect(200).json()["secret"].as_str().expect("it is shown").to_owned();
    world.relay.keep_secret(&world.receiver.url("/renewed"), &secret);
    world.relay.delete_connection(org, hooks[2].id).await.expect(200);
    wait_until("the worker to look at both again", LONG, || async {
        let log = world.workers[0].log();
        let seen = log.lines().filter(|line| line.contains("changed while deliveries waited"));
        let seen = seen.filter_map(|line| line.rsplit("changed=").next()?.parse::<u32>().ok());
        (seen.sum::<u32>() >= 2).then_some(())
    })
    .await;
    world.receiver.release();
    world.run_until_idle().await;
    let arrivals = world.receiver.arrivals("/renewed");
    assert_eq!(arrivals.len(), 1);
    assert_eq!(arrivals[0].verify(&secret), Ok(()));
    assert!(arrivals[0].verify(&hooks[1].secret).is_err(), "the old secret is dead");
    assert_eq!(world.receiver.count("/removed"), 0);
    let cancelled = world.relay.deliveries_where(org, "status=cancelled").await;
    assert_eq!(cancelled.len(), 1, "{cancelled:?}");
    Outcome::of(
        "F28",
        "a secret is renewed and a webhook removed while deliveries wait in a worker",
    )
    .measured("requests signed by the old secret, or to the removed one", 0)
    .kept(0);
}

/// B8: a paused connection is not called; what it missed is listed and can be replayed.
#[tokio::test]
async fn b8_what_a_paused_connection_missed_is_listed_and_replayable() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1s,1s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let pending = world.relay.emit(&found(org, "pending")).await;
    world.receiver.wait_for("/hook", 1).await;
    world.relay.change(org, hook.id, &json!({ "paused": true })).await.expect(200);
    let missed = world.relay.emit(&found(org, "missed")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1, "a paused connection is not called");

    let skipped = world.relay.deliveries_where(org, "status=skipped").await;
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(skipped.iter().all(|d| d["reason"] == "connection_paused"), "{skipped:?}");
    let id = |event: Uuid| {
        let found = skipped.iter().find(|d| d["event_id"] == event.to_string());
        let id = found.and_then(|d| d["id"].as_str());
        id.and_then(|id| id.parse::<Uuid>().ok()).expect("the event is among the skipped")
    };
    let refused = world.relay.replay(org, id(missed)).await.expect(409);
    assert_eq!(refused.code(), "connection_not_connected");

    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    world.relay.emit(&found(org, "after")).await;
    for event in [pending, missed] {
        world.relay.replay(org, id(event)).await.expect(202);
    }
    world.run_until_idle().await;
    let mut markers: Vec<String> =
        world.receiver.arrivals("/hook").iter().skip(1).map(tests::Arrival::marker).collect();
    markers.sort();
    assert_eq!(markers, ["after", "missed", "pending"]);
    assert_eq!(world.relay.deliveries_where(org, "status=skipped").await.len(), 0);
}

/// 410: the receiver is gone for good, so the connection is switched off until somebody says otherwise.
#[tokio::test]
async fn a_receiver_that_is_gone_switches_its_connection_off() {
    let world = World::start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(410), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let first = world.relay.emit(&found(org, "first")).await;
    let dead = world.relay.settled(org, first, hook.id, "dead").await;
    assert_eq!(dead["reason"], "gone");
    assert_eq!(history(&dead, "status_code"), [410]);
    wait_until("the connection to be switched off", LONG, || async {
        let settings = world.relay.connection(org, hook.id).await.json();
        (settings["status"] == "suspended").then_some(settings)
    })
    .await;
    let second = world.relay.emit(&found(org, "second")).await;
    let skipped = world.relay.settled(org, second, hook.id, "skipped").await;
    assert_eq!(skipped["reason"], "connection_suspended");
    let id = dead["id"].as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID");
    assert_eq!(world.relay.replay(org, id).await.expect(409).code(), "connection_not_connected");
    assert_eq!(world.receiver.count("/hook"), 1);

    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    world.relay.replay(org, id).await.expect(202);
    let again = world.receiver.wait_for("/hook", 2).await;
    assert_eq!(again[1].delivery_id(), id);
}
