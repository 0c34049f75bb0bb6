//! Where and on what a figure was measured: without these facts it means nothing.

use std::fs;
use std::process::Command;

use serde::Serialize;

/// The machine and the source tree.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
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

fn commit() -> String {
    let git = |arguments: &[&str]| output(Command::new("git").args(arguments));
    let Some(head) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let is_clean = git(&["status", "--porcelain"]).is_some_and(|changes| changes.is_empty());
    if is_clean { head } else { format!("{head}+") }
}
