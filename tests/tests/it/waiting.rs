//! What is put off without being charged: it says why, goes on by itself, and ends with its event.

use serde_json::json;
use sqlx::PgPool;
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

/// The connection becomes one of another provider, as a newer version of us may have connected it.
async fn becomes(sql: &PgPool, connection: Uuid, provider: &str) {
    sqlx::query(
        "update relay.organization_integrations set provider = $2, version = version + 1
         where id = $1",
    )
    .bind(connection)
    .bind(provider)
    .execute(sql)
    .await
    .expect("the database answers");
}

/// A worker that is older than a provider leaves its deliveries to those who know it.
#[tokio::test]
async fn b29_a_delivery_of_an_unknown_provider_waits_and_is_charged_nothing() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    becomes(world.sql(), hook.id, "from_the_future").await;
    let data = json!({ "marker": "early" });
    let event_id = world.relay.emit(&event(org, "vulnerability.found", data)).await;
    let waiting = wait_until("the delivery to be put off", LONG, || async {
        let delivery = world.relay.delivery_of(org, event_id, hook.id).await;
        (delivery["reason"] == "operator_fault").then_some(delivery)
    })
    .await;
    assert_eq!(waiting["attempts"], 0, "{waiting}");
    assert!(world.workers[0].metric("relay_operator_faults_total").await > 0.0);
    // Somebody who knows it comes along.
    becomes(world.sql(), hook.id, "custom_notification").await;
    sqlx::query("update relay.outbox set due_at = now() where connection_id = $1")
        .bind(hook.id)
        .execute(world.sql())
        .await
        .expect("the database answers");
    world.relay.settled(org, event_id, hook.id, "delivered").await;
    assert_eq!(world.receiver.count("/hook"), 1);
}

/// Nobody is charged for a wait, so nothing else would end it: it ends when its event would no longer
/// be kept.
#[tokio::test]
async fn b29_what_was_put_off_for_as_long_as_events_are_kept_expires() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    becomes(world.sql(), hook.id, "from_the_future").await;
    for days in [31, 29] {
        sqlx::query(
            "with recorded as (
                 insert into relay.event_log
                     (id, category, organization_id, kind, payload, occurred_at)
                 select relay.uuid7_at(relay.uuid7_ticks(at)), 'product', $1, 'a.b', '{}', at
                 from (select now() - $3 * interval '1 day' as at) before
                 returning id
             )
             insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard)
             select $1, id, $2, id, relay.shard_of($2) from recorded",
        )
        .bind(org)
        .bind(hook.id)
        .bind(days)
        .execute(world.sql())
        .await
        .expect("it can be promised");
    }
    let kept = wait_until("the younger one to be put off", LONG, || async {
        let kept: Vec<(Option<String>, i32)> = sqlx::query_as(
            "select waiting_for, (now()::date - relay.uuid7_time(event_id)::date) from relay.outbox
             where lease is null",
        )
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
        (kept.len() == 1 && kept[0].0.is_some()).then_some(kept)
    })
    .await;
    assert_eq!(kept, [(Some("operator_fault".to_owned()), 29)]);
    let ended: Vec<(String, String)> =
        sqlx::query_as("select settlement, reason from relay.attempts where organization_id = $1")
            .bind(org)
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    assert_eq!(ended, [("expired".to_owned(), "waited_too_long".to_owned())]);
}

/// What waits for its receiver, a limit, or the one before it says so, though its row does not.
#[tokio::test]
async fn b29_what_waits_for_its_connection_says_why() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1h").start().await;
    let org = new_id();
    let path = |name: &str| world.receiver.url(&format!("/{name}"));
    let (limited, held) = (
        world.relay.create_custom(org, &path("limited")).await.id,
        world.relay.create_custom(org, &path("held")).await.id,
    );
    let (broken, ordered) = (
        world.relay.create_custom(org, &path("broken")).await.id,
        world.relay.create_custom(org, &path("ordered")).await.id,
    );
    let peace = Answer::status(429).header("retry-after", "3600");
    world.receiver.answer("/held", [peace]);
    world.receiver.answer("/broken", vec![Answer::status(500); 30]);
    world.receiver.answer("/ordered", [Answer::status(500)]);
    let limit = json!({ "rate_limit": { "count": 1, "seconds": 3600 } });
    world.relay.change(org, limited, &limit).await.expect(200);
    let block = json!({ "ordering": { "policy": "block" } });
    world.relay.change(org, ordered, &block).await.expect(200);
    for n in 0..10 {
        world.relay.emit(&event(org, "a.b", json!({ "marker": n.to_string() }))).await;
    }
    world.receiver.wait_for("/broken", 10).await;
    wait_until("both troubles to be written down", LONG, || async {
        let known: i64 = sqlx::query_scalar(
            "select count(*) from relay.connection_health
             where held_until > now() or breaker_open_until > now()",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        (known == 2).then_some(())
    })
    .await;
    let last = world.relay.emit(&event(org, "a.b", json!({ "marker": "last" }))).await;
    for (id, reason) in [
        (limited, "rate_limited"),
        (held, "held"),
        (broken, "breaker_open"),
        (ordered, "behind_another"),
    ] {
        wait_until(reason, LONG, || async {
            let delivery = world.relay.delivery_of(org, last, id).await;
            assert_eq!(delivery["status"], "pending", "{delivery}");
            (delivery["reason"] == reason).then_some(())
        })
        .await;
    }
}
