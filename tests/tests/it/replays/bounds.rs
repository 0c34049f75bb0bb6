//! How much a replay counts beforehand, and how much of it waits at once.

use serde_json::json;
use tests::{Answer, LONG, World, wait_until};
use uuid::Uuid;

use super::{ask, id_of, number, record_skipped, show, start, when, with_missed};

/// Of a great many a dry run counts the first ones, and says so.
#[tokio::test]
async fn b40b_a_dry_run_counts_twenty_thousand_and_says_that_there_are_more() {
    let world = World::builder().workers(0).start().await;
    let (org, hook) = with_missed(&world, "/hook", std::iter::empty()).await;
    record_skipped(&world, org, hook.id, "connection_paused", 20_001).await;
    let asked = json!({ "selection": { "status": ["skipped"] }, "dry_run": true });
    let told = ask(&world, org, &asked).await.expect(200).json();
    assert_eq!(told["is_exact"], false, "{told}");
    // On a machine that is very busy it may have run out of time before.
    let total = number(&told, "total");
    assert!((1..=20_000).contains(&total), "{told}");
    assert_eq!(number(&told["by_connection"][0], "count"), total, "{told}");
}

#[tokio::test]
async fn b40b_only_so_many_wait_untried() {
    goes_on_up_to(5_000, 0).await;
}

#[tokio::test]
async fn b40b_only_so_many_wait_at_all() {
    goes_on_up_to(50_000, 1).await;
}

/// A replay of which all but ten of `bound` deliveries wait, each as often tried as `step` says, makes
/// ten more due; and goes on once there is room again.
async fn goes_on_up_to(bound: i32, step: i16) {
    const ROOM: i64 = 10;
    const TOTAL: i64 = 30;
    let world = World::start().await;
    world.workers[0].kill9();
    let (org, _) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 10_000 });
    let id = id_of(&start(&world, org, &asked).await);
    wait_beside(&world, (org, id), bound - ROOM as i32, step).await;
    world.workers[0].restart();
    when(&world, org, id, |replay| number(replay, "considered") >= ROOM).await;
    // Three times it was looked whether there is room.
    let mut looks = Vec::new();
    while looks.len() < 4 {
        let next: (String, String) = wait_until("the next look", LONG, || async {
            let now: (String, String) =
                sqlx::query_as("select status, next_at::text from relay.replay_jobs where id = $1")
                    .bind(id)
                    .fetch_one(world.sql())
                    .await
                    .expect("the database answers");
            Some(now).filter(|now| looks.last() != Some(now))
        })
        .await;
        assert_eq!(next.0, "running");
        looks.push(next);
    }
    let full = show(&world, org, id).await;
    assert_eq!(
        (number(&full, "considered"), number(&full, "still_waiting")),
        (ROOM, i64::from(bound)),
        "{full}"
    );
    world.receiver.release();
    let done = when(&world, org, id, |replay| replay["status"] == "completed").await;
    assert_eq!(number(&done, "replayed"), TOTAL, "{done}");
}

/// Has deliveries of no connection wait until tomorrow, which a replay made due.
async fn wait_beside(world: &World, (org, replay): (Uuid, Uuid), count: i32, step: i16) {
    sqlx::query(
        "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, due_at,
                                   step, replay_id)
         select $1, relay.uuid7(), $5, relay.uuid7(), relay.shard_of($5), now() + interval '1 day', $2, $3
         from generate_series(1, $4)",
    )
    .bind(org)
    .bind(step)
    .bind(replay)
    .bind(count)
    .bind(tests::new_id())
    .execute(world.sql())
    .await
    .expect("the tests' role may");
}
