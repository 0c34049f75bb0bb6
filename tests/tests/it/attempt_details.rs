//! What an admin sees of an attempt is what went over the wire, and no secret with it.

use mock_providers::{Answer as MockAnswer, Matcher};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Arrival, ClosedPort, World, event, new_id};
use uuid::Uuid;

use super::secrets::everything;

const MASKED: &str = "•••";

fn id_of(delivery: &Value) -> Uuid {
    delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a delivery has an id")
}

/// Names and values as they are shown.
fn headers(shown: &Value) -> Vec<(String, String)> {
    serde_json::from_value(shown["headers"].clone()).expect("pairs of texts")
}

fn value<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value)
}

fn sorted(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.sort();
    headers
}

/// The parts of the time that requests took; they can be no more than the whole.
fn check_timing(attempt: &Value) {
    let timing = &attempt["timing"];
    let ms = |name: &str| timing[name].as_f64().unwrap_or_else(|| panic!("{name} in {attempt}"));
    let parts = timing["connect_ms"].as_f64().unwrap_or(0.0)
        + ms("send_ms")
        + ms("wait_ms")
        + ms("read_ms");
    let whole = attempt["duration_ms"].as_f64().expect("it took some time");
    assert!(parts > 0.0 && parts <= whole + 0.001, "{attempt}");
    assert!(ms("queue_ms") >= 0.0 && ms("pace_ms") >= 0.0, "{attempt}");
}

/// B40: each attempt is shown as it was sent: retried, replayed, and after all of the connection was
/// changed. B22: with no secret in it, in the tables neither, though the receiver repeats them.
#[tokio::test]
async fn b40_b22_a_webhooks_attempts_are_shown_as_they_arrived_and_without_secrets() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1s").start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook?a=b")).await;
    let own = json!({ "X-Team": "canary-team-1a2b", "Authorization": "Bearer canary-key-3c4d" });
    let change = json!({ "headers": own });
    world.relay.change(org, hook.id, &change).await.expect(200);
    let repeats = r#"{"you sent":["canary-team-1a2b","canary-key-3c4d"],"sorry":true}"#;
    let refusal = Answer::status(500)
        .header("Set-Cookie", "session=canary-cookie-5e6f")
        .header("X-Seen", "Bearer canary-key-3c4d")
        .header("X-Plain", "7")
        .body(repeats);
    world.receiver.answer("/hook?a=b", [refusal, Answer::ok()]);
    let data = r#"{ "marker" : "é" , "severity":"high","n":1.50 }"#;
    let posted =
        format!(r#"{{"type":"vulnerability.found","organization_id":"{org}","data":{data}}}"#);
    let answer = world.relay.post_events(posted).await.expect(202).json();
    let event = answer["id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    let delivery = world.relay.settled(org, event, hook.id, "delivered").await;
    let id = id_of(&delivery);
    world.relay.replay(org, id).await.expect(202);
    let arrivals = world.receiver.wait_for("/hook?a=b", 3).await;
    world.run_until_idle().await;

    let moved = json!({ "webhook_url": world.receiver.url("/moved"), "headers": null });
    world.relay.change(org, hook.id, &moved).await.expect(200);
    let shown = world.relay.delivery(org, id).await;
    let attempts = shown["attempt_list"].as_array().expect("a list");
    assert_eq!((attempts.len(), arrivals.len()), (3, 3), "{shown}");
    for (attempt, arrival) in attempts.iter().zip(&arrivals) {
        let request = &attempt["request"];
        assert_eq!(request["method"], "POST");
        assert_eq!(request["url"], world.receiver.url("/hook?a=b"));
        let hidden = |(name, value): &(String, String)| {
            let is_own = ["X-Team", "Authorization"].contains(&name.as_str());
            (name.clone(), if is_own { MASKED.to_owned() } else { value.clone() })
        };
        let arrived = arrival.headers.iter().map(hidden).collect();
        assert_eq!(sorted(headers(request)), sorted(arrived), "{attempt}");
        let body = request["body"].as_str().expect("the event is still kept").to_owned();
        assert_eq!(
            (body.as_bytes(), &request["body_is_truncated"]),
            (&*arrival.body, &json!(false))
        );
        let rebuilt = Arrival { headers: headers(request), body: body.into(), ..arrival.clone() };
        assert_eq!(rebuilt.verify(&hook.secret), Ok(()), "the signatures are of the body shown");
        check_timing(attempt);
    }
    let queued = attempts[1]["timing"]["queue_ms"].as_f64();
    assert!(queued.is_some_and(|ms| ms > 0.0), "a retry is late, if only a little: {shown}");
    let replayed = headers(&attempts[2]["request"]);
    assert_eq!(value(&replayed, "x-deptex-replay"), "true");
    let opened = attempts.iter().filter(|attempt| !attempt["timing"]["connect_ms"].is_null());
    assert_eq!(opened.count() as u64, world.receiver.connections(), "{shown}");
    assert!(!attempts[0]["timing"]["connect_ms"].is_null());

    let refusal = &attempts[0]["response"];
    assert_eq!(refusal["status"], 500);
    assert_eq!(refusal["body"], r#"{"you sent":["•••","•••"],"sorry":true}"#);
    assert_eq!(refusal["body"], attempts[0]["response_head"]);
    let heads = headers(refusal);
    assert_eq!((value(&heads, "set-cookie"), value(&heads, "x-seen")), (MASKED, MASKED));
    assert_eq!(value(&heads, "x-plain"), "7");

    let canaries = ["canary-team-1a2b", "canary-key-3c4d", "canary-cookie-5e6f", &hook.secret];
    for canary in canaries {
        assert!(!shown.to_string().contains(canary), "{canary} in {shown}");
        for (table, row) in everything(&world).await {
            assert!(!row.contains(canary), "{canary} in {table}: {row}");
        }
    }
}

/// What is stored of an attempt is little, and what is not known is not made up.
#[tokio::test]
async fn what_was_not_sent_or_not_answered_says_so() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let closed = ClosedPort::take();
    let url = format!("http://127.0.0.1:{}/hook", closed.port);
    let nobody = world.relay.create_custom(org, &url).await;
    let paused = world.relay.create_custom(org, &world.receiver.url("/paused")).await;
    world.relay.change(org, paused.id, &json!({ "paused": true })).await.expect(200);
    let event = world.relay.emit(&event(org, "a.b", json!({}))).await;

    let dead = world.relay.settled(org, event, nobody.id, "dead").await;
    let shown = world.relay.delivery(org, id_of(&dead)).await;
    let attempt = &shown["attempt_list"][0];
    assert_eq!(attempt["request"]["url"], url);
    assert_eq!((&attempt["response"], &attempt["error_class"]), (&json!(null), &json!("connect")));
    assert!(attempt["timing"]["connect_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{attempt}");
    assert_eq!(attempt["timing"]["wait_ms"], 0.0);

    let skipped = world.relay.delivery_of(org, event, paused.id).await;
    let shown = world.relay.delivery(org, id_of(&skipped)).await;
    let attempt = &shown["attempt_list"][0];
    for nothing in ["request", "response", "timing"] {
        assert_eq!(attempt[nothing], json!(null), "{attempt}");
    }
}

/// A large body is not told as often as it was sent: of the newest attempts, as far as there is room.
#[tokio::test]
async fn bodies_are_shown_as_far_as_there_is_room() {
    let schedule = ["100ms"; 5].join(",");
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", &schedule).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.receiver.answer("/hook", [Answer::status(500)]);
    let data = json!({ "text": "x".repeat(250_000) });
    let event = world.relay.emit(&event(org, "a.b", data)).await;
    let dead = world.relay.settled(org, event, hook.id, "dead").await;
    let attempts = dead["attempt_list"].as_array().expect("a list");
    let shown = attempts.iter().map(|attempt| {
        let request = &attempt["request"];
        (request["body"].is_string(), request["body_is_truncated"] == true)
    });
    let (without, with) = ((false, true), (true, false));
    assert_eq!(shown.collect::<Vec<_>>(), [without, without, with, with, with, with]);
    let arrived = world.receiver.wait_for("/hook", 6).await.pop().expect("they arrived");
    let last = &attempts[5]["request"]["body"];
    assert_eq!(last.as_str().map(str::as_bytes), Some(&*arrived.body));
}

/// What comes faster than a provider may be called waits for its turn, some of it in its attempt.
#[tokio::test]
async fn the_wait_for_a_turn_is_told() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let jira = world.mocks().jira_data_center();
    let link = json!({ "org_id": org, "base_url": jira.base_url(), "token": jira.token() });
    let path = "/api/integrations/jira/connect-pat";
    world.relay.admin(org, Method::POST, path, Some(&link)).await.expect(200);
    let connection = &world.relay.connections(org).await[0]["id"];
    let choices = world.relay.destinations(org, connection).await;
    let choice = json!({ "id": choices[0]["id"] });
    world.relay.choose(org, connection, &choice).await.expect(200);
    // Ten may go at once, and then five a second: of these the first is worth waiting for.
    let found = |n: usize| {
        let data = json!({ "vulnerability_id": format!("CVE-{n}"), "severity": "high" });
        event(org, "vulnerability.found", data)
    };
    world.relay.emit_batch(&(0..20).map(found).collect::<Vec<_>>()).await;
    world.run_until_idle().await;
    let mut longest = 0.0_f64;
    for delivery in world.relay.deliveries(org).await {
        let shown = world.relay.delivery(org, id_of(&delivery)).await;
        let attempts = shown["attempt_list"].as_array().expect("a list");
        for pace in attempts.iter().filter_map(|attempt| attempt["timing"]["pace_ms"].as_f64()) {
            longest = longest.max(pace);
        }
    }
    assert!(longest > 10.0, "somebody waited for a turn, and longer than asking takes: {longest}");
}

/// B22: what a provider is sent is kept whole, but for the credential, even where an answer repeats it.
#[tokio::test]
async fn b22_a_providers_attempts_are_shown_as_they_arrived_and_without_the_token() {
    const POST: &str = "/api/chat.postMessage";
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let connection = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let tokens = world.mocks().secrets().into_iter().filter(|one| one.starts_with("xoxb-"));
    let [token] = <[String; 1]>::try_from(tokens.collect::<Vec<_>>()).expect("one token");

    let repeats = MockAnswer::status(400).header("x-seen", format!("Bearer {token}"));
    let repeats = repeats.body(format!("no {token}"));
    world.mocks().slack().fail_next(Matcher::post(POST), repeats);
    let event = world.relay.emit(&event(org, "a.b", json!({ "title": "one" }))).await;
    world.run_until_idle().await;
    let arrived = world.mocks().slack().matching("POST", POST).pop().expect("it arrived");
    let delivery = world.relay.delivery_of(org, event, connection).await;
    let shown = world.relay.delivery(org, id_of(&delivery)).await;
    let attempt = &shown["attempt_list"][0];
    let request = &attempt["request"];
    assert_eq!(request["method"], "POST");
    assert!(request["url"].as_str().is_some_and(|url| url.ends_with(POST)), "{request}");
    assert_eq!(request["body"].as_str(), Some(arrived.body.as_str()));
    let plain = |(name, value): (String, String)| {
        let is_secret = name.eq_ignore_ascii_case("authorization");
        (name.to_lowercase(), if is_secret { MASKED.to_owned() } else { value })
    };
    let seen = headers(request).into_iter().map(plain).collect();
    let sent = arrived.headers.clone().into_iter().map(plain).collect();
    assert_eq!(sorted(seen), sorted(sent));
    assert_eq!(attempt["response"]["status"], 400);
    assert_eq!(attempt["response"]["body"], "no •••");
    assert_eq!(value(&headers(&attempt["response"]), "x-seen"), "Bearer •••");
    check_timing(attempt);

    let tables = everything(&world).await;
    for secret in world.mocks().secrets() {
        assert!(!shown.to_string().contains(&secret), "{shown}");
        for (table, row) in tables.iter().filter(|(table, _)| table.contains("attempts")) {
            assert!(!row.contains(&secret), "{table}: {row}");
        }
    }
    world.mocks().forgive();
}
