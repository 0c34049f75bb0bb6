//! Pausing, resuming, calling off, and who did: what an admin does with a replay that runs.

use serde_json::{Value, json};
use tests::{Answer, World};
use uuid::Uuid;

use super::{ask, id_of, number, patch, show, start, when, with_missed};

async fn history(world: &World, id: Uuid) -> Vec<(String, String, Value)> {
    sqlx::query_as(
        "select kind, actor, payload::jsonb from relay.event_log
         where category = 'replay' and stream_id = $1 order by version",
    )
    .bind(id)
    .fetch_all(world.sql())
    .await
    .expect("the database answers")
}

#[tokio::test]
async fn b40b_a_paused_replay_makes_nothing_due_until_it_is_resumed() {
    let world = World::start().await;
    let (org, _) = with_missed(&world, "/hook", (0..200).map(|n| n.to_string())).await;
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 40, "reason": "it was off" });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "replayed") > 10).await;
    let paused = patch(&world, org, id, &json!({ "status": "paused" })).await.expect(200).json();
    assert_eq!(paused["status"], "paused");
    assert!(paused["paused_at"].is_string() && paused["eta_seconds"].is_null(), "{paused}");
    let at = number(&paused, "considered");
    assert!((10..200).contains(&at), "{paused}");
    // What it had made due goes out; after that, nothing moves.
    world.run_until_idle().await;
    let still = show(&world, org, id).await;
    assert_eq!((number(&still, "considered"), number(&still, "still_waiting")), (at, 0), "{still}");
    assert_eq!(number(&still, "delivered"), number(&still, "replayed"));
    assert_eq!(world.receiver.count("/hook") as i64, at);
    let on = json!({ "status": "running", "rate_per_second": 2000 });
    let resumed = patch(&world, org, id, &on).await.expect(200).json();
    assert_eq!((&resumed["status"], &resumed["paused_at"]), (&json!("running"), &Value::Null));
    when(&world, org, id, |replay| replay["status"] == "completed").await;
    world.run_until_idle().await;
    let done = show(&world, org, id).await;
    assert_eq!((number(&done, "delivered"), world.receiver.count("/hook")), (200, 200), "{done}");
    for change in [json!({ "status": "running" }), json!({ "status": "cancelled" })] {
        let refused = patch(&world, org, id, &change).await.expect(409);
        assert_eq!(refused.code(), "replay_finished");
    }
    let refused = patch(&world, org, id, &json!({ "status": "completed" })).await.expect(422);
    assert_eq!(refused.code(), "invalid_status");

    let history = history(&world, id).await;
    let kinds: Vec<&str> = history.iter().map(|(kind, ..)| kind.as_str()).collect();
    let expected = ["requested", "paused", "resumed", "rate_changed", "completed"];
    assert_eq!(kinds, expected.map(|kind| format!("replay.{kind}")));
    assert_eq!(history[0].2["reason"], "it was off");
    assert_eq!(history[0].2["selection"], json!({ "status": ["skipped"] }));
    assert!(history[..4].iter().all(|(_, actor, _)| actor.starts_with("user:")), "{history:?}");
    assert_eq!(history[4].1, "system");
    assert_eq!(history[4].2, json!({ "considered": 200, "replayed": 200 }));
}

fn withdrawn(replay: &Value) -> i64 {
    replay["skipped_by_reason"]["withdrawn"].as_i64().unwrap_or(0)
}

#[tokio::test]
async fn b40b_a_cancelled_replay_takes_back_what_nobody_tried() {
    const TOTAL: i64 = 300;
    let world = World::builder().env("RELAY_WORKER_CONCURRENCY", "2").start().await;
    let (org, _) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 100 });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "replayed") > 60).await;
    let cancelled =
        patch(&world, org, id, &json!({ "status": "cancelled" })).await.expect(200).json();
    assert_eq!(cancelled["status"], "cancelled");
    // Two are on their way, and two more may have been taken meanwhile.
    when(&world, org, id, |replay| withdrawn(replay) > 0 && number(replay, "still_waiting") <= 4)
        .await;
    // Asking twice is harmless.
    patch(&world, org, id, &json!({ "status": "cancelled" })).await.expect(200);
    world.receiver.release();
    world.run_until_idle().await;
    let over = show(&world, org, id).await;
    assert!(over["finished_at"].is_string(), "{over}");
    assert_eq!(over["considered"], cancelled["considered"], "nothing more was looked at");
    assert_eq!(number(&over, "replayed") + number(&over, "skipped"), number(&over, "considered"));
    assert_eq!(number(&over, "delivered"), number(&over, "replayed"), "{over}");
    let sent = world.receiver.count("/hook") as i64;
    assert_eq!(sent, number(&over, "replayed"), "just what was on its way has arrived");
    let left = world.relay.deliveries_where(org, "status=skipped").await;
    assert_eq!(left.len() as i64, TOTAL - sent, "the others stand as they did");
    assert!(left.iter().all(|delivery| delivery["reason"] == "connection_paused"));
}

#[tokio::test]
async fn i47_an_organization_has_only_so_many_replays_under_way() {
    let world = World::builder().workers(0).start().await;
    let (org, _) = with_missed(&world, "/hook", (0..1).map(|n| n.to_string())).await;
    let asked = json!({ "selection": { "status": ["skipped"] } });
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let (relay, asked) = (world.relay.clone(), asked.clone());
        let path = format!("/api/organizations/{org}/replays");
        asking.spawn(
            async move { relay.admin(org, reqwest::Method::POST, &path, Some(&asked)).await },
        );
    }
    let answers = asking.join_all().await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 20);
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        assert_eq!((refused.status, refused.code().as_str()), (429, "too_many_replays"));
        assert!(refused.headers.contains_key("retry-after"));
    }
    let (other, _) = with_missed(&world, "/other", (0..1).map(|n| n.to_string())).await;
    ask(&world, other, &asked).await.expect(202);
}
