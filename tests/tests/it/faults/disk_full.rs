//! A Postgres whose disk is full: what cannot be written is refused, and nothing is mended by hand.

use std::time::{Duration, Instant};

use tests::{LONG, OwnPostgres, World, wait_until};

use super::server_killed::{Loaded, RESUMES, UNDER_WAY};

const MIB: u64 = 1024 * 1024;
/// Room for the cluster, the schema and a while of load.
const ROOM: u64 = 192 * MIB;

/// F13: the data directory lies on a small file system, which is filled under load until events are
/// refused, and is kept full; once there is room again all goes on by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f13_the_disk_of_postgres_is_full_and_then_is_not() {
    const FULL_FOR: Duration = Duration::from_secs(4);
    if !OwnPostgres::can_be_small() {
        let notice = "F13 was NOT shown: only root can mount a file system to be filled";
        assert!(std::env::var_os("CI").is_none(), "{notice}");
        println!("{notice}");
        return;
    }
    let loaded = Loaded::start(World::builder().own_postgres_on(ROOM), 2).await;
    let postgres = loaded.world.postgres();
    // A log that cannot be written ends Postgres: whoever runs it has it started again.
    postgres.keep_running();
    postgres.fill();
    loaded.until_it_takes(false).await;
    let (mut refused, full_since) = (0, Instant::now());
    while full_since.elapsed() < FULL_FOR {
        // What Postgres gave up meanwhile is taken as well.
        postgres.fill();
        refused += usize::from(!loaded.takes().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Until now single statements were refused. Without room for its log Postgres cannot even run.
    wait_until("Postgres to give up", LONG, || async {
        write_to_the_log(&loaded.world).await;
        (!loaded.takes().await && postgres.log().contains("PANIC")).then_some(())
    })
    .await;
    postgres.free();
    postgres.wait_ready().await;
    let ready = Instant::now();
    loaded.until_it_takes(true).await;
    loaded.resumes().await;
    let resumed = ready.elapsed();
    assert!(resumed <= RESUMES, "resumed after {resumed:?}");
    assert!(refused > 0, "nothing was refused while the disk was full");
    let done = "the file system of Postgres filled to the last byte for 4 s, then its log as well";
    let (world, outcome) = loaded.end("F13", done).await;
    let gave_up = world.postgres().log().matches("PANIC").count();
    outcome
        .recovered(resumed)
        .measured("refused (503) while it was full", refused)
        .measured("times that Postgres gave up", gave_up)
        .kept((1 + gave_up) * UNDER_WAY);
}

/// Writes a megabyte to the log alone, if there is room.
async fn write_to_the_log(world: &World) {
    let writing = "select pg_logical_emit_message(false, 'F13', repeat('x', 1024 * 1024))";
    let _ = sqlx::query(writing).execute(world.sql()).await;
}
