//! The launcher on real programs: these tests fail, rather than pass unnoticed, where there are none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, PgConnection};

use super::*;

const FAST: Options = Options { bin_dir: None, throw_away: true };

/// A directory below the system's temporary one, deleted with what is in it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("relay-test-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&dir).expect("the temporary directory can be written to");
        Self(dir)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl EmbeddedPostgres {
    /// What `kill -9` of our process does: the lock is freed and the server goes on.
    fn abandon(mut self) -> i32 {
        self.stopped = true;
        self.postmaster.pid
    }
}

async fn query(url: &str, sql: &'static str) -> String {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    let value =
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("the query is sound");
    connection.close().await.expect("the server is still there");
    value
}

async fn execute(url: &str, sql: &'static str) {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    sqlx::query(sql).execute(&mut connection).await.expect("the statement is sound");
    connection.close().await.expect("the server is still there");
}

fn refusal(data_dir: &Path) -> String {
    let error = EmbeddedPostgres::start(data_dir, &FAST).expect_err("this start is refused");
    format!("{error:#}")
}

#[tokio::test]
async fn a_restart_finds_the_data_and_fsync_is_on_unless_thrown_away() {
    let scratch = Scratch::new();
    let dir = scratch.join("new/postgres");
    let first = EmbeddedPostgres::start(&dir, &Options::default()).expect("a first start");
    assert!(!first.was_adopted());
    let url = first.url(DATABASE);
    assert_eq!(query(&url, "show fsync").await, "on");
    assert_eq!(query(&url, "show synchronous_commit").await, "on");
    assert_eq!(query(&url, "show listen_addresses").await, "");
    assert_eq!(query(&url, "show data_checksums").await, "on");
    execute(&url, "create table kept as select 'still here' as word").await;
    first.stop().expect("a stop");
    assert_eq!(running_url(&dir, DATABASE).expect("the place is readable"), None);

    let second = EmbeddedPostgres::start(&dir, &FAST).expect("a second start");
    assert_eq!(query(&second.url(DATABASE), "select word from kept").await, "still here");
    assert_eq!(query(&second.url(DATABASE), "show fsync").await, "off");
    second.destroy().expect("a removal");
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_server_left_by_a_killed_process_is_adopted_and_can_be_stopped() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let first = EmbeddedPostgres::start(&dir, &FAST).expect("a first start");
    let url = first.url(DATABASE);
    execute(&url, "create table kept as select 'still here' as word").await;
    let pid = first.abandon();
    assert_eq!(running_url(&dir, DATABASE).expect("readable"), Some(url.clone()));

    let second = EmbeddedPostgres::start(&dir, &FAST).expect("an adoption");
    assert!(second.was_adopted());
    assert_eq!(second.postmaster.pid, pid);
    assert_eq!(second.url(DATABASE), url);
    assert_eq!(query(&url, "select word from kept").await, "still here");
    second.stop().expect("an adopted server stops too");

    let third = EmbeddedPostgres::start(&dir, &FAST).expect("a start after that");
    assert!(!third.was_adopted());
    assert_eq!(query(&third.url(DATABASE), "select word from kept").await, "still here");
}

#[tokio::test]
async fn a_killed_server_recovers_at_the_next_start() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let first = EmbeddedPostgres::start(&dir, &Options::default()).expect("a first start");
    execute(&first.url(DATABASE), "create table kept as select 'still here' as word").await;
    let pid = first.abandon();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is ours to kill");
    let second = EmbeddedPostgres::start(&dir, &Options::default()).expect("a recovery");
    assert!(!second.was_adopted());
    assert_eq!(query(&second.url(DATABASE), "select word from kept").await, "still here");
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_does_not_stop_a_start() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let first = EmbeddedPostgres::start(&dir, &FAST).expect("a first start");
    let pid_file = dir.join("data/postmaster.pid");
    let text = fs::read_to_string(&pid_file).expect("it is running");
    let rest = text.split_once('\n').expect("it has lines").1.to_owned();
    first.stop().expect("a stop");
    // As after a power cut: the number belongs to another program of the same user by now.
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().expect("sleep exists");
    fs::write(&pid_file, format!("{}\n{rest}", stranger.id())).expect("ours to write");
    let second = EmbeddedPostgres::start(&dir, &FAST).expect("a second start");
    assert_eq!(query(&second.url(DATABASE), "select 'yes'").await, "yes");
    second.stop().expect("a stop");
    assert_eq!(stranger.try_wait().expect("ours to watch"), None, "the stranger is left alone");
    stranger.kill().expect("ours to kill");
    stranger.wait().expect("ours to wait for");
}

#[test]
fn two_processes_cannot_use_one_directory() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let first = EmbeddedPostgres::start(&dir, &FAST).expect("a first start");
    assert!(refusal(&dir).contains("another relay process is using"));
    assert!(!sweep(&dir).expect("what is held is left alone"));
    first.stop().expect("the refused one has not disturbed it");
}

#[test]
fn data_of_another_major_version_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    EmbeddedPostgres::start(&dir, &FAST).expect("a start").stop().expect("a stop");
    let version = dir.join("data/PG_VERSION");
    fs::write(&version, "12\n").expect("ours to change");
    let refusal = refusal(&dir);
    assert!(refusal.contains("the data was written by Postgres 12"), "{refusal}");
    assert!(dir.join("data/base").exists());
}

#[test]
fn an_interrupted_first_start_is_begun_anew() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    fs::create_dir_all(dir.join("data.unfinished/base")).expect("ours to make");
    fs::write(dir.join("data.unfinished/base/1"), "half").expect("ours to write");
    EmbeddedPostgres::start(&dir, &FAST).expect("a start").stop().expect("a stop");
    assert!(!dir.join("data.unfinished").exists());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_works_all_the_same() {
    let scratch = Scratch::new();
    let dir = scratch.join(&"long-".repeat(24)).join("longer-".repeat(20));
    let server = EmbeddedPostgres::start(&dir, &FAST).expect("a start");
    assert_eq!(query(&server.url(DATABASE), "select 'yes'").await, "yes");
    let socket_dir = server.postmaster.socket_dir.clone();
    assert!(socket_dir.starts_with("/tmp"));
    server.destroy().expect("a removal");
    assert!(!socket_dir.exists());
}

#[tokio::test]
async fn a_directory_that_the_servers_user_cannot_reach_is_replaced_by_one_that_it_can() {
    let scratch = Scratch::new();
    let closed = scratch.join("home");
    fs::create_dir(&closed).expect("ours to make");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("ours to close");
    let dir = closed.join("postgres");
    let server = EmbeddedPostgres::start(&dir, &FAST).expect("a start");
    assert_eq!(query(&server.url(DATABASE), "select 'yes'").await, "yes");
    let home = server.home().to_owned();
    let as_root = nix::unistd::geteuid().is_root();
    assert_eq!(home.starts_with("/var/tmp"), as_root, "{}", home.display());
    server.stop().expect("a stop");

    // Opened later, it does not make the cluster look lost.
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o755)).expect("ours to open");
    let again = EmbeddedPostgres::start(&dir, &FAST).expect("a second start");
    assert_eq!(again.home(), home);
    again.destroy().expect("a removal");
}

#[test]
fn dropping_it_stops_the_server() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let server = EmbeddedPostgres::start(&dir, &FAST).expect("a start");
    let pid = Pid::from_raw(server.postmaster.pid);
    drop(server);
    assert!(kill(pid, None).is_err(), "the server has ended");
}

#[test]
fn an_abandoned_cluster_is_swept_away() {
    let scratch = Scratch::new();
    let dir = scratch.join("postgres");
    let pid_file = dir.join("data/postmaster.pid");
    EmbeddedPostgres::start(&dir, &FAST).expect("a start").abandon();
    assert!(pid_file.exists());
    let begun = Instant::now();
    assert!(sweep(&dir).expect("a sweep"));
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(!dir.exists());
    assert!(!sweep(&dir).expect("nothing is left to sweep"));
}
