//! What is counted of connections: exactly what was recorded, whoever counts and whatever dies meanwhile.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{Answer, LONG, Outcome, World, event, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

const COUNTS: [&str; 8] =
    ["requests", "failed", "delivered", "dead", "skipped", "cancelled", "expired", "parked"];

async fn statistics(world: &World, org: Uuid, connection: Uuid, query: &str) -> Value {
    let path = format!("/api/organizations/{org}/connections/{connection}/statistics?{query}");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

async fn overview(world: &World, org: Uuid) -> Value {
    let path = format!("/api/organizations/{org}/overview");
    world.relay.admin(org, Method::GET, &path, None).await.expect(200).json()
}

/// Waits until all that was committed before this call is counted.
async fn counted(world: &World) {
    let now: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    wait_until("everything to be counted", LONG, || async {
        sqlx::query_scalar::<_, bool>("select caught_up_at > $1 from relay.statistics_watermark")
            .bind(now)
            .fetch_one(world.sql())
            .await
            .expect("the database answers")
            .then_some(())
    })
    .await;
}

/// What the attempts themselves say, counted by another statement than the one under test.
async fn truth(sql: &PgPool, connection: Uuid) -> Vec<i64> {
    let row: (i64, i64, i64, i64, i64, i64, i64, i64) = sqlx::query_as(
        "select count(lease) filter (where started_at is not null),
                count(lease) filter (where started_at is not null
                                     and settlement not in ('delivered', 'skipped')),
                sum((settlement = 'delivered')::int), sum((settlement = 'dead')::int),
                sum((settlement = 'skipped')::int), sum((settlement = 'cancelled')::int),
                sum((settlement = 'expired')::int), sum((settlement = 'parked')::int)
         from relay.attempts where connection_id = $1 having count(*) > 0",
    )
    .bind(connection)
    .fetch_optional(sql)
    .await
    .expect("the database answers")
    .unwrap_or_default();
    vec![row.0, row.1, row.2, row.3, row.4, row.5, row.6, row.7]
}

fn told(counts: &Value) -> Vec<i64> {
    COUNTS.iter().map(|name| counts[name].as_i64().expect("a number")).collect()
}

/// Every hour adds up to what the attempts say, and to the total.
async fn assert_exact(world: &World, org: Uuid, connection: Uuid) -> Value {
    counted(world).await;
    let found = statistics(world, org, connection, "").await;
    let truth = truth(world.sql(), connection).await;
    assert_eq!(told(&found["total"]), truth, "{COUNTS:?}");
    let hours = found["hours"].as_array().expect("hours");
    assert!((24..=26).contains(&hours.len()), "a day: {}", hours.len());
    let sum = |place: usize| hours.iter().map(|hour| told(hour)[place]).sum::<i64>();
    assert_eq!((0..COUNTS.len()).map(sum).collect::<Vec<_>>(), truth);
    found["total"].clone()
}

/// Each kind of ending is counted where it belongs, and only for who may see it.
#[tokio::test]
async fn each_ending_is_counted_once_and_for_its_own_organization() {
    let world = World::start().await;
    let (org, stranger) = (new_id(), new_id());
    world.receiver.answer("/flaky", [Answer::status(500), Answer::ok()]);
    world.receiver.answer("/bad", [Answer::status(500)]);
    let flaky = world.relay.create_custom(org, &world.receiver.url("/flaky")).await;
    let bad = world.relay.create_custom(org, &world.receiver.url("/bad")).await;
    let paused = world.relay.create_custom(org, &world.receiver.url("/paused")).await;
    let unused = world
        .relay
        .create_custom_with(org, &world.receiver.url("/x"), &json!({ "event_types": ["x.y"] }))
        .await;
    world.relay.change(org, paused.id, &json!({ "paused": true })).await.expect(200);
    for marker in ["1", "2"] {
        world.relay.emit(&event(org, "a.b", json!({ "marker": marker }))).await;
    }
    world.run_until_idle().await;

    let total = assert_exact(&world, org, flaky.id).await;
    assert_eq!(told(&total)[..3], [3, 1, 2], "one request failed, and its delivery arrived later");
    let latency = &total["latency"];
    let at = |name: &str| latency[name].as_u64().expect("milliseconds");
    assert!(at("p50_ms") <= at("p95_ms") && at("p95_ms") <= at("p99_ms"), "{latency}");
    assert!(at("p99_ms") >= 200, "the one that was tried again waited for it: {latency}");
    let total = assert_exact(&world, org, bad.id).await;
    assert_eq!(told(&total), [8, 8, 0, 2, 0, 0, 0, 0], "four requests each, then given up");
    assert_eq!(total["latency"], Value::Null);
    let total = assert_exact(&world, org, paused.id).await;
    assert_eq!(told(&total), [0, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(told(&assert_exact(&world, org, unused.id).await), [0; 8]);

    let overview = overview(&world, org).await;
    let hours = overview["hours"].as_array().expect("hours");
    assert_eq!(hours.len(), 24);
    let sum = |name: &str| hours.iter().map(|hour| hour[name].as_i64().unwrap_or(-1)).sum::<i64>();
    assert_eq!((sum("delivered"), sum("failed"), sum("dead"), sum("skipped")), (2, 9, 2, 2));
    let rows = overview["connections"].as_array().expect("connections");
    assert_eq!(rows.len(), 4);
    for (connection, success) in
        [(&flaky, json!(2.0 / 3.0)), (&bad, json!(0.0)), (&paused, Value::Null)]
    {
        let row = rows.iter().find(|row| row["connection_id"] == json!(connection.id));
        assert_eq!(row.expect("each is there")["success"], success);
    }

    // Nobody else sees any of it.
    let path = format!("/api/organizations/{stranger}/connections/{}/statistics", flaky.id);
    world.relay.admin(stranger, Method::GET, &path, None).await.expect(404);
    let theirs = self::overview(&world, stranger).await;
    assert_eq!(theirs["connections"], json!([]));
    assert!(theirs["hours"].as_array().expect("hours").iter().all(|hour| hour["delivered"] == 0));
    let path = format!("/api/organizations/{org}/overview");
    world.relay.admin(stranger, Method::GET, &path, None).await.expect(404);
    // One that was removed keeps its hours, and is counted among those of the organization.
    world.relay.delete_connection(org, flaky.id).await.expect(200);
    assert_exact(&world, org, flaky.id).await;
    let after = self::overview(&world, org).await;
    assert_eq!(after["connections"].as_array().map(Vec::len), Some(3));
    let delivered = |hour: &Value| hour["delivered"].as_i64().unwrap_or(-1);
    assert_eq!(after["hours"].as_array().expect("hours").iter().map(delivered).sum::<i64>(), 2);
}

/// Attempts of made-up deliveries, as a settlement writes them.
async fn record(
    executor: impl sqlx::PgExecutor<'_>,
    org: Uuid,
    connection: Uuid,
    count: i32,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into relay.attempts (organization_id, delivery_id, number, connection_id, event_id,
                                     lease, started_at, duration_us, status_code, settlement)
         select $1, relay.uuid7(), 1, $2, relay.uuid7(), 1, now(), 1000, 200, 'delivered'
         from generate_series(1, $3)",
    )
    .bind(org)
    .bind(connection)
    .bind(count)
    .execute(executor)
    .await
    .map(|_| ())
}

/// F15, F16: writers that end in any order, some of them rolled back, and one that stays open the
/// whole time: the others are counted meanwhile, and it is when it ends. Several workers count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f16_transactions_that_end_in_any_order_are_counted_once() {
    const WRITERS: i64 = 12;
    const EACH: i64 = 25;
    let world = World::builder().workers(3).start().await;
    let org = new_id();
    let connection = world.relay.create_custom(org, &world.receiver.url("/hook")).await.id;
    let pool = sqlx::postgres::PgPoolOptions::new()
        .max_connections(20)
        .connect(&world.database_url())
        .await
        .expect("the database answers");
    let mut open = pool.begin().await.expect("a transaction can begin");
    record(&mut *open, org, connection, 5).await.expect("it records");
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let pool = pool.clone();
        writers.spawn(async move {
            let mut committed = 0;
            for n in 0..EACH {
                let mut tx = pool.begin().await.expect("a transaction can begin");
                record(&mut *tx, org, connection, 3).await.expect("it records");
                let pause = u64::from(rand::random::<u8>()) * 2;
                tokio::time::sleep(Duration::from_millis(pause)).await;
                record(&mut *tx, org, connection, 4).await.expect("it records");
                if (writer + n) % 10 == 0 {
                    tx.rollback().await.expect("it rolls back");
                } else {
                    tx.commit().await.expect("it commits");
                    committed += 7;
                }
            }
            committed
        });
    }
    let committed: i64 = writers.join_all().await.into_iter().sum();
    assert_eq!(committed, 7 * WRITERS * EACH * 9 / 10, "a tenth is rolled back");
    let total = assert_exact(&world, org, connection).await;
    assert_eq!(total["delivered"], committed, "the open one holds nobody up, and is not seen");
    record(&mut *open, org, connection, 6).await.expect("it records");
    open.commit().await.expect("it commits");
    let total = assert_exact(&world, org, connection).await;
    assert_eq!(total["delivered"], committed + 11, "it is counted when it ends");
    Outcome::of("F15, F16", "12 writers, any order, a tenth rolls back, one stays open").kept(0);
}

/// F1: workers die again and again while they count; what they were at is neither lost nor doubled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_a_worker_that_is_killed_while_it_counts_loses_and_doubles_nothing() {
    let world = World::builder().workers(2).env("RELAY_LEASE", "3s").start().await;
    let org = new_id();
    let connection = world.relay.create_custom(org, &world.receiver.url("/hook")).await.id;
    let mut recorded = 0;
    for round in 0..6 {
        for _ in 0..20 {
            record(world.sql(), org, connection, 500).await.expect("it records");
            recorded += 500;
        }
        // Whoever counts is stopped in the middle: its hours are written and not committed.
        let mut tx = world.sql().begin().await.expect("a transaction can begin");
        sqlx::query("lock table relay.connection_hours in share mode")
            .execute(&mut *tx)
            .await
            .expect("the lock can be had");
        let counting: i32 = wait_until("somebody to count", LONG, || async {
            sqlx::query_scalar(
                "select pid from pg_stat_activity
                 where datname = current_database() and wait_event_type = 'Lock'
                   and query like '%with news as materialized%'",
            )
            .fetch_optional(world.sql())
            .await
            .expect("the database answers")
        })
        .await;
        world.workers.iter().for_each(tests::Process::kill9);
        if round % 2 == 0 {
            // Otherwise Postgres carries the statement out, and then finds nobody to commit it.
            sqlx::query("select pg_terminate_backend($1)")
                .bind(counting)
                .execute(world.sql())
                .await
                .expect("the tests' role may end backends");
        }
        tx.rollback().await.expect("it rolls back");
        world.workers.iter().for_each(tests::Process::restart);
        world.wait_ready().await;
    }
    let total = assert_exact(&world, org, connection).await;
    assert_eq!(total["delivered"], recorded);
}

/// Counting goes on where it stopped, over more than one batch holds, and old hours are forgotten.
#[tokio::test]
async fn a_long_stop_is_caught_up_with_in_batches() {
    let mut world = World::builder().workers(0).start().await;
    let org = new_id();
    let connection = world.relay.create_custom(org, &world.receiver.url("/hook")).await.id;
    // More transactions than a first batch reads, most of them with nothing for us.
    for _ in 0..30 {
        sqlx::query(
            "do $$ begin for i in 1..100 loop
                 perform pg_notify('nobody', ''); create temp table t (); drop table t; commit;
             end loop; end $$",
        )
        .execute(world.sql())
        .await
        .expect("transactions can be had");
        record(world.sql(), org, connection, 100).await.expect("it records");
    }
    sqlx::query(
        "insert into relay.connection_hours (connection_id, hour, organization_id, requests, failed,
             delivered, dead, skipped, cancelled, expired, parked, latency)
         select $1, date_trunc('hour', now(), 'UTC') - day * interval '1 day', $2, 1, 0, 1, 0, 0, 0, 0, 0, '{}'
         from unnest(array[29, 31, 400]) day",
    )
    .bind(connection)
    .bind(org)
    .execute(world.sql())
    .await
    .expect("it records");
    world.add_worker(&[]);
    world.wait_ready().await;
    let total = assert_exact(&world, org, connection).await;
    assert_eq!(total["delivered"], 3_000);
    wait_until("old hours to be forgotten", LONG, || async {
        let left: i64 = sqlx::query_scalar("select count(*) from relay.connection_hours")
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
        (left <= 3).then_some(())
    })
    .await;
    let since = chrono::Utc::now() - chrono::TimeDelta::days(30);
    let query = format!("since={}", since.to_rfc3339().replace('+', "%2B"));
    let month = statistics(&world, org, connection, &query).await;
    assert_eq!(month["total"]["delivered"], 3_001, "what retention keeps is there");
    // A database that was restored elsewhere numbers its transactions anew.
    sqlx::query("update relay.statistics_watermark set seen_below = seen_below + 1000000000")
        .execute(world.sql())
        .await
        .expect("the database answers");
    counted(&world).await;
    record(world.sql(), org, connection, 9).await.expect("it records");
    counted(&world).await;
    let month = statistics(&world, org, connection, &query).await;
    assert_eq!(month["total"]["delivered"], 3_010, "only what came after is counted");
}

/// The overview says what waits, why, since when, and which connections are in trouble.
#[tokio::test]
async fn the_overview_says_what_is_stuck_and_why() {
    let world = World::builder().env("RELAY_RETRY_SCHEDULE", "1h").start().await;
    let (org, stranger) = (new_id(), new_id());
    world.receiver.answer("/bad", [Answer::status(500)]);
    world.receiver.answer("/held", [Answer::status(429).header("retry-after", "3600")]);
    let bad = world.relay.create_custom(org, &world.receiver.url("/bad")).await;
    let held = world.relay.create_custom(org, &world.receiver.url("/held")).await;
    let fine = world.relay.create_custom(org, &world.receiver.url("/fine")).await;
    world.relay.emit(&event(org, "a.b", json!({ "marker": "1" }))).await;
    let overview = wait_until("the trouble to show", LONG, || async {
        tokio::time::sleep(Duration::from_millis(200)).await; // An admin's calls are rationed.
        let overview = overview(&world, org).await;
        let troubled = overview["troubled"].as_array().expect("a list");
        let is_held = troubled.iter().any(|one| one["held_until"].is_string());
        let waits = overview["waiting"]["count"] == 2;
        (troubled.len() == 2 && is_held && waits).then_some(overview)
    })
    .await;
    let of = |id: Uuid| {
        let all = overview["troubled"].as_array().expect("a list");
        all.iter().find(|one| one["connection_id"] == id.to_string()).cloned().expect("troubled")
    };
    assert!(of(bad.id)["failing_since"].is_string());
    assert_eq!(of(bad.id)["waiting"], json!({ "count": 1, "is_more": false }));
    assert!(of(held.id)["held_because"].is_string());
    let reasons = overview["waiting"]["by_reason"].as_array().expect("reasons");
    assert!(!reasons.is_empty() && reasons.iter().all(|one| one["oldest_at"].is_string()));
    let sum: i64 = reasons.iter().filter_map(|one| one["count"].as_i64()).sum();
    assert_eq!(sum, 2, "{reasons:?}");
    assert_eq!(overview["waiting"]["oldest_due_at"], Value::Null, "nothing is due: {overview}");
    assert_eq!(overview["parked"], json!({ "count": 0, "is_more": false }));

    // More is counted than is read: thousands, of which some are parked and some belong to others.
    for (owner, connection, count, parks) in [
        (org, fine.id, 12_000, false),
        (org, fine.id, 4_000, true),
        (stranger, new_id(), 500, false),
    ] {
        sqlx::query(
            "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard,
                                       due_at, waiting_for)
             select $1, relay.uuid7(), $2, relay.uuid7(),
                    case when $4 then relay.parked_shard_of($2) else relay.shard_of($2) end,
                    case when $4 then 'infinity' else now() + interval '2 hours' end,
                    case when $4 then 'connection_error' end
             from generate_series(1, $3)",
        )
        .bind(owner)
        .bind(connection)
        .bind(count)
        .bind(parks)
        .execute(world.sql())
        .await
        .expect("it promises");
    }
    let overview = self::overview(&world, org).await;
    let waiting = &overview["waiting"];
    let count = waiting["count"].as_i64().expect("a number");
    assert!((3_000..=12_000).contains(&count) && waiting["is_more"] == true, "{waiting}");
    assert_eq!(waiting["by_reason"][0]["reason"], "scheduled");
    assert!(overview["parked"]["count"].as_i64() >= Some(3_000), "{}", overview["parked"]);
    assert_eq!(overview["parked"]["is_more"], true);
    let theirs = self::overview(&world, stranger).await;
    assert_eq!(theirs["waiting"]["count"], 0, "a connection that is not theirs");
}

/// A time that is too long, backwards or misspelled is refused by name.
#[tokio::test]
async fn a_wrong_time_is_refused_by_name() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let connection = world.relay.create_custom(org, &world.receiver.url("/hook")).await.id;
    for (query, code) in [
        ("since=2020-01-01T00:00:00Z", "invalid_filter"),
        ("since=2026-02-02T00:00:00Z&until=2026-02-01T00:00:00Z", "invalid_filter"),
        ("since=%3Cscript%3E", "invalid_filter"),
        ("form=2026-02-02T00:00:00Z", "unknown_filter"),
    ] {
        let path = format!("/api/organizations/{org}/connections/{connection}/statistics?{query}");
        let refused = world.relay.admin(org, Method::GET, &path, None).await.expect(422);
        assert_eq!(refused.code(), code, "{query}");
    }
    let path = format!("/api/organizations/{org}/connections/{}/statistics", new_id());
    world.relay.admin(org, Method::GET, &path, None).await.expect(404);
}
