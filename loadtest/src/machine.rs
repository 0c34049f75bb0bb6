//! Where and on what a figure was measured: without these facts it means nothing.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The machine and the source tree.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// Median time that one synced write of a database page takes, where temporary files are: each
    /// commit waits for about that long.
    pub(crate) synced_write_us: Option<u64>,
    /// Commit of the directory we were started in, with `+` for uncommitted changes.
    pub(crate) commit: String,
    pub(crate) unix_time: u64,
}

impl Facts {
    pub(crate) fn gather() -> Self {
        let first = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
        };
        let memory_kib: u64 =
            first("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            cpu: first("/proc/cpuinfo", "model name"),
            memory_gib: (memory_kib + (1 << 19)) >> 20,
            kernel: kernel.trim().to_owned(),
            synced_write_us: synced_write_us().ok(),
            commit: commit(),
            unix_time: crate::clock::unix_seconds(),
        }
    }
}

/// The version of the server that runs as `pid`, from its own binary.
pub(crate) fn postgres_version(pid: u32) -> Option<String> {
    let binary = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    output(Command::new(binary).arg("--version"))
}

/// What the standard output of a short command was, if it succeeded.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Within half a second, or a hundred writes.
fn synced_write_us() -> std::io::Result<u64> {
    let path = std::env::temp_dir().join(format!("relay-loadtest-sync-{}", std::process::id()));
    let measured = (|| {
        let mut file = fs::File::create(&path)?;
        let began = Instant::now();
        let mut times = Vec::new();
        while times.len() < 100 && began.elapsed() < Duration::from_millis(500) {
            let one = Instant::now();
            file.rewind()?;
            file.write_all(&[0x5a; 8_192])?;
            file.sync_data()?;
            times.push(u64::try_from(one.elapsed().as_micros()).unwrap_or(u64::MAX));
        }
        times.sort_unstable();
        Ok(times[times.len() / 2])
    })();
    fs::remove_file(&path)?;
    measured
}

fn commit() -> String {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments));
    let Some(head) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let is_clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    if is_clean { head } else { format!("{head}+") }
}
