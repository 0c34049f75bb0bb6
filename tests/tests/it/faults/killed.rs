//! `kill -9`, at every place where it could hurt.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::{Answer, Flow, LONG, Ledger, Load, World, new_id, wait_until};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{LEASE, SLACK, emit_all, emit_some, found, leased, owned_evenly, owner_of};

/// F1, B35: what a killed worker held is taken over; nothing is lost, and only that may come twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f1_one_of_three_workers_is_killed_under_load() {
    const CONCURRENCY: usize = 16;
    const PATHS: [&str; 5] = ["/a", "/b", "/c", "/d", "/e"];
    let world = World::builder()
        .workers(3)
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    let org = new_id();
    owned_evenly(&world, 3).await;
    let mut hooks = Vec::new();
    for path in PATHS {
        world.receiver.answer(path, [Answer::ok().after(Duration::from_millis(50))]);
        hooks.push(world.relay.create_custom(org, &world.receiver.url(path)).await);
    }
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 2);
    world.receiver.wait_for("/a", 60).await;
    owner_of(&world, hooks[0].id).await.kill9();
    let killed_at = Instant::now();
    let held: Vec<(Uuid,)> =
        sqlx::query_as("select delivery_id from relay.outbox where lease_until > now()")
            .fetch_all(world.sql())
            .await
            .expect("the database answers");
    wait_until("what was held at the kill to be settled", LONG, || async {
        let held: Vec<Uuid> = held.iter().map(|(id,)| *id).collect();
        let left: i64 =
            sqlx::query_scalar("select count(*) from relay.outbox where delivery_id = any($1)")
                .bind(&held)
                .fetch_one(world.sql())
                .await
                .expect("the database answers");
        (left == 0).then_some(())
    })
    .await;
    let resumed = killed_at.elapsed();
    assert!(resumed < LEASE + SLACK, "resumed after {resumed:?}");
    load.end().await;
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &PATHS)
        .outcome("F1", "one of three workers is killed under load")
        .recovered(resumed)
        .kept(CONCURRENCY);
}

/// F2: everybody is killed; those who come later find the backlog and work it off in due order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f2_all_workers_are_killed_and_started_again() {
    const CONCURRENCY: usize = 8;
    const WORKERS: usize = 2;
    const BATCHES: usize = 60;
    /// Events of one commit are due at one moment.
    const BATCH: usize = 10;
    let world = World::builder()
        .workers(WORKERS)
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(100))]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    for batch in 0..BATCHES {
        emit_some(&world, &ledger, org, batch * BATCH..(batch + 1) * BATCH).await;
    }
    world.receiver.wait_for("/hook", 100).await;
    for worker in &world.workers {
        worker.kill9();
    }
    let before = world.receiver.count("/hook");
    assert!(world.outbox_len().await > 100, "there is a backlog");
    // What is new goes before what has been waiting: then all of it has been.
    wait_until("all of it to have waited for long", LONG, || async {
        let is_old: bool = sqlx::query_scalar(
            "select not exists (select from relay.outbox where due_at > now() - interval '6 s')",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        is_old.then_some(())
    })
    .await;
    for worker in &world.workers {
        worker.restart();
    }
    let restarted_at = Instant::now();
    world.wait_ready().await;
    world.run_until_idle().await;
    let tally = ledger.tally(&world.receiver, &["/hook"]);
    tally
        .outcome("F2", "all workers are killed, and started again after the backlog has waited")
        .recovered(restarted_at.elapsed())
        .kept(WORKERS * CONCURRENCY);
    // In due order, but for what several hands do at once, and what first had to time out.
    let order: Vec<usize> = world.receiver.arrivals("/hook")[before..]
        .iter()
        .filter(|arrival| !tally.duplicates.contains(&arrival.delivery_id()))
        .filter_map(|arrival| arrival.marker().parse::<usize>().ok())
        .map(|n| n / BATCH)
        .collect();
    let held = WORKERS * CONCURRENCY * 2;
    let late = order.iter().enumerate().filter(|(place, batch)| {
        order[place + 1..].iter().filter(|later| later < batch).count() > held
    });
    assert!(late.count() <= held, "the backlog's batches came in this order: {order:?}");
}

/// F3, B35: killed between the receiver's 200 and the commit that would have recorded it.
#[tokio::test]
async fn f3_killed_between_the_answer_and_its_record() {
    const HELD: usize = 3;
    let world = World::builder().env("RELAY_LEASE", "3s").start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, HELD).await;
    let first = world.receiver.wait_for("/hook", HELD).await;
    // The answers go out, but the rows that they would settle are locked.
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    let locked: Vec<(Uuid,)> = sqlx::query_as("select delivery_id from relay.outbox for update")
        .fetch_all(&mut *tx)
        .await
        .expect("the database answers");
    assert_eq!(locked.len(), HELD);
    world.receiver.release();
    let waiting = wait_until("the settlement to wait for the lock", LONG, || async {
        let waiting: Vec<(i32,)> = sqlx::query_as(
            "select pid from pg_stat_activity
             where datname = current_database() and application_name = 'relay'
               and wait_event_type = 'Lock' and query like '%v as materialized%'",
        )
        .fetch_all(world.sql())
        .await
        .expect("the database answers");
        let answered = world.receiver.arrivals("/hook").iter().all(|a| a.answered == Some(200));
        (answered && !waiting.is_empty()).then_some(waiting)
    })
    .await;
    world.workers[0].kill9();
    // Postgres would still carry out the statement of a client that is gone; it dies as well.
    for (backend,) in waiting {
        sqlx::query("select pg_terminate_backend($1)")
            .bind(backend)
            .execute(world.sql())
            .await
            .expect("the tests' role may end backends");
    }
    tx.rollback().await.expect("it rolls back");
    world.workers[0].restart();
    let restarted_at = Instant::now();
    let arrivals = world.receiver.wait_for("/hook", HELD * 2).await;
    world.run_until_idle().await;

    let tally = ledger.tally(&world.receiver, &["/hook"]);
    tally
        .outcome("F3", "a worker is killed between the receiver's 200 and its record")
        .recovered(restarted_at.elapsed())
        .kept(HELD);
    let sorted = |mut ids: Vec<Uuid>| {
        ids.sort();
        ids
    };
    let held = sorted(first.iter().map(tests::Arrival::delivery_id).collect());
    assert_eq!(sorted(tally.duplicates), held, "exactly what was held comes again, under its id");
    for again in &arrivals[HELD..] {
        assert_eq!(again.attempt(), 2, "the attempt that nobody recorded counts as well");
    }
}

/// B35: killed before anything was sent, while the receiver was thinking, and after all was recorded.
#[tokio::test]
async fn b35_a_killed_workers_deliveries_are_made_by_another_in_bounded_time() {
    let mut world = World::builder()
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", "1")
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held(), Answer::ok()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 2).await;
    // One is with the receiver, the other one claimed and not yet sent.
    let first = world.receiver.wait_for("/hook", 1).await.remove(0);
    wait_until("both to be claimed", LONG, || async { (leased(&world).await == 2).then_some(()) })
        .await;
    world.workers[0].kill9();
    let killed_at = Instant::now();
    world.add_worker(&[]);
    let arrivals = world.receiver.wait_for("/hook", 3).await;
    let resumed = killed_at.elapsed();
    assert!(resumed < LEASE + SLACK, "resumed after {resumed:?}");
    world.run_until_idle().await;
    let again = arrivals.iter().filter(|a| a.delivery_id() == first.delivery_id()).count();
    assert_eq!(again, 2, "the one that was on its way comes twice, under its id");
    // Killed after everything is recorded, it leaves nothing to be made again.
    world.workers[1].kill9();
    world.add_worker(&[]);
    ledger.acknowledged("after");
    world.relay.emit(&found(org, "after")).await;
    world.run_until_idle().await;
    assert_eq!(world.receiver.count("/hook"), 4);
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("B35", "a worker is killed before it sends, while it sends, and after the record")
        .recovered(resumed)
        .kept(1);
}

/// B35: while nothing can be recorded, a worker stops sending instead of sending what it would have
/// to send again: what a kill can duplicate is bounded by what it may hold, however long that takes.
#[tokio::test]
async fn b35_a_worker_that_cannot_settle_stops_sending() {
    const CONCURRENCY: usize = 4;
    let mut world = World::builder().workers(0).env("RELAY_LEASE", "10m").start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 200).await;
    // Settlements wait for this lock; claims do not need it.
    let mut tx = world.sql().begin().await.expect("a transaction can begin");
    sqlx::query("lock table relay.attempts in exclusive mode")
        .execute(&mut *tx)
        .await
        .expect("the lock can be had");
    world.add_worker(&[("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())]);
    world.receiver.wait_for("/hook", CONCURRENCY).await;
    // It has come to rest when a whole second of looking found nothing new.
    let mut seen = (0, Instant::now());
    let sent = wait_until("the worker to come to rest", LONG, || {
        let count = world.receiver.count("/hook");
        if count != seen.0 {
            seen = (count, Instant::now());
        }
        let rests = seen.1.elapsed() > Duration::from_secs(1);
        async move { rests.then_some(count) }
    })
    .await;
    assert!(sent <= CONCURRENCY * 4, "{sent} requests went out that nothing has recorded");
    tx.rollback().await.expect("it rolls back");
    let unlocked_at = Instant::now();
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("B35", "nothing can be recorded: a worker stops sending")
        .recovered(unlocked_at.elapsed())
        .measured("sent without a record", sent)
        .kept(0);
}

/// F6: the API is killed after its commit and before its answer; asking again is the same event.
#[tokio::test]
async fn f6_killed_between_the_commit_and_the_answer() {
    let mut world = World::builder().workers(0).through_proxy().start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    // Every committer has prepared its statement, so that one message is all that it needs to send.
    let mut warming = JoinSet::new();
    for n in 0..40 {
        let relay = world.relay.clone();
        ledger.acknowledged(&format!("warm-up-{n}"));
        warming.spawn(async move { relay.emit(&found(org, &format!("warm-up-{n}"))).await });
    }
    warming.join_all().await;

    let mut body = found(org, "one");
    body["idempotency_key"] = json!("only-once");
    ledger.sending("one");
    world.proxy().set(Flow::RepliesStalled);
    let asking = {
        let (relay, body) = (world.relay.clone(), body.to_string());
        tokio::spawn(async move { relay.try_post_events(body).await })
    };
    let recorded: Uuid = wait_until("the commit", LONG, || async {
        sqlx::query_scalar("select event_id from relay.idempotency_keys where key = 'only-once'")
            .fetch_optional(world.sql())
            .await
            .expect("the database answers")
    })
    .await;
    world.apis[0].kill9();
    let answer = asking.await.expect("it does not panic");
    assert!(answer.is_err(), "nobody was there to answer: {answer:?}");

    world.proxy().set(Flow::Open);
    world.apis[0].restart();
    world.apis[0].wait_ready().await;
    let again = world.relay.try_emit(&body).await.expect(202).json();
    assert_eq!(again, json!({ "id": recorded, "duplicate": true }));
    ledger.acknowledged("one");
    world.add_worker(&[]);
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F6", "the API is killed between the commit and its answer; the core asks again")
        .kept(0);
}
