//! Requests that really arrived, judged by the libraries and functions that receivers use.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{Answer, Arrival, World, event, new_id};

use super::command;

/// Where `scripts/setup-verifiers` put the libraries of receivers.
fn verifiers() -> PathBuf {
    std::env::var_os("RELAY_VERIFIERS_DIR").map(PathBuf::from).expect(
        "RELAY_VERIFIERS_DIR is not set: `make test` sets it, after scripts/setup-verifiers has \
         installed the libraries that judge our signatures",
    )
}

/// What each verifier says of each request: `python.standardwebhooks`, `python.svix`,
/// `python.guide`, `node.standardwebhooks`, `node.guide`.
async fn judge(cases: &[Value]) -> Vec<Vec<(String, bool)>> {
    let dir = verifiers();
    let input = json!(cases).to_string();
    let environment = [("RELAY_VERIFIERS_DIR", dir.to_str().expect("a plain path"))];
    let python = dir.join("bin/python");
    let python =
        command::run(&python, &["-c", include_str!("verify.py")], &environment, Some(&input));
    let script = ["-e", include_str!("verify.js")];
    let node = command::run(Path::new("node"), &script, &environment, Some(&input));
    let (python, node) = tokio::join!(python, node);
    let mut verdicts = vec![Vec::new(); cases.len()];
    for (language, finished) in [("python", python.good()), ("node", node.good())] {
        let all = finished.json();
        let all = all.as_array().expect("one verdict a case");
        assert_eq!(all.len(), cases.len());
        for (mine, theirs) in verdicts.iter_mut().zip(all) {
            for (name, verdict) in theirs.as_object().expect("a verdict of each") {
                let verdict = verdict.as_bool().expect("yes or no");
                mine.push((format!("{language}.{name}"), verdict));
            }
        }
    }
    verdicts
}

fn case(arrival: &Arrival, secret: &str) -> Value {
    let names = ["webhook-id", "webhook-timestamp", "webhook-signature", "x-deptex-signature"];
    let headers: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), arrival.header(name).into())).collect();
    json!({ "secret": secret, "headers": headers, "body": STANDARD.encode(&arrival.body) })
}

/// B19, I44: what arrives is verified by the libraries of PyPI and npm and by both functions of the
/// guide; what is old, changed, scrambled or cut is refused by them.
#[tokio::test]
async fn b19_i44_receivers_libraries_accept_what_arrives_and_nothing_else() {
    verifiers();
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let odd = r#"{"marker":"odd","text":"é😀\u00e9\/\n","n":1.50,"s":"</script>"}"#;
    let odd = format!(r#"{{"type":"a.b","organization_id":"{org}","data":{odd}}}"#);
    world.relay.emit(&event(org, "vulnerability.found", json!({ "marker": "plain" }))).await;
    world.relay.post_events(odd).await.expect(202);
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    let genuine: Vec<Value> = arrivals.iter().map(|arrival| case(arrival, &hook.secret)).collect();
    for verdicts in judge(&genuine).await {
        assert_eq!(verdicts.len(), 5);
        for (who, accepts) in verdicts {
            assert!(accepts, "{who} refuses what we sent");
        }
    }

    let forged = |change: &dyn Fn(&mut Value)| {
        let mut forged = genuine[0].clone();
        change(&mut forged);
        forged
    };
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let header = |name: &str| text(&genuine[0]["headers"][name]);
    let signature = header("webhook-signature");
    let seconds: i64 = header("webhook-timestamp").parse().expect("a number");
    let reversed: String = signature[3..].chars().rev().collect();
    let deptex = header("x-deptex-signature");
    let scrambled: String = deptex[7..].chars().rev().collect();
    let body = STANDARD.encode(arrivals[0].body.iter().chain(b" ").copied().collect::<Vec<u8>>());
    let set = |name: &'static str, value: String| {
        move |case: &mut Value| case["headers"][name] = value.clone().into()
    };
    // The guide's signature has no timestamp: it cannot tell the first three.
    let table: Vec<(&str, bool, Value)> = vec![
        ("an old timestamp", false, forged(&set("webhook-timestamp", (seconds - 301).to_string()))),
        (
            "a future timestamp",
            false,
            forged(&set("webhook-timestamp", (seconds + 400).to_string())),
        ),
        ("another id", false, forged(&set("webhook-id", new_id().to_string()))),
        ("a changed body", true, forged(&|case| case["body"] = body.clone().into())),
        (
            "another secret",
            true,
            forged(&|case| {
                case["secret"] = format!("whsec_{}", "0".repeat(64)).into();
            }),
        ),
        (
            "cut signatures",
            true,
            forged(&|case| {
                case["headers"]["webhook-signature"] = signature[..signature.len() - 4].into();
                case["headers"]["x-deptex-signature"] = deptex[..deptex.len() - 2].into();
            }),
        ),
        (
            "scrambled signatures",
            true,
            forged(&|case| {
                case["headers"]["webhook-signature"] = format!("v1,{reversed}").into();
                case["headers"]["x-deptex-signature"] = format!("sha256={scrambled}").into();
            }),
        ),
        (
            "another version",
            true,
            forged(&|case| {
                case["headers"]["webhook-signature"] = signature.replace("v1,", "v2,").into();
                case["headers"]["x-deptex-signature"] = deptex.replace("sha256=", "sha1=").into();
            }),
        ),
    ];
    let cases: Vec<Value> = table.iter().map(|(_, _, case)| case.clone()).collect();
    for ((what, guide_tells, _), verdicts) in table.iter().zip(judge(&cases).await) {
        for (who, accepts) in verdicts {
            if *guide_tells || !who.ends_with("guide") {
                assert!(!accepts, "{who} accepts {what}");
            }
        }
    }
}

/// B20, I44: in an overlap the libraries accept the old secret and the new one, in whatever order
/// their signatures stand.
#[tokio::test]
async fn b20_i44_in_an_overlap_the_libraries_accept_either_secret_in_any_order() {
    verifiers();
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let change = json!({ "regenerate_secret": true, "secret_overlap_seconds": 3600 });
    let changed = world.relay.admin(org, reqwest::Method::PUT, &path, Some(&change)).await;
    let fresh = changed.expect(200).json()["secret"].as_str().expect("shown once").to_owned();
    world.relay.keep_secret(&url, &fresh);
    world.relay.emit(&event(org, "a.b", json!({}))).await;
    let arrival = &world.receiver.wait_for("/hook", 1).await[0];
    let mut cases = vec![case(arrival, &fresh), case(arrival, &hook.secret)];
    let (first, second) =
        arrival.header("webhook-signature").split_once(' ').expect("two signatures");
    for at in 0..2 {
        let mut turned = cases[at].clone();
        turned["headers"]["webhook-signature"] = format!("{second} {first}").into();
        cases.push(turned);
    }
    for (at, verdicts) in judge(&cases).await.into_iter().enumerate() {
        for (who, accepts) in verdicts {
            // The documented header is the new secret's alone.
            let expected = !who.ends_with("guide") || at % 2 == 0;
            assert_eq!(accepts, expected, "{who} of case {at}");
        }
    }
}

/// B4: one id through all attempts; the timestamp and the signatures are each attempt's own.
#[tokio::test]
async fn b4_the_id_stays_and_the_timestamp_and_signature_are_each_attempts_own() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1500ms,1500ms").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::Reset, Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&event(org, "a.b", json!({ "marker": "a" }))).await;
    let arrivals = world.receiver.wait_for("/hook", 3).await;
    for (number, arrival) in (1..).zip(&arrivals) {
        assert_eq!(arrival.header("webhook-id"), arrivals[0].header("webhook-id"));
        assert_eq!(arrival.header("webhook-id"), arrival.delivery_id().to_string());
        assert_eq!(arrival.body, arrivals[0].body);
        assert_eq!(arrival.attempt(), number);
        assert_eq!(arrival.verify(&hook.secret), Ok(()), "its own clock, its own signature");
    }
    for pair in arrivals.windows(2) {
        for name in ["webhook-timestamp", "webhook-signature"] {
            assert_ne!(pair[0].header(name), pair[1].header(name), "{name}");
        }
    }
}

/// I33, I34: the names and values that we send are these, each once, whatever an event or a
/// connection is called; nothing of theirs gets into a head.
#[tokio::test]
async fn i33_i34_what_we_send_has_a_fixed_head() {
    let world = World::start().await;
    let org = new_id();
    let name = json!({ "name": "é 😀 : x-evil=1" });
    world.relay.create_custom_with(org, &world.receiver.url("/hook"), &name).await;
    let mut body = event(org, "a.b", json!({ "x": "\r\nx-evil: 1\r\n\r\n" }));
    body["subject"] = json!("x-evil: 1");
    body["source"] = json!("host: evil.example");
    world.relay.emit(&body).await;
    let arrival = &world.receiver.wait_for("/hook", 1).await[0];
    let mut names: Vec<String> =
        arrival.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "webhook-id",
            "webhook-signature",
            "webhook-timestamp",
            "x-deptex-attempt",
            "x-deptex-delivery",
            "x-deptex-event",
            "x-deptex-hops",
            "x-deptex-signature",
        ]
    );
    assert_eq!(arrival.method, "POST");
    assert_eq!(arrival.header("content-type"), "application/json");
    assert_eq!(arrival.header("user-agent"), "Deptex-Webhook/1.0");
    assert_eq!(arrival.header("accept-encoding"), "identity");
    assert_eq!(arrival.header("x-deptex-event"), "a.b");
    assert_eq!(arrival.header("host"), format!("127.0.0.1:{}", world.receiver.port()));
    for (name, value) in &arrival.headers {
        assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)), "{name}: {value}");
    }
}
