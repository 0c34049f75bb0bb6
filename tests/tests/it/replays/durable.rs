//! A replay of many goes on through a kill, beside live events, and while retention drops days.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tests::{Answer, LONG, Ledger, World, new_id, wait_until};
use uuid::Uuid;

use super::{VERY_LONG, found, id_of, number, patch, show, start, when, with_missed};

/// B40b: more than 10,000, killed again and again in the middle. Each is made due once; twice arrives
/// only what was on its way when its worker died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b40b_more_than_ten_thousand_survive_kills_and_none_is_doubled() {
    const TOTAL: usize = 10_500;
    const CONCURRENCY: usize = 16;
    const KILLS: usize = 3;
    let world = World::builder()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    let ledger = Ledger::default();
    let markers = (0..TOTAL).map(|n| n.to_string()).inspect(|marker| ledger.acknowledged(marker));
    let (org, _) = with_missed(&world, "/hook", markers).await;
    assert_eq!(world.receiver.count("/hook"), 0);
    let asked =
        json!({ "selection": { "missed_since": "2020-01-01T00:00:00Z" }, "rate_per_second": 3000 });
    let id = id_of(&start(&world, org, &asked).await);
    for kill in 1..=KILLS {
        let so_far = (TOTAL * kill / (KILLS + 2)) as i64;
        when(&world, org, id, |replay| number(replay, "considered") >= so_far).await;
        world.workers[0].kill9();
        let at = show(&world, org, id).await;
        assert_eq!(at["status"], "running", "killed in the middle: {at}");
        world.workers[0].restart();
    }
    let done = when(&world, org, id, |replay| replay["status"] == "completed").await;
    let counts = ["total", "considered", "replayed", "skipped"].map(|name| number(&done, name));
    assert_eq!(counts, [TOTAL as i64, TOTAL as i64, TOTAL as i64, 0], "{done}");
    wait_until("the outbox to be empty", VERY_LONG, || async {
        (world.outbox_len().await == 0).then_some(())
    })
    .await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("B40b", "the worker is killed three times during a replay of 10,500")
        .kept(KILLS * CONCURRENCY);
    let over = show(&world, org, id).await;
    assert_eq!((number(&over, "delivered"), number(&over, "still_waiting")), (TOTAL as i64, 0));
    // By the record as well: one end after the replay for each, and no other.
    let ends: Vec<(i64, i64)> = sqlx::query_as(
        "select ends, count(*) from (
             select count(*) as ends from relay.attempts
             where organization_id = $1 and class = 2 and settlement <> 'retrying'
             group by delivery_id) d
         group by ends",
    )
    .bind(org)
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(ends, [(1, TOTAL as i64)]);
}

/// Two workers, each able to move it on: the row's lock lets one at a time.
#[tokio::test]
async fn b40b_two_workers_share_replays_and_double_nothing() {
    const TOTAL: usize = 600;
    let world = World::builder().workers(2).start().await;
    let ledger = Ledger::default();
    let markers = (0..TOTAL).map(|n| n.to_string()).inspect(|marker| ledger.acknowledged(marker));
    let (org, _) = with_missed(&world, "/hook", markers).await;
    // Three replays of the same: whoever comes first has a delivery, and the others find it waiting,
    // or gone.
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 5000 });
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&start(&world, org, &asked).await));
    }
    let mut replayed = 0;
    for id in ids {
        let done = when(&world, org, id, |replay| replay["status"] == "completed").await;
        replayed += number(&done, "replayed");
    }
    world.run_until_idle().await;
    assert_eq!(replayed, TOTAL as i64);
    ledger.tally(&world.receiver, &["/hook"]).assert_kept(0);
}

/// F26: retention drops days during a replay and under live load: a day that is being replayed waits,
/// and what was dropped first is told as such. Nothing that was promised is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f26_retention_drops_days_during_a_replay_and_live_load() {
    const DAYS: i64 = 12;
    const OF_A_DAY: i64 = 40;
    let world = World::start().await;
    let (org, other) = (new_id(), new_id());
    // What was promised waits at the receiver, and must not lose its event there.
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.create_custom(other, &world.receiver.url("/live")).await;
    let old = old_days(&world, org, hook.id, DAYS, OF_A_DAY).await;
    let asked = json!({ "selection": { "delivery_ids": old }, "rate_per_second": 60 });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "replayed") >= 2 * OF_A_DAY).await;
    let ledger = Ledger::default();
    let stop = Arc::new(AtomicBool::new(false));
    let dropping = {
        let (pool, stop) = (world.sql().clone(), stop.clone());
        tokio::spawn(async move {
            let (mut dropped, mut failures) = (0, Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let done =
                    sqlx::query_scalar::<_, i32>("select relay.drop_old_partitions('10 days')")
                        .fetch_one(&pool)
                        .await;
                match done {
                    Ok(count) => dropped += count,
                    Err(error) => failures.push(error.to_string()),
                }
            }
            (dropped, failures)
        })
    };
    let live = {
        let (relay, ledger, stop) = (world.relay.clone(), ledger.clone(), stop.clone());
        tokio::spawn(async move {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                let marker = format!("live-{n}");
                relay.emit(&found(other, &marker)).await;
                ledger.acknowledged(&marker);
                n += 1;
            }
        })
    };
    let done = when(&world, org, id, |replay| replay["status"] == "completed").await;
    world.receiver.release();
    world.receiver.wait_for("/live", 50).await;
    stop.store(true, Ordering::Relaxed);
    live.await.expect("it does not panic");
    let (dropped, failures) = dropping.await.expect("it does not panic");
    world.run_until_idle().await;
    let over = show(&world, org, id).await;
    // It waits for a lock for so long, and tries again later.
    assert!(failures.iter().all(|why| why.contains("lock timeout")), "{failures:?}");
    assert_eq!(number(&over, "considered"), DAYS * OF_A_DAY, "{over}");
    assert_eq!(number(&over, "delivered"), number(&over, "replayed"), "{over}");
    let expired = done["skipped_by_reason"]["event_expired"].as_i64().unwrap_or(0);
    assert_eq!(number(&over, "skipped"), expired, "nothing else is passed over: {over}");
    assert!(dropped > 0 && expired > 0 && number(&over, "replayed") >= 2 * OF_A_DAY, "{over}");
    let mut arrived: HashMap<String, usize> = HashMap::new();
    for arrival in world.receiver.all() {
        *arrived.entry(arrival.marker()).or_default() += 1;
    }
    assert!(arrived.values().all(|count| *count == 1), "each came once");
    let of_old = arrived.keys().filter(|marker| marker.starts_with("old-")).count() as i64;
    assert_eq!(of_old, number(&over, "replayed"));
    assert_eq!(arrived.len() as i64 - of_old, ledger.promised() as i64, "and all that was live");
    let missing: i64 =
        sqlx::query_scalar("select count(*) from relay.attempts where reason = 'event_missing'")
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
    assert_eq!(missing, 0, "no promise was left without its event");
    ledger
        .tally_at(&world.receiver, &["/live"])
        .outcome("F26", "retention drops days during a replay and live load")
        .measured("days dropped", dropped)
        .measured("times a lock was waited for in vain", failures.len())
        .measured("deliveries replayed", of_old)
        .kept(0);
}

/// Days long ago with events that a connection missed; gives the deliveries.
async fn old_days(world: &World, org: Uuid, hook: Uuid, days: i64, of_a_day: i64) -> Vec<Uuid> {
    let mut all = Vec::new();
    for day in 0..days {
        // Made as `relay.ensure_partitions` makes them.
        let made = format!(
            "do $$
             declare
                 first_day constant date := (now() at time zone 'UTC')::date - {};
                 part constant text := 'event_log_product_' || to_char(first_day, 'YYYYMMDD');
             begin
                 execute format('create table relay.%I (like relay.event_log_product including defaults including constraints)', part);
                 execute format('alter table relay.event_log_product attach partition relay.%I for values from (%L) to (%L)',
                     part, relay.uuid7_floor(first_day::timestamp at time zone 'UTC'),
                     relay.uuid7_floor((first_day + 1)::timestamp at time zone 'UTC'));
             end
             $$",
            20 + day
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(world.sql()).await.expect("a day is made");
        let some: Vec<Uuid> = sqlx::query_scalar(
            "with fact as (
                 insert into relay.event_log_product (
                     id, category, organization_id, kind, payload, occurred_at, recorded_at)
                 select relay.uuid7_at(relay.uuid7_ticks(
                            ((now() at time zone 'UTC')::date - $3::integer)::timestamp at time zone 'UTC'
                            + n * interval '1 second')),
                        'product', $1, 'vulnerability.found',
                        json_build_object('marker', format('old-%s-%s', $3, n)), now(), now()
                 from generate_series(1, $4::integer) n
                 returning id
             )
             insert into relay.attempts (
                 organization_id, delivery_id, number, connection_id, event_id, settlement, reason)
             select $1, relay.uuid7_beside(id, relay.uuid7_ticks(relay.uuid7_time(id)) + 1), 0, $2, id,
                    'skipped', 'connection_paused'
             from fact returning delivery_id",
        )
        .bind(org)
        .bind(hook)
        .bind(20 + day as i32)
        .bind(of_a_day as i32)
        .fetch_all(world.sql())
        .await
        .expect("the tests' role may");
        all.extend(some);
    }
    wait_until("all to be there", LONG, || async { (!all.is_empty()).then_some(()) }).await;
    all
}

/// The progress is told while it goes on.
#[tokio::test]
async fn b40b_progress_is_told() {
    let world = World::start().await;
    let (org, _) = with_missed(&world, "/hook", (0..100).map(|n| n.to_string())).await;
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 25 });
    let started = start(&world, org, &asked).await;
    assert_eq!((&started["status"], &started["total"]), (&json!("counting"), &Value::Null));
    let id = id_of(&started);
    let running = when(&world, org, id, |replay| number(replay, "considered") > 0).await;
    assert_eq!(
        (&running["status"], &running["total"]),
        (&json!("running"), &json!(100)),
        "{running}"
    );
    let left = 100 - number(&running, "considered");
    let eta = number(&running, "eta_seconds");
    assert!((left / 25..=left / 25 + 1).contains(&eta), "{running}");
    let later = when(&world, org, id, |replay| replay["status"] == "completed").await;
    assert_eq!(number(&later, "considered"), 100);
    assert!(later["eta_seconds"].is_null() && later["finished_at"].is_string(), "{later}");
}

/// How many arrivals a replay's own row counts, and how many are appended beside it.
async fn counted_arrivals(world: &World, id: Uuid) -> (i64, i64) {
    sqlx::query_as(
        "select delivered, (select coalesce(sum(deliveries), 0) from relay.replay_arrivals
                            where replay_id = id)
         from relay.replay_jobs where id = $1",
    )
    .bind(id)
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

/// What arrived is counted once: while batches add up what settlements append, and after the last one.
#[tokio::test]
async fn b40b_delivered_is_right_while_a_replay_moves_on_and_after() {
    const TOTAL: i64 = 60;
    const AT_ONCE: i64 = 30;
    let world = World::start().await;
    let (org, _) = with_missed(&world, "/hook", (0..TOTAL).map(|n| n.to_string())).await;
    let answers = std::iter::repeat_n(Answer::ok(), AT_ONCE as usize);
    world.receiver.answer("/hook", answers.chain([Answer::ok().held()]));
    let asked = json!({ "selection": { "status": ["skipped"] }, "rate_per_second": 20 });
    let id = id_of(&start(&world, org, &asked).await);
    when(&world, org, id, |replay| number(replay, "considered") > 0).await;
    patch(&world, org, id, &json!({ "status": "paused" })).await.expect(200);
    world.run_until_idle().await;
    let paused = show(&world, org, id).await;
    let so_far = number(&paused, "delivered");
    assert_eq!(so_far, number(&paused, "replayed"), "{paused}");
    let (of_row, appended) = counted_arrivals(&world, id).await;
    assert!(appended > 0, "nothing moved on since the last one arrived");
    assert_eq!(of_row + appended, so_far);

    patch(&world, org, id, &json!({ "status": "running" })).await.expect(200);
    let mut last = so_far;
    let completed = loop {
        tokio::time::sleep(Duration::from_millis(60)).await; // An admin's calls are rationed.
        let now = show(&world, org, id).await;
        let delivered = number(&now, "delivered");
        assert!(last <= delivered && delivered <= number(&now, "replayed"), "{last}, then {now}");
        last = delivered;
        if now["status"] == "completed" {
            break now;
        }
    };
    assert_eq!(number(&completed, "replayed"), TOTAL, "{completed}");
    when(&world, org, id, |replay| number(replay, "delivered") == AT_ONCE).await;
    let (of_row, appended) = counted_arrivals(&world, id).await;
    assert!(of_row >= so_far, "batches add up what is there: {of_row} of {so_far}");
    assert_eq!(of_row + appended, AT_ONCE);

    world.receiver.release();
    world.run_until_idle().await;
    let over = show(&world, org, id).await;
    assert_eq!((number(&over, "delivered"), number(&over, "still_waiting")), (TOTAL, 0), "{over}");
    let (of_row, appended) = counted_arrivals(&world, id).await;
    assert!(of_row <= AT_ONCE, "the others arrived after the last batch: {of_row}");
    assert_eq!(of_row + appended, TOTAL);
}
