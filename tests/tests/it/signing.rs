//! Requests that really arrived, judged by the libraries and functions that receivers use.

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tests::{Answer, Answered, Arrival, World, event, new_id};
use uuid::Uuid;

use super::{command, secrets::everything};

/// Where `scripts/setup-verifiers` put the libraries of receivers.
pub(crate) fn verifiers() -> PathBuf {
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

async fn regenerate(world: &World, org: Uuid, id: Uuid, change: Value) -> Answered {
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{id}");
    let mut body = json!({ "regenerate_secret": true });
    body.as_object_mut().expect("an object").extend(change.as_object().expect("one too").clone());
    world.relay.admin(org, reqwest::Method::PUT, &path, Some(&body)).await
}

/// B21: ten earlier secrets may live at once; an eleventh is refused, and nothing of the refusal stays.
#[tokio::test]
async fn b21_more_than_ten_live_old_secrets_are_refused() {
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    let mut newest = hook.secret.clone();
    for _ in 0..10 {
        let overlap = json!({ "secret_overlap_seconds": 3600 });
        let changed = regenerate(&world, org, hook.id, overlap).await.expect(200).json();
        newest = changed["secret"].as_str().expect("shown once").to_owned();
        world.relay.keep_secret(&url, &newest);
    }
    for overlap in [3600, 0] {
        let change = json!({ "secret_overlap_seconds": overlap, "signing": "ed25519" });
        let refused = regenerate(&world, org, hook.id, change).await.expect(400);
        assert_eq!(refused.code(), "too_many_secrets");
    }
    world.relay.emit(&event(org, "a.b", json!({}))).await;
    let arrival = &world.receiver.wait_for("/hook", 1).await[0];
    assert_eq!(arrival.header("webhook-signature").split(' ').count(), 11);
    assert_eq!(arrival.verify(&newest), Ok(()));
    let version = world.relay.connection(org, hook.id).await.json()["version"].clone();
    assert_eq!(version, 11, "what is refused is no event");
}

/// B21: a receiver that changes from a shared secret to a key pair gets both signatures in the overlap;
/// the documented header is an HMAC, so it goes with the shared secret and comes back with one.
#[tokio::test]
async fn b21_a_change_to_a_key_pair_signs_with_both_in_the_overlap() {
    verifiers();
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    let change = json!({ "signing": "ed25519", "secret_overlap_seconds": 3600 });
    let changed = regenerate(&world, org, hook.id, change).await.expect(200).json();
    assert_eq!(changed.as_object().map(|answer| answer.len()), Some(2), "{changed}");
    let public = changed["public_key"].as_str().expect("what verifies").to_owned();
    assert!(public.starts_with("whpk_"), "{public}");
    world.receiver.expect_secret("/hook", &public);
    let arrive = async |count: usize| {
        world.relay.emit(&event(org, "a.b", json!({}))).await;
        world.receiver.wait_for("/hook", count).await.pop().expect("it arrived")
    };
    let both = arrive(1).await;
    let kinds = |arrival: &Arrival| -> Vec<String> {
        let signatures = arrival.header("webhook-signature").split(' ');
        signatures.map(|one| one.split(',').next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(kinds(&both), ["v1a", "v1"]);
    assert_eq!(both.verify(&public), Ok(()));
    assert_eq!(both.verify(&hook.secret), Ok(()), "in both headers");
    // Libraries that know nothing of key pairs go by the shared secret.
    for (who, accepts) in judge(&[case(&both, &hook.secret)]).await.concat() {
        assert!(accepts, "{who} stumbles over the signature of a key pair");
    }
    let other = regenerate(&world, org, hook.id, json!({ "signing": "ed25519" })).await;
    let other = other.expect(200).json()["public_key"].as_str().expect("another").to_owned();
    assert!(both.verify(&other).is_err(), "a key pair of its own");
    world.receiver.expect_secret("/hook", &other);

    // No overlap was asked for: the first pair and the shared secret are dead.
    let alone = arrive(2).await;
    assert_eq!((kinds(&alone), alone.header("x-deptex-signature")), (vec!["v1a".to_owned()], ""));
    assert_eq!(alone.verify(&other), Ok(()));
    assert!(alone.verify(&public).is_err());
    // What verifies can be looked up at any time; what signs stands nowhere.
    let view = world.relay.connection(org, hook.id).await.expect(200).json();
    assert_eq!(view["metadata"]["public_key"], other);
    for (table, text) in everything(&world).await {
        assert!(!text.contains("whsk_"), "a private key stands in {table}");
    }

    let back = regenerate(&world, org, hook.id, json!({ "secret_overlap_seconds": 3600 })).await;
    let back = back.expect(200).json();
    let secret = back["secret"].as_str().expect("a shared secret").to_owned();
    assert_eq!(back["public_key"], Value::Null);
    world.relay.keep_secret(&url, &secret);
    let last = arrive(3).await;
    assert_eq!(kinds(&last), ["v1", "v1a"]);
    assert_eq!((last.verify(&secret), last.verify(&other)), (Ok(()), Ok(())));
    let view = world.relay.connection(org, hook.id).await.expect(200).json();
    assert_eq!(view["metadata"]["public_key"], Value::Null);
}

/// B21: how to sign is chosen for a new secret, among what there is.
#[tokio::test]
async fn b21_signing_is_chosen_with_a_new_secret_only() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for (change, code) in [
        (json!({ "signing": "ed25519", "regenerate_secret": false }), "invalid_signing"),
        (json!({ "signing": "rsa" }), "invalid_field"),
        (json!({ "signing": 5 }), "invalid_field"),
    ] {
        let refused = regenerate(&world, org, hook.id, change.clone()).await.expect(400);
        assert_eq!(refused.code(), code, "{change}");
    }
    assert_eq!(world.relay.connection(org, hook.id).await.json()["version"], 1);
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
