//! Which deliveries a replay takes, and which it leaves alone.

use std::collections::BTreeSet;

use serde_json::json;
use tests::{Answer, World, new_id};
use uuid::Uuid;

use super::{ask, found, id_of, number, record_skipped, replayed, show, start, when, with_missed};
use crate::replay::forget_event;

/// An instant of the database's, whose clock counts.
async fn now(world: &World) -> String {
    sqlx::query_scalar(
        "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

fn markers(world: &World, path: &str, from: usize) -> BTreeSet<String> {
    world.receiver.arrivals(path)[from..].iter().map(tests::Arrival::marker).collect()
}

#[tokio::test]
async fn b40b_failed_since_is_exactly_the_failed_ones_and_since_after_is_nothing() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let before = now(&world).await;
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for n in 0..5 {
        world.relay.emit(&found(org, &format!("arrived-{n}"))).await;
    }
    world.run_until_idle().await;
    world.receiver.answer("/hook", [Answer::status(500), Answer::status(500), Answer::ok()]);
    let mut failed = BTreeSet::new();
    for n in 0..2 {
        let event = world.relay.emit(&found(org, &format!("failed-{n}"))).await;
        world.relay.settled(org, event, hook.id, "dead").await;
        failed.insert(format!("failed-{n}"));
    }
    world.relay.emit(&found(org, "arrived-5")).await;
    world.run_until_idle().await;
    let after = now(&world).await;
    let sent = world.receiver.count("/hook");
    assert_eq!(sent, 8);
    for selection in [
        json!({ "failed_since": after }),
        json!({ "since": after }),
        json!({ "missed_since": before }),
        json!({ "status": ["dead"], "until": before }),
        json!({ "status": ["dead"], "event": "policy.violation" }),
        json!({ "status": ["dead"], "provider": "slack" }),
        json!({ "status": ["dead"], "error_class": "timeout" }),
    ] {
        let nothing = replayed(&world, org, &json!({ "selection": selection })).await;
        assert_eq!(
            (number(&nothing, "total"), number(&nothing, "considered")),
            (0, 0),
            "{nothing}"
        );
    }
    assert_eq!(world.receiver.count("/hook"), sent, "nothing was sent again");
    let asked =
        json!({ "selection": { "failed_since": before }, "reason": "the receiver is back" });
    let done = replayed(&world, org, &asked).await;
    let counts = ["total", "considered", "replayed", "skipped", "delivered", "still_waiting"];
    assert_eq!(counts.map(|name| number(&done, name)), [2, 2, 2, 0, 2, 0], "{done}");
    assert_eq!(markers(&world, "/hook", sent), failed);
    assert_eq!(world.receiver.count("/hook"), sent + 2);
    // They arrived, so that nothing is left of which the same would be true.
    let again = replayed(&world, org, &asked).await;
    assert_eq!(number(&again, "total"), 0, "{again}");
}

#[tokio::test]
async fn b40b_missed_since_is_what_a_pause_cost() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let other = world.relay.create_custom(org, &world.receiver.url("/other")).await;
    world.relay.emit(&found(org, "before")).await;
    world.run_until_idle().await;
    world.relay.change(org, hook.id, &json!({ "paused": true })).await.expect(200);
    for n in 0..7 {
        world.relay.emit(&found(org, &format!("missed-{n}"))).await;
    }
    world.run_until_idle().await;
    let resumed = world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    let missed = resumed.json()["missed"].clone();
    assert_eq!(missed["count"], 7);
    world.relay.emit(&found(org, "after")).await;
    world.run_until_idle().await;

    let selection = json!({ "connection_id": hook.id, "missed_since": missed["since"] });
    let told = ask(&world, org, &json!({ "selection": selection, "dry_run": true })).await;
    let told = told.expect(200).json();
    assert_eq!((number(&told, "total"), &told["is_exact"]), (7, &json!(true)), "{told}");
    assert_eq!(told["by_reason"], json!([{ "reason": "connection_paused", "count": 7 }]));
    assert_eq!(
        told["by_connection"],
        json!([{ "connection_id": hook.id, "name": "Test", "provider": "custom_notification",
                 "count": 7, "can_replay": true, "blocked_because": null }])
    );
    assert_eq!(world.receiver.count("/hook"), 2, "a dry run sends nothing");
    let done = replayed(&world, org, &json!({ "selection": selection })).await;
    assert_eq!(number(&done, "delivered"), 7, "{done}");
    let all = markers(&world, "/hook", 0);
    assert_eq!((all.len(), world.receiver.count("/hook")), (9, 9));
    assert_eq!(world.receiver.count("/other"), 9, "nobody else hears of it: {}", other.id);
    for arrival in &world.receiver.arrivals("/hook")[2..] {
        assert_eq!(arrival.header("x-deptex-replay"), "true");
    }
}

#[tokio::test]
async fn b40b_missed_since_is_each_way_of_being_off_and_no_other_reason() {
    let world = World::start().await;
    let (org, hook) = with_missed(&world, "/hook", std::iter::empty()).await;
    let off = ["connection_error", "connection_paused", "connection_suspended"];
    for reason in off.into_iter().chain(["not_for_tickets"]) {
        record_skipped(&world, org, hook.id, reason, 1).await;
    }
    let missed = json!({ "missed_since": "2020-01-01T00:00:00Z" });
    let told = ask(&world, org, &json!({ "selection": missed, "dry_run": true })).await;
    let by_reason = off.map(|reason| json!({ "reason": reason, "count": 1 }));
    assert_eq!(told.expect(200).json()["by_reason"], json!(by_reason));
    let done = replayed(&world, org, &json!({ "selection": missed })).await;
    assert_eq!((number(&done, "total"), number(&done, "delivered")), (3, 3), "{done}");
    assert_eq!(markers(&world, "/hook", 0), off.map(ToOwned::to_owned).into());
}

#[tokio::test]
async fn b40a_what_waits_is_brought_forward_and_what_is_being_sent_is_left_alone() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1h").start().await;
    let org = new_id();
    world.receiver.answer("/waits", [Answer::status(500), Answer::ok()]);
    world.receiver.answer("/held", [Answer::ok().held()]);
    let mut ids = Vec::new();
    for path in ["/waits", "/held", "/done"] {
        let hook = world.relay.create_custom(org, &world.receiver.url(path)).await;
        let only = json!({ "event_types": [format!("a{}", path.replace('/', "."))] });
        world.relay.change(org, hook.id, &only).await.expect(200);
        let kind = format!("a{}", path.replace('/', "."));
        let event = world.relay.emit(&tests::event(org, &kind, json!({ "marker": path }))).await;
        world.receiver.wait_for(path, 1).await;
        let settled = if path == "/done" { "delivered" } else { "pending" };
        ids.push(id_of(&world.relay.settled(org, event, hook.id, settled).await));
    }
    tests::wait_until("the failure to be settled", tests::LONG, || async {
        (world.relay.delivery(org, ids[0]).await["attempts"] == 1).then_some(())
    })
    .await;
    let asked = json!({ "selection": { "delivery_ids": ids } });
    let id = id_of(&start(&world, org, &asked).await);
    let done = when(&world, org, id, |replay| replay["status"] == "completed").await;
    assert_eq!((number(&done, "total"), number(&done, "replayed")), (3, 2), "{done}");
    assert_eq!(done["skipped_by_reason"], json!({ "being_sent": 1 }));
    world.receiver.wait_for("/waits", 2).await;
    world.receiver.wait_for("/done", 2).await;
    world.receiver.release();
    // Emptied at once, so the retry that was due in an hour went with it.
    world.run_until_idle().await;
    for (path, count) in [("/waits", 2), ("/held", 1), ("/done", 2)] {
        assert_eq!(world.receiver.count(path), count, "{path}");
    }
    let waited = world.relay.delivery(org, ids[0]).await;
    assert_eq!((&waited["status"], &waited["attempts"]), (&json!("delivered"), &json!(2)));
}

#[tokio::test]
async fn b40a_a_target_that_is_off_or_wants_it_no_more_is_refused_or_passed_over() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let mut hooks = Vec::new();
    for path in ["/fine", "/paused", "/removed", "/choosy"] {
        world.receiver.answer(path, [Answer::status(500), Answer::ok()]);
        hooks.push(world.relay.create_custom(org, &world.receiver.url(path)).await.id);
    }
    let event = world.relay.emit(&found(org, "one")).await;
    let mut ids: Vec<Uuid> = Vec::new();
    for hook in &hooks {
        ids.push(id_of(&world.relay.settled(org, event, *hook, "dead").await));
    }
    let [_, paused, removed, choosy] = hooks[..] else { panic!("four hooks") };
    world.relay.change(org, paused, &json!({ "paused": true })).await.expect(200);
    world.relay.delete_connection(org, removed).await.expect(200);
    let other = json!({ "event_types": ["policy.violation"] });
    world.relay.change(org, choosy, &other).await.expect(200);

    assert_eq!(world.relay.replay(org, ids[3]).await.expect(409).code(), "event_not_wanted");
    for hook in [paused, removed] {
        let one = json!({ "selection": { "connection_id": hook, "status": ["dead"] } });
        assert_eq!(ask(&world, org, &one).await.expect(409).code(), "connection_not_connected");
    }
    let all = json!({ "selection": { "status": ["dead"] } });
    let dry = json!({ "selection": { "status": ["dead"] }, "dry_run": true });
    let told = ask(&world, org, &dry).await.expect(200).json();
    let blocked: BTreeSet<&str> = told["by_connection"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["blocked_because"].as_str())
        .collect();
    assert_eq!(blocked, BTreeSet::from(["connection_paused", "connection_removed"]), "{told}");
    let done = replayed(&world, org, &all).await;
    assert_eq!((number(&done, "total"), number(&done, "replayed")), (4, 1), "{done}");
    let why = json!({ "connection_paused": 1, "connection_removed": 1, "not_wanted": 1 });
    assert_eq!(done["skipped_by_reason"], why);
    let sent = ["/fine", "/paused", "/removed", "/choosy"].map(|path| world.receiver.count(path));
    assert_eq!(sent, [2, 1, 1, 1]);
}

#[tokio::test]
async fn b40b_what_is_too_old_is_refused_and_b40c_what_is_no_longer_kept_is_told() {
    let world = World::start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..3).map(|n| n.to_string())).await;
    let old = json!({ "selection": { "since": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z" } });
    assert_eq!(ask(&world, org, &old).await.expect(422).code(), "too_old");
    for (body, code) in [
        (json!({}), "selection_required"),
        (json!({ "selection": { "status": ["lost"] } }), "invalid_selection"),
        (json!({ "selection": { "status": [] } }), "invalid_selection"),
        (json!({ "selection": { "stauts": ["dead"] } }), "unknown_field"),
        (json!({ "selection": { "status": ["dead"] }, "rate_per_second": 0 }), "invalid_rate"),
        (json!({ "selection": { "status": ["dead"] }, "rate_per_second": 10_001 }), "invalid_rate"),
        (
            json!({ "selection": { "status": ["dead"] }, "configuration": "newest" }),
            "invalid_field",
        ),
        (json!({ "selection": { "status": ["dead"] }, "dryrun": true }), "unknown_field"),
    ] {
        let refused = ask(&world, org, &body).await.expect(422);
        assert_eq!(refused.code(), code, "{body}");
    }
    let forgotten = world.relay.deliveries(org).await[1]["event_id"].clone();
    forget_event(&world, forgotten.as_str().and_then(|id| id.parse().ok()).expect("an id")).await;
    let selection = json!({ "connection_id": hook.id, "status": ["skipped"] });
    let told = ask(&world, org, &json!({ "selection": selection, "dry_run": true })).await;
    let told = told.expect(200).json();
    assert_eq!((number(&told, "total"), number(&told, "too_old")), (3, 1), "{told}");
    let done = replayed(&world, org, &json!({ "selection": selection })).await;
    assert_eq!((number(&done, "replayed"), number(&done, "delivered")), (2, 2), "{done}");
    assert_eq!(done["skipped_by_reason"], json!({ "event_expired": 1 }));
    assert_eq!(world.receiver.count("/hook"), 2);
}

/// A replay looks at what was there when it was asked for, and at each delivery once.
#[tokio::test]
async fn b40b_what_fails_again_or_comes_later_is_not_its_business() {
    const TOTAL: i64 = 6;
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    world.receiver.answer("/hook", [Answer::status(500)]);
    let asked = json!({ "selection": { "status": ["dead", "skipped"] }, "rate_per_second": 1 });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "considered") > 0).await;
    let event = world.relay.emit(&found(org, "later")).await;
    world.relay.settled(org, event, hook.id, "dead").await;
    let running = show(&world, org, id).await;
    assert!(number(&running, "considered") < TOTAL, "it came while that runs: {running}");
    when(&world, org, id, |replay| replay["status"] == "completed").await;
    world.run_until_idle().await;
    let done = show(&world, org, id).await;
    let counts = ["total", "considered", "replayed", "skipped", "delivered"];
    assert_eq!(counts.map(|name| number(&done, name)), [TOTAL, TOTAL, TOTAL, 0, 0], "{done}");
    assert_eq!(done["skipped_by_reason"], json!({}));
    let sent: Vec<String> =
        world.receiver.arrivals("/hook").iter().map(tests::Arrival::marker).collect();
    assert_eq!(sent.len() as i64, TOTAL + 1, "each once: {sent:?}");
    assert_eq!(markers(&world, "/hook", 0).len(), sent.len(), "each once: {sent:?}");
    assert_eq!(world.relay.deliveries_where(org, "status=dead").await.len(), sent.len());
}

/// What its connection takes no longer is passed over, from the moment that it was switched off.
#[tokio::test]
async fn b40b_what_is_switched_off_meanwhile_is_passed_over_with_its_reason() {
    const TOTAL: i64 = 30;
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    world.receiver.answer("/hook", [Answer::status(410)]);
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 6 });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "considered") > 0).await;
    tests::wait_until("the first 410 to switch it off", tests::LONG, || async {
        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        let settings = world.relay.connection(org, hook.id).await.json();
        (settings["status"] == "suspended").then_some(())
    })
    .await;
    world.relay.emit(&found(org, "later")).await;
    let running = show(&world, org, id).await;
    assert!(number(&running, "considered") < TOTAL, "it came while that runs: {running}");
    when(&world, org, id, |replay| replay["status"] == "completed").await;
    world.run_until_idle().await;
    let done = show(&world, org, id).await;
    let counts = ["total", "considered", "delivered"];
    assert_eq!(counts.map(|name| number(&done, name)), [TOTAL, TOTAL, 0], "{done}");
    let (replayed, skipped) = (number(&done, "replayed"), number(&done, "skipped"));
    assert_eq!(replayed + skipped, TOTAL, "{done}");
    assert!(replayed > 0 && skipped > 0, "{done}");
    assert_eq!(done["skipped_by_reason"], json!({ "connection_suspended": skipped }));
    let refused = world.receiver.count("/hook");
    assert!(0 < refused && refused as i64 <= replayed, "{refused} arrived: {done}");
    let of_status = async |status: &str| {
        world.relay.deliveries_where(org, &format!("status={status}")).await.len()
    };
    assert_eq!(of_status("dead").await, refused);
    assert_eq!(of_status("skipped").await, TOTAL as usize + 1 - refused, "the later one is there");
}
