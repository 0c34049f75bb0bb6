//! Custom webhooks through the routes of the integrations guide, byte for byte as the frontend has it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Answered, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

const SECRET_LEN: usize = "whsec_".len() + 64;

fn base(org: Uuid) -> String {
    format!("/api/integrations/organizations/{org}/custom-integrations")
}

async fn create(world: &World, org: Uuid, body: &Value) -> Answered {
    world.relay.admin(org, Method::POST, &base(org), Some(body)).await
}

async fn put(world: &World, org: Uuid, id: Uuid, body: &Value) -> Answered {
    world.relay.admin(org, Method::PUT, &format!("{}/{id}", base(org)), Some(body)).await
}

async fn list(world: &World, org: Uuid) -> Vec<Value> {
    let path = format!("/api/integrations/organizations/{org}/connections");
    let answer = world.relay.admin(org, Method::GET, &path, None).await.expect(200).json();
    answer.as_array().cloned().expect("the list is a bare array")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        value.as_object().into_iter().flat_map(|o| o.keys().map(String::as_str)).collect();
    keys.sort_unstable();
    keys
}

/// The answers hold exactly what the existing frontend reads.
#[tokio::test]
async fn a_webhook_is_created_listed_changed_and_removed_as_the_guide_says() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    for category in ["notification", "ticketing"] {
        let url = world.receiver.url("/hook");
        let body = json!({ "name": "  Alerts ", "type": category, "webhook_url": url });
        let made = create(&world, org, &body).await.expect(200).json();
        assert_eq!(keys(&made), ["id", "secret", "success"]);
        assert_eq!(made["success"], true);
        let secret = made["secret"].as_str().expect("shown once");
        assert_eq!(secret.len(), SECRET_LEN);
        let digits = secret.strip_prefix("whsec_").expect("its prefix");
        assert!(digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        world.relay.keep_secret(&url, secret);
    }
    let listed = list(&world, org).await;
    assert_eq!(listed.len(), 2);
    let first = &listed[0];
    assert_eq!(
        keys(first),
        [
            "connected_at",
            "created_at",
            "display_name",
            "id",
            "installation_id",
            "metadata",
            "organization_id",
            "provider",
            "status",
            "updated_at"
        ]
    );
    assert_eq!(first["provider"], "custom_notification");
    assert_eq!(listed[1]["provider"], "custom_ticketing");
    assert_eq!((&first["display_name"], &first["status"]), (&json!("Alerts"), &json!("connected")));
    let metadata = json!({
        "webhook_url": world.receiver.url("/hook"), "icon_url": null, "custom_name": "Alerts",
        "type": "notification",
    });
    assert_eq!(first["metadata"], metadata);
    for instant in ["created_at", "updated_at", "connected_at"] {
        let text = first[instant].as_str().expect("a string");
        assert!(text.parse::<chrono::DateTime<chrono::Utc>>().is_ok(), "{text}");
    }

    let id: Uuid = first["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let change = json!({ "name": "Renamed", "icon_url": "https://cdn.example/i.png" });
    let changed = put(&world, org, id, &change).await.expect(200);
    assert_eq!(changed.json(), json!({ "success": true }));
    let after = list(&world, org).await;
    assert_eq!(after[0]["display_name"], "Renamed");
    assert_eq!(after[0]["metadata"]["custom_name"], "Renamed");
    assert_eq!(after[0]["metadata"]["icon_url"], "https://cdn.example/i.png");
    assert_eq!(after[0]["created_at"], first["created_at"]);
    // The frontend sends an empty icon_url, or null, to take the picture away.
    for nothing in [json!(""), json!(null)] {
        put(&world, org, id, &json!({ "icon_url": nothing })).await.expect(200);
        assert_eq!(list(&world, org).await[0]["metadata"]["icon_url"], Value::Null);
    }

    let removed = world.relay.delete_connection(org, id).await.expect(200).json();
    assert_eq!(removed["success"], true);
    assert_eq!(removed["provider"], "custom_notification");
    assert_eq!(removed["installationId"], first["installation_id"]);
    assert!(removed.get("revokeUrl").is_none());
    assert_eq!(list(&world, org).await.len(), 1);
    let again = world.relay.delete_connection(org, id).await.expect(404).json();
    assert_eq!(again["error"], "Connection not found");
    let gone = put(&world, org, id, &json!({ "name": "x" })).await.expect(404).json();
    assert_eq!(gone["error"], "Custom integration not found");
}

/// The sentences are those that the frontend's users know; nothing is left behind.
#[tokio::test]
async fn wrong_fields_are_refused_in_the_words_of_the_core() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let good = json!({
        "name": "A", "type": "notification", "webhook_url": "https://hooks.example.com/x",
    });
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let missing = "name, type, and webhook_url are required";
    for (body, code, error) in [
        (json!({}), "missing_field", missing),
        (with("name", json!("")), "missing_field", missing),
        (with("name", json!(null)), "missing_field", missing),
        (with("type", json!(null)), "missing_field", missing),
        (with("webhook_url", json!("  ")), "missing_field", missing),
        (with("type", json!("pager")), "invalid_type", "type must be notification or ticketing"),
        (
            with("webhook_url", json!("ftp://hooks.example.com")),
            "invalid_webhook_url",
            "webhook_url must start with https://",
        ),
        (
            with("name", json!("x".repeat(101))),
            "invalid_name",
            "name must have at most 100 characters, none of them control characters",
        ),
        (
            with("icon_url", json!("javascript:alert(1)")),
            "invalid_icon_url",
            "icon_url must be an https:// URL of a picture",
        ),
    ] {
        let refused = create(&world, org, &body).await.expect(400);
        assert_eq!(
            (refused.code().as_str(), refused.json()["error"].as_str()),
            (code, Some(error))
        );
    }
    let refused = create(&world, org, &with("name", json!(5))).await.expect(400);
    assert_eq!(refused.code(), "invalid_field");
    assert!(list(&world, org).await.is_empty());

    // What is refused changes nothing of a connection that is there, not even its good half.
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let before = list(&world, org).await;
    let change = json!({ "name": "New", "webhook_url": "https://x y" });
    put(&world, org, hook.id, &change).await.expect(400);
    put(&world, org, hook.id, &json!({ "name": " " })).await.expect(400);
    let overlong = json!({ "regenerate_secret": true, "secret_overlap_seconds": 604_801 });
    assert_eq!(put(&world, org, hook.id, &overlong).await.expect(400).code(), "invalid_overlap");
    assert_eq!(list(&world, org).await, before);
}

/// B20, as the guide promises: the old secret is dead at once, in both schemes.
#[tokio::test]
async fn b20_a_regenerated_secret_replaces_the_old_one_at_once() {
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    world.relay.emit(&event(org, "a.b", json!({ "marker": "before" }))).await;
    world.receiver.wait_for("/hook", 1).await;
    let changed =
        put(&world, org, hook.id, &json!({ "regenerate_secret": true })).await.expect(200);
    let changed = changed.json();
    assert_eq!(keys(&changed), ["secret", "success"]);
    let fresh = changed["secret"].as_str().expect("shown once").to_owned();
    assert!(fresh.len() == SECRET_LEN && fresh != hook.secret);
    world.relay.keep_secret(&url, &fresh);
    // Emitted after the answer: not one request is signed with the old secret any more.
    for n in 0..5 {
        world.relay.emit(&event(org, "a.b", json!({ "marker": n.to_string() }))).await;
    }
    let arrivals = world.receiver.wait_for("/hook", 6).await;
    for arrival in &arrivals[1..] {
        assert!(arrival.verify(&fresh).is_ok());
        assert!(arrival.verify(&hook.secret).is_err());
        assert_eq!(arrival.header("webhook-signature").split(' ').count(), 1);
    }
    assert!(arrivals[0].verify(&hook.secret).is_ok());
    let kept: i64 = sqlx::query_scalar("select count(*) from relay.secrets")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(kept, 1, "the old one is deleted");
}

/// B20: in an overlap that was asked for both secrets verify, after it only the new one; a wrong
/// secret never does. The documented header, which has room for one, is the newest secret's.
#[tokio::test]
async fn b20_in_an_asked_overlap_both_secrets_verify_and_afterwards_only_the_new_one() {
    let world = World::start().await;
    let org = new_id();
    let url = world.receiver.url("/hook");
    let hook = world.relay.create_custom(org, &url).await;
    let change = json!({ "regenerate_secret": true, "secret_overlap_seconds": 4 });
    let changed = put(&world, org, hook.id, &change).await.expect(200).json();
    let fresh = changed["secret"].as_str().expect("shown once").to_owned();
    world.relay.keep_secret(&url, &fresh);
    world.relay.emit(&event(org, "a.b", json!({}))).await;
    let first = &world.receiver.wait_for("/hook", 1).await[0];
    assert_eq!(first.header("webhook-signature").split(' ').count(), 2);
    for secret in [&fresh, &hook.secret] {
        assert_eq!(standard_only(first, secret), Ok(()));
    }
    assert!(standard_only(first, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
    assert!(first.verify(&fresh).is_ok(), "X-Deptex-Signature is the new secret's");
    wait_until("the old secret to sign no more", LONG, || async {
        let count = world.receiver.count("/hook");
        world.relay.emit(&event(org, "a.b", json!({}))).await;
        let arrivals = world.receiver.wait_for("/hook", count + 1).await;
        let last = arrivals.last().expect("one has arrived");
        (last.verify(&hook.secret).is_err() && standard_only(last, &hook.secret).is_err())
            .then(|| assert!(last.verify(&fresh).is_ok()))
    })
    .await;
}

/// Whether a Standard Webhooks signature of this secret is among those that arrived.
fn standard_only(arrival: &tests::Arrival, secret: &str) -> Result<(), String> {
    tests::harness::signature::verify_standard(
        secret,
        arrival.header("webhook-id"),
        arrival.header("webhook-timestamp"),
        arrival.header("webhook-signature"),
        &arrival.body,
        arrival.wall.timestamp(),
    )
}

/// The button in the settings page: one signed `test.ping`, and the receiver's answer in words.
#[tokio::test]
async fn a_test_sends_one_signed_ping_and_tells_the_answer() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let path = format!("{}/{}/test", base(org), hook.id);
    let test = async || world.relay.admin(org, Method::POST, &path, None).await;
    world.receiver.answer("/hook", [Answer::status(204), Answer::status(500), Answer::Reset]);
    let good = test().await.expect(200).json();
    assert_eq!(keys(&good), ["message", "status", "statusText", "success"]);
    assert_eq!((&good["success"], &good["status"]), (&json!(true), &json!(204)));
    let bad = test().await.expect(200).json();
    assert_eq!((&bad["success"], &bad["status"]), (&json!(false), &json!(500)));
    assert_eq!(bad["statusText"], "Internal Server Error");
    let broken = test().await.expect(200).json();
    assert_eq!((&broken["success"], &broken["status"]), (&json!(false), &json!(0)));

    let arrivals = world.receiver.arrivals("/hook");
    assert_eq!(arrivals.len(), 3, "a test is never tried again");
    let ping = arrivals[0].json();
    assert_eq!(keys(&ping), ["data", "event", "organization_id", "timestamp"]);
    assert_eq!((&ping["event"], &ping["organization_id"]), (&json!("test.ping"), &json!(org)));
    assert!(ping["data"]["message"].is_string());
    assert_eq!(arrivals[0].header("x-deptex-event"), "test.ping");
    assert!(arrivals[0].verify(&hook.secret).is_ok());
    // It is no event of the product: neither recorded nor promised.
    assert!(world.relay.deliveries(org).await.is_empty());

    world.receiver.answer("/hook", [Answer::Silence]);
    let late = tokio::time::timeout(Duration::from_secs(14), test()).await;
    let late = late.expect("an admin waits ten seconds at most").expect(504).json();
    assert_eq!((&late["success"], &late["code"]), (&json!(false), &json!("timeout")));
    assert!(late["error"].is_string());
}

/// The query of the guide's "Verifying database state", as printed but for the id.
#[tokio::test]
async fn the_guides_query_of_the_database_works_as_printed() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.create_custom(new_id(), &world.receiver.url("/other")).await;
    let query = format!(
        "SELECT id, provider, display_name, status, metadata
         FROM organization_integrations
         WHERE organization_id = '{org}'
         ORDER BY created_at;"
    );
    let rows: Vec<(Uuid, String, String, String, Value)> =
        sqlx::query_as(sqlx::AssertSqlSafe(query)).fetch_all(world.sql()).await.expect("it runs");
    assert_eq!(rows.len(), 1);
    let (id, provider, name, status, metadata) = &rows[0];
    assert_eq!((*id, provider.as_str(), name.as_str()), (hook.id, "custom_notification", "Test"));
    assert_eq!(status, "connected");
    assert_eq!(metadata["webhook_url"], world.receiver.url("/hook"));
}
