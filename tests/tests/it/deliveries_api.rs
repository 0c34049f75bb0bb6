//! Looking at deliveries: filters, pages that stay apart under inserts, and what one of them shows.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, World, event, new_id};
use uuid::Uuid;

async fn page(world: &World, org: Uuid, query: &str) -> Value {
    let path = format!("/api/organizations/{org}/deliveries?{query}");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("a page has items");
    items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// Pages neither repeat nor leave out what was there when the first was read, whatever comes meanwhile.
#[tokio::test]
async fn pages_stay_apart_while_events_come_in() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let body = |n: usize| event(org, "a.b", json!({ "marker": n.to_string() }));
    world.relay.emit_batch(&(0..25).map(body).collect::<Vec<_>>()).await;
    world.run_until_idle().await;
    let before: HashSet<String> = world
        .relay
        .deliveries(org)
        .await
        .iter()
        .map(|d| d["id"].as_str().expect("an id").to_owned())
        .collect();
    assert_eq!(before.len(), 25);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for n in 0.. {
        let page = page(&world, org, &format!("limit=7&cursor={cursor}")).await;
        seen.extend(ids(&page));
        // Some are delivered and others still promised when the next page is read.
        world.relay.emit_batch(&[body(100 + n), body(200 + n)]).await;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 25, "nothing twice, and nothing of what came later");
    let mut newest_first = seen.clone();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(seen, newest_first);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), before);
}

/// Each filter alone and together; a wrong one is named.
#[tokio::test]
async fn deliveries_are_found_by_every_filter() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1h").start().await;
    let org = new_id();
    world.receiver.answer("/bad", [Answer::status(500).body("no")]);
    let good = world.relay.create_custom(org, &world.receiver.url("/good")).await;
    let bad = world.relay.create_custom(org, &world.receiver.url("/bad")).await;
    let paused = world.relay.create_custom(org, &world.receiver.url("/paused")).await;
    world.relay.change(org, paused.id, &json!({ "paused": true })).await.expect(200);
    let first = world.relay.emit(&event(org, "a.b", json!({ "marker": "1" }))).await;
    let second = world.relay.emit(&event(org, "c.d", json!({ "marker": "2" }))).await;
    tests::wait_until("both attempts at each", tests::LONG, || async {
        (world.receiver.count("/good") == 2 && world.receiver.count("/bad") == 2).then_some(())
    })
    .await;
    world.relay.settled(org, first, good.id, "delivered").await;
    world.relay.settled(org, second, good.id, "delivered").await;
    tests::wait_until("the failures to be recorded", tests::LONG, || async {
        let items = world.relay.deliveries_where(org, "status=pending").await;
        let failed = items.iter().filter(|item| item["attempts"] == 1).count();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        (failed == 2).then_some(())
    })
    .await;
    for (query, count) in [
        (String::new(), 6),
        ("status=delivered".into(), 2),
        ("status=pending".into(), 2),
        ("status=skipped".into(), 2),
        ("status=dead".into(), 0),
        (format!("connection_id={}", bad.id), 2),
        (format!("event_id={first}"), 3),
        ("event=c.d".into(), 3),
        (format!("event_id={first}&connection_id={}&status=delivered", good.id), 1),
        (format!("event_id={first}&event=c.d"), 0),
        ("since=2020-01-01T00:00:00Z".into(), 6),
        ("until=2020-01-01T00:00:00Z".into(), 0),
    ] {
        assert_eq!(ids(&page(&world, org, &query).await).len(), count, "{query}");
    }
    for (query, code) in [
        ("status=lost", "invalid_filter"),
        ("limit=0", "invalid_filter"),
        ("limit=201", "invalid_filter"),
        ("cursor=x", "invalid_filter"),
        ("since=yesterday", "invalid_filter"),
        ("connection=x", "unknown_filter"),
        ("event_id=%27%20or%201%3D1", "invalid_filter"),
    ] {
        let path = format!("/api/organizations/{org}/deliveries?{query}");
        let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(422);
        assert_eq!(refused.code(), code, "{query}");
    }

    // One that failed shows its attempt, its answer, and when it comes again.
    let delivery = world.relay.delivery_of(org, first, bad.id).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!(1)));
    assert!(delivery["next_due_at"].is_string());
    let attempt = &delivery["attempt_list"][0];
    assert_eq!((&attempt["number"], &attempt["status_code"]), (&json!(1), &json!(500)));
    assert_eq!(
        (&attempt["settlement"], &attempt["response_head"]),
        (&json!("retrying"), &json!("no"))
    );
    assert!(attempt["duration_ms"].as_f64().is_some_and(|ms| ms > 0.0));
    assert_eq!(delivery["data"], json!({ "marker": "1" }));
    let skipped = world.relay.delivery_of(org, first, paused.id).await;
    assert_eq!(skipped["reason"], "connection_paused");
    assert_eq!(skipped["attempt_list"][0]["started_at"], Value::Null, "no request was made");
}
