//! Processes that are asked to end, or put to sleep.

use std::time::{Duration, Instant};

use tests::{Answer, LONG, Ledger, Load, World, new_id, wait_until};

use super::{emit_all, found, leased};

/// F4, B38: asked to end, a worker finishes what it began and hands the rest back at once, uncounted.
#[tokio::test]
async fn f4_b38_sigterm_lets_what_is_under_way_finish_and_hands_the_rest_back() {
    const CONCURRENCY: usize = 4;
    // The lease is so long that nothing here can be explained by its end.
    let world = World::builder()
        .env("RELAY_LEASE", "10m")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    emit_all(&world, &ledger, org, 20).await;
    world.receiver.wait_for("/hook", CONCURRENCY).await;
    wait_until("more to be claimed than is under way", LONG, || async {
        (leased(&world).await > CONCURRENCY as i64).then_some(())
    })
    .await;
    world.workers[0].sigterm();
    let asked_at = Instant::now();
    wait_until("what was not begun to be handed back", Duration::from_secs(5), || async {
        (leased(&world).await == CONCURRENCY as i64).then_some(())
    })
    .await;
    let counted: i64 = sqlx::query_scalar(
        "select count(*) from relay.outbox where attempt > 0 or crashes > 0 or due_at > now()",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(counted, 0, "no interruption is an attempt, a crash or a wait");
    assert_eq!(world.workers[0].exit_status(), None, "it does not leave its requests alone");
    world.receiver.release();
    let status = world.workers[0].wait_exit(LONG).await;
    assert!(status.success(), "{status}");
    assert!(asked_at.elapsed() < Duration::from_secs(25), "{:?}", asked_at.elapsed());
    assert_eq!(leased(&world).await, 0);
    assert_eq!(world.receiver.count("/hook"), CONCURRENCY, "what was under way, and no more");

    let ended = asked_at.elapsed();
    world.workers[0].restart();
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F4", "a worker with requests under way is asked to end (SIGTERM)")
        .recovered(ended)
        .kept(0);
    assert!(world.receiver.arrivals("/hook").iter().all(|arrival| arrival.attempt() == 1));
}

/// F4, B38: workers that end one after the other under load lose nothing and repeat nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_b38_a_rolling_restart_under_load_repeats_nothing() {
    const PATHS: [&str; 4] = ["/a", "/b", "/c", "/d"];
    let world = World::builder().workers(2).env("RELAY_WORKER_CONCURRENCY", "16").start().await;
    let org = new_id();
    for path in PATHS {
        world.receiver.answer(path, [Answer::ok().after(Duration::from_millis(50))]);
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 2);
    for (round, worker) in world.workers.iter().enumerate() {
        world.receiver.wait_for(PATHS[0], 50 * (round + 1)).await;
        worker.sigterm();
        let status = worker.wait_exit(Duration::from_secs(25)).await;
        assert!(status.success(), "{status}");
        worker.restart();
        worker.wait_ready().await;
    }
    // The API ends as gracefully: what it acknowledged is recorded, what it did not is asked again.
    world.apis[0].sigterm();
    let status = world.apis[0].wait_exit(Duration::from_secs(25)).await;
    assert!(status.success(), "{status}");
    world.apis[0].restart();
    world.apis[0].wait_ready().await;
    load.end().await;
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &PATHS)
        .outcome("F4", "workers and the API are asked to end one by one, under load")
        .kept(0);
}

/// F5: a worker sleeps past its leases under load, wakes up, and changes nothing that was settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_a_worker_that_slept_past_its_leases_does_no_harm() {
    const CONCURRENCY: usize = 16;
    let world = World::builder()
        .workers(2)
        .env("RELAY_LEASE", "3s")
        .env("RELAY_WORKER_CONCURRENCY", &CONCURRENCY.to_string())
        .start()
        .await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().after(Duration::from_millis(50))]);
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 8);
    world.receiver.wait_for("/hook", 200).await;
    world.workers[0].sigstop();
    load.end().await;
    // The other one has done it all, what the sleeper holds included.
    world.run_until_idle().await;
    let settled =
        "select count(*), coalesce(sum(('x' || left(md5(a::text), 8))::bit(32)::bigint), 0)::text
                   from relay.attempts a";
    let look = || sqlx::query_as::<_, (i64, String)>(settled).fetch_one(world.sql());
    let before = look().await.expect("the database answers");
    world.workers[0].sigcont();
    // It is awake and at work again once it delivers: its late settlements went before.
    world.workers[1].kill9();
    ledger.acknowledged("after");
    world.relay.emit(&found(org, "after")).await;
    world.run_until_idle().await;
    let after = look().await.expect("the database answers");
    assert_eq!(after.0, before.0 + 1, "the late settlements left no trace");
    ledger
        .tally(&world.receiver, &["/hook"])
        .outcome("F5", "a worker sleeps past its leases under load, and wakes up")
        .kept(CONCURRENCY);
}
