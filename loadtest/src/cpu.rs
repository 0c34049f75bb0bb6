//! Who used the processor: watched processes with their descendants, ourselves, and strangers.

use std::collections::HashMap;
use std::fs;

use anyhow::Context as _;
use serde::Serialize;

/// What `/proc` counts in; fixed at 100 for programs on every Linux we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process to be watched, under the name it is reported by. Several may share one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) pid: u32,
}

impl std::str::FromStr for Watched {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, pid) = text.split_once('=').context("expected NAME=PID")?;
        Ok(Self { name: name.to_owned(), pid: pid.parse().context("expected NAME=PID")? })
    }
}

/// The counters at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    processes: HashMap<u32, Process>,
    machine: Machine,
    threads: Vec<f64>,
}

/// The share of one watched process in a span of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Usage {
    pub(crate) name: String,
    pub(crate) cpu_seconds: f64,
    /// Resident memory of the named process at the end, shared pages included.
    pub(crate) rss_mib: f64,
    /// The most that the named process had resident since it began.
    pub(crate) peak_mib: f64,
    /// The same for it and its descendants, with shared pages divided among their users.
    pub(crate) pss_mib: f64,
}

/// How one span of time was spent.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) usages: Vec<Usage>,
    /// Processor seconds of the threads asked for, in their order.
    pub(crate) threads: Vec<f64>,
    /// Of all processor time that the machine has.
    pub(crate) busy_share: f64,
    /// Of all processor time: neither watched nor this process.
    pub(crate) strangers_share: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Process {
    parent: u32,
    /// Its own, and that of children it has waited for.
    ticks: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Machine {
    busy: f64,
    idle: f64,
}

impl Sample {
    /// Reads all counters; `threads` are threads of this process.
    pub(crate) fn take(threads: &[u32]) -> anyhow::Result<Self> {
        let processes = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            // A process may end between the listing and the reading.
            .filter_map(|pid: u32| {
                let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
                Some((pid, parse_process(&stat)?))
            })
            .collect();
        let stat = fs::read_to_string("/proc/stat")?;
        let machine = parse_machine(&stat).context("/proc/stat is not as expected")?;
        let ticks = |thread: &u32| {
            let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
            parse_thread(&stat)
        };
        let threads = threads.iter().map(|thread| ticks(thread).unwrap_or_default()).collect();
        Ok(Self { processes, machine, threads })
    }

    /// What happened since `earlier`. Every process counts for its nearest watched ancestor.
    pub(crate) fn since(&self, earlier: &Self, watched: &[Watched]) -> Span {
        let own_pid = std::process::id();
        let ticks = |sample: &Self, root: u32| -> f64 {
            let members = sample.processes.iter();
            members
                .filter(|(pid, _)| sample.owner(**pid, watched, own_pid) == Some(root))
                .map(|(_, process)| process.ticks)
                .sum()
        };
        let spent = |root| (ticks(self, root) - ticks(earlier, root)).max(0.0);
        let known = watched.iter().map(|one| spent(one.pid)).sum::<f64>() + spent(own_pid);
        let idle = self.machine.idle - earlier.machine.idle;
        let busy = self.machine.busy - earlier.machine.busy;
        let all = (idle + busy).max(1.0);
        let usages = watched.iter().map(|one| Usage {
            name: one.name.clone(),
            cpu_seconds: spent(one.pid) / TICKS_PER_SECOND,
            rss_mib: memory_mib(&format!("/proc/{}/status", one.pid), "VmRSS:"),
            peak_mib: memory_mib(&format!("/proc/{}/status", one.pid), "VmHWM:"),
            pss_mib: self
                .processes
                .keys()
                .filter(|pid| self.owner(**pid, watched, own_pid) == Some(one.pid))
                .map(|pid| memory_mib(&format!("/proc/{pid}/smaps_rollup"), "Pss:"))
                .sum(),
        });
        // A thread that was not asked for earlier has begun since.
        let then = earlier.threads.iter().copied().chain(std::iter::repeat(0.0));
        let threads = self.threads.iter().zip(then);
        Span {
            usages: usages.collect(),
            threads: threads.map(|(now, then)| (now - then) / TICKS_PER_SECOND).collect(),
            busy_share: busy / all,
            strangers_share: ((busy - known) / all).max(0.0),
        }
    }

    /// The watched process, or this one, that `pid` is or descends from.
    fn owner(&self, pid: u32, watched: &[Watched], own_pid: u32) -> Option<u32> {
        let mut at = pid;
        loop {
            if at == own_pid || watched.iter().any(|one| one.pid == at) {
                return Some(at);
            }
            at = self.processes.get(&at).map(|process| process.parent).filter(|up| *up != 0)?;
        }
    }
}

/// The thread that asks, as `/proc` numbers it.
pub(crate) fn this_thread() -> anyhow::Result<u32> {
    let link = fs::read_link("/proc/thread-self")?;
    let name = link.file_name().and_then(|name| name.to_str()).context("a thread has a number")?;
    Ok(name.parse()?)
}

/// A field of a `/proc` file that is given in kB; zero when it cannot be read.
fn memory_mib(path: &str, field: &str) -> f64 {
    let kib = |text: String| -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse().ok()
    };
    fs::read_to_string(path).ok().and_then(kib).unwrap_or_default() / 1024.0
}

/// See proc_pid_stat(5). The name may hold spaces and brackets, so fields count from its end.
fn parse_process(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<f64>().ok();
    let own = ticks(11)? + ticks(12)?;
    let waited_for = ticks(13)? + ticks(14)?;
    Some(Process { parent: fields.get(1)?.parse().ok()?, ticks: own + waited_for })
}

/// Of a thread: what the process has waited for is told of each of its threads, and is none of theirs.
fn parse_thread(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
}

/// See proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal; guests are in user.
fn parse_machine(stat: &str) -> Option<Machine> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let times: Vec<f64> =
        line.split_whitespace().take(8).map(|time| time.parse().unwrap_or_default()).collect();
    let idle = times.get(3)? + times.get(4)?;
    Some(Machine { busy: times.iter().sum::<f64>() - idle, idle })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(processes: &[(u32, u32, f64)], busy: f64, idle: f64) -> Sample {
        let processes = processes
            .iter()
            .map(|(pid, parent, ticks)| (*pid, Process { parent: *parent, ticks: *ticks }));
        let machine = Machine { busy, idle };
        Sample { processes: processes.collect(), machine, threads: Vec::new() }
    }

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 100 20 30 4 20 0 1 0 5 6 7";
        assert_eq!(parse_process(stat), Some(Process { parent: 7, ticks: 154.0 }));
        assert!(parse_thread(stat).is_some_and(|ticks| ticks < 154.0), "without its children");
    }

    #[test]
    fn waiting_for_the_disk_is_idle_and_stolen_time_is_not() {
        let stat = "cpu  100 1 50 800 40 2 3 4 9 9\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine(stat), Some(Machine { busy: 160.0, idle: 840.0 }));
    }

    #[test]
    fn descendants_count_for_their_nearest_watched_ancestor_and_the_rest_are_strangers() {
        let watched: Vec<Watched> = ["relay=1000001", "postgres=1000002"]
            .map(|text| text.parse().expect("well formed"))
            .into();
        let (relay, postgres, backend, other) = (1_000_001, 1_000_002, 1_000_003, 1_000_004);
        let before = sample(
            &[(relay, 1, 10.0), (postgres, relay, 10.0), (backend, postgres, 0.0), (other, 1, 5.0)],
            0.0,
            0.0,
        );
        let after = sample(
            &[
                (relay, 1, 30.0),
                (postgres, relay, 20.0),
                (backend, postgres, 30.0),
                (other, 1, 45.0),
            ],
            100.0,
            100.0,
        );
        let span = after.since(&before, &watched);
        let seconds: Vec<f64> = span.usages.iter().map(|usage| usage.cpu_seconds).collect();
        assert_eq!(seconds, [0.2, 0.4]);
        assert!((span.busy_share - 0.5).abs() < 1e-9);
        assert!((span.strangers_share - 0.2).abs() < 1e-9);
    }

    #[test]
    fn this_process_and_its_threads_can_be_read() {
        let thread = this_thread().expect("Linux has /proc");
        let sample = Sample::take(&[thread]).expect("Linux has /proc");
        assert!(sample.processes.contains_key(&std::process::id()));
    }
}
