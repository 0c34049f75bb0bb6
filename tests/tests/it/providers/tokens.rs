//! Tokens: refreshed without anybody noticing, by one process at a time, and never lost.

use mock_providers::{Answer, Matcher};
use reqwest::Method;
use tests::{LONG, World, new_id, wait_until};

use super::found;

/// Twenty workers find the token expired at once: one asks for a new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_workers_make_one_token_request() {
    let world = World::builder().providers().workers(4).start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "linear").await;
    let tokens = |world: &World| world.mocks().linear().count("POST", "/oauth/token");
    let before = tokens(&world);
    world.mocks().linear().expire_tokens();
    for n in 0..20 {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    world.run_until_idle().await;
    assert_eq!(tokens(&world), before + 1);
    assert_eq!(world.mocks().linear().refresh_token_reuses(), 0);
    assert_eq!(world.mocks().linear().issues().len(), 20);
}

/// The authorization was taken back: one clear reason, everything parked, nothing asked any more.
#[tokio::test]
async fn an_ended_grant_puts_the_connection_in_error_and_parks() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "gitlab").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.mocks().gitlab().revoke_grants();
    let event_id = world.relay.emit(&found(org, "1")).await;
    wait_until("the connection to be in error", LONG, || async {
        let now = world.relay.connection(org, id).await.expect(200).json();
        (now["status"] == "error").then_some(())
    })
    .await;
    world.relay.settled(org, event_id, id, "parked").await;
    world.relay.connect(world.mocks(), org, "gitlab").await;
    world.relay.settled(org, event_id, id, "delivered").await;
}

/// A wrong client secret is the operator's: no customer's connection is called broken.
#[tokio::test]
async fn a_wrong_client_secret_blames_no_customer() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, "asana").await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.mocks().asana().change_client_secret();
    world.mocks().asana().expire_tokens();
    let event_id = world.relay.emit(&found(org, "1")).await;
    wait_until("the operator's fault to be counted", LONG, || async {
        (world.workers[0].metric("relay_operator_faults_total").await > 0.0).then_some(())
    })
    .await;
    let now = world.relay.connection(org, id).await.expect(200).json();
    assert_eq!(now["status"], "connected");
    let delivery = world.relay.delivery_of(org, event_id, id).await;
    assert_ne!(delivery["status"], "dead", "{delivery}");
}

/// A token endpoint that is down for a while costs time, and nothing else.
#[tokio::test]
async fn a_token_endpoint_that_is_down_is_asked_again() {
    let world = World::builder().providers().start().await;
    let org = new_id();
    world.relay.connect_whole(world.mocks(), org, "asana").await;
    world.mocks().asana().fail_times(2, Matcher::post("/-/oauth_token"), Answer::status(503));
    world.mocks().asana().expire_tokens();
    world.relay.emit(&found(org, "1")).await;
    wait_until("the task", LONG, || async {
        (world.mocks().asana().tasks().len() == 1).then_some(())
    })
    .await;
    world.run_until_idle().await;
}

/// The core borrows a token of a repository host; nobody else may.
#[tokio::test]
async fn the_core_leases_a_token_with_its_key_alone() {
    let world = World::builder().providers().workers(0).start().await;
    let org = new_id();
    let connection = world.relay.connect(world.mocks(), org, "github").await;
    let path = format!("/internal/connections/{}/token", connection["id"].as_str().expect("an id"));
    let ask = |key: Option<String>| {
        let mut request = world.relay.request(Method::POST, &path);
        if let Some(key) = key {
            request = request.header("x-internal-api-key", key);
        }
        world.relay.send(request)
    };
    let leased = ask(Some(world.relay.service_key().to_owned())).await.expect(200).json();
    assert!(leased["access_token"].as_str().is_some_and(|token| token.len() > 10));
    assert_eq!(leased["provider"], "github");
    assert!(leased["expires_at"].is_string());
    ask(None).await.expect(401);
    let admin = world.relay.request(Method::POST, &path).bearer_auth(world.relay.admin_token(org));
    world.relay.send(admin).await.expect(401);
}
