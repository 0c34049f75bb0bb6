//! One machine: an etcd, a Patroni and its Postgres at one address, which stand, fall and hang together.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    net::Ipv4Addr,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};

use super::files::{self, Site};

/// The machine. Dropped, everything that runs on it is killed.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    home: PathBuf,
    settings: Vec<(String, String)>,
    etcd: Option<Child>,
    patroni: Option<Child>,
}

impl Machine {
    /// Starts etcd and Patroni on it. Patroni begins to do something once most of the etcds are there.
    pub(crate) fn start(site: &Site, number: usize, below: &Path) -> Self {
        let name = format!("db{number}");
        let home = below.join(&name);
        fs::create_dir_all(&home).expect("the temporary directory can be written");
        if let Some(owner) = owner() {
            let (uid, gid) = (Some(owner.uid.as_raw()), Some(owner.gid.as_raw()));
            chown(&home, uid, gid).expect("root may give it away");
        }
        let settings = site.machine(number, &home);
        let address = site.address(number);
        let mut machine = Self { name, address, home, settings, etcd: None, patroni: None };
        machine.etcd = Some(machine.spawn("etcd", &[]));
        machine.start_patroni();
        machine
    }

    /// Starts Patroni again after [`Machine::kill_postgres`]; it starts its Postgres.
    pub(crate) fn start_patroni(&mut self) {
        let config = files::path("patroni.yml").display().to_string();
        self.patroni = Some(self.spawn("patroni", &[&config]));
    }

    fn spawn(&self, program: &str, arguments: &[&str]) -> Child {
        let log = self.home.join(format!("{program}.log"));
        let log: File =
            OpenOptions::new().create(true).append(true).open(log).expect("a log can be made");
        let mut command = Command::new(files::program(program));
        command.args(arguments).env_clear().envs(self.settings.iter().cloned());
        command.env("LC_ALL", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir("/");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be had twice"));
        if let Some(owner) = owner() {
            command.uid(owner.uid.as_raw()).gid(owner.gid.as_raw());
        }
        // Ctrl-C is for us: we end it.
        command.stderr(log).process_group(0).spawn().expect("it can be run")
    }

    /// Everything on it stands still, as on a machine that hangs or that the network has lost: nothing
    /// answers, and no connection is closed.
    pub(crate) fn freeze(&self) {
        let roots: Vec<Pid> = self.etcd.iter().chain(&self.patroni).map(pid).collect();
        stop_all(roots.into_iter().chain(self.postmaster()));
    }

    /// It goes on where it stood.
    pub(crate) fn thaw(&self) {
        let roots = self.etcd.iter().chain(&self.patroni).map(pid).chain(self.postmaster());
        for process in with_descendants(roots.collect()) {
            let _ = kill(process, Signal::SIGCONT);
        }
    }

    /// Patroni and Postgres end without warning; etcd stays, so that the others keep their majority.
    pub(crate) fn kill_postgres(&mut self) {
        let roots: Vec<Pid> = self.patroni.iter().map(pid).chain(self.postmaster()).collect();
        kill_all(roots);
        if let Some(mut child) = self.patroni.take() {
            let _ = child.wait();
        }
    }

    /// The processes that send its log to the standbys stand still: what is written from now on is
    /// confirmed by nobody else, and is on this machine alone.
    pub(crate) fn hold_back_its_log(&self) {
        let senders: Vec<Pid> = with_descendants(self.postmaster().into_iter().collect())
            .into_iter()
            .filter(|process| command_line(*process).contains("walsender"))
            .collect();
        assert!(!senders.is_empty(), "{} sends its log to nobody", self.name);
        for process in senders {
            kill(process, Signal::SIGSTOP).expect("it is there and ours");
        }
    }

    /// The process id that Postgres wrote into its data directory.
    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.home.join("data/postmaster.pid")).ok()?;
        let id = Pid::from_raw(text.lines().next()?.parse().ok()?);
        // The file of one that was killed may name anybody by now.
        let mine = self.home.join("data");
        let is_ours = fs::read_link(format!("/proc/{id}/cwd")).is_ok_and(|at| at == mine);
        is_ours.then_some(id)
    }

    /// The ends of its logs, for the person who looks at a test that failed.
    pub(crate) fn print_logs(&self) {
        for name in ["patroni", "etcd"] {
            let text = fs::read(self.home.join(format!("{name}.log"))).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            println!("--- {name} of {} (the last of {} lines)", self.name, lines.len());
            println!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
        let roots: Vec<Pid> = self.etcd.iter().chain(&self.patroni).map(pid).collect();
        kill_all(roots.into_iter().chain(self.postmaster()).collect());
        for child in [&mut self.etcd, &mut self.patroni] {
            let _ = child.take().map(|mut child| child.wait());
        }
    }
}

/// Whom everything runs as where we are root: Postgres refuses to.
fn owner() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let user = |name| User::from_name(name).ok().flatten();
    Some(user("postgres").or_else(|| user("nobody")).expect("`nobody` exists"))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids fit"))
}

fn kill_all(roots: Vec<Pid>) {
    for process in stop_all(roots) {
        let _ = kill(process, Signal::SIGKILL);
    }
}

/// Stops these and all that they started, until nobody is left who could start another.
fn stop_all(roots: impl IntoIterator<Item = Pid>) -> BTreeSet<Pid> {
    let roots: BTreeSet<Pid> = roots.into_iter().collect();
    let mut stopped = BTreeSet::new();
    loop {
        let found = with_descendants(roots.clone());
        if found.is_subset(&stopped) {
            return stopped;
        }
        for process in &found {
            let _ = kill(*process, Signal::SIGSTOP);
        }
        stopped.extend(found);
    }
}

/// These processes, their children, and so on.
fn with_descendants(mut found: BTreeSet<Pid>) -> BTreeSet<Pid> {
    let entries = fs::read_dir("/proc").expect("these tests run on Linux");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(Pid, Pid)> =
        ids.filter_map(|id| Some((Pid::from_raw(id), parent(id)?))).collect();
    loop {
        let more = parents.iter().filter(|(_, parent)| found.contains(parent));
        let more: Vec<Pid> = more.map(|(id, _)| *id).filter(|id| !found.contains(id)).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn parent(id: i32) -> Option<Pid> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

fn command_line(id: Pid) -> String {
    let bytes = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
