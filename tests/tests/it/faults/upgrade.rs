//! The version before this one and this one beside each other, under load: forward, and back again.

use std::{path::PathBuf, time::Duration};

use tests::{LONG, Ledger, Load, Process, Receiver, World, new_id, wait_until};
use uuid::Uuid;

use super::{found, owned_evenly};
use crate::{
    command,
    packaging::rollout::{probe, wait_for_readiness},
};

const PATHS: [&str; 2] = ["/a", "/b"];
/// How many events are followed from one version to the other each time: both APIs take some.
const EACH: usize = 4;

/// The binary that `scripts/setup-previous` built.
fn previous() -> String {
    let path = std::env::var_os("RELAY_PREVIOUS_BIN").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own file");
            test.ancestors().nth(3).expect("it lies in target/").join("previous/relay")
        },
        PathBuf::from,
    );
    assert!(path.is_file(), "{} is not there: scripts/setup-previous", path.display());
    path.display().to_string()
}

async fn is_previous(process: &Process) -> bool {
    process.metrics().await.contains("-previous\"} 1")
}

/// Replaces an API process where it is.
async fn replace_api(world: &mut World, index: usize, binary: &str) {
    let api = &mut world.apis[index];
    api.sigterm();
    let status = api.wait_exit(2 * LONG).await;
    assert!(status.success(), "{status}");
    api.set_env("RELAY_BIN", binary);
    api.restart();
    api.wait_ready().await;
    wait_for_readiness(api).await;
}

/// Starts a worker of that version, waits until it is ready, and has the workers before it end: all of
/// them, one by one.
async fn replace_workers(world: &mut World, binary: &str) {
    world.add_worker(&[("RELAY_BIN", binary)]);
    let (new, old) = world.workers.split_last().expect("it was just added");
    wait_for_readiness(new).await;
    for worker in old.iter().filter(|worker| worker.exit_status().is_none()) {
        worker.sigterm();
        let status = worker.wait_exit(2 * LONG).await;
        assert!(status.success(), "{status}");
    }
}

/// Emits through every API process in turn, and sees each delivered, whichever API is asked.
async fn each_reads_the_other(world: &World, org: Uuid, hook: Uuid, ledger: &Ledger, name: &str) {
    let mut events = Vec::new();
    for marker in (0..EACH).map(|n| format!("{name}-{n}")) {
        ledger.sending(&marker);
        events.push(world.relay.emit(&found(org, &marker)).await);
        ledger.acknowledged(&marker);
    }
    for event in events {
        for _ in &world.apis {
            let delivery = world.relay.settled(org, event, hook, "delivered").await;
            assert_eq!(delivery["attempt_list"].as_array().map(Vec::len), Some(1), "{delivery}");
        }
    }
}

async fn migrations(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from relay._sqlx_migrations where success")
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
}

/// F27. The order of docs/upgrading.md with real binaries of both versions while events keep coming:
/// a newer worker waits for its schema; the schema moves under the older version; then any
/// mixture of the two records, delivers and shows what the other recorded; and so does the way
/// back. Nothing is lost, and nothing arrives twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make faults"]
async fn f27_two_versions_run_side_by_side_forward_and_back() {
    let (old, new) = (previous(), command::binary().display().to_string());
    let mut world = World::builder().api(2).workers(2).env("RELAY_BIN", &old).start().await;
    assert!(is_previous(&world.apis[0]).await && is_previous(&world.workers[1]).await);
    let (org, ledger) = (new_id(), Ledger::default());
    let hook = world.relay.create_custom(org, &world.receiver.url(PATHS[0])).await.id;
    world.relay.create_custom(org, &world.receiver.url(PATHS[1])).await;
    let load = Load::paced(&world.relay, &ledger, org, "load", 2, Duration::from_millis(50));
    world.receiver.wait_for(PATHS[0], 50).await;

    // A newer worker than the schema lives, and claims nothing.
    let level = migrations(&world).await;
    world.set_env("RELAY_BIN", &new);
    world.add_worker(&[]);
    let early = &world.workers[2];
    wait_until("it to say that it waits for its schema", LONG, || async {
        let (status, said) = probe(early, "/readyz").await?;
        (status == 503 && said.contains("run `relay migrate`")).then_some(())
    })
    .await;
    owned_evenly(&world, 2).await;

    let (status, log) = world.run("migrate-new", &["migrate"]).await;
    assert!(status.success(), "{log}");
    let newer = migrations(&world).await;
    assert!(newer > level, "tests/previous-version names a version with this schema: {level}");
    wait_for_readiness(&world.workers[2]).await;
    assert!(!is_previous(&world.workers[2]).await);
    owned_evenly(&world, 3).await;

    // Both workers with the older APIs, the new worker alone with them, then with one of each.
    each_reads_the_other(&world, org, hook, &ledger, "old-apis").await;
    replace_workers(&mut world, &new).await;
    each_reads_the_other(&world, org, hook, &ledger, "old-apis-new-workers").await;
    replace_api(&mut world, 0, &new).await;
    assert!(!is_previous(&world.apis[0]).await && is_previous(&world.apis[1]).await);
    each_reads_the_other(&world, org, hook, &ledger, "both-apis-new-workers").await;
    replace_workers(&mut world, &old).await;
    each_reads_the_other(&world, org, hook, &ledger, "both-apis-old-workers").await;
    replace_workers(&mut world, &new).await;
    replace_api(&mut world, 1, &new).await;
    each_reads_the_other(&world, org, hook, &ledger, "all-new").await;
    // What only the newer version had a hand in, the older one goes on with.
    let (later, elsewhere) = (new_id(), Receiver::start().await);
    let made_new = world.relay.create_custom(later, &elsewhere.url("/new")).await.id;

    // Back: the processes, not the schema, which an older `relay migrate` leaves alone.
    replace_workers(&mut world, &old).await;
    replace_api(&mut world, 0, &old).await;
    replace_api(&mut world, 1, &old).await;
    world.set_env("RELAY_BIN", &old);
    let (status, log) = world.run("migrate-old", &["migrate"]).await;
    assert!(!status.success(), "an older `relay migrate` took a newer schema for its own: {log}");
    assert_eq!(migrations(&world).await, newer);
    each_reads_the_other(&world, org, hook, &ledger, "all-old-again").await;
    each_reads_the_other(&world, later, made_new, &Ledger::default(), "made-new").await;
    assert_eq!(elsewhere.count("/new"), EACH);

    load.end().await;
    world.run_until_idle().await;
    world.set_env("RELAY_BIN", &new);
    let (status, log) = world.run("projection", &["projection", "check"]).await;
    assert!(status.success(), "{log}");
    let tally = ledger.tally(&world.receiver, &PATHS);
    println!("{} delivered, {} twice", tally.arrived, tally.duplicates.len());
    tally
        .outcome("F27", "both versions side by side under load: migrated, forward, and back")
        .measured("migrations in between", newer - level)
        .kept(0);
}
