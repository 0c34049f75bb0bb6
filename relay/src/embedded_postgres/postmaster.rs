//! The server process: found by its pid file, waited for, and stopped.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::PORT;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// For the immediate stop that follows a fast one which took too long.
const LAST_RESORT: Duration = Duration::from_secs(10);

/// How long one that was killed may take to be gone.
const DYING: Duration = Duration::from_secs(5);

/// A server that answers on its socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Postmaster {
    pub(super) pid: i32,
    pub(super) socket_dir: PathBuf,
    pid_file: PathBuf,
}

/// The server that runs on `data` and answers, if one does.
pub(super) fn running(data: &Path) -> anyhow::Result<Option<Postmaster>> {
    let Some(found) = PidFile::read(data)? else { return Ok(None) };
    let postmaster =
        Postmaster { pid: found.pid, socket_dir: found.socket_dir, pid_file: PidFile::path(data) };
    // The pid alone could be anybody's after a crash; a listener in our closed directory is ours.
    let answers = found.status == Status::Ready && is_alive(found.pid) && postmaster.answers();
    Ok(answers.then_some(postmaster))
}

/// The server left running on `data`, once it answers; `None` when there is none, or when the one
/// that there was has gone.
pub(super) fn adopt(data: &Path, timeout: Duration) -> anyhow::Result<Option<Postmaster>> {
    let begun = Instant::now();
    while begun.elapsed() < timeout {
        if let Some(postmaster) = running(data)? {
            return Ok(Some(postmaster));
        }
        match PidFile::read(data)? {
            // Recovering, or on its way out: both end by themselves.
            Some(found) if found.status != Status::Ready && is_postgres(found.pid) => {}
            // It was killed a moment ago: it listens no more, and is not gone yet.
            Some(found) if is_postgres(found.pid) && begun.elapsed() < DYING => {}
            _ => return Ok(None),
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("the Postgres left running neither became ready nor stopped")
}

/// Makes way for a new server when the pid file names a process that has ended, or that is somebody
/// else by now, which Postgres itself would take for a server still running.
///
/// The file stays, as it also names the shared memory that a dead server's children may still use,
/// and Postgres checks that. It takes its parent's pid for a stale one, so ours is put in.
/// The socket's own lock guards nothing besides, in a directory that is ours.
pub(super) fn make_way(data: &Path, socket_dir: &Path) -> anyhow::Result<()> {
    let path = PidFile::path(data);
    let found = PidFile::read(data)?;
    if found.as_ref().is_some_and(|found| is_postgres(found.pid)) {
        return Ok(());
    }
    let lock = socket_dir.join(format!(".s.PGSQL.{PORT}.lock"));
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).context("the stale lock of the server's socket cannot be removed");
        }
        _ => {}
    }
    if found.is_none() {
        return Ok(());
    }
    let text = fs::read_to_string(&path).context("the server's pid file cannot be read")?;
    let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
    fs::write(&path, format!("{}\n{rest}", std::process::id()))
        .context("the server's stale pid file cannot be changed")
}

/// Waits until the server just spawned answers; kills it if that takes longer than `timeout`.
pub(super) fn wait_for_child(
    data: &Path,
    child: &mut Child,
    timeout: Duration,
) -> anyhow::Result<Postmaster> {
    let until = Instant::now() + timeout;
    while Instant::now() < until {
        if let Some(postmaster) = running(data)?
            && u32::try_from(postmaster.pid) == Ok(child.id())
        {
            return Ok(postmaster);
        }
        if let Some(status) = child.try_wait().context("the server cannot be watched")? {
            bail!("it ended with {status}");
        }
        thread::sleep(LOOK_EVERY);
    }
    child.kill().context("the server cannot be stopped")?;
    child.wait().context("the server cannot be waited for")?;
    bail!("it was not ready after {} s", timeout.as_secs())
}

impl Postmaster {
    /// Disconnects everybody and waits for the end; what takes longer than `timeout` is cut short,
    /// which costs the next start a recovery and loses nothing. A server that is gone is no error.
    pub(super) fn stop(
        &self,
        mut child: Option<&mut Child>,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        for (signal, patience) in [(Signal::SIGINT, timeout), (Signal::SIGQUIT, LAST_RESORT)] {
            match kill(Pid::from_raw(self.pid), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error).context("the server cannot be signalled"),
            }
            let until = Instant::now() + patience;
            while Instant::now() < until {
                if self.has_ended(child.as_deref_mut())? {
                    return Ok(());
                }
                thread::sleep(LOOK_EVERY);
            }
        }
        bail!("the server with process id {} does not stop", self.pid)
    }

    fn has_ended(&self, child: Option<&mut Child>) -> anyhow::Result<bool> {
        match child {
            Some(child) => Ok(child.try_wait().context("the server cannot be watched")?.is_some()),
            None => Ok(!is_alive(self.pid) || !self.pid_file.exists()),
        }
    }

    fn answers(&self) -> bool {
        UnixStream::connect(self.socket_dir.join(format!(".s.PGSQL.{PORT}"))).is_ok()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Ready,
    /// Starting, recovering or stopping.
    Changing,
}

#[derive(Debug, PartialEq, Eq)]
struct PidFile {
    pid: i32,
    socket_dir: PathBuf,
    status: Status,
}

impl PidFile {
    fn path(data: &Path) -> PathBuf {
        data.join("postmaster.pid")
    }

    fn read(data: &Path) -> anyhow::Result<Option<Self>> {
        match fs::read_to_string(Self::path(data)) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context("the server's pid file cannot be read"),
        }
    }

    /// Lines: pid, data directory, start time, port, socket directory, address, memory key, status.
    /// A starting server writes them one after the other.
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let pid = lines.first()?.parse().ok().filter(|pid| 0 < *pid)?;
        let socket_dir = PathBuf::from(lines.get(4).copied().unwrap_or_default());
        let ready = lines.get(7) == Some(&"ready");
        Some(Self { pid, socket_dir, status: if ready { Status::Ready } else { Status::Changing } })
    }
}

/// Whether the process exists and has not ended; one that nobody has waited for yet has ended.
fn is_alive(pid: i32) -> bool {
    let exists = !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH));
    exists && !fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_zombie(&stat))
}

/// `<pid> (<name>) <state> …`; the name may hold spaces and brackets.
fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

/// Whether a live process looks like a server, where the system tells; otherwise it may be one.
fn is_postgres(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    is_alive(pid) && name.map_or(true, |name| matches!(name.trim(), "postgres" | "postmaster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_ready_only_when_its_last_line_says_so() {
        let full = "42\n/d\n1700000000\n5432\n/run/s\n\n  5432001  65538\nready   \n";
        let file = PidFile::parse(full).expect("it has a pid");
        assert_eq!((file.pid, file.status), (42, Status::Ready));
        assert_eq!(file.socket_dir, Path::new("/run/s"));
        for changing in [
            "42\n",
            "42\n/d\n1700000000\n5432\n/run/s\n",
            &full.replace("ready   ", "starting"),
            &full.replace("ready   ", "stopping"),
        ] {
            assert_eq!(PidFile::parse(changing).expect("it has a pid").status, Status::Changing);
        }
        for broken in ["", "\n", "x", "-1\n", "0\n"] {
            assert_eq!(PidFile::parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_process_that_nobody_waited_for_has_ended() {
        assert!(is_zombie("12 (a b) c) Z 1 12"));
        assert!(!is_zombie("12 (Z) S 1 12"));
        assert!(is_alive(i32::try_from(std::process::id()).expect("process ids fit")));
    }
}
