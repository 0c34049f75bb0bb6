//! Delivery core: what happens to one event at one or more receivers.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tests::{Answer, ClosedPort, LONG, Outcome, Receiver, World, event, new_id, wait_until};
use uuid::Uuid;

/// What each attempt in a delivery's history says under this name.
pub(crate) fn history<'a>(delivery: &'a Value, name: &str) -> Vec<&'a Value> {
    let attempts = delivery["attempt_list"].as_array().expect("a delivery has a list of attempts");
    attempts.iter().map(|attempt| &attempt[name]).collect()
}

pub(crate) fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker, "severity": "high" }))
}

/// B1: of several receivers one fails; it alone is asked again.
#[tokio::test]
async fn b1_only_the_failing_receiver_is_retried() {
    let world = World::start().await;
    let org = new_id();
    let paths = ["/a", "/b", "/c", "/d", "/e"];
    world.receiver.answer("/c", [Answer::status(500), Answer::status(500), Answer::ok()]);
    for path in paths {
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    for path in paths {
        let expected = if path == "/c" { 3 } else { 1 };
        assert_eq!(world.receiver.count(path), expected, "{path}");
    }
    let deliveries = world.relay.deliveries(org).await;
    assert_eq!(deliveries.len(), paths.len());
    assert!(deliveries.iter().all(|delivery| delivery["status"] == "delivered"), "{deliveries:?}");
}

/// B2: the attempts stand in order with their answers, and nobody calls a third time.
#[tokio::test]
async fn b2_a_failure_and_then_success_are_two_attempts_in_order() {
    let world = World::start().await;
    let org = new_id();
    let script = [Answer::status(500).body("no room today"), Answer::ok().body("thanks")];
    world.receiver.answer("/hook", script);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let id = world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, id, hook.id).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempts"], 2);
    assert_eq!(history(&delivery, "number"), [1, 2]);
    assert_eq!(history(&delivery, "status_code"), [500, 200]);
    assert_eq!(history(&delivery, "settlement"), ["retrying", "delivered"]);
    assert_eq!(history(&delivery, "response_head"), ["no room today", "thanks"]);
    // A later event has come and gone, and still there was no third call for the first one.
    world.relay.emit(&found(org, "two")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 3);
}

/// B3: with an empty schedule there is one attempt, a dead letter, and nothing left to do.
#[tokio::test]
async fn b3_an_empty_schedule_means_one_attempt_and_a_dead_letter() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(503)]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let id = world.relay.emit(&found(org, "one")).await;
    let delivery = world.relay.settled(org, id, hook.id, "dead").await;
    assert_eq!(delivery["reason"], "retries_exhausted");
    assert_eq!(history(&delivery, "settlement"), ["dead"]);
    assert_eq!(world.outbox_len().await, 0);
    assert_eq!(world.receiver.count("/hook"), 1);
}

/// B4: attempts share their id; each is signed for its own moment.
#[tokio::test]
async fn b4_the_id_stays_and_the_timestamp_and_signature_are_of_the_attempt() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1500ms,1500ms").start().await;
    let org = new_id();
    let script = [Answer::status(500), Answer::status(429), Answer::ok()];
    world.receiver.answer("/hook", script);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&found(org, "one")).await;
    let arrivals = world.receiver.wait_for("/hook", 3).await;
    world.run_until_idle().await;
    let all = |name: &str| arrivals.iter().map(|a| a.header(name).to_owned()).collect::<Vec<_>>();
    for name in ["webhook-id", "x-deptex-delivery", "x-deptex-signature"] {
        let mut values = all(name);
        values.dedup();
        assert_eq!(values.len(), 1, "{name}: {values:?}");
    }
    for name in ["webhook-timestamp", "webhook-signature"] {
        let mut values = all(name);
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 3, "{name}: {values:?}");
    }
    assert_eq!(all("webhook-id"), all("x-deptex-delivery"));
    assert_eq!(all("x-deptex-attempt"), ["1", "2", "3"]);
    assert!(arrivals.windows(2).all(|pair| pair[0].body == pair[1].body), "the bytes stay");
}

/// B5: whatever JSON allows arrives as it was written: order, escapes, spaces, numbers.
#[tokio::test]
async fn b5_the_data_arrives_byte_for_byte() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let data = "{ \"zebra\" : 1.50e+2,\t\"apple\":\"caf\\u00e9 \\/ \\uD83D\\uDE00 café\" ,\r\n  \
                \"big\": 12345678901234567890123456789, \"zero\":-0.0, \"nested\":{\"b\":[ ],\"a\":{ }} }";
    let body = format!(
        "{{ \"data\":{data},\n\"type\":\"vulnerability.found\", \"organization_id\":\"{org}\" }}"
    );
    let id = world.relay.post_events(body).await.expect(202).json()["id"].clone();
    let arrival = &world.receiver.wait_for("/hook", 1).await[0];
    let text = std::str::from_utf8(&arrival.body).expect("JSON is UTF-8");
    assert!(text.contains(&format!(",\"data\":{data},\"delivery_id\":")), "{text}");
    world.run_until_idle().await;
    let id: Uuid = id.as_str().and_then(|id| id.parse().ok()).expect("an id is a UUID");
    let delivery = world.relay.delivery_of(org, id, hook.id).await;
    let path =
        format!("/api/organizations/{org}/deliveries/{}", delivery["id"].as_str().expect("an id"));
    let shown = world.relay.admin(org, reqwest::Method::GET, &path, None).await.expect(200);
    let shown = std::str::from_utf8(&shown.body).expect("JSON is UTF-8");
    assert!(shown.contains(data), "shown as it was received: {shown}");
}

/// B6, I23: a redirect is a failure like any other, and nobody goes where it points.
#[tokio::test]
async fn b6_a_redirect_fails_and_its_target_is_never_called() {
    let world = World::start().await;
    let org = new_id();
    let target = world.receiver.url("/elsewhere");
    let metadata = "http://169.254.169.254/latest/meta-data";
    let script =
        [(301, target.as_str()), (302, "file:///etc/passwd"), (307, metadata), (308, &target)];
    let script = script.map(|(status, to)| Answer::status(status).header("location", to));
    world.receiver.answer("/hook", script);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let id = world.relay.emit(&found(org, "one")).await;
    let delivery = world.relay.settled(org, id, hook.id, "dead").await;
    assert_eq!(history(&delivery, "status_code"), [301, 302, 307, 308]);
    assert_eq!(history(&delivery, "error_class"), ["http_3xx"; 4]);
    assert_eq!(world.receiver.count("/elsewhere"), 0);
}

/// B9, F20: a body that never ends is cut at the cap, one that never comes at the deadline; the
/// worker's memory does not follow the receiver's zeal.
#[tokio::test]
async fn b9_f20_hostile_answers_end_at_the_cap_or_the_deadline() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/warm-up")).await;
    world.relay.emit(&found(org, "warm-up")).await;
    world.run_until_idle().await;
    let before = world.workers[0].resident_bytes();
    let scripts = [
        ("/endless", Answer::Endless, "delivered", Value::Null),
        ("/headers", Answer::EndlessHeaders, "dead", json!("protocol")),
        ("/half", Answer::HalfClose, "dead", json!("reset")),
        ("/reset", Answer::Reset, "dead", json!("reset")),
        ("/gibberish", Answer::Gibberish, "dead", json!("protocol")),
        ("/silence", Answer::Silence, "dead", json!("timeout")),
        ("/trickle", Answer::Trickle, "dead", json!("timeout")),
    ];
    let org = new_id();
    let mut hooks = Vec::new();
    for (path, answer, ..) in &scripts {
        world.receiver.answer(path, [answer.clone()]);
        hooks.push(world.relay.create_custom(org, &world.receiver.url(path)).await);
    }
    let id = world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    let mut longest = 0.0_f64;
    for ((path, _, status, class), hook) in scripts.iter().zip(&hooks) {
        let delivery = world.relay.delivery_of(org, id, hook.id).await;
        let attempt = &delivery["attempt_list"][0];
        assert_eq!(delivery["status"], *status, "{path}: {delivery}");
        assert_eq!(attempt["error_class"], *class, "{path}: {delivery}");
        let took = attempt["duration_ms"].as_f64().expect("an attempt says how long it took");
        assert!(took < 25_000.0, "{path}: {delivery}");
        longest = longest.max(took.round());
        let kept = attempt["response_head"].as_str().map_or(0, str::len);
        assert!(kept <= 2_048, "{path} keeps {kept} bytes");
    }
    // What the network's buffers took beside the 16 KiB that were read.
    assert!(world.receiver.bytes_sent() < 32 << 20, "{} bytes", world.receiver.bytes_sent());
    let after = world.workers[0].resident_bytes();
    assert!(after < before + (10 << 20), "from {before} to {after} bytes");
    Outcome::of("F20", "receivers reset, half-close, drip, keep silent, or never end")
        .measured("KiB more of memory (at most 10,240)", after.saturating_sub(before) / 1024)
        .measured("longest attempt, ms (at most 25,000)", longest)
        .kept(0);
}

/// B10: whatever keeps an answer away is an attempt with its class, and is tried again.
#[tokio::test]
async fn b10_every_failure_of_the_network_is_a_recorded_class_and_is_retried() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "300ms").start().await;
    let org = new_id();
    let closed = ClosedPort::take();
    let self_signed = Receiver::start_tls(self_signed()).await;
    world.receiver.answer("/reset", [Answer::Reset]);
    let cases = [
        ("http://nowhere.invalid:8080/".to_owned(), "dns"),
        (format!("http://127.0.0.1:{}/", closed.port), "connect"),
        (format!("https://127.0.0.1:{}/", world.receiver.port()), "tls"),
        (self_signed.url("/"), "tls_untrusted"),
        (world.receiver.url("/reset"), "reset"),
    ];
    let mut hooks = Vec::new();
    for (url, _) in &cases {
        hooks.push(world.relay.create_custom(org, url).await);
    }
    let id = world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    for ((url, class), hook) in cases.iter().zip(&hooks) {
        let delivery = world.relay.delivery_of(org, id, hook.id).await;
        assert_eq!(history(&delivery, "error_class"), [class, class], "{url}: {delivery}");
        assert_eq!(history(&delivery, "settlement"), ["retrying", "dead"], "{url}: {delivery}");
        assert!(history(&delivery, "error").iter().all(|error| error.is_string()), "{delivery}");
    }
    assert!(self_signed.all().is_empty(), "nothing is said to whom nobody vouches for");
}

/// A certificate that nobody but itself vouches for.
fn self_signed() -> Arc<rustls::ServerConfig> {
    let made =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("it can be made");
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the defaults are sound")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("key and certificate belong together");
    Arc::new(config)
}

/// B24, F21: a receiver's Retry-After is waited for, in every spelling, within a second and a day.
#[tokio::test]
async fn b24_the_next_attempt_never_comes_before_the_moment_asked_for() {
    let world = World::start().await;
    let org = new_id();
    let later = chrono::Utc::now() + Duration::from_secs(4);
    let date = later.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    // What is asked for, and the least and the most seconds until the next attempt is due.
    let cases = [
        ("/seconds", 429, "2", 2.0, 2.5),
        ("/fraction", 503, "1.2", 2.0, 2.5),
        ("/date", 503, date.as_str(), 0.0, 5.0),
        ("/negative", 429, "-5", 1.0, 1.3),
        ("/past", 503, "Wed, 21 Oct 2015 07:28:00 GMT", 1.0, 1.3),
        ("/garbage", 429, "soon", 0.2, 0.4),
        ("/absurd", 503, "99999999999999999999", 86_400.0, 103_700.0),
    ];
    let mut hooks = Vec::new();
    for (path, status, value, ..) in cases {
        let busy = Answer::status(status).header("retry-after", value);
        world.receiver.answer(path, [busy, Answer::ok()]);
        hooks.push(world.relay.create_custom(org, &world.receiver.url(path)).await);
    }
    let id = world.relay.emit(&found(org, "one")).await;
    wait_until("all but the absurd one to be delivered", LONG, || async {
        (world.outbox_len().await == 1).then_some(())
    })
    .await;
    for ((path, _, _, least, most), hook) in cases.into_iter().zip(&hooks) {
        let delivery = world.relay.delivery_of(org, id, hook.id).await;
        let time = |value: &Value| {
            let text = value.as_str().unwrap_or_default();
            text.parse::<chrono::DateTime<chrono::Utc>>().expect("an attempt has its times")
        };
        let first = &delivery["attempt_list"][0];
        let due = time(&first["next_due_at"]);
        let wait = (due - time(&first["recorded_at"])).as_seconds_f64();
        assert!((least..=most).contains(&wait), "{path} waits {wait} s: {delivery}");
        let arrivals = world.receiver.arrivals(path);
        if path == "/absurd" {
            assert_eq!(arrivals.len(), 1, "{path}");
        } else {
            assert_eq!(arrivals.len(), 2, "{path}");
            assert!(arrivals[1].wall >= due, "{path} came {} before {due}", arrivals[1].wall);
        }
        if path == "/date" {
            assert!(arrivals[1].wall.timestamp() >= later.timestamp(), "{path}");
        }
    }
}
