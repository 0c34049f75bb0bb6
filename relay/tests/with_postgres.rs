//! `relay with-postgres` as a user runs it: a command beside a server that is gone afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};

const RELAY: &str = env!("CARGO_BIN_EXE_relay");

/// A temporary directory of the test's own, so that what is left in it can be counted.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("relay-test-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&dir).expect("the temporary directory can be written to");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("ours to open");
        Self(dir)
    }

    fn relay(&self, program: &Path, script: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["with-postgres", "--fast", "--", "sh", "-c", script]);
        command.env("TMPDIR", &self.0).env("DATABASE_URL", "postgres://elsewhere/untouched");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, script: &str) -> Output {
        self.relay(Path::new(RELAY), script).output().expect("relay runs")
    }

    fn clusters(&self) -> Vec<PathBuf> {
        let entries =
            fs::read_dir(&self.0).expect("it is there").map(|e| e.expect("readable").path());
        entries.filter(|path| path.is_dir()).collect()
    }

    /// Starts a command that says it runs and then waits, and waits for that word.
    fn spawn_waiting(&self) -> Child {
        let ready = self.0.join("ready");
        let script = format!("touch {}; exec sleep 120", ready.display());
        let child = self.relay(Path::new(RELAY), &script).spawn().expect("relay runs");
        let until = Instant::now() + Duration::from_secs(60);
        while !ready.exists() {
            assert!(Instant::now() < until, "the command never ran");
            thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(&ready).expect("ours to remove");
        child
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).expect("process ids fit");
    kill(Pid::from_raw(pid), signal).expect("ours to signal");
}

#[test]
fn the_command_gets_a_database_of_its_own_and_its_exit_code_is_passed_on() {
    let scratch = Scratch::new();
    let output = scratch.run("echo $DATABASE_URL; ls $RELAY_TEST_PG_BIN/initdb; exit 7");
    assert_eq!(output.status.code(), Some(7));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("postgres://postgres@localhost:5432/relay?host="), "{said}");
    assert!(said.contains("/initdb\n"), "{said}");
    assert_eq!(scratch.clusters(), Vec::<PathBuf>::new());
}

#[test]
fn a_command_that_cannot_run_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let mut relay = Command::new(RELAY);
    relay.args(["with-postgres", "--fast", "--", "no-such-program"]).env("TMPDIR", &scratch.0);
    let output = relay.output().expect("relay runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot run no-such-program"));
    assert_eq!(scratch.clusters(), Vec::<PathBuf>::new());
}

#[test]
fn a_signal_ends_the_command_and_removes_the_cluster() {
    for asked in [Signal::SIGINT, Signal::SIGTERM] {
        let scratch = Scratch::new();
        let mut child = scratch.spawn_waiting();
        assert_eq!(scratch.clusters().len(), 1);
        signal(&child, asked);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(128 + Signal::SIGTERM as i32), "{asked}");
        assert_eq!(scratch.clusters(), Vec::<PathBuf>::new());
    }
}

#[test]
fn what_a_killed_run_leaves_behind_is_cleared_away_by_the_next() {
    let scratch = Scratch::new();
    let mut child = scratch.spawn_waiting();
    signal(&child, Signal::SIGKILL);
    child.wait().expect("it ends");
    assert_eq!(scratch.clusters().len(), 1);
    assert!(scratch.run("true").status.success());
    assert_eq!(scratch.clusters(), Vec::<PathBuf>::new());
}

#[test]
fn a_cluster_to_keep_is_kept() {
    let scratch = Scratch::new();
    let dir = scratch.0.join("kept");
    let mut relay = Command::new(RELAY);
    relay.args(["with-postgres", "--fast", "--keep"]).arg(&dir).args(["--", "true"]);
    assert!(relay.status().expect("relay runs").success());
    assert!(dir.join("data/PG_VERSION").exists());
    assert!(!dir.join("data/postmaster.pid").exists());
}

/// As an ordinary user, all tests here show it already; root shows it as `nobody`.
#[test]
fn an_ordinary_user_needs_no_root() {
    let scratch = Scratch::new();
    let program = scratch.0.join("relay");
    fs::copy(RELAY, &program).expect("the program can be copied");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o1777)).expect("ours to open");
    let mut command = scratch.relay(&program, "id -u");
    let mut uid = geteuid();
    if uid.is_root() {
        let nobody = User::from_name("nobody").expect("readable").expect("every system has nobody");
        command.uid(nobody.uid.as_raw()).gid(nobody.gid.as_raw()).current_dir("/");
        uid = nobody.uid;
    }
    let output = command.output().expect("relay runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().next(), Some(&*uid.to_string()));
    assert_eq!(scratch.clusters(), Vec::<PathBuf>::new());
}
