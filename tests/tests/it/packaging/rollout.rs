//! A rolling update as an orchestrator does it, by the probes of the real processes.

use std::time::Duration;

use serde_json::json;
use tests::{Answer, LONG, Ledger, Load, Process, World, new_id, wait_until};

use crate::command;
use crate::delivery::found;

pub(crate) async fn probe(process: &Process, path: &str) -> Option<(u16, String)> {
    let url = format!("http://{}{path}", process.metrics_address());
    let answer = reqwest::get(url).await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

pub(crate) async fn wait_for_readiness(process: &Process) {
    wait_until("a replacement to say that it is ready", LONG, || async {
        (probe(process, "/readyz").await?.0 == 200).then_some(())
    })
    .await;
}

/// F4, B38: a new worker is ready before an old one is asked to end, which says so while it ends, as
/// long as it takes. Nothing is lost, and nothing arrives twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f4_b38_a_rolling_update_loses_nothing_and_repeats_nothing() {
    const PATHS: [&str; 3] = ["/a", "/b", "/c"];
    let mut world = World::builder().workers(2).env("RELAY_WORKER_CONCURRENCY", "64").start().await;
    let org = new_id();
    for path in PATHS {
        world.receiver.answer(path, [Answer::ok().after(Duration::from_millis(200))]);
        world.relay.create_custom(org, &world.receiver.url(path)).await;
    }
    let ledger = Ledger::default();
    let load = Load::start(&world.relay, &ledger, org, 1);
    for old in 0..2 {
        world.receiver.wait_for(PATHS[0], 30 * (old + 1)).await;
        world.add_worker(&[]);
        wait_for_readiness(world.workers.last().expect("it was just added")).await;
        let leaving = &world.workers[old];
        assert_eq!(probe(leaving, "/healthz").await.map(|(status, _)| status), Some(200));
        leaving.sigterm();
        // Its last requests take a while: until then it lives, is counted, and wants no more.
        wait_until("it to say that it is stopping, or to be gone", LONG, || async {
            match probe(leaving, "/readyz").await {
                Some((200, _)) => None,
                Some(said) => {
                    assert_eq!(said, (503, "stopping\n".to_owned()));
                    Some(())
                }
                None => leaving.exit_status().map(|_| ()),
            }
        })
        .await;
        let status = leaving.wait_exit(Duration::from_secs(60)).await;
        assert!(status.success(), "{status}");
    }
    world.apis[0].sigterm();
    let status = world.apis[0].wait_exit(Duration::from_secs(60)).await;
    assert!(status.success(), "{status}");
    world.apis[0].restart();
    world.apis[0].wait_ready().await;
    load.end().await;
    world.run_until_idle().await;
    ledger
        .tally(&world.receiver, &PATHS)
        .outcome("F4", "a rolling update: new ones get ready, old ones are asked to end")
        .kept(0);
}

/// A worker that ends wants no more work, but lives for as long as its last request takes: whoever asks
/// must neither send it more nor kill it.
#[tokio::test]
async fn b38_a_worker_that_drains_is_alive_and_not_ready() {
    let world = World::start().await;
    let org = new_id();
    world.receiver.answer("/hook", [Answer::ok().held()]);
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let event = world.relay.emit(&found(org, "last")).await;
    world.receiver.wait_for("/hook", 1).await;
    let worker = &world.workers[0];
    worker.sigterm();
    wait_until("it to say that it is stopping", LONG, || async {
        let said = probe(worker, "/readyz").await?;
        (said == (503, "stopping\n".to_owned())).then_some(())
    })
    .await;
    assert_eq!(probe(worker, "/healthz").await, Some((200, "ok\n".to_owned())));
    world.receiver.release();
    assert!(worker.wait_exit(LONG).await.success(), "{}", worker.log());
    let delivery = world.relay.delivery_of(org, event, hook.id).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
}

/// What the image's check runs: it asks the process that has its settings, and its exit is the answer.
#[tokio::test]
async fn relay_health_is_the_answer_of_the_process_that_has_its_settings() {
    let world = World::start().await;
    for process in [&world.apis[0], &world.workers[0]] {
        wait_for_readiness(process).await;
        let own = process.metrics_address().to_owned();
        let well = command::relay(&["health"], &[("RELAY_METRICS_LISTEN", &own)]).await.good();
        assert_eq!(well.stdout, "200 ok\n");
    }
    let api = format!("{}/readyz", world.relay.base_url());
    command::relay(&["health", "--url", &api], &[]).await.good();
    let wrong = format!("{}/nothing-is-here", world.relay.base_url());
    let ill = command::relay(&["health", "--url", &wrong], &[]).await;
    assert!(ill.code == Some(1) && ill.stdout.starts_with("404"), "{ill:?}");
    let closed = tests::ClosedPort::take();
    let nobody = format!("127.0.0.1:{}", closed.port);
    let ill = command::relay(&["health"], &[("RELAY_METRICS_LISTEN", &nobody)]).await;
    assert!(ill.code == Some(1) && ill.stderr.contains(&nobody), "{ill:?}");
}

/// A worker whose schema is behind lives, and is not ready; it is as soon as somebody has migrated.
#[tokio::test]
async fn a_worker_is_not_ready_before_its_schema_is_there() {
    let mut world = World::builder().bare().await;
    world.add_worker(&[]);
    let worker = &world.workers[0];
    wait_until("it to say what it waits for", LONG, || async {
        let (status, said) = probe(worker, "/readyz").await?;
        (status == 503 && said.contains("run `relay migrate`")).then_some(())
    })
    .await;
    assert_eq!(probe(worker, "/healthz").await, Some((200, "ok\n".to_owned())));
    let (status, log) = world.run("migrate", &["migrate"]).await;
    assert!(status.success(), "{log}");
    wait_for_readiness(worker).await;
}
