//! A digest: what a channel collected comes as one message, and each delivery keeps its own record.

use mock_providers::{Answer, Matcher};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use super::found;

/// A world with a Slack that collects for an hour.
async fn collecting(org: Uuid) -> (World, Uuid) {
    let world = World::builder().providers().start().await;
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id: Uuid = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let path = format!("/api/organizations/{org}/connections/{id}");
    let change = json!({ "digest_minutes": 60 });
    world.relay.admin(org, Method::PATCH, &path, Some(&change)).await.expect(200);
    (world, id)
}

/// The end of the hour.
async fn time_is_up(world: &World) {
    sqlx::query("update relay.outbox set due_at = now() where shard >= 64")
        .execute(world.sql())
        .await
        .expect("the database answers");
}

async fn promised(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay.outbox where shard >= 64 and due_at > now()")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

#[tokio::test]
async fn what_was_collected_is_one_message_and_every_delivery_has_its_record() {
    let org = new_id();
    let (world, id) = collecting(org).await;
    let mut events = Vec::new();
    for n in 1..=30 {
        events.push(world.relay.emit(&found(org, &n.to_string())).await);
    }
    assert_eq!(promised(&world).await, 30);
    assert_eq!(world.mocks().slack().messages().len(), 0, "nothing before the hour is over");
    let waiting = world.relay.delivery_of(org, events[0], id).await;
    assert_eq!(waiting["reason"], "collected", "{waiting}");
    time_is_up(&world).await;
    world.run_until_idle().await;
    let messages = world.mocks().slack().messages();
    assert_eq!(messages.len(), 1);
    let text = messages[0].rendered();
    for expected in ["30 events", "CVE-2026-1", "20 others"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    for event in events {
        let delivery = world.relay.delivery_of(org, event, id).await;
        let told = (&delivery["status"], &delivery["external_id"]);
        assert_eq!(told, (&json!("delivered"), &json!(messages[0].ts)), "{delivery}");
    }
}

/// An hour is too long for what cannot wait, and one event needs no digest.
#[tokio::test]
async fn what_is_critical_does_not_wait_and_one_alone_comes_as_itself() {
    let org = new_id();
    let (world, _) = collecting(org).await;
    world.relay.emit(&found(org, "7")).await;
    let mut urgent = event(org, "policy.violation", json!({ "rule": "no backdoors" }));
    urgent["priority"] = json!("critical");
    world.relay.emit(&urgent).await;
    wait_until("the critical one", LONG, || async {
        (world.mocks().slack().messages().len() == 1).then_some(())
    })
    .await;
    assert!(world.mocks().slack().messages()[0].rendered().contains("no backdoors"));
    assert_eq!(promised(&world).await, 1);
    time_is_up(&world).await;
    world.run_until_idle().await;
    let messages = world.mocks().slack().messages();
    assert_eq!(messages.len(), 2);
    let text = messages[1].rendered();
    assert!(text.contains("CVE-2026-7") && !text.contains("events"), "{text}");
}

/// Slack is down when the hour ends: the message comes later, once, with what came meanwhile.
#[tokio::test]
async fn a_digest_that_fails_is_tried_again_with_all_of_it() {
    let org = new_id();
    let (world, id) = collecting(org).await;
    let path = format!("/api/organizations/{org}/connections/{id}");
    let change = json!({ "retry_schedule": [1, 1, 1] });
    world.relay.admin(org, Method::PATCH, &path, Some(&change)).await.expect(200);
    let mut events: Vec<Uuid> = Vec::new();
    for n in 1..=3 {
        events.push(world.relay.emit(&found(org, &n.to_string())).await);
    }
    let slack = world.mocks().slack();
    slack.fail_next(Matcher::post("/api/chat.postMessage"), Answer::status(500));
    time_is_up(&world).await;
    world.run_until_idle().await;
    assert_eq!(slack.messages().len(), 1);
    assert!(slack.messages()[0].rendered().contains("3 events"));
    let mut attempts = Vec::new();
    for event in events {
        let delivery: Value = world.relay.delivery_of(org, event, id).await;
        assert_eq!(delivery["status"], "delivered", "{delivery}");
        attempts.push(delivery["attempts"].as_i64().expect("a number"));
    }
    assert_eq!(attempts, [2, 1, 1], "only the first one was tried twice");
}
