//! The floor: another program that only receives, stores and delivers, measured in the same go.
//!
//! It is called as `PROGRAM floor --dsn … --listen … --target … --fanout … --mode claim
//! --threads …`, takes the same events, answers 202 after its commit, and posts each body to the
//! target. Its deliveries are counted but not verified.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::cluster::{free_address, stop};
use crate::cpu::Watched;
use crate::load::Load;
use crate::postgres::Postgres;
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::round::Round;
use crate::scenarios::steady;
use crate::trial::Stage;

const PATIENCE: Duration = Duration::from_secs(20);

/// Puts the same load on the floor program. It may use the database as it likes.
pub(crate) async fn measure(
    program: &Path,
    postgres: &Postgres,
    receiver: &Receiver,
    load: &Load,
    progress: Progress,
) -> anyhow::Result<Vec<Round>> {
    let listen = free_address()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut child = Command::new(program)
        .args(["floor", "--dsn", &postgres.dsn(), "--mode", "claim"])
        .args(["--listen", &listen.to_string(), "--target", &receiver.address().to_string()])
        .args(["--fanout", &load.connections.to_string(), "--threads", &threads.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(listen).await.is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("the floor program ended with {status}");
        }
        ensure!(Instant::now() < until, "the floor program did not listen in time");
        sleep(Duration::from_millis(50)).await;
    }
    receiver.expect_no_signatures();
    let pid = child.id().context("the floor program has just been running")?;
    let watched = [("floor", pid), ("postgres", postgres.pid)]
        .map(|(name, pid)| Watched { name: name.into(), pid });
    let stage = Stage {
        target: listen,
        service_key: "none".to_owned(),
        receiver,
        is_floor: true,
        progress,
    };
    let rounds = steady::measure(&stage, load, Uuid::nil(), &watched).await;
    stop(&mut child).await?;
    rounds
}
