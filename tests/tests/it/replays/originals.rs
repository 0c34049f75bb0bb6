//! Sent again as it was configured once: to the address of then, with today's secrets.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, LONG, World, new_id, wait_until};
use uuid::Uuid;

use super::{found, id_of, number, replayed};

#[tokio::test]
async fn b40_the_original_configuration_goes_to_the_old_address() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/old", [Answer::status(500), Answer::status(410), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/old")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    let dead = world.relay.settled(org, event, hook.id, "dead").await;
    let version_then = dead["attempt_list"][0]["connection_version"].clone();
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let moved = json!({ "webhook_url": world.receiver.url("/new"), "regenerate_secret": true });
    let changed = world.relay.admin(org, Method::PUT, &path, Some(&moved)).await.expect(200);
    let secret = changed.json()["secret"].as_str().expect("the new secret").to_owned();
    for path in ["/old", "/new"] {
        world.relay.keep_secret(&world.receiver.url(path), &secret);
    }

    let ids = json!({ "delivery_ids": [id_of(&dead)] });
    let original = json!({ "selection": ids, "configuration": "original" });
    let done = replayed(&world, org, &original).await;
    assert_eq!((&done["configuration"], number(&done, "replayed")), (&json!("original"), 1));
    assert_eq!((world.receiver.count("/old"), world.receiver.count("/new")), (2, 0));
    // The old address is gone, which says nothing of the connection.
    let settings = world.relay.connection(org, hook.id).await.json();
    assert_eq!(settings["status"], "connected", "{settings}");
    let shown = world.relay.delivery(org, id_of(&dead)).await;
    let attempts = shown["attempt_list"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{shown}");
    assert_eq!(attempts[1]["connection_version"], version_then, "it is told what was used");

    // The last attempt used the old settings, so those are still the original ones.
    let done = replayed(&world, org, &original).await;
    assert_eq!(number(&done, "delivered"), 1, "{done}");
    assert_eq!((world.receiver.count("/old"), world.receiver.count("/new")), (3, 0));
    let current = json!({ "selection": ids });
    let done = replayed(&world, org, &current).await;
    assert_eq!((&done["configuration"], number(&done, "delivered")), (&json!("current"), 1));
    assert_eq!((world.receiver.count("/old"), world.receiver.count("/new")), (3, 1));
    let last: Value = world.relay.delivery(org, id_of(&dead)).await;
    let used = &last["attempt_list"][3]["connection_version"];
    assert!(used.as_i64() > version_then.as_i64(), "{last}");
    let verified = world.receiver.arrivals("/old")[2].verify(&secret);
    assert!(verified.is_ok(), "signed with the secret of today: {verified:?}");
}

/// How many connections of an organization are in trouble.
async fn in_trouble(world: &World, org: Uuid) -> i64 {
    sqlx::query_scalar("select count(*) from relay.connection_health where organization_id = $1")
        .bind(org)
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// An old address that fails again and again says nothing of the new one: no breaker opens, and nobody
/// is told that the connection fails.
#[tokio::test]
async fn b40_what_an_old_address_answers_says_nothing_of_the_connection() {
    /// More failures in a row than open a breaker.
    const TOTAL: i64 = 12;
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/old")).await;
    for n in 0..TOTAL {
        world.relay.emit(&found(org, &n.to_string())).await;
    }
    world.run_until_idle().await;
    let ids: Vec<Uuid> = world.relay.deliveries(org).await.iter().map(id_of).collect();
    let path = format!("/api/integrations/organizations/{org}/custom-integrations/{}", hook.id);
    let moved = json!({ "webhook_url": world.receiver.url("/new") });
    world.relay.admin(org, Method::PUT, &path, Some(&moved)).await.expect(200);
    world.relay.keep_secret(&world.receiver.url("/new"), &hook.secret);
    world.receiver.answer("/old", [Answer::status(500)]);

    let original = json!({ "selection": { "delivery_ids": ids }, "configuration": "original" });
    let done = replayed(&world, org, &original).await;
    assert_eq!((number(&done, "replayed"), number(&done, "delivered")), (TOTAL, 0), "{done}");
    assert_eq!(world.receiver.count("/old") as i64, 2 * TOTAL);
    // What is remembered of an ordinary failure after it is there: then so would be what came before.
    let other = new_id();
    world.relay.create_custom(other, &world.receiver.url("/failing")).await;
    world.receiver.answer("/failing", [Answer::status(500)]);
    world.relay.emit(&found(other, "fails")).await;
    wait_until("the ordinary failure to be remembered", LONG, || async {
        (in_trouble(&world, other).await == 1).then_some(())
    })
    .await;
    assert_eq!(in_trouble(&world, org).await, 0);
    world.relay.emit(&found(org, "ordinary")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.arrivals("/new")[0].marker(), "ordinary");
}
