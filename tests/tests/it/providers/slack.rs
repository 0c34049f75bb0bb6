//! Slack: messages that people are glad to get, in the channel that was chosen.

use std::time::Duration;

use mock_providers::Matcher;
use serde_json::json;
use tests::{LONG, World, event, new_id, wait_until};

use super::found;

const POST: &str = "/api/chat.postMessage";

#[tokio::test]
async fn an_event_becomes_a_message_in_the_chosen_channel() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = world.relay.emit(&found(org, "1")).await;
    world.run_until_idle().await;
    let messages = world.mocks().slack().messages();
    assert_eq!(messages.len(), 1);
    let text = messages[0].rendered();
    for expected in ["Critical", "CVE-2026-1", "lodash", "4.17.20", "my-project"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let connection_id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let delivery = world.relay.delivery_of(org, id, connection_id).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["external_id"].as_str(), Some(messages[0].ts.as_str()));
}

/// What a customer writes is text: it pings nobody, links nowhere and breaks nothing.
#[tokio::test]
async fn customers_text_cannot_ping_or_link() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "slack").await;
    let nasty = "<!channel> <@U1> <https://evil.example|Deptex> *bold* `x` & \u{202e}evil";
    let data = json!({
        "vulnerability_id": nasty, "severity": "high", "package": nasty, "version": nasty,
        "project": nasty, "summary": nasty.repeat(500),
    });
    world.relay.emit(&event(org, "vulnerability.found", data)).await;
    world.run_until_idle().await;
    let messages = world.mocks().slack().messages();
    assert_eq!(messages.len(), 1);
    assert!(!messages[0].pings(), "{}", messages[0].rendered());
}

/// 429: the channel is left alone for as long as Slack says, and everything arrives once after.
#[tokio::test]
async fn a_rate_limit_is_waited_for_and_loses_nothing() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "slack").await;
    let limited = world.mocks().slack().rate_limited(Duration::from_secs(2));
    world.mocks().slack().fail_next(Matcher::post(POST), limited);
    world.relay.emit(&found(org, "0")).await;
    wait_until("the refusal", LONG, || async {
        // Heard by us, not only said by Slack.
        let heard: i64 = sqlx::query_scalar(
            "select count(*) from relay.attempts where error_class = 'rate_limited'",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        (heard == 1).then_some(())
    })
    .await;
    for n in 1..3 {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    wait_until("all messages", LONG, || async {
        (world.mocks().slack().messages().len() >= 3).then_some(())
    })
    .await;
    world.run_until_idle().await;
    assert_eq!(world.mocks().slack().messages().len(), 3);
    let posts = world.mocks().slack().matching("POST", POST);
    for post in &posts[1..] {
        let waited = post.at - posts[0].at;
        assert!(waited >= chrono::TimeDelta::seconds(2), "{waited}");
    }
}

/// The bot was thrown out: the admin is told, the queue is parked, and reconnecting sends it on.
#[tokio::test]
async fn a_revoked_token_parks_the_queue_until_somebody_reconnects() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.mocks().slack().revoke_grants();
    let event_id = world.relay.emit(&found(org, "1")).await;
    wait_until("the connection to be in error", LONG, || async {
        let now = world.relay.connection(org, id).await.expect(200).json();
        (now["status"] == "error").then_some(())
    })
    .await;
    world.relay.settled(org, event_id, id, "parked").await;
    let calls = world.mocks().slack().count("POST", POST);

    let again = world.relay.connect(world.mocks(), org, "slack").await;
    assert_eq!(again["id"], connection["id"]);
    wait_until("the parked message", LONG, || async {
        (world.mocks().slack().messages().len() == 1).then_some(())
    })
    .await;
    world.run_until_idle().await;
    assert_eq!(world.mocks().slack().count("POST", POST), calls + 1, "it was left alone meanwhile");
}

/// A channel that is gone is the channel's trouble: the connection stays, the admin sees why.
#[tokio::test]
async fn a_deleted_channel_is_a_dead_letter_and_not_a_broken_connection() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "slack").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    for channel in ["security", "general", "leadership"] {
        world.mocks().slack().delete_channel(channel);
    }
    let event_id = world.relay.emit(&found(org, "1")).await;
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, event_id, id).await;
    assert_eq!(
        (&delivery["status"], &delivery["reason"]),
        (&json!("dead"), &json!("wrong_destination")),
        "{delivery}"
    );
    let now = world.relay.connection(org, id).await.expect(200).json();
    assert_eq!(now["status"], "connected");
    assert!(now.to_string().contains("channel_not_found"), "{now}");
}
