//! One real process of the real binary: started, signalled, killed, started again.

use std::{
    fs::{self, File, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::wait::wait_until;

/// A `relay` process. It dies with its owner.
#[derive(Debug)]
pub struct Process {
    /// `api-0`, `workers-1`, …
    pub name: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// What answers 200 once the process can work.
    ready_url: String,
    child: Mutex<Child>,
}

impl Process {
    pub(crate) fn start(
        name: &str,
        arguments: &[&str],
        environment: Vec<(String, String)>,
        ready_url: String,
        log_dir: &Path,
    ) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let log = log_dir.join(format!("{name}.log"));
        let child = Mutex::new(spawn(&arguments, &environment, &log));
        Self { name: name.to_owned(), arguments, environment, log, ready_url, child }
    }

    /// Waits until the process answers; panics with its log if it ends instead.
    pub async fn wait_ready(&self) {
        let http = reqwest::Client::new();
        let http = &http;
        wait_until(&format!("{} to be ready", self.name), Duration::from_secs(30), || async {
            if let Some(status) = self.exit_status() {
                panic!(
                    "{} ended with {status} instead of getting ready:\n{}",
                    self.name,
                    self.log()
                );
            }
            let answer = http.get(&self.ready_url).timeout(Duration::from_secs(2)).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Ends the process without warning, and waits until it is gone.
    pub fn kill9(&self) {
        let mut child = self.child();
        // It may be gone already, as after a fault that it was asked to have.
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
    }

    /// Asks the process to end.
    pub fn sigterm(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Freezes the process where it stands.
    pub fn sigstop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a frozen process go on.
    pub fn sigcont(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.id()).expect("process ids fit");
        kill(Pid::from_raw(id), signal).expect("the process is there and ours");
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child().id()
    }

    /// Starts it again with the same settings; it must have ended.
    pub fn restart(&self) {
        let mut child = self.child();
        assert!(
            child.try_wait().expect("a child can be asked").is_some(),
            "{} is still running",
            self.name
        );
        *child = spawn(&self.arguments, &self.environment, &self.log);
    }

    /// A setting for its next start.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where its metrics and its probes are.
    #[must_use]
    pub fn metrics_address(&self) -> &str {
        let listens = |(name, _): &&(String, String)| name == "RELAY_METRICS_LISTEN";
        let (_, address) = self.environment.iter().rfind(listens).expect("each has its own");
        address
    }

    /// All that it tells to whoever watches, as it tells it.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.metrics_address());
        let answer = reqwest::get(url).await.expect("metrics are served");
        answer.text().await.expect("metrics are text")
    }

    /// The sum of a metric over all its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.metrics().await;
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child can be asked")
    }

    /// Waits until it has ended.
    pub async fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        wait_until(&format!("{} to end", self.name), deadline, || async { self.exit_status() })
            .await
    }

    /// How many bytes of memory it uses now.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.id());
        let text = fs::read_to_string(path).expect("the process lives");
        let pages: u64 = text
            .split_ascii_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .expect("the second field of statm is a number");
        pages * 4096
    }

    /// How many files it has open now: sockets, pipes and all else that has a descriptor.
    #[must_use]
    pub fn open_files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.id());
        fs::read_dir(path).expect("the process lives").count()
    }

    /// How many threads it has now.
    #[must_use]
    pub fn threads(&self) -> usize {
        let path = format!("/proc/{}/task", self.id());
        fs::read_dir(path).expect("the process lives").count()
    }

    /// All that it has written so far, over all its lives.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn child(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Runs a command of the binary to its end.
pub(crate) fn run(
    name: &str,
    arguments: &[&str],
    environment: &[(String, String)],
    log_dir: &Path,
) -> (ExitStatus, String) {
    let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
    let log = log_dir.join(format!("{name}.log"));
    let status = spawn(&arguments, environment, &log).wait().expect("a child can be waited for");
    (status, fs::read_to_string(&log).unwrap_or_default())
}

fn spawn(arguments: &[String], environment: &[(String, String)], log: &Path) -> Child {
    let log: File =
        OpenOptions::new().create(true).append(true).open(log).expect("a log can be written");
    let mut command = Command::new(binary(environment));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file can be had twice"))
        .stderr(log);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.spawn().expect("the binary can be run")
}

/// The binary under test: `RELAY_BIN`, the world's own or everybody's, or the one that was built beside
/// this test.
fn binary(environment: &[(String, String)]) -> PathBuf {
    if let Some((_, path)) = environment.iter().rfind(|(name, _)| name == "RELAY_BIN") {
        return path.into();
    }
    if let Some(path) = std::env::var_os("RELAY_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its own file");
    let built = test.ancestors().nth(2).map(|dir| dir.join("relay")).unwrap_or_default();
    assert!(
        built.is_file(),
        "{} is not there; build it first (`cargo build -p relay`; make test does)",
        built.display()
    );
    built
}

/// A port that nobody listens on now, outside the range from which outgoing connections are served.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let port = 15_000 + rand::random::<u16>() % 16_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
