//! More callers than the database has connections for, and callers who leave in the middle.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Answered, Flow, LONG, Ledger, Outcome, Relay, World, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{emit_some, found, server_killed::idle_in_transaction};

/// F11: a part of what [`f11_ten_thousand_callers_leave_while_their_transaction_begins`] does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f11_callers_leave_while_their_transaction_begins() {
    left(400, "400 requests dropped by their callers inside `begin`").await;
}

/// F11: whoever drops a request leaves no transaction behind, neither open nor broken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make faults"]
async fn f11_ten_thousand_callers_leave_while_their_transaction_begins() {
    left(10_000, "10,000 requests dropped by their callers inside `begin`").await;
}

/// Stalls the replies of Postgres until every connection has begun a transaction and waits to hear of
/// it; then their callers leave, before the replies come.
async fn left(callers: usize, done: &str) {
    /// What the setting leaves for API calls.
    const AT_ONCE: usize = 40;
    let world = World::builder()
        .workers(0)
        .own_postgres()
        .through_proxy()
        .env("RELAY_DATABASE_CONNECTIONS", &(AT_ONCE + 11).to_string())
        .start()
        .await;
    // Somebody else each time: the rate of an organization's calls is limited.
    let change = |org: Uuid, id: Uuid| {
        let relay = world.relay.clone();
        async move { relay.change(org, id, &json!({ "name": "Another" })).await }
    };
    let change_all = || (0..AT_ONCE).map(|_| change(new_id(), new_id())).collect::<JoinSet<_>>();
    let open = "select count(*) from pg_stat_activity
                where application_name = 'relay' and state like 'idle in transaction%'
                  and query ilike 'begin%'";
    let open = || async {
        let open: i64 = sqlx::query_scalar(open).fetch_one(world.sql()).await.expect("it answers");
        usize::try_from(open).expect("a count")
    };
    // Nobody can connect while replies are stalled: every connection is opened before.
    world.proxy().delay(Duration::from_millis(30));
    for _ in 0..3 {
        change_all().join_all().await;
    }
    world.proxy().mend();
    let (mut inside, mut round) = (0, 0);
    while inside < callers {
        round += 1;
        assert!(round <= callers, "{inside} of {callers} after as many rounds");
        world.proxy().set(Flow::RepliesStalled);
        let mut leaving = change_all();
        // Most begin at once; one or two connections may be at what the process does for itself.
        let stalled_at = Instant::now();
        while open().await < AT_ONCE - 3 && stalled_at.elapsed() < Duration::from_secs(1) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        inside += open().await;
        leaving.shutdown().await;
        world.proxy().set(Flow::Open);
        wait_until("what was begun to end", LONG, || async { (open().await == 0).then_some(()) })
            .await;
    }
    assert_eq!(idle_in_transaction(&world).await, 0);
    // Nobody meets a transaction that is not theirs.
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for answer in change_all().join_all().await {
        answer.expect(404);
    }
    change(org, hook.id).await.expect(200);
    for process in &world.apis {
        let log = process.log();
        let broken = ["25P02", "current transaction is aborted", "already a transaction"];
        let told = log.lines().find(|line| broken.iter().any(|text| line.contains(text)));
        assert_eq!(told, None, "{}", process.name);
        assert_eq!(process.exit_status(), None, "{}", process.name);
    }
    Outcome::of("F11", done)
        .measured("requests dropped inside `begin`", inside)
        .measured("connections idle in transaction", 0)
        .kept(0);
}

/// One of each kind of call that an admin makes.
async fn call(relay: &Relay, org: Uuid, hook: Uuid, n: usize) -> Answered {
    let own = format!("/api/organizations/{org}");
    let (method, path, body): (Method, String, Option<Value>) = match n % 8 {
        0 => (Method::GET, format!("{own}/connections"), None),
        1 => (Method::GET, format!("{own}/connections/{hook}"), None),
        2 => (Method::GET, format!("{own}/deliveries?limit=20"), None),
        3 => (Method::GET, format!("{own}/overview"), None),
        4 => (Method::GET, format!("{own}/events?limit=20"), None),
        5 => (Method::GET, format!("{own}/audit?limit=20"), None),
        6 => {
            let name = json!({ "name": format!("Name {n}") });
            (Method::PATCH, format!("{own}/connections/{hook}"), Some(name))
        }
        _ => {
            let body = json!({
                "name": format!("More {n}"), "type": "notification",
                "webhook_url": format!("http://127.0.0.1:8080/{n}"),
            });
            let path = format!("/api/integrations/organizations/{org}/custom-integrations");
            (Method::POST, path, Some(body))
        }
    };
    relay.admin(org, method, &path, body.as_ref()).await
}

/// F12: two connections serve whoever is patient: no call needs a second one while it holds its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_two_connections_serve_many_callers_one_after_the_other() {
    const CALLS: usize = 200;
    const AT_ONCE: usize = 8;
    let world = World::builder().env("RELAY_DATABASE_CONNECTIONS", "13").start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&found(org, "one")).await;
    let mut callers = JoinSet::new();
    for caller in 0..AT_ONCE {
        let relay = world.relay.clone();
        callers.spawn(async move {
            for n in (caller..CALLS).step_by(AT_ONCE) {
                let answer = call(&relay, org, hook.id, n).await;
                // Two changes of one connection at a time: the later one is told to look again.
                assert!([200, 409].contains(&answer.status), "call {n}: {answer:?}");
            }
        });
    }
    callers.join_all().await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1);
}

/// F12: while both connections for API calls are taken, two hundred callers wait for a bounded time and
/// are told to come back; events are recorded and delivered meanwhile, and afterwards all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f12_a_crowd_is_turned_away_and_deliveries_go_on() {
    const CALLERS: usize = 200;
    const EVENTS: usize = 100;
    let world = World::builder().env("RELAY_DATABASE_CONNECTIONS", "13").start().await;
    let (org, ledger) = (new_id(), Ledger::default());
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(5))]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let held_org = new_id();
    let held_hook = world.relay.create_custom(held_org, &world.receiver.url("/held")).await;
    let mut held = world.sql().begin().await.expect("it begins");
    sqlx::query("select from relay.organization_integrations where id = $1 for update")
        .bind(held_hook.id)
        .execute(&mut *held)
        .await
        .expect("it can be locked");
    let mut holding = JoinSet::new();
    for n in 0..2 {
        let (relay, id) = (world.relay.clone(), held_hook.id);
        let name = json!({ "name": format!("Name {n}") });
        holding.spawn(async move { relay.change(held_org, id, &name).await.status });
    }
    wait_until("both connections to be taken", LONG, || async {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_stat_activity
             where datname = current_database() and application_name = 'relay'
               and wait_event_type = 'Lock'",
        )
        .fetch_one(world.sql())
        .await
        .expect("it answers");
        (waiting == 2).then_some(())
    })
    .await;
    let mut crowd = JoinSet::new();
    for n in 0..CALLERS {
        let relay = world.relay.clone();
        crowd.spawn(async move { call(&relay, org, hook.id, n).await });
    }
    emit_some(&world, &ledger, org, 0..EVENTS).await;
    world.receiver.wait_for("/hook", EVENTS).await;
    let mut refused = 0;
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.expect("it does not panic").expect(503);
        assert_eq!(answer.code(), "database_unavailable");
        assert!(answer.headers.contains_key("retry-after"));
        refused += 1;
    }
    held.rollback().await.expect("it ends");
    for status in holding.join_all().await {
        // Ours is freed in time, or the statement has ended before.
        assert!([200, 409, 503].contains(&status), "{status}");
    }
    for n in 0..8 {
        call(&world.relay, org, hook.id, n).await.expect(200);
    }
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F12", "200 callers at a pool of two that is taken, events meanwhile")
        .measured("callers told 503 with Retry-After", refused)
        .measured("events delivered meanwhile", EVENTS)
        .kept(0);
}
