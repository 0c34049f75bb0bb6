//! What statements cost does not follow from what the tables held when Postgres planned them.

use std::time::Duration;

use serde_json::json;
use tests::{Answer, LONG, World, event, new_id, wait_until};

/// Deliveries that lie in the outbox and have nothing to do with what is counted.
const OTHERS: i64 = 20_000;
/// What looking at how much is queued may read of them meanwhile: all of it, every ten seconds.
const LOOKED_AT: i64 = 3 * OTHERS;

/// How many entries of the outbox's indexes were read, by everybody and ever.
async fn entries_read(world: &World) -> i64 {
    // Sessions report what they read when they commit, at most once a second.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    sqlx::query_scalar(
        "select coalesce(sum(idx_tup_read), 0)::bigint from pg_stat_user_indexes
         where schemaname = 'relay' and relname = 'outbox'",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

async fn emitted_and_settled(world: &World, org: uuid::Uuid, count: usize) {
    for _ in 0..count / 50 {
        let events: Vec<_> = (0..50).map(|n| event(org, "test.plan", json!({ "n": n }))).collect();
        world.relay.emit_batch(&events).await;
    }
    wait_until("the deliveries to be settled", LONG, || async {
        let left: i64 =
            sqlx::query_scalar("select count(*) from relay.outbox where organization_id = $1")
                .bind(org)
                .fetch_one(world.sql())
                .await
                .expect("the database answers");
        (left == 0).then_some(())
    })
    .await;
}

/// Stores 20,000 deliveries of others, which are due tomorrow.
async fn crowd(world: &World) {
    sqlx::query(
        "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, due_at)
         select other, relay.uuid7(), other, relay.uuid7(), relay.shard_of(other), now() + interval '1 day'
         from generate_series(1, $1) n
         join (select k, gen_random_uuid() as other from generate_series(0, 3) k) o on k = n % 4",
    )
    .bind(OTHERS)
    .execute(world.sql())
    .await
    .expect("they are inserted");
}

/// Has Postgres see an outbox that has pages and nothing in them, and plan anew.
async fn seen_empty(world: &World, org: uuid::Uuid) {
    emitted_and_settled(world, org, 200).await;
    sqlx::query("vacuum analyze relay.outbox").execute(world.sql()).await.expect("it is vacuumed");
    emitted_and_settled(world, org, 50).await;
}

/// An outbox that was empty when it was looked at, and holds 20,000 deliveries of others now: settling
/// reads what it settles, not all that is there.
#[tokio::test]
async fn settling_costs_the_same_whatever_is_queued() {
    const SETTLED: usize = 400;
    let world = World::builder().env("RELAY_LEASE", "30s").start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    seen_empty(&world, org).await;
    crowd(&world).await;
    let before = entries_read(&world).await;
    emitted_and_settled(&world, org, SETTLED).await;
    let read = entries_read(&world).await - before;
    println!("{read} entries read for {SETTLED} deliveries");
    // A walk through all of it reads as many entries as there are, for each batch that is settled.
    assert!(read < OTHERS + LOOKED_AT, "{read} entries were read for {SETTLED} deliveries");
}

/// The same of renewing leases, and of handing them back.
#[tokio::test]
async fn renewing_and_handing_back_cost_the_same_whatever_is_queued() {
    const HELD: usize = 20;
    let world = World::builder()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &(HELD / 2).to_string())
        .start()
        .await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    seen_empty(&world, org).await;
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let arrived = world.receiver.count("/hook");
    let events: Vec<_> = (0..HELD).map(|n| event(org, "test.plan", json!({ "n": n }))).collect();
    world.relay.emit_batch(&events).await;
    world.receiver.wait_for("/hook", arrived + HELD / 2).await;
    crowd(&world).await;
    let before = entries_read(&world).await;
    // Each lease is renewed three times in its length; one that was not would be seen as a crash.
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.workers[0].sigterm();
    world.receiver.release();
    assert!(world.workers[0].wait_exit(LONG).await.success());
    let read = entries_read(&world).await - before;
    println!("{read} entries read while {HELD} leases were renewed and handed back");
    assert!(read < OTHERS + LOOKED_AT, "{read} entries were read for {HELD} leases");
    let crashed: i64 = sqlx::query_scalar("select count(*) from relay.outbox where crashes > 0")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(crashed, 0, "they were renewed");
}

/// Attempts of many connections that are counted together: each is looked at once, not once for every
/// other one. Otherwise this would not end before statements are broken off.
#[tokio::test]
async fn counting_costs_the_same_for_each_connection() {
    const CONNECTIONS: i64 = 10_000;
    let mut world = World::builder().workers(0).start().await;
    let insert = "insert into relay.attempts
             (organization_id, delivery_id, number, connection_id, event_id, lease, started_at,
              duration_us, status_code, settlement)
         select $1, relay.uuid7(), 1, relay.uuid7(), relay.uuid7(), 1, now(), 1000 * n, 200, 'delivered'
         from generate_series(1, $2) n";
    sqlx::query(insert)
        .bind(new_id())
        .bind(CONNECTIONS)
        .execute(world.sql())
        .await
        .expect("they are recorded");
    world.add_worker(&[]);
    wait_until("all of them to be counted", LONG, || async {
        let counted: i64 = sqlx::query_scalar(
            "select count(*) from relay.connection_hours where cardinality(latency) > 0",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        (counted == CONNECTIONS).then_some(())
    })
    .await;
}
