//! F26: retention under load. A day goes only when nobody needs it, and nobody waits for that for long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::json;
use tests::{Ledger, Outcome, World, event, new_id};
use uuid::Uuid;

/// How long `relay.drop_old_partitions` waits for a lock, as its definition says.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(8);
const DAYS: i32 = 3;

/// Days long ago, of all three tables, each with a row; gives the events.
async fn old_days(world: &World, org: Uuid) -> Vec<Uuid> {
    let made = format!(
        "do $$
         declare
             first_day date;
             parent text;
             part text;
         begin
             for n in 40 .. 40 + {DAYS} - 1 loop
                 first_day := (now() at time zone 'UTC')::date - n;
                 foreach parent in array array['event_log_product', 'attempts', 'idempotency_keys'] loop
                     part := parent || '_' || to_char(first_day, 'YYYYMMDD');
                     execute format('create table relay.%I (like relay.%I including defaults including constraints)', part, parent);
                     if parent = 'event_log_product' then
                         execute format('alter table relay.%I attach partition relay.%I for values from (%L) to (%L)', parent, part,
                             relay.uuid7_floor(first_day::timestamp at time zone 'UTC'),
                             relay.uuid7_floor((first_day + 1)::timestamp at time zone 'UTC'));
                     else
                         execute format('alter table relay.%I attach partition relay.%I for values from (%L) to (%L)',
                             parent, part, first_day::text || ' 00:00+00', (first_day + 1)::text || ' 00:00+00');
                     end if;
                 end loop;
             end loop;
         end
         $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(world.sql()).await.expect("days are made");
    sqlx::query_scalar(
        "with fact as (
             insert into relay.event_log_product (
                 id, category, organization_id, kind, payload, occurred_at, recorded_at)
             select relay.uuid7_floor(at), 'product', $1, 'a.b', json_build_object('marker', 'old-' || n), at, at
             from generate_series(40, 40 + $2 - 1) n
             cross join lateral (
                 select ((now() at time zone 'UTC')::date - n)::timestamp at time zone 'UTC'
                        + interval '1 hour' as at) t
             returning id, recorded_at
         ), tried as (
             insert into relay.attempts (
                 organization_id, delivery_id, number, connection_id, event_id, settlement, reason, recorded_at)
             select $1, id, 0, $1, id, 'skipped', 'connection_paused', recorded_at from fact
         )
         select id from fact order by id desc",
    )
    .bind(org)
    .bind(DAYS)
    .fetch_all(world.sql())
    .await
    .expect("the tests' role may")
}

async fn days_left(world: &World) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_class c where c.relnamespace = 'relay'::regnamespace
         and c.relname ~ '^(event_log_product|attempts|idempotency_keys)_[0-9]{8}$'
         and right(c.relname, 8) < to_char(now() - interval '30 days', 'YYYYMMDD')",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

/// F26: somebody reads an old day for as long as they like, while events come in: retention gives up
/// within its lock timeout, again and again, and drops what it may when the reader is gone. A day of
/// which something is still promised outlives that; whatever came in meanwhile arrives, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_retention_gives_up_in_time_under_load_and_keeps_what_is_promised() {
    const TRIES: usize = 2;
    let world = World::start().await;
    let (org, old) = (new_id(), new_id());
    world.relay.create_custom(org, &world.receiver.url("/live")).await;
    let events = old_days(&world, old).await;
    // Promised for ever: parked. Its connection does not matter here.
    sqlx::query(
        "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, due_at, waiting_for)
         values ($1, relay.uuid7(), $1, $2, relay.parked_shard_of($1), 'infinity', 'no_destination')",
    )
    .bind(old)
    .bind(events[0])
    .execute(world.sql())
    .await
    .expect("the tests' role may");
    assert_eq!(days_left(&world).await, i64::from(3 * DAYS));

    let (ledger, stop) = (Ledger::default(), Arc::new(AtomicBool::new(false)));
    let load = {
        let (relay, ledger, stop) = (world.relay.clone(), ledger.clone(), stop.clone());
        tokio::spawn(async move {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let marker = format!("live-{n}");
                ledger.sending(&marker);
                let body = event(org, "a.b", json!({ "marker": marker }));
                // Who waits behind the waiting lock may be told to come again; nothing else is an answer.
                let answer = relay.try_emit(&body).await;
                assert!([202, 503].contains(&answer.status), "{}", answer.status);
                if answer.status == 202 {
                    ledger.acknowledged(&marker);
                }
                n += 1;
            }
        })
    };
    let mut reader = world.sql().begin().await.expect("the database answers");
    sqlx::query("select count(*) from relay.event_log where category = 'product'")
        .execute(&mut *reader)
        .await
        .expect("anybody may read");
    let (mut refusals, mut longest) = (0, Duration::ZERO);
    for _ in 0..TRIES {
        let begun = Instant::now();
        let done =
            sqlx::query("select relay.drop_old_partitions('30 days')").execute(world.sql()).await;
        longest = longest.max(begun.elapsed());
        let refused = done.expect_err("somebody reads").to_string();
        assert!(refused.contains("lock timeout"), "{refused}");
        refusals += 1;
    }
    assert!(longest < LOCK_TIMEOUT + SLACK, "it gives up in time: {longest:?}");
    assert_eq!(days_left(&world).await, i64::from(3 * DAYS), "all or nothing");
    reader.rollback().await.expect("the database answers");
    let free_at = Instant::now();
    let dropped = loop {
        // The load's own short transactions may be in the way too.
        let done = sqlx::query_scalar::<_, i32>("select relay.drop_old_partitions('30 days')")
            .fetch_one(world.sql())
            .await;
        if let Ok(dropped) = done {
            break dropped;
        }
        assert!(free_at.elapsed() < 4 * SLACK, "{done:?}");
    };
    let recovered = free_at.elapsed();
    assert_eq!(i64::from(dropped), i64::from(3 * DAYS) - 1, "all but the day that is promised");
    world.receiver.wait_for("/live", ledger.promised().min(20)).await;
    stop.store(true, Ordering::Relaxed);
    load.await.expect("it does not panic");
    world.run_until_idle().await;
    let kept: i64 = sqlx::query_scalar("select count(*) from relay.event_log where id = any($1)")
        .bind(&events)
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(kept, 1, "the event that is promised");
    let outcome: Outcome = ledger
        .tally(&world.receiver, &["/live"])
        .outcome("F26", "somebody reads a day that retention wants to drop, under load")
        .measured("times it gave up in its lock timeout", refusals)
        .measured("days dropped afterwards", dropped)
        .recovered(recovered);
    outcome.kept(0);
}
