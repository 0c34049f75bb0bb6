//! The outbox as a queue: everything promised is taken once, in time, by whoever holds its lease.

use std::{collections::HashSet, time::Duration};

use serde_json::{Value, json};
use tests::{Answer, LONG, Ledger, World, event, new_id, wait_until};
use uuid::Uuid;

use crate::faults::owned_evenly;

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

/// As the core does it, inside a transaction of its own.
async fn emit_by_sql(connection: &mut sqlx::PgConnection, org: Uuid, marker: &str) -> Uuid {
    sqlx::query_scalar("select relay.emit('vulnerability.found', $1, $2)")
        .bind(org)
        .bind(json!({ "marker": marker }))
        .fetch_one(connection)
        .await
        .expect("relay.emit takes it")
}

/// B15: the core's rollback takes the event and its deliveries with it.
#[tokio::test]
async fn b15_a_rolled_back_transaction_leaves_no_event_and_no_delivery() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    let id = emit_by_sql(&mut tx, org, "rolled back").await;
    tx.rollback().await.expect("it rolls back");
    // What is committed later arrives; what was not has left no trace.
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    emit_by_sql(&mut tx, org, "committed").await;
    tx.commit().await.expect("it commits");
    let arrivals = world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;
    assert_eq!(arrivals[0].marker(), "committed");
    assert_eq!(world.receiver.count("/hook"), 1);
    let kept: i64 = sqlx::query_scalar("select count(*) from relay.event_log where id = $1")
        .bind(id)
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
    assert_eq!(kept, 0);
}

/// B15: after COMMIT nothing of ours or the core's needs to be alive for the event to arrive.
#[tokio::test]
async fn b15_a_commit_is_delivered_though_every_process_dies_right_after_it() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.workers[0].kill9();
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    emit_by_sql(&mut tx, org, "one").await;
    tx.commit().await.expect("it commits");
    world.apis[0].kill9();
    assert_eq!(world.outbox_len().await, 1);
    world.workers[0].restart();
    let arrivals = world.receiver.wait_for("/hook", 1).await;
    world.run_until_idle().await;
    assert_eq!(arrivals[0].marker(), "one");
    assert_eq!(world.receiver.count("/hook"), 1);
}

/// B32: whoever produces and whoever consumes, everything is seen exactly once and nobody starves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b32_four_thousand_events_of_twenty_producers_arrive_exactly_once() {
    const PRODUCERS: usize = 20;
    const EACH: usize = 200;
    let world = World::builder().workers(3).start().await;
    owned_evenly(&world, 3).await;
    // Enough connections for every worker to own some.
    let mut producing = Vec::new();
    for producer in 0..PRODUCERS {
        let org = new_id();
        let path = format!("/hook-{producer}");
        world.relay.create_custom(org, &world.receiver.url(&path)).await;
        producing.push((producer, org));
    }
    let ledger = Ledger::default();
    let mut producers = tokio::task::JoinSet::new();
    for (producer, org) in producing {
        let (relay, ledger) = (world.relay.clone(), ledger.clone());
        producers.spawn(async move {
            let markers: Vec<String> = (0..EACH).map(|n| format!("{producer}-{n}")).collect();
            // Half of them one by one, half in arrays.
            let (alone, together) = markers.split_at(EACH / 2);
            for marker in alone {
                ledger.sending(marker);
                relay.emit(&found(org, marker)).await;
                ledger.acknowledged(marker);
            }
            for array in together.chunks(25) {
                array.iter().for_each(|marker| ledger.sending(marker));
                let events: Vec<Value> = array.iter().map(|marker| found(org, marker)).collect();
                let results = relay.emit_batch(&events).await;
                assert!(results.iter().all(|result| result["duplicate"] == false), "{results:?}");
                array.iter().for_each(|marker| ledger.acknowledged(marker));
            }
        });
    }
    producers.join_all().await;
    assert_eq!(ledger.promised(), PRODUCERS * EACH);
    world.run_until_idle().await;
    // Each marker names its producer, and each producer has its own path.
    let arrivals = world.receiver.all();
    assert!(arrivals.iter().all(|arrival| {
        let (marker, path) = (arrival.marker(), arrival.path.clone());
        marker.split('-').next() == path.strip_prefix("/hook-")
    }));
    let markers: HashSet<String> = arrivals.iter().map(tests::Arrival::marker).collect();
    assert_eq!((markers.len(), arrivals.len()), (PRODUCERS * EACH, PRODUCERS * EACH));
    for worker in &world.workers {
        let done = worker.metric("relay_attempts_total").await;
        assert!(done > 0.0, "{} was starved", worker.name);
    }
}

/// B33: what is due later is not taken sooner, and no row is taken by two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b33_nothing_is_claimed_early_or_by_two() {
    // So few to each that none of them is left alone for its failures.
    const CONNECTIONS: usize = 40;
    const EACH: usize = 5;
    let world =
        World::builder().workers(3).env("RELAY_RETRY_SCHEDULE", "700ms,700ms,700ms").start().await;
    let mut events: Vec<Value> = Vec::new();
    for n in 0..CONNECTIONS {
        let (org, path) = (new_id(), format!("/hook-{n}"));
        let mut script = vec![Answer::status(500); EACH];
        script.push(Answer::ok());
        world.receiver.answer(&path, script);
        world.relay.create_custom(org, &world.receiver.url(&path)).await;
        events.extend((0..EACH).map(|n| found(org, &n.to_string())));
    }
    world.relay.emit_batch(&events).await;
    world.run_until_idle().await;

    let attempts: Vec<(Uuid, i32, Option<chrono::DateTime<chrono::Utc>>)> = sqlx::query_as(
        "select delivery_id, number, next_due_at from relay.attempts order by delivery_id, number",
    )
    .fetch_all(world.sql())
    .await
    .expect("the database answers");
    let arrivals = world.receiver.all();
    assert_eq!(
        arrivals.len(),
        attempts.len(),
        "every request is an attempt that one worker settled"
    );
    let distinct: HashSet<(Uuid, i32)> =
        attempts.iter().map(|(id, number, _)| (*id, *number)).collect();
    assert_eq!(distinct.len(), attempts.len(), "no attempt has two records");
    for (id, number, due) in attempts {
        let Some(due) = due else { continue };
        let next = i64::from(number) + 1;
        let later =
            arrivals.iter().find(|a| a.delivery_id() == id && i64::from(a.attempt()) == next);
        let later = later.expect("a delivery that is tried again arrives again");
        assert!(later.wall >= due, "{id} came {} before {due}", later.wall);
    }
}

/// Writes something about everything that is promised, as hours of trouble would have left it.
async fn has_been(world: &World, what: &'static str) {
    sqlx::query(what).execute(world.sql()).await.expect("the database answers");
}

async fn emit_numbered(world: &World, org: Uuid, kind: &str, count: usize) {
    let events: Vec<Value> = (0..count).map(|n| found(org, &format!("{kind}-{n}"))).collect();
    world.relay.emit_batch(&events).await;
}

/// How many of a kind had arrived when the last of another did.
fn before_the_last(world: &World, of: &str, other: &str) -> usize {
    let markers: Vec<String> =
        world.receiver.arrivals("/hook").iter().map(tests::Arrival::marker).collect();
    let last = markers.iter().rposition(|marker| marker.starts_with(other));
    let before = &markers[..last.expect("some of it arrived")];
    before.iter().filter(|marker| marker.starts_with(of)).count()
}

/// However many are suspected of having crashed workers, they go one by one, and beside the others.
#[tokio::test]
async fn b39_many_suspects_hold_nobody_up() {
    let mut world = World::builder().workers(0).env("RELAY_WORKER_CONCURRENCY", "4").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(50))]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    emit_numbered(&world, org, "suspect", 40).await;
    has_been(&world, "update relay.outbox set crashes = 2").await;
    emit_numbered(&world, org, "other", 40).await;
    world.add_worker(&[]);
    world.run_until_idle().await;
    let suspects = before_the_last(&world, "suspect", "other");
    assert!((1..=25).contains(&suspects), "{suspects} suspects went before the last of the others");
    assert_eq!(world.receiver.count("/hook"), 80);
}

/// After an outage what comes in goes before what has been waiting, which goes on beside it.
#[tokio::test]
async fn f19_what_is_new_goes_before_a_backlog_and_does_not_stop_it() {
    let mut world = World::builder().workers(0).env("RELAY_WORKER_CONCURRENCY", "4").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(20))]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    emit_numbered(&world, org, "old", 200).await;
    has_been(&world, "update relay.outbox set due_at = due_at - interval '1 hour'").await;
    emit_numbered(&world, org, "new", 40).await;
    world.add_worker(&[]);
    world.run_until_idle().await;
    let old = before_the_last(&world, "old", "new");
    assert!((1..=60).contains(&old), "{old} of the backlog went before the last of the new ones");
    assert_eq!(world.receiver.count("/hook"), 240);
}

/// B34: a lease is kept for as long as the work takes, however short the lease.
#[tokio::test]
async fn b34_a_long_attempt_keeps_its_lease() {
    let world = World::builder().workers(2).env("RELAY_LEASE", "1s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&found(org, "long")).await;
    world.receiver.wait_for("/hook", 1).await;
    let look = "select lease, lease_until from relay.outbox";
    let held =
        || sqlx::query_as::<_, (i64, chrono::DateTime<chrono::Utc>)>(look).fetch_one(world.sql());
    let (lease, first_until) = held().await.expect("it is held");
    wait_until("the lease to be renewed past three of its lengths", LONG, || async {
        let (_, until) = held().await.expect("it is held");
        (until > first_until + Duration::from_secs(3)).then_some(())
    })
    .await;
    assert_eq!(
        held().await.expect("it is held").0,
        lease,
        "by the same worker, under the same fence"
    );
    world.receiver.release();
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 1);
}

/// B34, F5: a worker that slept past its lease cannot settle or renew what another one has taken over.
#[tokio::test]
async fn b34_a_lost_lease_cannot_settle_or_renew() {
    let mut world = World::builder().env("RELAY_LEASE", "1s").start().await;
    let org = new_id();
    // The first request will have failed while the second one is still under way.
    let slow = Answer::ok().after(Duration::from_secs(5));
    world.receiver.answer("/hook", [Answer::status(500).held(), slow]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "one")).await;
    world.receiver.wait_for("/hook", 1).await;
    world.workers[0].sigstop();
    world.add_worker(&[]);
    let arrivals = world.receiver.wait_for("/hook", 2).await;
    assert_eq!(arrivals[0].delivery_id(), arrivals[1].delivery_id());
    assert_eq!(arrivals[1].attempt(), 2);
    let look = "select lease, attempt from relay.outbox";
    let row = || sqlx::query_as::<_, (Option<i64>, i32)>(look).fetch_one(world.sql());
    let taken_over = row().await.expect("it is under way");

    world.receiver.release();
    world.workers[0].sigcont();
    wait_until("the late settlement to be refused", LONG, || async {
        let lost = world.workers[0].metric("relay_leases_lost_total").await;
        (lost >= 1.0).then_some(())
    })
    .await;
    assert_eq!(row().await.expect("it is under way"), taken_over, "the new owner's lease stands");
    world.run_until_idle().await;
    let delivery = world.relay.delivery_of(org, event, hook.id).await;
    assert_eq!(delivery["status"], "delivered");
    let attempts = delivery["attempt_list"].as_array().expect("it has attempts");
    assert_eq!(attempts.len(), 1, "what the old owner saw is not recorded: {attempts:?}");
    assert_eq!((&attempts[0]["number"], &attempts[0]["status_code"]), (&json!(2), &json!(200)));
    assert_eq!(world.receiver.count("/hook"), 2);
}

/// B37: the wake-up channel is lost; nothing waits for it, and it comes back.
#[tokio::test]
async fn b37_a_lost_wake_up_channel_is_made_up_for_and_restored() {
    let world = World::start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let listening = async || {
        let pids: Vec<(i32,)> = sqlx::query_as(
            "select pid from pg_stat_activity
             where datname = current_database() and query like 'LISTEN %'",
        )
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
        pids.first().copied()
    };
    let (first,) = wait_until("the workers to listen", LONG, &listening).await;
    sqlx::query("select pg_terminate_backend($1)")
        .bind(first)
        .execute(world.sql())
        .await
        .expect("the tests' role may end backends");
    world.relay.emit(&found(org, "meanwhile")).await;
    world.receiver.wait_for("/hook", 1).await;
    wait_until("the workers to listen again", LONG, async || {
        listening().await.filter(|(pid,)| *pid != first)
    })
    .await;
    world.relay.emit(&found(org, "afterwards")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 2);
}

/// B37: no notification, no API process: what somebody commits is found by looking.
#[tokio::test]
async fn b37_polling_alone_drains_the_outbox() {
    let world = World::builder().workers(2).start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.apis[0].kill9();
    for n in 0..50 {
        let mut connection = world.sql().acquire().await.expect("the database answers");
        emit_by_sql(&mut connection, org, &n.to_string()).await;
    }
    world.receiver.wait_for("/hook", 50).await;
    world.run_until_idle().await;
    let markers: HashSet<String> =
        world.receiver.arrivals("/hook").iter().map(tests::Arrival::marker).collect();
    assert_eq!((markers.len(), world.receiver.count("/hook")), (50, 50));
}

/// A settlement holds some rows while it waits for others; renewing must pass over them, or the two
/// wait for each other until Postgres ends one of them.
#[tokio::test]
async fn renewing_leases_passes_over_a_row_that_is_locked() {
    let world = World::builder().env("RELAY_LEASE", "3s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let batch: Vec<_> = ["one", "two"].iter().map(|marker| found(org, marker)).collect();
    world.relay.emit_batch(&batch).await;
    world.receiver.wait_for("/hook", 2).await;
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    let locked: Uuid = sqlx::query_scalar(
        "select delivery_id from relay.outbox order by delivery_id limit 1 for update",
    )
    .fetch_one(&mut *tx)
    .await
    .expect("there are two");
    let until = || async {
        let until: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("select lease_until from relay.outbox where delivery_id <> $1")
                .bind(locked)
                .fetch_one(world.sql())
                .await
                .expect("the other one is leased");
        until
    };
    let before = until().await;
    wait_until("the other lease to be renewed", LONG, || async {
        (until().await > before).then_some(())
    })
    .await;
    tx.rollback().await.expect("it rolls back");
    world.receiver.release();
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 2);
}
