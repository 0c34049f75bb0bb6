//! Deliveries by the core's own addresses and names.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

async fn history(world: &World, org: Uuid, query: &str) -> Value {
    let path = format!("/api/organizations/{org}/notification-history?{query}");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["deliveries"].as_array().expect("a page has deliveries");
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn the_cores_history_shows_rows_with_their_events_by_page() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/bad", [Answer::status(500).body("no")]);
    let good = world.relay.create_custom(org, &world.receiver.url("/good")).await;
    let wants = json!({ "event_types": ["policy.violation"] });
    let bad = world.relay.create_custom_with(org, &world.receiver.url("/bad"), &wants).await;
    let body = |n: usize| event(org, "a.b", json!({ "marker": n.to_string() }));
    world.relay.emit_batch(&(0..24).map(body).collect::<Vec<_>>()).await;
    let data = json!({ "marker": "last" });
    let last = world.relay.emit(&event(org, "policy_violation", data.clone())).await;
    world.relay.emit(&event(new_id(), "a.b", json!({ "marker": "stranger" }))).await;
    world.relay.settled(org, last, bad.id, "dead").await;
    world.run_until_idle().await;

    let first = history(&world, org, "").await;
    assert_eq!(
        (&first["total"], &first["page"], &first["perPage"]),
        (&json!(26), &json!(1), &json!(20))
    );
    let second = history(&world, org, "page=2").await;
    assert_eq!((ids(&first).len(), ids(&second).len()), (20, 6));
    let listed: Vec<String> = world
        .relay
        .deliveries(org)
        .await
        .iter()
        .filter_map(|item| item["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!([ids(&first), ids(&second)].concat(), listed);
    assert!(ids(&history(&world, org, "page=3").await).is_empty());

    let failed = history(&world, org, "status=failed&timeframe=24h").await;
    assert_eq!(failed["total"], 1);
    let row = &failed["deliveries"][0];
    assert_eq!(row["destination_type"], "custom_notification");
    assert_eq!(row["destination_id"], json!(bad.id));
    assert_eq!((&row["status"], &row["attempts"]), (&json!("failed"), &json!(1)));
    assert!(row["error_message"].is_string() && row["delivered_at"].is_null(), "{row}");
    assert_eq!(row["notification_events"]["event_type"], "policy.violation");
    assert_eq!(row["notification_events"]["payload"], data);
    for (query, total) in [
        (format!("destination_id={}", good.id), 25),
        ("event_type=policy_violation".to_owned(), 2),
        ("destination_type=slack".to_owned(), 0),
        ("status=delivered&timeframe=7d".to_owned(), 25),
        ("status=rate_limited".to_owned(), 0),
    ] {
        assert_eq!(history(&world, org, &query).await["total"], total, "{query}");
    }
    for query in ["per_page=51", "timeframe=1y", "status=lost", "cursor=x"] {
        let path = format!("/api/organizations/{org}/notification-history?{query}");
        world.relay.admin(org, Method::GET, &path, None).await.expect(400);
    }
    // The payloads that were shown are on record.
    let path = format!("/api/organizations/{org}/audit?type=event.payload_read&limit=200");
    let read = world.relay.admin(org, Method::GET, &path, None).await.expect(200).json();
    let read = read["items"].as_array().expect("items");
    assert!(read.iter().any(|fact| fact["about"] == json!(last)), "{read:?}");

    // Hours are counted some seconds later.
    let stats = wait_until("the hours to be counted", LONG, || async {
        let path = format!("/api/organizations/{org}/notification-stats");
        let stats = world.relay.admin(org, Method::GET, &path, None).await.expect(200).json();
        (stats["total_deliveries_24h"] == 26).then_some(stats)
    })
    .await;
    assert_eq!(stats["total_deliveries_7d"], 26);
    assert_eq!(stats["total_events_7d"], 25);
    assert_eq!(stats["delivery_success_rate_24h"], 96.2);
    let failures = stats["recent_failures"].as_array().expect("a list");
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["id"], row["id"]);
}

#[tokio::test]
async fn the_cores_retry_sends_a_failed_delivery_again() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&event(org, "a.b", json!({ "marker": "1" }))).await;
    let dead = world.relay.settled(org, event, hook.id, "dead").await;
    let retry = async |id: &str| {
        let path = format!("/api/organizations/{org}/notification-history/{id}/retry");
        world.relay.admin(org, Method::POST, &path, None).await
    };
    let id = dead["id"].as_str().expect("an id");
    world.relay.change(org, hook.id, &json!({ "paused": true })).await.expect(200);
    assert_eq!(retry(id).await.expect(400).code(), "connection_not_connected");
    world.relay.change(org, hook.id, &json!({ "paused": false })).await.expect(200);
    assert_eq!(retry(id).await.expect(200).json(), json!({ "success": true }));
    world.relay.settled(org, event, hook.id, "delivered").await;
    let arrivals = world.receiver.arrivals("/hook");
    assert_eq!(arrivals.len(), 2);
    assert_eq!(arrivals[0].delivery_id(), arrivals[1].delivery_id());
    assert_eq!(retry(id).await.expect(400).code(), "not_failed");
    assert_eq!(retry(&new_id().to_string()).await.expect(404).code(), "not_found");
}
