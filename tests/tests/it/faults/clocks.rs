//! F23: workers whose clock is wrong, or jumps, and a database that knows summer time.

use std::{fs, path::PathBuf, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tests::{Answer, Arrival, LONG, Ledger, Load, World, harness::signature, new_id, wait_until};
use uuid::Uuid;

use super::{found, owned_evenly};
use crate::command;

/// The library that pretends another time to a process. Without it the test says so, and fails where all
/// are to run.
fn library() -> Option<PathBuf> {
    let target = std::env::current_exe().expect("a test knows its own file");
    let target = target.ancestors().nth(3).expect("it lies in target/debug/deps").to_owned();
    let path = target.join("faketime/libfaketime.so.1");
    if path.is_file() {
        return Some(path);
    }
    let missing = format!("{} is not there: scripts/setup-faketime gets it", path.display());
    assert!(std::env::var_os("CI").is_none(), "{missing}");
    println!("NOT TESTED: {missing}");
    None
}

/// Settings under which a process takes this machine's wall clock for `by` off. What it measures spans
/// with stays as it is.
fn clock<'a>(library: &'a str, by: &'a str) -> [(&'a str, &'a str); 3] {
    [("LD_PRELOAD", library), ("FAKETIME", by), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
}

/// A webhook whose arrivals only this test verifies: their timestamps are known to be wrong.
async fn create(world: &World, org: Uuid, path: &str) -> (Uuid, String) {
    let body = json!({
        "name": path, "type": "notification", "webhook_url": world.receiver.url(path),
    });
    let url = format!("/api/integrations/organizations/{org}/custom-integrations");
    let answer = world.relay.admin(org, Method::POST, &url, Some(&body)).await.expect(200).json();
    let text = |name: &str| answer[name].as_str().expect("id and secret are strings").to_owned();
    (text("id").parse().expect("an id is a UUID"), text("secret"))
}

/// How far the clock was ahead that signed this, in seconds.
fn ahead(arrival: &Arrival) -> i64 {
    let signed: i64 = arrival.header("webhook-timestamp").parse().expect("it is a timestamp");
    signed - arrival.wall.timestamp()
}

fn verify(arrival: &Arrival, secret: &str, now: i64) -> Result<(), String> {
    signature::verify_standard(
        secret,
        arrival.header("webhook-id"),
        arrival.header("webhook-timestamp"),
        arrival.header("webhook-signature"),
        &arrival.body,
        now,
    )
}

/// Every attempt's times, by the database: when it began, when it was recorded, when the next is due.
async fn attempts(world: &World) -> Vec<(DateTime<Utc>, DateTime<Utc>, Option<DateTime<Utc>>)> {
    sqlx::query_as(
        "select started_at, recorded_at, next_due_at from relay.attempts
         where started_at is not null order by recorded_at",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers")
}

async fn scalar(world: &World, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(world.sql()).await.expect("the database answers")
}

/// F23: two workers, ten minutes fast and ten minutes slow: retries come when they are due, leases hold as
/// long as they should, nobody takes what is another's. Receivers see the wrong time, and it is told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_workers_ten_minutes_fast_and_slow_keep_every_schedule_and_lease() {
    const PATHS: [&str; 8] = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"];
    let Some(library) = library() else { return };
    let library = library.to_str().expect("a plain path");
    let mut world = World::builder().workers(0).env("RELAY_LEASE", "5s").start().await;
    for by in ["+10m", "-10m"] {
        world.add_worker(&clock(library, by));
    }
    world.wait_ready().await;
    owned_evenly(&world, 2).await;
    let org = new_id();
    let mut secrets = Vec::new();
    for path in PATHS {
        world
            .receiver
            .answer(path, [Answer::status(503), Answer::ok().after(Duration::from_millis(20))]);
        secrets.push(create(&world, org, path).await.1);
    }
    let ledger = Ledger::default();
    for n in 0..20 {
        let marker = format!("skewed-{n}");
        ledger.acknowledged(&marker);
        world.relay.emit(&found(org, &marker)).await;
    }
    world.run_until_idle().await;
    let tally = ledger.tally(&world.receiver, &PATHS);

    let all = attempts(&world).await;
    let near = TimeDelta::seconds(60);
    for (started, recorded, next) in &all {
        assert!(started <= recorded && *recorded - *started < near, "{started} {recorded}");
        assert!(next.is_none_or(|next| next > *recorded && next - *recorded < near), "{next:?}");
    }
    assert_eq!(
        all.iter().filter(|(.., next)| next.is_some()).count(),
        PATHS.len(),
        "one retry each"
    );
    let taken_over = world.workers[0].metric("relay_leases_rescued_total").await
        + world.workers[1].metric("relay_leases_rescued_total").await;
    assert!(taken_over.abs() < 0.5, "{taken_over} leases were taken over");

    // Every receiver with a clock of its own would refuse these, and rightly.
    let (mut fast, mut slow) = (0, 0);
    for (path, secret) in PATHS.iter().zip(&secrets) {
        for arrival in world.receiver.arrivals(path) {
            let by = ahead(&arrival);
            assert!((570..=630).contains(&by.abs()), "signed {by} s from now");
            (fast, slow) = if by > 0 { (fast + 1, slow) } else { (fast, slow + 1) };
            verify(&arrival, secret, arrival.wall.timestamp() + by).expect("it is signed well");
            verify(&arrival, secret, arrival.wall.timestamp()).expect_err("its time is wrong");
        }
    }
    assert!(fast > 0 && slow > 0, "{fast} fast, {slow} slow");
    for (worker, ahead) in world.workers.iter().zip([-600.0, 600.0]) {
        wait_until("the worker to tell that its clock is wrong", LONG, || async {
            let told = worker.metric("relay_database_clock_ahead_seconds").await;
            ((told - ahead).abs() < 5.0).then_some(())
        })
        .await;
    }
    for (by, sign) in [("+10m", "-"), ("-10m", "+")] {
        let url = world.database_url();
        let key = ("RELAY_ENCRYPTION_KEY", "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=");
        let environment =
            [&[("DATABASE_URL", url.as_str()), key][..], &clock(library, by)].concat();
        let finished = command::relay(&["doctor", "--json"], &environment).await;
        let lines = finished.json_lines();
        let clocks = lines.iter().find(|line| line["what"] == "clocks").expect("it is looked at");
        assert_eq!(clocks["level"], "bad", "{clocks}");
        let detail = clocks["detail"].as_str().expect("it says by how much");
        assert!(
            detail.contains(&format!("{sign}600.")) || detail.contains(&format!("{sign}599.")),
            "{detail}"
        );
    }
    tally
        .outcome("F23", "two workers, ten minutes fast and ten minutes slow")
        .measured("leases taken over", taken_over)
        .kept(0);
}

/// F23: under load a worker's clock steps back an hour and forth again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_a_clock_that_steps_back_an_hour_changes_nothing() {
    let Some(library) = library() else { return };
    let library = library.to_str().expect("a plain path");
    let mut world = World::builder().workers(0).env("RELAY_LEASE", "3s").start().await;
    let file = std::env::temp_dir().join(format!("relay-clock-{}", new_id()));
    fs::write(&file, "+0").expect("it can be written");
    world.add_worker(&[
        ("LD_PRELOAD", library),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().expect("a plain path")),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ]);
    world.wait_ready().await;
    let org = new_id();
    create(&world, org, "/hook").await;
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(20))]);
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 2);
    let signed = async |by: std::ops::RangeInclusive<i64>| {
        let seen = world.receiver.count("/hook");
        wait_until("a signature of that time", LONG, || async {
            let arrivals = world.receiver.arrivals("/hook");
            arrivals.iter().skip(seen).any(|arrival| by.contains(&ahead(arrival))).then_some(())
        })
        .await;
    };
    signed(-5..=5).await;
    for (offset, by) in [("-1h", -3_630..=-3_570), ("+1h", 3_570..=3_630), ("+0", -5..=5)] {
        // In one go: half a line would be another time.
        let next = file.with_extension("next");
        fs::write(&next, offset).expect("it can be written");
        fs::rename(&next, &file).expect("it can be replaced");
        signed(by).await;
        // Longer than a lease: what is held is renewed, and nothing is taken over.
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    load.end().await;
    world.run_until_idle().await;
    let _ = fs::remove_file(&file);
    for (started, recorded, _) in attempts(&world).await {
        let took = recorded - started;
        assert!(
            (TimeDelta::zero()..TimeDelta::seconds(60)).contains(&took),
            "{started} {recorded}"
        );
    }
    let taken_over = world.workers[0].metric("relay_leases_rescued_total").await;
    assert!(taken_over.abs() < 0.5, "{taken_over} leases were taken over");
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F23", "a worker's clock steps back an hour, and forth two")
        .measured("leases taken over", taken_over)
        .kept(0);
}

/// F23: sessions and processes in a zone with summer time count the same spans, days and hours.
#[tokio::test]
async fn f23_summer_time_moves_no_schedule() {
    let mut world = World::builder().workers(0).start().await;
    let zone =
        "do $$ begin execute format('alter database %I set timezone to %L', current_database(),
                'America/New_York'); end $$";
    sqlx::raw_sql(zone).execute(world.sql()).await.expect("the tests' role may");
    world.apis[0].kill9();
    world.apis[0].restart();
    world.add_worker(&[("TZ", "America/New_York")]);
    world.wait_ready().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.receiver.answer("/hook", [Answer::status(503), Answer::ok()]);
    let ledger = Ledger::default();
    ledger.acknowledged("summer");
    world.relay.emit(&found(org, "summer")).await;
    world.run_until_idle().await;
    for (started, recorded, next) in attempts(&world).await {
        assert!(
            started <= recorded && next.is_none_or(|next| next - recorded < TimeDelta::seconds(60))
        );
    }
    // Whoever makes them, days are those of UTC.
    let mut session = PgConnection::connect(&world.database_url()).await.expect("it answers");
    sqlx::raw_sql("set timezone to 'America/New_York'; select relay.ensure_partitions(20)")
        .execute(&mut session)
        .await
        .expect("the tests' role may");
    let bounds: Vec<String> = sqlx::query_scalar(
        "select pg_get_expr(relpartbound, oid) from pg_class
         where relispartition and relname ~ '^attempts_[0-9]{8}$'",
    )
    .fetch_all(world.sql())
    .await
    .expect("it answers");
    assert!(bounds.len() > 20, "{bounds:?}");
    for bound in bounds {
        assert_eq!(bound.matches(" 00:00:00+00'").count(), 2, "{bound}");
    }
    assert_eq!(scalar(&world, "select count(*) from relay.outbox").await, 0);
    ledger.tally(&world.receiver, &["/hook"]).outcome("F23", "a zone with summer time").kept(0);
}
