//! Connections that fail: who is told, when one is switched off, and what it missed.

use std::time::Duration;

use mock_providers::{Answer as MockAnswer, Matcher};
use serde_json::{Value, json};
use tests::{Answer, Arrival, LONG, World, WorldBuilder, new_id, wait_until};
use uuid::Uuid;

use crate::delivery::found;

const POST: &str = "/api/chat.postMessage";
/// Where the organization's people read what happens to its connections.
const OPS: &str = "/ops";

/// A schedule in small that outlasts every window here, with few enough attempts for no breaker.
fn patient() -> WorldBuilder {
    World::builder().env("RELAY_RETRY_SCHEDULE", &["2s"; 40].join(","))
}

async fn ops(world: &World, org: Uuid) {
    let wants = json!({ "event_types": ["connection.*"] });
    world.relay.create_custom_with(org, &world.receiver.url(OPS), &wants).await;
}

/// A webhook that wants findings and nothing else.
async fn findings(world: &World, org: Uuid, path: &str) -> Uuid {
    let wants = json!({ "event_types": ["vulnerability.*"] });
    world.relay.create_custom_with(org, &world.receiver.url(path), &wants).await.id
}

/// What the people were told, in order: the kind and the data.
fn told(world: &World) -> Vec<(String, Value)> {
    let mut told: Vec<Value> = world.receiver.arrivals(OPS).iter().map(Arrival::json).collect();
    // Deliveries come in no order, events do.
    told.sort_by_key(|body| body["timestamp"].as_str().map(str::to_owned));
    let kind = |body: &Value| body["event"].as_str().expect("a kind").to_owned();
    told.iter().map(|body| (kind(body), body["data"].clone())).collect()
}

fn kinds(world: &World) -> Vec<String> {
    told(world).into_iter().map(|(kind, _)| kind).collect()
}

async fn wait_told(world: &World, kind: &str) {
    wait_until(&format!("{kind} to be told"), 2 * LONG, || async {
        kinds(world).iter().any(|told| told == kind).then_some(())
    })
    .await;
}

async fn health_rows(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.connection_health")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

async fn standing(world: &World, org: Uuid, id: Uuid) -> (String, String) {
    let now = world.relay.connection(org, id).await.expect(200).json();
    let text = |name: &str| now[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("status_reason"))
}

fn id_of(connection: &Value) -> Uuid {
    connection["id"].as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID")
}

/// B26, B27, B8: who takes nothing is warned of three times, then switched off; what it misses is
/// listed, counted when it is switched on again, and later events flow.
#[tokio::test]
async fn b26_b27_continuous_failure_is_told_and_then_switches_off() {
    // Both processes look after it, and each thing is told once.
    let world = patient().workers(2).env("RELAY_DISABLE_AFTER", "16s").start().await;
    let org = new_id();
    ops(&world, org).await;
    world.receiver.answer("/hook", [Answer::status(500)]);
    let id = findings(&world, org, "/hook").await;
    let first = world.relay.emit(&found(org, "first")).await;
    wait_told(&world, "connection.disabled").await;
    let told = told(&world);
    assert_eq!(
        kinds(&world),
        ["connection.failing", "connection.failing", "connection.failing", "connection.disabled"]
    );
    let percents: Vec<&Value> = told[..3].iter().map(|(_, data)| &data["percent"]).collect();
    assert_eq!(percents, [50, 75, 90]);
    for (kind, data) in &told {
        assert_eq!(data["connection_id"], id.to_string(), "{kind}");
        assert_eq!(data["failing_since"], told[0].1["failing_since"], "{kind}");
        assert_eq!(
            (&data["provider"], &data["display_name"]),
            (&json!("custom_notification"), &json!("Test"))
        );
    }
    let off = ("suspended".to_owned(), "failing_too_long".to_owned());
    assert_eq!(standing(&world, org, id).await, off);
    assert_eq!(health_rows(&world).await, 0, "what is off is not failing");

    // Nothing more is sent, what was under way included.
    let missed = world.relay.emit(&found(org, "missed")).await;
    world.relay.settled(org, first, id, "skipped").await;
    let delivery = world.relay.delivery_of(org, missed, id).await;
    assert_eq!(
        (&delivery["status"], &delivery["reason"]),
        (&json!("skipped"), &json!("connection_suspended"))
    );
    let calls = world.receiver.count("/hook");

    world.receiver.answer("/hook", [Answer::ok()]);
    let answer = world.relay.change(org, id, &json!({ "paused": false })).await.expect(200).json();
    assert_eq!(answer["missed"]["count"], 2, "{answer}");
    assert!(answer["missed"]["since"].is_string(), "{answer}");
    world.relay.emit(&found(org, "after")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), calls + 1);
    assert_eq!(world.receiver.arrivals("/hook").last().map(Arrival::marker), Some("after".into()));
    assert_eq!(kinds(&world).len(), 4, "and nothing more was told");
    let mut disabled = 0.0;
    for worker in &world.workers {
        disabled += worker.metric("relay_connections_disabled_total").await;
    }
    assert!((disabled - 1.0).abs() < 0.1, "{disabled}");
}

/// B26: one success in between, and nobody is warned, however long the whole takes.
#[tokio::test]
async fn b26_a_sporadic_success_resets_the_mark() {
    let world = World::builder()
        .env("RELAY_RETRY_SCHEDULE", &["1s"; 40].join(","))
        .env("RELAY_DISABLE_AFTER", "20s")
        .start()
        .await;
    let org = new_id();
    ops(&world, org).await;
    let hook = findings(&world, org, "/hook").await;
    for round in 0..4 {
        // Well under half of the window each time, well over it together.
        let failing = vec![Answer::status(500); 4].into_iter().chain([Answer::ok()]);
        world.receiver.answer("/hook", failing);
        world.relay.emit(&found(org, &round.to_string())).await;
        world.run_until_idle().await;
    }
    assert_eq!(kinds(&world), Vec::<String>::new());
    assert_eq!(standing(&world, org, hook).await.0, "connected");
    wait_until("the row to be gone", LONG, || async {
        (health_rows(&world).await == 0).then_some(())
    })
    .await;
}

/// B27: after a warning a success is told as well, once.
#[tokio::test]
async fn b27_a_recovery_is_told_to_those_who_were_warned() {
    let world = patient().env("RELAY_DISABLE_AFTER", "24s").start().await;
    let org = new_id();
    ops(&world, org).await;
    world.receiver.answer("/hook", [Answer::status(500)]);
    let id = findings(&world, org, "/hook").await;
    world.relay.emit(&found(org, "one")).await;
    wait_told(&world, "connection.failing").await;
    world.receiver.answer("/hook", [Answer::ok()]);
    wait_told(&world, "connection.recovered").await;
    world.relay.emit(&found(org, "two")).await;
    world.run_until_idle().await;
    assert_eq!(kinds(&world), ["connection.failing", "connection.recovered"]);
    assert_eq!(standing(&world, org, id).await.0, "connected");
    assert_eq!(health_rows(&world).await, 0);
}

/// B27: of all deliveries that run out of retries the first is told, once in each time of failing.
#[tokio::test]
async fn b27_running_out_of_retries_is_told_once_in_each_time_of_failing() {
    let world = World::builder()
        .env("RELAY_RETRY_SCHEDULE", "200ms,200ms")
        .env("RELAY_DISABLE_AFTER", "2m")
        .start()
        .await;
    let org = new_id();
    ops(&world, org).await;
    let id = findings(&world, org, "/hook").await;
    for time in 1..=2 {
        world.receiver.answer("/hook", [Answer::status(500)]);
        for n in 0..2 {
            let event = world.relay.emit(&found(org, &format!("{time}-{n}"))).await;
            world.relay.settled(org, event, id, "dead").await;
        }
        let exhausted = |kind: &String| kind == "connection.deliveries_exhausted";
        wait_until("the exhaustion to be told", LONG, || async {
            (kinds(&world).iter().filter(|kind| exhausted(kind)).count() == time).then_some(())
        })
        .await;
        world.receiver.answer("/hook", [Answer::ok()]);
        world.relay.emit(&found(org, "well")).await;
        wait_until("the recovery to be told", LONG, || async {
            (kinds(&world).len() == 2 * time).then_some(())
        })
        .await;
    }
    let once = ["connection.deliveries_exhausted", "connection.recovered"];
    assert_eq!(kinds(&world), [once, once].concat());
    let dead = world.relay.deliveries_where(org, "status=dead").await;
    let ids: Vec<&Value> = dead.iter().map(|delivery| &delivery["id"]).collect();
    assert!(ids.contains(&&told(&world)[0].1["delivery_id"]), "{dead:?}");
}

/// A notice that does not arrive makes no notice by itself, so that two who fail never feed each other.
#[tokio::test]
async fn b27_notices_that_fail_make_no_further_notices() {
    let world = World::builder()
        .env("RELAY_RETRY_SCHEDULE", "200ms")
        .env("RELAY_DISABLE_AFTER", "1m")
        .start()
        .await;
    let org = new_id();
    ops(&world, org).await;
    for path in ["/a", "/b"] {
        world.receiver.answer(path, [Answer::status(500)]);
    }
    findings(&world, org, "/a").await;
    let wants = json!({ "event_types": ["connection.*"] });
    let other = world.relay.create_custom_with(org, &world.receiver.url("/b"), &wants).await.id;
    world.relay.emit(&found(org, "one")).await;
    wait_told(&world, "connection.deliveries_exhausted").await;
    world.run_until_idle().await;
    let dead =
        world.relay.deliveries_where(org, &format!("connection_id={other}&status=dead")).await;
    assert_eq!(dead.len(), 1, "{dead:?}");
    // Several rounds of the duty, which looks every second and a half.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(kinds(&world), ["connection.deliveries_exhausted"]);
    assert_eq!(world.relay.deliveries_where(org, &format!("connection_id={other}")).await.len(), 1);
}

/// B27: 410 switches off at once, and that is told once, however many heard it.
#[tokio::test]
async fn b27_a_receiver_that_is_gone_is_switched_off_at_once_and_told_once() {
    let world = World::start().await;
    let org = new_id();
    ops(&world, org).await;
    world.receiver.answer("/hook", [Answer::status(410).held()]);
    let id = findings(&world, org, "/hook").await;
    for n in 0..5 {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    world.receiver.wait_for("/hook", 2).await;
    world.receiver.release();
    wait_told(&world, "connection.disabled").await;
    world.run_until_idle().await;
    assert_eq!(kinds(&world), ["connection.disabled"]);
    assert_eq!(told(&world)[0].1["reason"], "receiver_gone");
    assert_eq!(standing(&world, org, id).await.1, "receiver_gone");
}

/// An old attempt must not break what an admin has just put right: its answer is about another address.
#[tokio::test]
async fn what_an_old_attempt_found_out_does_not_break_what_was_put_right() {
    let world = World::start().await;
    let org = new_id();
    world.receiver.answer("/old", [Answer::status(410).held()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/old")).await;
    let old = world.relay.emit(&found(org, "old")).await;
    world.receiver.wait_for("/old", 1).await;
    let moved = world.receiver.url("/new");
    world.relay.keep_secret(&moved, &hook.secret);
    world.relay.change(org, hook.id, &json!({ "webhook_url": moved })).await.expect(200);
    world.receiver.release();
    world.relay.settled(org, old, hook.id, "dead").await;
    world.relay.emit(&found(org, "new")).await;
    world.receiver.wait_for("/new", 1).await;
    world.run_until_idle().await;
    assert_eq!(standing(&world, org, hook.id).await.0, "connected");
}

/// The same of a provider: a refusal of the token that an admin has replaced meanwhile.
#[tokio::test]
async fn a_refusal_from_before_reconnecting_does_not_break_the_connection() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = id_of(&connection);
    let refusal = MockAnswer::json(200, &json!({ "ok": false, "error": "token_revoked" }));
    world.mocks().slack().fail_next(Matcher::post(POST), refusal.held());
    let event = world.relay.emit(&found(org, "1")).await;
    wait_until("the request", LONG, || async {
        (world.mocks().slack().count("POST", POST) == 1).then_some(())
    })
    .await;
    world.relay.connect(world.mocks(), org, "slack").await;
    world.mocks().release();
    // Neither lost nor parked: it goes out with what the admin brought.
    world.relay.settled(org, event, id, "delivered").await;
    assert_eq!(standing(&world, org, id).await.0, "connected");
    assert_eq!(world.mocks().slack().messages().len(), 1);
}

/// B26, B27 for a provider: Slack is down for the whole window.
#[tokio::test]
async fn b26_b27_a_provider_that_is_down_is_warned_of_and_switched_off() {
    let world = patient().providers().env("RELAY_DISABLE_AFTER", "16s").start().await;
    let org = new_id();
    ops(&world, org).await;
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = id_of(&connection);
    world.mocks().slack().fail_all(Matcher::post(POST), MockAnswer::status(500));
    world.relay.emit(&found(org, "1")).await;
    wait_told(&world, "connection.disabled").await;
    assert_eq!(
        kinds(&world),
        ["connection.failing", "connection.failing", "connection.failing", "connection.disabled"]
    );
    let (_, data) = &told(&world)[3];
    assert_eq!((&data["provider"], &data["reason"]), (&json!("slack"), &json!("failing_too_long")));
    assert_eq!(standing(&world, org, id).await.0, "suspended");
    // Switched on again by the admin, it goes on where it was: an account keeps its queue.
    world.mocks().slack().mend();
    world.relay.change(org, id, &json!({ "paused": false })).await.expect(200);
    wait_until("the message", LONG, || async {
        (world.mocks().slack().messages().len() == 1).then_some(())
    })
    .await;
}

/// B27: what a provider says of the account is told to the others, once, and opens no ticket.
#[tokio::test]
async fn b27_a_broken_account_is_told_to_people_and_opens_no_ticket() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    ops(&world, org).await;
    let linear = id_of(&world.relay.connect_whole(world.mocks(), org, "linear").await);
    world.relay.change(org, linear, &json!({ "event_types": ["connection.*"] })).await.expect(200);
    let slack = id_of(&world.relay.connect_whole(world.mocks(), org, "slack").await);
    let gone = MockAnswer::json(200, &json!({ "ok": false, "error": "account_inactive" }));
    world.mocks().slack().fail_all(Matcher::post(POST), gone);
    for n in 0..3 {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    wait_until("the people to be told", LONG, || async {
        (!kinds(&world).is_empty()).then_some(())
    })
    .await;
    world.run_until_idle().await;
    assert_eq!(kinds(&world), ["connection.errored"]);
    let (_, data) = &told(&world)[0];
    assert_eq!(data["connection_id"], slack.to_string());
    assert_eq!((&data["provider"], &data["reason"]), (&json!("slack"), &json!("account_inactive")));
    let untold = world.relay.deliveries_where(org, &format!("connection_id={linear}")).await;
    assert_eq!(untold.len(), 1, "{untold:?}");
    assert_eq!(
        (&untold[0]["status"], &untold[0]["reason"]),
        (&json!("skipped"), &json!("not_for_tickets"))
    );
    // Nobody is told of themselves.
    let own = world.relay.deliveries_where(org, &format!("connection_id={slack}")).await;
    assert_eq!(own.len(), 3, "{own:?}");
}

/// B28: what a breaker knows outlives the process: after a restart there is one probe and no flood.
#[tokio::test]
async fn b28_a_restart_forgets_no_open_breaker() {
    let world = World::builder()
        .env("RELAY_RETRY_SCHEDULE", &["30s"; 20].join(","))
        .env("RELAY_LEASE", "2s")
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500)]);
    let id = findings(&world, org, "/hook").await;
    let events: Vec<Value> = (0..60).map(|n| found(org, &n.to_string())).collect();
    world.relay.emit_batch(&events).await;
    wait_until("the breaker to open", LONG, || async {
        let open: Option<bool> = sqlx::query_scalar(
            "select breaker_openings > 0 from relay.connection_health where connection_id = $1",
        )
        .bind(id)
        .fetch_optional(world.sql())
        .await
        .expect("the database answers");
        open.filter(|open| *open)
    })
    .await;
    // Long enough for all that follows.
    let prolong = "update relay.connection_health set breaker_open_until = now() + interval '20 s'";
    world.workers[0].kill9();
    sqlx::query(prolong).execute(world.sql()).await.expect("the database answers");
    let before = world.receiver.count("/hook");
    world.workers[0].restart();
    world.workers[0].wait_ready().await;
    world.relay.emit_batch(&events).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(world.receiver.count("/hook"), before, "the new owner knows that it is open");
    wait_until("the probe", 2 * LONG, || async {
        (world.receiver.count("/hook") > before).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.receiver.count("/hook"), before + 1, "one request finds out");
}
