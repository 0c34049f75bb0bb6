//! Lines to receivers that are slow, narrow, or break while the answer is under way.

use std::time::Duration;

use tests::{Ending, FaultProxy, Flow, LONG, Ledger, Upstream, World, new_id, wait_until};
use uuid::Uuid;

use super::emit_all;

/// A path, and what the line to it does.
type Line = (&'static str, fn(&FaultProxy));

const BROKEN: [Line; 5] = [
    ("/reset", |line| line.break_after(20, Ending::Reset)),
    ("/half-closed", |line| line.break_after(20, Ending::HalfClose)),
    ("/cut", |line| line.break_after(20, Ending::Close)),
    ("/silent", |line| line.break_after(0, Ending::Close)),
    ("/refused", |line| line.set(Flow::Cut)),
];
const SLOW: [Line; 2] = [
    ("/slow", |line| line.delay(Duration::from_millis(200))),
    ("/narrow", |line| line.narrow(2_000)),
];

/// F20, B10: whatever the line to a receiver does to an answer, the attempt is recorded as failed and
/// made again, until the line is good; a slow and a narrow line are lines that work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f20_a_line_that_breaks_is_tried_again_and_a_slow_one_is_waited_for() {
    const EVENTS: usize = 3;
    let world = World::builder()
        .env("RELAY_RETRY_SCHEDULE", &["400ms"; 40].join(","))
        .env("RELAY_BREAKER_OPEN", "500ms")
        .start()
        .await;
    let (org, ledger) = (new_id(), Ledger::default());
    let mut lines = Vec::new();
    for (path, fault) in BROKEN.into_iter().chain(SLOW) {
        let upstream = Upstream::Address(format!("127.0.0.1:{}", world.receiver.port()));
        let line = FaultProxy::start(upstream).await;
        fault(&line);
        let hook = world.relay.create_custom(org, &line.url(path)).await;
        world.receiver.expect_secret(path, &hook.secret);
        lines.push((path, line, hook.id));
    }
    emit_all(&world, &ledger, org, EVENTS).await;
    for (path, _, id) in &lines[..BROKEN.len()] {
        wait_until(&format!("two failed attempts on {path}"), LONG, || async {
            (failed(&world, *id).await >= 2).then_some(())
        })
        .await;
    }
    for (path, _) in SLOW {
        world.receiver.wait_for(path, EVENTS).await;
    }
    lines.iter().for_each(|(_, line, _)| line.mend());
    world.run_until_idle().await;
    let paths: Vec<&str> = lines.iter().map(|(path, ..)| *path).collect();
    let mut failures = 0;
    for (path, _, id) in &lines {
        let failed = failed(&world, *id).await;
        assert_eq!(failed == 0, SLOW.iter().any(|(slow, _)| slow == path), "{path}: {failed}");
        failures += usize::try_from(failed).expect("a count");
    }
    // An answer that was lost on its way is one that Relay has not heard: that attempt has failed.
    ledger
        .tally(&world.receiver, &paths)
        .outcome("F20", "the line to a receiver: reset, half-closed, cut, refused, slow, narrow")
        .measured("attempts that failed", failures)
        .kept(failures);
}

/// Attempts that failed, of all deliveries to a connection.
async fn failed(world: &World, connection: Uuid) -> i64 {
    sqlx::query_scalar(
        "select count(*) from relay.attempts where connection_id = $1 and error_class is not null",
    )
    .bind(connection)
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}
