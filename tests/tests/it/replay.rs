//! B40a: a person asks for one delivery again, and gets exactly that.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Answer, LONG, World, event, new_id, wait_until};
use uuid::Uuid;

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

fn id_of(delivery: &Value) -> Uuid {
    delivery["id"].as_str().and_then(|id| id.parse().ok()).expect("a delivery has an id")
}

#[tokio::test]
async fn b40a_a_replay_is_one_more_attempt_under_the_same_id() {
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    let id = id_of(&world.relay.delivery_of(org, event, hook.id).await);

    world.relay.replay(org, id).await.expect(202);
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    world.run_until_idle().await;
    assert_eq!(arrivals[1].delivery_id(), id);
    assert_eq!(arrivals[1].attempt(), 2);
    assert_eq!(arrivals[0].body, arrivals[1].body);
    assert_eq!(arrivals[0].header("x-deptex-replay"), "");
    assert_eq!(arrivals[1].header("x-deptex-replay"), "true");
    let delivery = world.relay.delivery(org, id).await;
    assert_eq!(delivery["status"], "delivered");
    assert_eq!(delivery["attempt_list"].as_array().map(Vec::len), Some(2), "{delivery}");
    assert_eq!(world.receiver.count("/hook"), 2);
    // Who asked, and why, stands in the connection's history.
    let recorded: Vec<(Value, Option<String>)> = sqlx::query_as(
        "select payload::jsonb, actor from relay.event_log
         where category = 'connection' and stream_id = $1 order by version desc limit 1",
    )
    .bind(hook.id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let (payload, actor) = &recorded[0];
    assert!(payload.to_string().contains(&id.to_string()), "{payload}");
    assert!(payload.to_string().contains("a test"), "{payload}");
    assert!(actor.is_some());
}

#[tokio::test]
async fn b40a_a_waiting_retry_is_brought_forward_and_not_doubled() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "60s,60s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    let waiting = wait_until("the failure to be settled", LONG, || async {
        let delivery = world.relay.delivery_of(org, event, hook.id).await;
        (delivery["attempts"] == 1 && delivery["status_code"] == 500).then_some(delivery)
    })
    .await;
    assert_eq!(waiting["status"], "pending");
    world.relay.replay(org, id_of(&waiting)).await.expect(202);
    // Emptied at once, so the retry that was due in a minute went with it.
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, event, hook.id).await;
    assert_eq!(delivery["status"], "delivered", "{delivery}");
    assert_eq!(delivery["attempts"], 2);
    assert_eq!(world.receiver.count("/hook"), 2);
}

#[tokio::test]
async fn b40a_a_replay_to_nobody_is_refused_and_leaves_nothing() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    let mut ids = Vec::new();
    for (path, status) in [("/removed", 200), ("/paused", 500), ("/gone", 410)] {
        world.receiver.answer(path, [Answer::status(status)]);
        let hook = world.relay.create_custom(org, &world.receiver.url(path)).await;
        let event = world.relay.emit(&found(org, path)).await;
        world.run_until_idle().await;
        ids.push((hook.id, id_of(&world.relay.delivery_of(org, event, hook.id).await)));
        match path {
            "/removed" => drop(world.relay.delete_connection(org, hook.id).await.expect(200)),
            "/paused" => {
                let paused = json!({ "paused": true });
                world.relay.change(org, hook.id, &paused).await.expect(200);
            }
            _ => {
                wait_until("the connection to be switched off", LONG, || async {
                    let settings = world.relay.connection(org, hook.id).await.json();
                    (settings["status"] == "suspended").then_some(())
                })
                .await;
            }
        }
    }
    for (_, id) in &ids {
        let refused = world.relay.replay(org, *id).await.expect(409);
        assert_eq!(refused.code(), "connection_not_connected");
    }
    assert_eq!(world.relay.replay(org, new_id()).await.expect(404).code(), "not_found");
    assert_eq!(world.outbox_len().await, 0);
}

#[tokio::test]
async fn b40a_what_is_being_sent_is_not_sent_twice_however_many_ask() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::status(500), Answer::ok().held()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    let dead = world.relay.settled(org, event, hook.id, "dead").await;
    let id = id_of(&dead);

    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let relay = world.relay.clone();
        asking.spawn(async move { relay.replay(org, id).await });
    }
    let answers = asking.join_all().await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(accepted >= 1, "{answers:?}");
    for other in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((other.status, other.code().as_str()), (409, "delivery_in_flight"));
    }
    world.receiver.wait_for("/hook", 2).await;
    let refused = world.relay.replay(org, id).await.expect(409);
    assert_eq!(refused.code(), "delivery_in_flight");
    world.receiver.release();
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 2, "one failure, one replay");
    assert_eq!(world.relay.delivery(org, id).await["status"], "delivered");
}

/// B39: what was given up on is not lost; nor does it come back by itself.
#[tokio::test]
async fn b40c_retention_takes_the_payload_and_leaves_the_attempts_and_a_replay_is_answered_with_410()
 {
    let world = World::builder().start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    world.run_until_idle().await;
    let id = id_of(&world.relay.delivery_of(org, event, hook.id).await);
    forget_event(&world, event).await;
    assert_eq!(world.relay.replay(org, id).await.expect(410).code(), "event_expired");
    assert_eq!(world.outbox_len().await, 0);
    let delivery = world.relay.delivery(org, id).await;
    assert_eq!((&delivery["status"], &delivery["data"]), (&json!("delivered"), &Value::Null));
    assert_eq!(delivery["attempt_list"][0]["status_code"], 200, "what was done is still told");
    tokio::time::timeout(Duration::from_secs(5), world.run_until_idle()).await.expect("it is idle");
}

/// As retention does by dropping a partition, for one event.
pub(crate) async fn forget_event(world: &World, event: Uuid) {
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    sqlx::query("set local session_replication_role = replica")
        .execute(&mut *tx)
        .await
        .expect("the tests' role is a superuser");
    let gone = sqlx::query("delete from relay.event_log where category = 'product' and id = $1")
        .bind(event)
        .execute(&mut *tx)
        .await
        .expect("without its trigger the log can be cut");
    assert_eq!(gone.rows_affected(), 1);
    tx.commit().await.expect("it commits");
}
