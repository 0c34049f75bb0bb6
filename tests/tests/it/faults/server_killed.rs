//! A Postgres that is killed, restarted, or throws everybody out, in the middle of load.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::Value;
use tests::{LONG, Ledger, Load, Outcome, World, WorldBuilder, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::found;

pub(super) const WORKERS: usize = 2;
pub(super) const CONCURRENCY: usize = 8;
/// As many as may be under way at once: what a fault may make come twice.
pub(super) const UNDER_WAY: usize = WORKERS * CONCURRENCY;
pub(super) const PATHS: [&str; 3] = ["/a", "/b", "/c"];
/// Within this all is as before, from the moment that Postgres answers again.
pub(super) const RESUMES: Duration = Duration::from_secs(10);

/// A world under load, with the account of it.
pub(super) struct Loaded {
    pub(super) world: World,
    pub(super) org: Uuid,
    ledger: Ledger,
    load: Load,
    others: AtomicUsize,
}

impl Loaded {
    pub(super) async fn start(builder: WorldBuilder, producers: usize) -> Self {
        let world = builder
            .workers(WORKERS)
            .env("RELAY_LEASE", "3s")
            .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
            .start()
            .await;
        let (org, ledger) = (new_id(), Ledger::default());
        for path in PATHS {
            world.relay.create_custom(org, &world.receiver.url(path)).await;
        }
        let load = Load::start(&world.relay, &ledger, org, producers);
        world.receiver.wait_for("/a", 50).await;
        Self { world, org, ledger, load, others: AtomicUsize::new(0) }
    }

    /// An event like no other. It may arrive, and must if it is acknowledged.
    pub(super) fn another(&self) -> (String, Value) {
        let marker = format!("other-{}", self.others.fetch_add(1, Ordering::Relaxed));
        self.ledger.sending(&marker);
        let body = found(self.org, &marker);
        (marker, body)
    }

    /// Sends an event like no other: it is taken, or refused as it should be. Says whether it is taken.
    pub(super) async fn takes(&self) -> bool {
        let (marker, body) = self.another();
        let answer = self.world.relay.try_emit(&body).await;
        if answer.status == 202 {
            self.ledger.acknowledged(&marker);
            return true;
        }
        let refused = answer.expect(503);
        assert!(refused.headers.contains_key("retry-after"), "{:?}", refused.headers);
        assert!(["database_unavailable", "overloaded"].contains(&refused.code().as_str()));
        false
    }

    /// Waits until events are refused, or taken.
    pub(super) async fn until_it_takes(&self, is_taken: bool) {
        wait_until("events to be taken or refused", LONG, || async {
            (self.takes().await == is_taken).then_some(())
        })
        .await;
    }

    /// Waits until more has arrived than can have been under way, and says how long that took.
    pub(super) async fn resumes(&self) -> Duration {
        let (began, before) = (Instant::now(), self.world.receiver.count("/a"));
        self.world.receiver.wait_for("/a", before + UNDER_WAY + 1).await;
        began.elapsed()
    }

    /// Ends the load, and gives what came of it once all of it was delivered. No process has ended.
    pub(super) async fn end(self, fault: &str, done: &str) -> (World, Outcome) {
        self.load.end().await;
        // What has gathered meanwhile takes its time on a busy machine.
        wait_until("all of it to be delivered", 6 * LONG, || async {
            (self.world.outbox_len().await == 0).then_some(())
        })
        .await;
        for process in self.world.apis.iter().chain(&self.world.workers) {
            assert_eq!(process.exit_status(), None, "{} has ended", process.name);
        }
        let tally = self.ledger.tally(&self.world.receiver, &PATHS);
        println!("{fault}: {} delivered, {} twice", tally.arrived, tally.duplicates.len());
        let outcome = tally.outcome(fault, done);
        (self.world, outcome)
    }
}

/// F7: Postgres is killed with all its processes and started again, twice: what was acknowledged is
/// there, and deliveries go on by themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f7_postgres_is_killed_and_started_again() {
    const KILLS: usize = 2;
    let loaded = Loaded::start(World::builder().own_postgres(), 2).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..KILLS {
        let postgres = loaded.world.postgres();
        postgres.kill9();
        loaded.until_it_takes(false).await;
        postgres.start_again().await;
        slowest = slowest.max(loaded.resumes().await);
    }
    assert!(slowest <= RESUMES, "resumed after {slowest:?}");
    let (_world, outcome) =
        loaded.end("F7", "Postgres and all its processes killed (-9), started again").await;
    outcome
        .recovered(slowest)
        .measured("times", KILLS)
        .measured("processes of Relay that ended", 0)
        .kept(KILLS * UNDER_WAY);
}

/// F8: a few seconds of what [`f8_every_backend_is_terminated_for_half_a_minute`] does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f8_every_backend_is_terminated_each_second() {
    terminated(5, "every backend terminated, each second for 5 s").await;
}

/// F8: the same as the fault list has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make faults"]
async fn f8_every_backend_is_terminated_for_half_a_minute() {
    terminated(30, "every backend terminated, each second for 30 s").await;
}

async fn terminated(seconds: u32, done: &str) {
    let loaded = Loaded::start(World::builder().own_postgres(), 2).await;
    let mut due = tokio::time::interval(Duration::from_secs(1));
    let mut ended = 0;
    for _ in 0..seconds {
        due.tick().await;
        let backends: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where backend_type = 'client backend' and application_name = 'relay'",
        )
        .fetch_one(loaded.world.sql())
        .await
        .expect("a superuser may end backends");
        assert!(backends > 0, "there was somebody to end");
        ended += backends;
    }
    let resumed = loaded.resumes().await;
    assert!(resumed <= RESUMES, "resumed after {resumed:?}");
    let (world, outcome) = loaded.end("F8", done).await;
    assert_eq!(idle_in_transaction(&world).await, 0);
    outcome.recovered(resumed).measured("backends terminated", ended).kept(UNDER_WAY);
}

/// How many of Relay's connections lie in a transaction that nobody goes on with.
pub(super) async fn idle_in_transaction(world: &World) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and application_name = 'relay'
           and state like 'idle in transaction%' and state_change < now() - interval '1 s'",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

/// B36: Postgres is restarted under load while callers crowd its few connections: they are held back
/// or refused, what was acknowledged is kept, and whoever delivers goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b36_postgres_is_restarted_while_callers_crowd_it() {
    const RESTARTS: usize = 2;
    // Two connections for all API calls, and six callers who never rest.
    let builder = World::builder().own_postgres().env("RELAY_DATABASE_CONNECTIONS", "13");
    let loaded = Loaded::start(builder, 8).await;
    let (relay, org) = (loaded.world.relay.clone(), loaded.org);
    let mut crowd = JoinSet::new();
    for _ in 0..6 {
        let relay = relay.clone();
        crowd.spawn(async move {
            let token = relay.admin_token(org);
            loop {
                let path = format!("/api/organizations/{org}/deliveries?limit=200");
                let request = relay.request(Method::GET, &path).bearer_auth(&token);
                let answer = relay.try_send(request).await.expect("the API answers");
                assert!([200, 429, 503].contains(&answer.status), "{answer:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..RESTARTS {
        loaded.world.postgres().restart().await;
        slowest = slowest.max(loaded.resumes().await);
    }
    assert!(slowest <= RESUMES, "resumed after {slowest:?}");
    if let Some(ended) = crowd.try_join_next() {
        ended.expect("nobody was answered otherwise");
    }
    crowd.shutdown().await;
    let (world, outcome) =
        loaded.end("B36", "Postgres restarted while callers crowd a pool of two").await;
    relay.connection(org, new_id()).await.expect(404);
    assert_eq!(idle_in_transaction(&world).await, 0);
    outcome.recovered(slowest).measured("restarts", RESTARTS).kept(RESTARTS * UNDER_WAY);
}
