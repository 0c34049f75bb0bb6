//! What statements cost does not follow from what the tables held when Postgres planned them.

use serde_json::json;
use tests::{LONG, World, event, new_id, wait_until};

/// How many entries of the outbox's indexes were read, by everybody and ever.
async fn entries_read(world: &World) -> i64 {
    // Sessions report what they read when they commit, at most once a second.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
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

/// An outbox that was empty when it was looked at, and holds 20,000 deliveries of others now: settling
/// reads what it settles, not all that is there.
#[tokio::test]
async fn settling_costs_the_same_whatever_is_queued() {
    const SETTLED: usize = 400;
    const OTHERS: i64 = 20_000;
    let world = World::builder().env("RELAY_LEASE", "30s").start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    emitted_and_settled(&world, org, 200).await;
    sqlx::query("vacuum analyze relay.outbox").execute(world.sql()).await.expect("it is vacuumed");
    // Plans are made anew on what was just seen.
    emitted_and_settled(&world, org, 50).await;
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
    let before = entries_read(&world).await;
    emitted_and_settled(&world, org, SETTLED).await;
    let read = entries_read(&world).await - before;
    println!("{read} entries read for {SETTLED} deliveries");
    // A walk through all of it reads as many entries as there are, for each batch that is settled.
    assert!(read < OTHERS, "{read} entries were read for {SETTLED} deliveries");
}
