//! `relay with-postgres`: a command beside a Postgres of its own, gone when the command ends.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use uuid::Uuid;

use crate::embedded_postgres::{self, DATABASE, EmbeddedPostgres, Options};
use crate::settings::{Needs, Settings};
use crate::telemetry;

/// Begins the name of each throw-away directory; our process id follows.
const PREFIX: &str = "relay-throw-away-";
/// For a command that was asked to end.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Keeps the cluster in this directory instead of throwing it away.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Gives up durability (fsync) for speed.
    #[arg(long)]
    fast: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Runs the command and answers with its exit code; a signal that ends it counts as 128 and its
/// number, as in a shell. The cluster goes whatever happens, short of a `kill -9` of this process,
/// whose leavings the next run clears away.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Nothing)?;
    telemetry::init_logging(&settings)?;
    // Caught from here on, so that none of them can end us before the cluster is gone.
    let mut interrupts = Interrupts::new()?;
    let running = tokio::task::spawn_blocking(move || {
        let (dir, is_kept) = match arguments.keep {
            Some(dir) => (dir, true),
            None => (throw_away_dir()?, false),
        };
        let options = Options { bin_dir: settings.pg_bin_dir, throw_away: arguments.fast };
        let started = EmbeddedPostgres::start(&dir, &options);
        if started.is_err() && !is_kept {
            let _ = fs::remove_dir_all(&dir);
        }
        anyhow::Ok((started?, dir, is_kept))
    });
    let (postgres, dir, is_kept) = running.await??;
    let ended = run_beside(&arguments.command, &postgres, &mut interrupts).await;
    let gone = tokio::task::spawn_blocking(move || {
        if is_kept {
            return postgres.stop();
        }
        postgres.destroy()?;
        if dir.exists() { fs::remove_dir_all(&dir).context("cannot delete") } else { Ok(()) }
    });
    gone.await??;
    Ok(exit_code(ended?))
}

async fn run_beside(
    command: &[OsString],
    postgres: &EmbeddedPostgres,
    interrupts: &mut Interrupts,
) -> anyhow::Result<ExitStatus> {
    let (program, arguments) = command.split_first().context("there is no command")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("DATABASE_URL", postgres.url(DATABASE))
        .env("RELAY_TEST_PG_BIN", postgres.bin_dir())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    tokio::select! {
        status = child.wait() => return Ok(status?),
        () = interrupts.next() => {}
    }
    end(&mut child).await
}

/// Asks the command to end, and insists after a while. From a terminal it has had the same signal.
async fn end(child: &mut Child) -> anyhow::Result<ExitStatus> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // It may have ended by itself in the meantime.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = tokio::time::timeout(PATIENCE, child.wait()).await {
        return Ok(status?);
    }
    child.kill().await?;
    Ok(child.wait().await?)
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// A fresh directory name, after clearing away what processes that were killed have left.
fn throw_away_dir() -> anyhow::Result<PathBuf> {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent)?.filter_map(Result::ok) {
        if maker(&entry.file_name()).is_some_and(has_ended) {
            clear(&entry.path());
        }
    }
    let name = format!("{PREFIX}{}-{:x}", std::process::id(), Uuid::new_v4().as_fields().0);
    Ok(parent.join(name))
}

/// The process that made the directory of this name.
fn maker(name: &OsStr) -> Option<i32> {
    name.to_str()?.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn has_ended(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(nix::errno::Errno::ESRCH)
}

/// What cannot be cleared, as another user's, is left alone.
fn clear(dir: &Path) {
    match embedded_postgres::sweep(dir) {
        Ok(_) => {
            let _ = fs::remove_dir_all(dir);
        }
        Err(error) => tracing::debug!(dir = %dir.display(), "not cleared away: {error:#}"),
    }
}

/// The ways in which people and supervisors ask a process to end.
struct Interrupts {
    signals: [tokio::signal::unix::Signal; 3],
}

impl Interrupts {
    fn new() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hangup?] })
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_tells_who_made_it() {
        assert_eq!(maker(OsStr::new("relay-throw-away-42-7f")), Some(42));
        for other in ["relay-throw-away-", "relay-throw-away-x-1", "relay-postgres-42", ""] {
            assert_eq!(maker(OsStr::new(other)), None, "{other}");
        }
    }
}
