//! What several ask for at once: nobody's replay is lost, doubled or held up by another's.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, LONG, World, wait_until};
use uuid::Uuid;

use super::{id_of, number, patch, show, start, when, with_missed};

async fn run_sql(world: &World, sql: &'static str) {
    sqlx::raw_sql(sql).execute(world.sql()).await.expect("the tests' role may");
}

/// The ids of an organization's deliveries, the first promised first.
async fn in_order(world: &World, org: Uuid) -> Vec<Uuid> {
    sqlx::query_scalar(
        "select distinct delivery_id from relay.attempts where organization_id = $1 order by 1",
    )
    .bind(org)
    .fetch_all(world.sql())
    .await
    .expect("the database answers")
}

/// Whether these wait in the outbox.
async fn waiting(world: &World, ids: &[Uuid]) -> Vec<bool> {
    sqlx::query_scalar(
        "select exists (select from relay.outbox o where o.delivery_id = n.id)
         from unnest($1::uuid[]) with ordinality as n(id, place) order by n.place",
    )
    .bind(ids)
    .fetch_all(world.sql())
    .await
    .expect("the database answers")
}

/// Has what is promised wait, as behind an open breaker.
async fn keep_waiting(world: &World, connection: Uuid) {
    sqlx::query(
        "update relay.outbox set due_at = now() + interval '1 hour' where connection_id = $1",
    )
    .bind(connection)
    .execute(world.sql())
    .await
    .expect("the tests' role may");
}

/// B40b: calling a replay off takes back what it alone asked for; not what a person asked for before or
/// after it, nor what another replay did.
#[tokio::test]
async fn b40b_calling_off_takes_back_nothing_that_somebody_else_asked_for() {
    const TOTAL: i64 = 40;
    let world = World::builder().env("RELAY_WORKER_CONCURRENCY", "2").start().await;
    let (org, hook) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    let ids = in_order(&world, org).await;
    let [before, after, of_other, alone] = [ids[0], ids[1], ids[2], ids[3]];
    // Nothing more is sent while these two are.
    world.receiver.answer("/hook", [Answer::ok().held()]);
    for id in &ids[38..] {
        world.relay.replay(org, *id).await.expect(202);
    }
    world.receiver.wait_for("/hook", 2).await;

    world.relay.replay(org, before).await.expect(202);
    let called_off = json!({ "selection": { "delivery_ids": ids }, "rate_per_second": 4 });
    let called_off = id_of(&start(&world, org, &called_off).await);
    when(&world, org, called_off, |replay| number(replay, "considered") >= 4).await;
    patch(&world, org, called_off, &json!({ "status": "paused" })).await.expect(200);
    world.relay.replay(org, after).await.expect(202);
    let other = json!({ "selection": { "delivery_ids": [of_other] } });
    let other = id_of(&start(&world, org, &other).await);
    let other = when(&world, org, other, |replay| replay["status"] == "completed").await;
    assert_eq!(number(&other, "replayed"), 1, "it brings forward what waits: {other}");
    keep_waiting(&world, hook.id).await;
    assert_eq!(waiting(&world, &[before, after, of_other, alone]).await, [true; 4]);

    patch(&world, org, called_off, &json!({ "status": "cancelled" })).await.expect(200);
    wait_until("the replay's own to be taken back", LONG, || async {
        (!waiting(&world, &[alone]).await[0]).then_some(())
    })
    .await;
    assert_eq!(waiting(&world, &[before, after, of_other]).await, [true; 3]);
    world.receiver.release();
    run_sql(&world, "update relay.outbox set due_at = now()").await;
    world.run_until_idle().await;
    for (id, status) in
        [(before, "delivered"), (after, "delivered"), (of_other, "delivered"), (alone, "skipped")]
    {
        assert_eq!(world.relay.delivery(org, id).await["status"], status);
    }
    assert_eq!(world.receiver.count("/hook"), 5);
    let over = show(&world, org, called_off).await;
    assert_eq!(number(&over, "replayed") + number(&over, "skipped"), number(&over, "considered"));
}

/// B40b: what a person replayed, and what arrived, between the look at a page and the promise is not
/// sent once more.
#[tokio::test]
async fn b40b_what_arrived_after_it_was_looked_at_is_not_sent_again() {
    let world = World::start().await;
    let (org, _) = with_missed(&world, "/hook", (0..1).map(|n| n.to_string())).await;
    let delivery = in_order(&world, org).await[0];
    // The batch stands still within its promise until the person's replay has arrived.
    run_sql(
        &world,
        "create function relay.test_wait() returns trigger language plpgsql as $$
         begin
             perform pg_advisory_xact_lock(471147);
             while not exists (select from relay.attempts where delivery_id = new.delivery_id
                               and settlement = 'delivered') loop
                 perform pg_sleep(0.02);
             end loop;
             return new;
         end
         $$;
         create trigger test_wait before insert on relay.outbox for each row
         when (new.replay_id is not null) execute function relay.test_wait();",
    )
    .await;
    let asked = json!({ "selection": { "status": ["skipped"] } });
    let id = id_of(&start(&world, org, &asked).await);
    wait_until("the batch to be in its promise", LONG, || async {
        let is_there: bool = sqlx::query_scalar(
            "select exists (select from pg_locks where locktype = 'advisory' and objid = 471147)",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        is_there.then_some(())
    })
    .await;
    world.relay.replay(org, delivery).await.expect(202);
    let over = when(&world, org, id, |replay| replay["status"] == "completed").await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1, "{over}");
    assert_eq!(number(&over, "replayed"), 0, "{over}");
    assert_eq!(over["skipped_by_reason"], json!({ "already_waiting": 1 }));
}

/// I47: a replay whose statements take too long is put off; those of others go on.
#[tokio::test]
async fn i47_a_replay_that_takes_too_long_holds_up_no_other() {
    let world = World::start().await;
    let (slow, _) = with_missed(&world, "/slow", (0..3).map(|n| n.to_string())).await;
    let (swift, _) = with_missed(&world, "/swift", (0..3).map(|n| n.to_string())).await;
    run_sql(
        &world,
        "create function relay.test_timeout() returns trigger language plpgsql as $$
         begin raise exception 'as a timeout' using errcode = '57014'; end
         $$;
         create trigger test_timeout before update on relay.replay_jobs for each row
         when (new.reason = 'slow' and new.counted <> old.counted) execute function relay.test_timeout();",
    )
    .await;
    let asked = json!({ "selection": { "status": ["skipped"] }, "reason": "slow" });
    let id = id_of(&start(&world, slow, &asked).await);
    let asked = json!({ "selection": { "status": ["skipped"] } });
    let other = id_of(&start(&world, swift, &asked).await);
    let done = when(&world, swift, other, |replay| replay["status"] == "completed").await;
    assert_eq!(number(&done, "replayed"), 3);
    wait_until("it to have failed twice", LONG, || async {
        let failures: i16 =
            sqlx::query_scalar("select failures from relay.replay_jobs where id = $1")
                .bind(id)
                .fetch_one(world.sql())
                .await
                .expect("the database answers");
        (failures >= 2).then_some(())
    })
    .await;
    run_sql(&world, "drop trigger test_timeout on relay.replay_jobs").await;
    let done = when(&world, slow, id, |replay| replay["status"] == "completed").await;
    assert_eq!(number(&done, "replayed"), 3);
}

/// I47: a replay that a newer version asked for, in a way that this one cannot read, is put off and in
/// the end given up; those of others go on, and it is listed among them.
#[tokio::test]
async fn i47_a_replay_that_cannot_be_read_holds_up_no_other() {
    let world = World::start().await;
    world.workers[0].kill9();
    let (org, _) = with_missed(&world, "/hook", (0..3).map(|n| n.to_string())).await;
    let asked = json!({ "selection": { "status": ["skipped"] } });
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&start(&world, org, &asked).await));
    }
    // A filter that is not known must not be passed over: more would be sent than was asked for.
    for (id, selection) in [
        (ids[0], json!({ "status": ["lost"] })),
        (ids[1], json!({ "status": ["skipped"], "color": "red" })),
    ] {
        sqlx::query("update relay.replay_jobs set selection = $2 where id = $1")
            .bind(id)
            .bind(selection)
            .execute(world.sql())
            .await
            .expect("the tests' role may");
    }
    world.workers[0].restart();
    let done = when(&world, org, ids[2], |replay| replay["status"] == "completed").await;
    assert_eq!(number(&done, "replayed"), 3, "{done}");
    for id in &ids[..2] {
        let failed = when(&world, org, *id, |replay| replay["status"] == "failed").await;
        assert_eq!((number(&failed, "considered"), &failed["selection"]), (0, &json!({})));
    }
    let path = format!("/api/organizations/{org}/replays");
    let listed = world.relay.admin(org, Method::GET, &path, None).await.expect(200).json();
    let listed: Vec<Uuid> = listed["items"].as_array().expect("a page").iter().map(id_of).collect();
    assert_eq!(listed, [ids[2], ids[1], ids[0]]);
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 3);
}

/// B40b: thousands are called off at once, while no worker lives; whoever comes back takes them back,
/// even if it dies in the middle.
#[tokio::test]
async fn b40b_thousands_are_taken_back_through_a_kill() {
    const TOTAL: i64 = 6_000;
    let world = World::builder()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", "2")
        .start()
        .await;
    let (org, _) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 10_000 });
    let id = id_of(&start(&world, org, &asked).await);
    // So many may wait untried.
    when(&world, org, id, |replay| number(replay, "still_waiting") >= 5_000).await;
    world.workers[0].kill9();
    let cancelled =
        patch(&world, org, id, &json!({ "status": "cancelled" })).await.expect(200).json();
    assert_eq!(
        (&cancelled["status"], number(&cancelled, "still_waiting")),
        (&json!("cancelled"), 5_000)
    );
    world.workers[0].restart();
    let gone = when(&world, org, id, |replay| number(replay, "still_waiting") < 5_000).await;
    world.workers[0].kill9();
    println!("killed at {gone}");
    world.workers[0].restart();
    world.receiver.release();
    world.run_until_idle().await;
    let over = show(&world, org, id).await;
    let withdrawn = over["skipped_by_reason"]["withdrawn"].as_i64().unwrap_or(0);
    assert_eq!(withdrawn + number(&over, "replayed"), 5_000, "each is counted once: {over}");
    assert!(withdrawn > 4_000, "in several goes: {over}");
    assert_eq!(number(&over, "delivered"), number(&over, "replayed"), "{over}");
    assert_eq!(number(&over, "considered"), number(&cancelled, "considered"));
}
