//! A Postgres that stands still, or at the end of a bad line: nobody hears that it is away.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::{Answered, Ending, Flow, LONG, World, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::server_killed::{Loaded, RESUMES, UNDER_WAY, idle_in_transaction};

/// Connections of one API process that are for API calls: what its setting leaves of these.
const API_CONNECTIONS: usize = 16 - 11;
/// Within this a request is answered once it is known that the database does not answer.
const FAST: Duration = Duration::from_secs(2);

/// F10: a few seconds of what [`f10_postgres_stands_still_for_a_minute`] does, and by its own means:
/// all of its processes are stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f10_every_process_of_postgres_is_stopped_and_goes_on() {
    let loaded = Loaded::start(World::builder().own_postgres(), 2).await;
    loaded.world.postgres().freeze();
    while_silent(&loaded, Duration::from_secs(5)).await;
    loaded.world.postgres().thaw();
    let done = "every process of Postgres stopped (SIGSTOP) for 6 s";
    afterwards(loaded, done).await;
}

/// F10: the line stalls for a minute without a word, and then goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make faults"]
async fn f10_postgres_stands_still_for_a_minute() {
    let loaded = Loaded::start(World::builder().own_postgres().through_proxy(), 2).await;
    loaded.world.proxy().set(Flow::Frozen);
    while_silent(&loaded, Duration::from_secs(60)).await;
    loaded.world.proxy().set(Flow::Open);
    afterwards(loaded, "the line to Postgres stalled for 60 s, no RST").await;
}

/// Everybody hears at once that the database is away, for as long as it is.
async fn while_silent(loaded: &Loaded, long: Duration) {
    let began = Instant::now();
    loaded.until_it_takes(false).await;
    loop {
        for (path, status) in
            [("/readyz", 503), ("/v1/events", 503), ("/healthz", 200), ("/openapi.json", 200)]
        {
            let answer = ask(loaded, path).await;
            assert_eq!(answer.status, status, "{path}");
        }
        let path = format!("/api/organizations/{}/connections", loaded.org);
        let answer = ask(loaded, &path).await.expect(503);
        assert_eq!(answer.code(), "database_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        if began.elapsed() > long {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

async fn ask(loaded: &Loaded, path: &str) -> Answered {
    let relay = &loaded.world.relay;
    let request = match path {
        "/v1/events" => relay
            .request(Method::POST, path)
            .header("x-internal-api-key", relay.service_key())
            .json(&loaded.another().1),
        _ => relay.request(Method::GET, path).bearer_auth(relay.admin_token(loaded.org)),
    };
    let answer = relay.try_send(request.timeout(FAST)).await;
    answer.unwrap_or_else(|error| panic!("{path} is not answered at once: {error}"))
}

/// All is as before, every connection of the pool included.
async fn afterwards(loaded: Loaded, done: &str) {
    let resumed = loaded.resumes().await;
    assert!(resumed <= RESUMES, "resumed after {resumed:?}");
    let org = loaded.org;
    let (world, outcome) = loaded.end("F10", done).await;
    assert_eq!(whole_pool(&world, org).await, API_CONNECTIONS);
    assert_eq!(idle_in_transaction(&world).await, 0);
    outcome.recovered(resumed).measured("permits of the pool lost", 0).kept(UNDER_WAY);
}

/// Has so many requests wait for one row that every connection for API calls is taken, and gives how
/// many there were; each request is answered in the end.
async fn whole_pool(world: &World, org: Uuid) -> usize {
    let hook = world.relay.create_custom(org, &world.receiver.url("/held")).await;
    let mut held = world.sql().begin().await.expect("it begins");
    sqlx::query("select from relay.organization_integrations where id = $1 for update")
        .bind(hook.id)
        .execute(&mut *held)
        .await
        .expect("it can be locked");
    let mut asking = JoinSet::new();
    for n in 0..API_CONNECTIONS {
        let (relay, id) = (world.relay.clone(), hook.id);
        asking.spawn(async move {
            let answer = relay.change(org, id, &json!({ "name": format!("Name {n}") })).await;
            // Whoever comes later finds another version than it has read.
            assert!([200, 409].contains(&answer.status), "{answer:?}");
        });
    }
    let waiting = "select count(*) from pg_stat_activity
                   where application_name = 'relay' and datname = current_database()
                     and wait_event_type = 'Lock'";
    let waiting = wait_until("every connection to wait for the row", LONG, || async {
        let waiting: i64 =
            sqlx::query_scalar(waiting).fetch_one(world.sql()).await.expect("it answers");
        usize::try_from(waiting).ok().filter(|waiting| *waiting >= API_CONNECTIONS)
    })
    .await;
    held.rollback().await.expect("it ends");
    asking.join_all().await;
    waiting
}

/// B36, F10: the line breaks in the middle of replies, in every way that lines break, and is slow:
/// nothing of what was acknowledged is lost, and nobody is left with half a reply.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b36_the_line_to_postgres_breaks_in_the_middle_of_replies() {
    let loaded = Loaded::start(World::builder().own_postgres().through_proxy(), 2).await;
    let proxy = loaded.world.proxy();
    proxy.delay(Duration::from_millis(2));
    let mut breaks = 0;
    for bytes in [20_000, 5_003, 1_777] {
        for ending in [Ending::Reset, Ending::HalfClose, Ending::Close] {
            proxy.break_after(bytes, ending);
            tokio::time::sleep(Duration::from_millis(700)).await;
            breaks += 1;
        }
    }
    proxy.mend();
    let resumed = loaded.resumes().await;
    loaded.world.proxy().end_all(Ending::Reset);
    assert!(resumed <= RESUMES, "resumed after {resumed:?}");
    let org = loaded.org;
    let done = "the line to Postgres breaks after n bytes of replies: reset, half-closed, closed";
    let (world, outcome) = loaded.end("B36", done).await;
    // Connections that broke while they were idle tell the first who asks for them, one by one.
    wait_until("callers to be served", LONG, || async {
        (world.relay.connection(org, new_id()).await.status == 404).then_some(())
    })
    .await;
    assert_eq!(idle_in_transaction(&world).await, 0);
    outcome.recovered(resumed).measured("kinds of break", breaks).kept(UNDER_WAY);
}

/// B36: the line is lost without a word, and what connects anew is answered: as where a machine is gone
/// and another one has its address. Processes that would wait for a quarter of an hour end, and whoever
/// runs them starts them again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make faults"]
async fn b36_a_line_that_is_lost_without_a_word_is_left() {
    /// What a process ends with that only a restart can help.
    const TRY_AGAIN: i32 = 75;
    const LEFT_WITHIN: Duration = Duration::from_secs(60);
    let loaded = Loaded::start(World::builder().own_postgres().through_proxy(), 2).await;
    let world = &loaded.world;
    let lost_at = Instant::now();
    world.proxy().forsake();
    loaded.until_it_takes(false).await;
    for process in world.apis.iter().chain(&world.workers) {
        let status = process.wait_exit(LEFT_WITHIN).await;
        assert_eq!(status.code(), Some(TRY_AGAIN), "{}", process.name);
        process.restart();
    }
    world.wait_ready().await;
    loaded.resumes().await;
    let resumed = lost_at.elapsed();
    let done = "the line to Postgres lost without a word; new connections are answered";
    let (_world, outcome) = loaded.end("B36", done).await;
    outcome.recovered(resumed).kept(UNDER_WAY);
}
