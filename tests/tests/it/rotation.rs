//! Refresh tokens that are good once: whoever dies or loses the database between the provider's answer
//! and its storing loses no delivery, and no token that could be kept.

use std::time::Duration;

use engine::connection::{Status, tokens};
use mock_providers::{Answer, Matcher};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Flow, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

use crate::refreshing::{Place, agrees_with_its_log, now, other_than, token};

/// So much later nobody who refreshes is waited for any more, unless it says more than it needs.
async fn as_if_later(sql: &PgPool, seconds: i32) {
    sqlx::query("update relay.token_refreshes set until = until - $1 * interval '1 second'")
        .bind(seconds)
        .execute(sql)
        .await
        .expect("the database answers");
}

/// The database is away for one process when the new tokens arrive. They serve there meanwhile, nobody
/// else spends the old refresh token, and they are stored when the database is back.
#[tokio::test]
async fn new_tokens_outlive_a_database_that_is_away() {
    let place = Place::of(World::builder().through_proxy()).await;
    let cut_off = place.process_at(place.world.proxied_url()).await;
    let other = place.process().await;
    let gitlab = place.mocks.gitlab();
    let id = place.connect(&other, "gitlab").await[0];
    let connection = now(&other, id).await;
    let old = token(&other, &connection).await;
    gitlab.fail_next(Matcher::post("/oauth/token"), Answer::real().held());
    let asked = gitlab.count("POST", "/oauth/token");
    let renewing = {
        let (engine, connection, fresh) = (cut_off.clone(), connection.clone(), other_than(&old));
        tokio::spawn(async move { tokens::access(&engine, &connection, fresh).await })
    };
    wait_until("the provider to be asked", LONG, || async {
        (gitlab.count("POST", "/oauth/token") == asked + 1).then_some(())
    })
    .await;
    place.world.proxy().set(Flow::Cut);
    place.mocks.release();
    let new = renewing.await.expect("no panic").expect("what is not stored serves already");
    assert_ne!(new.reveal(), old.reveal());

    // A long time passes, as long as a database may need to come back.
    as_if_later(place.sql(), 120).await;
    let waiting = tokens::access(&other, &connection, other_than(&old));
    let patient = tokio::time::timeout(Duration::from_secs(1), waiting).await;
    assert!(patient.is_err(), "{patient:?}");
    assert_eq!(gitlab.count("POST", "/oauth/token"), asked + 1, "it is not spent a second time");

    place.world.proxy().set(Flow::Open);
    let same = tokens::access(&other, &connection, other_than(&old)).await.expect("a token");
    assert_eq!(same.reveal(), new.reveal());
    assert_eq!(token(&cut_off, &now(&other, id).await).await.reveal(), new.reveal());
    assert_eq!(gitlab.count("POST", "/oauth/token"), asked + 1);
    assert_eq!(gitlab.refresh_token_reuses(), 0);
    assert_eq!(now(&other, id).await.status, Status::Connected);
    assert_eq!(place.kinds(id).await, ["connected", "token_refreshed"]);
    agrees_with_its_log(&other).await;
}

/// A world whose only worker was killed with `kill -9` when it had new tokens and had not stored them:
/// the organization, its connection, and the event that is to be delivered.
async fn killed_with_new_tokens(provider: &str) -> (World, Uuid, Uuid, Uuid) {
    let builder = World::builder().providers().workers(0).env("RELAY_LEASE", "2s");
    let mut world = builder.start().await;
    let org = new_id();
    let connection = world.relay.connect_whole(world.mocks(), org, provider).await;
    let id = connection["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    expire_tokens(&world, provider);
    let asked = token_calls(&world, provider);
    let data = json!({ "vulnerability_id": "CVE-2026-1", "package": "lodash", "project": "p" });
    let event_id = world.relay.emit(&event(org, "vulnerability.found", data)).await;
    world.add_worker(&[("RELAY_FAULT", "hang:connection.token_refreshed")]);
    wait_until("the new tokens to be there", LONG, || async {
        world.workers[0].log().contains("hanging, as RELAY_FAULT asks for").then_some(())
    })
    .await;
    assert_eq!(token_calls(&world, provider), asked + 1);
    world.workers[0].kill9();

    // Another worker leaves the refresh token alone for as long as the lease of the killed one holds.
    world.add_worker(&[]);
    wait_until("the delivery to wait for a token", LONG, || async {
        let delivery = world.relay.delivery_of(org, event_id, id).await;
        (delivery["reason"] == "token_unavailable").then_some(())
    })
    .await;
    assert_eq!(token_calls(&world, provider), asked + 1);
    as_if_later(world.sql(), 600).await;
    (world, org, id, event_id)
}

fn expire_tokens(world: &World, provider: &str) {
    match provider {
        "linear" => world.mocks().linear().expire_tokens(),
        "gitlab" => world.mocks().gitlab().expire_tokens(),
        other => panic!("no test needs {other}"),
    }
}

fn token_calls(world: &World, provider: &str) -> usize {
    match provider {
        "linear" => world.mocks().linear().count("POST", "/oauth/token"),
        "gitlab" => world.mocks().gitlab().count("POST", "/oauth/token"),
        other => panic!("no test needs {other}"),
    }
}

/// Linear gives the same answer once more: nobody notices anything.
#[tokio::test]
async fn kill_9_between_new_tokens_and_their_storing_is_not_noticed_where_the_provider_repeats() {
    let (world, org, id, event_id) = killed_with_new_tokens("linear").await;
    world.relay.settled(org, event_id, id, "delivered").await;
    world.run_until_idle().await;
    assert_eq!(world.mocks().linear().issues().len(), 1, "nothing is lost, nothing is there twice");
    let now = world.relay.connection(org, id).await.expect(200).json();
    assert_eq!(now["status"], "connected", "{now}");
}

/// GitLab takes the second use for theft and ends the grant. The admin is told so, the delivery is
/// parked, and it goes out once the admin has connected again.
#[tokio::test]
async fn kill_9_between_new_tokens_and_their_storing_parks_where_the_provider_is_strict() {
    let (world, org, id, event_id) = killed_with_new_tokens("gitlab").await;
    let parked = world.relay.settled(org, event_id, id, "parked").await;
    assert_eq!(parked["reason"], "connection_error", "{parked}");
    let now = world.relay.connection(org, id).await.expect(200).json();
    assert_eq!((&now["status"], &now["status_reason"]), (&json!("error"), &json!("invalid_grant")));
    let told: Vec<Value> = sqlx::query_scalar(
        "select payload::jsonb from relay.event_log
         where category = 'connection' and stream_id = $1 and kind = 'connection.errored'",
    )
    .bind(id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(told, [json!({ "reason": "invalid_grant" })], "once");
    assert_eq!(issues(&world), 0);
    world.relay.connect(world.mocks(), org, "gitlab").await;
    world.relay.settled(org, event_id, id, "delivered").await;
    world.run_until_idle().await;
    assert_eq!(issues(&world), 1, "nothing is lost, nothing is there twice");
}

fn issues(world: &World) -> usize {
    let projects = ["acme/shop", "acme/platform/website"];
    projects.iter().map(|path| world.mocks().gitlab().issues(path).len()).sum()
}
