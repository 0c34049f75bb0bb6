//! B23: headers that a customer wants on what its webhook receives.

use reqwest::Method;
use serde_json::{Map, Value, json};
use tests::{Answer, Arrival, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use super::secrets::{everything, reseal};

const KEY: &str = "aGVhZGVycy1oZWFkZXJzLWhlYWRlcnMtaGVhZGVycy0=";
const OLD_KEY: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";

async fn set(world: &World, org: Uuid, id: Uuid, headers: Value) -> Value {
    world.relay.change(org, id, &json!({ "headers": headers })).await.expect(200).json()
}

/// What arrived under a name in exactly this case.
fn exactly<'a>(arrival: &'a Arrival, name: &str) -> Option<&'a str> {
    let found = arrival.headers.iter().find(|(given, _)| given == name);
    found.map(|(_, value)| value.as_str())
}

async fn arrive(world: &World, org: Uuid, count: usize) -> Arrival {
    world.relay.emit(&event(org, "a.b", json!({}))).await;
    world.receiver.wait_for("/hook", count).await.pop().expect("it arrived")
}

/// B23: set, sent with their case, merged, deleted; and told of by name alone.
#[tokio::test]
async fn b23_headers_are_sent_merged_and_deleted() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    assert_eq!(world.relay.connection(org, hook.id).await.json()["header_names"], json!([]));
    let made = json!({ "X-Team": "security", "Authorization": "Bearer s3cret-a1b2" });
    let view = set(&world, org, hook.id, made).await;
    assert_eq!(view["header_names"], json!(["Authorization", "X-Team"]));
    let first = arrive(&world, org, 1).await;
    assert_eq!(exactly(&first, "X-Team"), Some("security"));
    assert_eq!(exactly(&first, "Authorization"), Some("Bearer s3cret-a1b2"));
    assert_eq!(exactly(&first, "X-Deptex-Event"), Some("a.b"), "ours as they are documented");
    assert_eq!(first.verify(&hook.secret), Ok(()));

    let change = json!({ "authorization": null, "x-team": "platform", "X-Trace": "1" });
    let view = set(&world, org, hook.id, change).await;
    assert_eq!(view["header_names"], json!(["x-team", "X-Trace"]));
    let second = arrive(&world, org, 2).await;
    assert_eq!(second.header("x-team"), "platform");
    assert_eq!(second.header("x-trace"), "1");
    assert_eq!(second.header("authorization"), "");

    // Nothing is changed by nothing, nor by what is so already.
    let version = view["version"].clone();
    for nothing in [json!({}), json!({ "X-Trace": "1" }), json!({ "x-unknown": null })] {
        assert_eq!(set(&world, org, hook.id, nothing).await["version"], version);
    }
    // A new value under the same name is a change, though what can be seen of it is the same.
    let view = set(&world, org, hook.id, json!({ "X-Trace": "2" })).await;
    assert_eq!(view["version"], json!(version.as_i64().expect("a number") + 1));
    assert_eq!(arrive(&world, org, 3).await.header("x-trace"), "2");

    let path =
        format!("/api/integrations/organizations/{org}/custom-integrations/{}/test", hook.id);
    world.relay.admin(org, Method::POST, &path, None).await.expect(200);
    let ping = world.receiver.wait_for("/hook", 4).await.pop().expect("it arrived");
    assert_eq!((ping.header("x-deptex-event"), ping.header("x-trace")), ("test.ping", "2"));

    assert_eq!(set(&world, org, hook.id, json!(null)).await["header_names"], json!([]));
    assert_eq!(arrive(&world, org, 5).await.header("x-trace"), "");
    let kept = "select count(*) from relay.secrets where purpose = 'headers'";
    let kept: i64 = sqlx::query_scalar(kept).fetch_one(world.sql()).await.expect("it answers");
    assert_eq!(kept, 0);
}

/// B23: a delivery that was claimed before the change, and begins a second after it, obeys it.
#[tokio::test]
async fn b23_a_change_is_obeyed_by_what_was_claimed_already() {
    let world = World::builder()
        .env("RELAY_WORKER_CONCURRENCY", "2")
        .env("RELAY_LEASE", "10m")
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/slow", [Answer::ok().held()]);
    let only = |kind: &str| json!({ "event_types": [kind] });
    world.relay.create_custom_with(org, &world.receiver.url("/slow"), &only("test.slow")).await;
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom_with(org, &url, &only("test.hook")).await;
    set(&world, org, hook.id, json!({ "X-Token": "old", "X-Gone": "1" })).await;
    for (kind, claimed) in [("test.slow", 1), ("test.slow", 2), ("test.hook", 3)] {
        world.relay.emit(&event(org, kind, json!({}))).await;
        wait_until("it to be claimed", LONG, || async {
            let look = "select count(*) from relay.outbox where lease is not null";
            let count = sqlx::query_scalar::<_, i64>(look).fetch_one(world.sql()).await;
            (count.expect("the database answers") == claimed).then_some(())
        })
        .await;
    }
    world.receiver.wait_for("/slow", 2).await;
    set(&world, org, hook.id, json!({ "X-Token": "new", "X-Gone": null })).await;
    wait_until("the worker to look again", LONG, || async {
        world.workers[0].log().contains("changed while deliveries waited").then_some(())
    })
    .await;
    world.receiver.release();
    let arrival = world.receiver.wait_for("/hook", 1).await.pop().expect("it arrived");
    assert_eq!((arrival.header("x-token"), arrival.header("x-gone")), ("new", ""));
    world.run_until_idle().await;
}

/// I33, I34, I35: refused with a stable code, all of the change with it, and no value repeated.
#[tokio::test]
async fn i33_i34_i35_headers_that_cannot_be_sent_are_refused_whole() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    set(&world, org, hook.id, json!({ "X-Kept": "s3cret" })).await;
    let before = world.relay.connection(org, hook.id).await.json();
    let many = |n: usize| -> Value {
        (0..n).map(|i| (format!("X-{i}"), json!("v"))).collect::<Map<_, _>>().into()
    };
    let mut table = vec![
        (json!({ "x evil": "s3cret" }), "invalid_header_name"),
        (json!({ "x:evil": "s3cret" }), "invalid_header_name"),
        (json!({ "x-é": "s3cret" }), "invalid_header_name"),
        (json!({ "x\r\ny": "s3cret" }), "invalid_header_name"),
        (json!({ "X-A": "1", "x-a": "2" }), "invalid_header_name"),
        (json!({ "X-A": "s3cret\r\nx-evil: 1" }), "invalid_header_value"),
        (json!({ "X-A": "s3cret\0" }), "invalid_header_value"),
        (json!({ "X-A": "s3cret é" }), "invalid_header_value"),
        (json!({ "X-A": "" }), "invalid_header_value"),
        (many(30), "too_many_headers"),
        (many(1_000), "too_many_headers"),
        (json!({ "X-A": "v".repeat(8 * 1024) }), "headers_too_large"),
        (json!({ "X-A": 5 }), "invalid_field"),
        (json!(["s3cret"]), "invalid_field"),
    ];
    let names = [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Expect",
        "TE",
        "Upgrade",
        "Proxy-Authorization",
        "webhook-id",
        "Webhook_Signature",
        "X-Deptex-Signature",
        "Content-Type",
        "User-Agent",
        "Accept-Encoding",
        "Trailer",
        "Keep-Alive",
    ];
    table.extend(names.map(|name| (json!({ name: "s3cret" }), "protected_header")));
    for (headers, code) in table {
        let change = json!({ "name": "New", "headers": headers });
        let refused = world.relay.change(org, hook.id, &change).await.expect(422);
        assert_eq!(refused.code(), code, "{headers}");
        assert!(!refused.json().to_string().contains("s3cret"), "{refused:?}");
    }
    // 1 MB of them does not even get in.
    let refused = world
        .relay
        .change(org, hook.id, &json!({ "headers": { "X-A": "v".repeat(1 << 20) } }))
        .await;
    assert_eq!((refused.status, refused.code().as_str()), (413, "body_too_large"));
    assert_eq!(world.relay.connection(org, hook.id).await.json(), before);
}

/// B22, B23: values are ciphertext in the tables, and stand in no answer and no log; a new key seals
/// them anew; removal forgets them.
#[tokio::test]
async fn b22_b23_values_of_headers_are_secrets() {
    let mut world = World::builder().workers(0).env("RELAY_ENCRYPTION_KEY", OLD_KEY).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let value = format!("s3cret-{}", new_id());
    world.relay.keep_secret("", &value);
    let answer = set(&world, org, hook.id, json!({ "X-Key": value })).await;
    assert!(!answer.to_string().contains(&value), "{answer}");
    world.add_worker(&[("RELAY_ENCRYPTION_KEY", KEY), ("RELAY_ENCRYPTION_KEY_PREVIOUS", OLD_KEY)]);
    assert_eq!(arrive(&world, org, 1).await.header("x-key"), value);
    world.run_until_idle().await;
    world.workers[0].kill9();

    let report = reseal(&world, KEY, OLD_KEY).await.good().json();
    assert_eq!(report, json!({ "resealed": 2, "sealed_first_time": 0, "unreadable": 0 }));
    world.add_worker(&[("RELAY_ENCRYPTION_KEY", KEY)]);
    assert_eq!(arrive(&world, org, 2).await.header("x-key"), value);
    world.run_until_idle().await;

    // What does not open is not merged with: it is told, and can be replaced.
    sqlx::query("update relay.secrets set sealed = sealed || 'A' where purpose = 'headers'")
        .execute(world.sql())
        .await
        .expect("a superuser may");
    let change = json!({ "headers": { "X-More": "1" } });
    let refused = world.relay.change(org, hook.id, &change).await.expect(422);
    assert_eq!(refused.code(), "headers_unreadable");
    world.relay.change(org, hook.id, &json!({ "headers": null })).await.expect(200);
    let again = json!({ "X-Key": value });
    assert_eq!(set(&world, org, hook.id, again).await["header_names"], json!(["X-Key"]));

    for (table, text) in everything(&world).await {
        assert!(!text.contains(&value), "a value stands in {table}");
    }
    world.relay.delete_connection(org, hook.id).await.expect(200);
    let kept: i64 = sqlx::query_scalar("select count(*) from relay.secrets")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(kept, 0);
}

/// B23: headers are for customers' own endpoints alone.
#[tokio::test]
async fn b23_a_provider_takes_no_headers_of_the_customers() {
    let world = World::builder().workers(0).providers().start().await;
    let org = new_id();
    let slack = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = slack["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let change = json!({ "headers": { "X-Team": "security" } });
    let refused = world.relay.change(org, id, &change).await.expect(422);
    assert_eq!(refused.code(), "not_custom");
}

/// Values are shown to nobody: nobody may have them sent to an address of their own either.
#[tokio::test]
async fn b23_headers_do_not_follow_a_webhook_to_another_address() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    set(&world, org, hook.id, json!({ "X-Key": "k-1", "X-Team": "ops" })).await;
    let elsewhere = json!("https://hooks.example.com/mine");
    for headers in [json!({}), json!({ "X-Team": "ops" })] {
        let change = json!({ "webhook_url": elsewhere, "headers": headers });
        let refused = world.relay.change(org, hook.id, &change).await.expect(422).json();
        assert_eq!(refused["code"], "headers_for_another_address");
    }
    let near = json!({ "webhook_url": world.receiver.url("/near") });
    world.relay.change(org, hook.id, &near).await.expect(200);
    let all = json!({ "X-Key": "k-2", "X-Team": null });
    let change = json!({ "webhook_url": elsewhere, "headers": all });
    let view = world.relay.change(org, hook.id, &change).await.expect(200).json();
    assert_eq!(view["header_names"], json!(["X-Key"]));
}
