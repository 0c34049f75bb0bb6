//! A provider that is away, and comes back: nothing is lost, nothing is there twice.

use std::collections::HashSet;

use mock_providers::{Answer, Matcher};
use reqwest::Method;
use serde_json::json;
use tests::{LONG, World, new_id, wait_until};

use super::found;

const EVENTS: usize = 15;

/// The schedule is a real one in small: many waits, longer than the outage.
fn patient() -> tests::WorldBuilder {
    let waits = vec!["400ms"; 40].join(",");
    World::builder()
        .providers()
        .env("RELAY_RETRY_SCHEDULE", &waits)
        .env("RELAY_BREAKER_OPEN", "500ms")
}

#[tokio::test]
async fn after_an_outage_every_message_is_there_once() {
    let world = patient().start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "discord").await;
    world.mocks().discord().fail_all(Matcher::any(), Answer::status(503));
    for n in 0..EVENTS {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    // After ten failures in a row it is left alone, but for a probe now and then.
    wait_until("the outage to be felt", LONG, || async {
        (world.mocks().discord().requests().len() >= 11).then_some(())
    })
    .await;
    assert_eq!(world.mocks().discord().messages().len(), 0);
    world.mocks().discord().mend();
    wait_until("the outbox to be empty", 2 * LONG, || async {
        (world.outbox_len().await == 0).then_some(())
    })
    .await;
    let messages = world.mocks().discord().messages();
    let told: HashSet<String> = messages.iter().map(|message| message.rendered()).collect();
    assert_eq!((messages.len(), told.len()), (EVENTS, EVENTS));
    assert!(messages.iter().all(|message| !message.pings()));
}

/// Answers that never come, connections that break in the middle: tickets are made once all the same.
#[tokio::test]
async fn broken_answers_make_no_second_ticket() {
    let world = patient().start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "asana").await;
    let create = || Matcher::post("/api/1.0/tasks");
    world.mocks().asana().fail_next(create(), Answer::lost());
    world.mocks().asana().fail_next(create(), Answer::half());
    world.mocks().asana().fail_next(create(), Answer::unreached());
    for n in 0..3 {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    wait_until("three tasks", LONG, || async {
        (world.mocks().asana().tasks().len() >= 3).then_some(())
    })
    .await;
    world.run_until_idle().await;
    assert_eq!(world.mocks().asana().tasks().len(), 3);
}

/// Jira Data Center: a server of the customer's own, linked with a token that can be replaced.
#[tokio::test]
async fn a_server_of_the_customers_own_is_linked_with_a_token() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let jira = world.mocks().jira_data_center();
    let link = async |token: String| {
        let body = json!({ "org_id": org, "base_url": jira.base_url(), "token": token });
        let path = "/api/integrations/jira/connect-pat";
        world.relay.admin(org, Method::POST, path, Some(&body)).await
    };
    link("wrong".to_owned()).await.expect(401);
    link(jira.token()).await.expect(200);
    let connections = world.relay.connections(org).await;
    assert_eq!(connections.len(), 1, "{connections:?}");
    let connection = &connections[0];
    assert_eq!(connection["provider"], "jira");
    assert_eq!(connection["metadata"]["type"], "data_center");
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    let choices = world.relay.destinations(org, &connection["id"]).await;
    world
        .relay
        .choose(org, &connection["id"], &json!({ "id": choices[0]["id"] }))
        .await
        .expect(200);
    world.relay.emit(&found(org, "1")).await;
    world.run_until_idle().await;
    assert_eq!(jira.issues().len(), 1);

    // The token is replaced at the server: parked, and sent once somebody gives the new one.
    let token = jira.replace_token();
    let second = world.relay.emit(&found(org, "2")).await;
    world.relay.settled(org, second, id, "parked").await;
    link(token).await.expect(200);
    // It looks for what an earlier attempt may have made, and gives Jira's index half a minute.
    wait_until("the second ticket", 3 * LONG, || async {
        (jira.issues().len() == 2).then_some(())
    })
    .await;
    world.relay.settled(org, second, id, "delivered").await;
    assert_eq!(jira.issues().len(), 2);
    assert_eq!(world.relay.connections(org).await.len(), 1);
}
