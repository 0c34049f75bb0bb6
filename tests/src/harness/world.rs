//! Everything around one test: a database, processes, a receiver; made and cleared away.

use std::{
    fs,
    path::PathBuf,
    process::ExitStatus,
    sync::{Arc, LazyLock},
};

use mock_providers::MockProviders;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    client::{Keys, Relay},
    database::Database,
    fault_proxy::FaultProxy,
    process::{self, Process, free_port},
    receiver::Receiver,
    wait::{LONG, wait_until},
};

/// How many worlds may exist at once: more would only slow each other down.
const WORLDS_MAX: usize = 3;
static ROOM: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(WORLDS_MAX)));

/// How a world is to be.
#[derive(Debug, Default)]
pub struct WorldBuilder {
    apis: usize,
    workers: usize,
    through_proxy: bool,
    with_providers: bool,
    environment: Vec<(String, String)>,
    /// Migrations only; no process is started.
    is_bare: bool,
    /// Whether each API process delivers as well.
    together: bool,
}

impl WorldBuilder {
    /// How many `relay api` processes; one by default.
    #[must_use]
    pub fn api(mut self, count: usize) -> Self {
        self.apis = count;
        self
    }

    /// How many `relay workers` processes; one by default.
    #[must_use]
    pub fn workers(mut self, count: usize) -> Self {
        self.workers = count;
        self
    }

    /// `relay serve` in place of API and workers: one process that does both.
    #[must_use]
    pub fn together(mut self) -> Self {
        (self.workers, self.together) = (0, true);
        self
    }

    /// A setting for every process, instead of the world's own.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The processes reach Postgres through [`World::proxy`].
    #[must_use]
    pub fn through_proxy(mut self) -> Self {
        self.through_proxy = true;
        self
    }

    /// Pretended providers, known to every process: [`World::mocks`].
    #[must_use]
    pub fn providers(mut self) -> Self {
        self.with_providers = true;
        self
    }

    /// Makes it, and waits until every process is ready.
    pub async fn start(self) -> World {
        let room = ROOM.clone().acquire_owned().await.expect("the semaphore is never closed");
        let database = Database::create().await;
        let log_dir = std::env::temp_dir().join(format!("relay-tests-{}", database.server().1));
        fs::create_dir_all(&log_dir).expect("the temporary directory can be written");
        let receiver = Arc::new(Receiver::start().await);
        let proxy = match self.through_proxy {
            true => Some(FaultProxy::start(database.upstream()).await),
            false => None,
        };
        let keys = Arc::new(Keys::random());
        let mut environment = settings(&keys);
        let database_url = match &proxy {
            Some(proxy) => database.url_through(proxy.port()),
            None => database.url(),
        };
        environment.push(("DATABASE_URL".to_owned(), database_url));
        // Ports are chosen here, so that a process that starts again is found where it was.
        let ports: Vec<u16> = (0..self.apis).map(|_| free_port()).collect();
        let base_urls: Vec<String> =
            ports.iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let mocks = match self.with_providers {
            true => Some(MockProviders::start().await),
            false => None,
        };
        if let (Some(mocks), Some(relay_url)) = (&mocks, base_urls.first()) {
            mocks.set_relay_url(relay_url);
            environment.extend(mocks.settings());
            environment.push(("BACKEND_URL".to_owned(), relay_url.clone()));
            environment.push(("FRONTEND_URL".to_owned(), FRONTEND_URL.to_owned()));
        }
        environment.extend(self.environment);
        let relay = Relay::new(base_urls, keys, receiver.clone());
        let mut world = World {
            relay,
            receiver,
            mocks,
            apis: Vec::new(),
            workers: Vec::new(),
            together: self.together,
            proxy,
            environment,
            database,
            log_dir,
            _room: room,
        };
        if !self.is_bare {
            let (status, log) = world.run("migrate", &["migrate"]).await;
            assert!(status.success(), "relay migrate ended with {status}:\n{log}");
        }
        for (index, port) in ports.into_iter().enumerate() {
            let api = world.new_api(index, port);
            world.apis.push(api);
        }
        for _ in 0..self.workers {
            world.add_worker(&[]);
        }
        world.wait_ready().await;
        world
    }

    /// An empty database without even the schema, and no processes.
    pub async fn bare(mut self) -> World {
        (self.apis, self.workers, self.is_bare) = (0, 0, true);
        self.start().await
    }
}

/// Where the frontend is, in worlds with providers: nobody goes there.
pub const FRONTEND_URL: &str = "http://frontend.example";

/// The settings of every process.
fn settings(keys: &Keys) -> Vec<(String, String)> {
    [
        ("RELAY_SERVICE_KEY", keys.service_key.as_str()),
        ("RELAY_ENCRYPTION_KEY", &keys.encryption_key),
        ("SUPABASE_JWT_SECRET", &keys.jwt_secret),
        ("RELAY_MEMBERSHIP", "claims"),
        ("RELAY_ALLOW_HTTP", "true"),
        ("RELAY_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8"),
        ("RELAY_RETRY_SCHEDULE", "300ms,300ms,300ms"),
        ("RELAY_LEASE", "5s"),
        ("RELAY_WORKER_CONCURRENCY", "32"),
        ("RELAY_DATABASE_CONNECTIONS", "16"),
        ("NO_COLOR", "1"),
        ("RUST_LOG", "info,engine=debug,workers=debug,api=debug,relay=debug"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// One test's own Relay.
#[derive(Debug)]
pub struct World {
    /// Its HTTP interface.
    pub relay: Relay,
    /// Where its webhooks go.
    pub receiver: Arc<Receiver>,
    /// The API processes.
    pub apis: Vec<Process>,
    /// The worker processes.
    pub workers: Vec<Process>,
    /// Whether each API process delivers as well.
    together: bool,
    proxy: Option<FaultProxy>,
    mocks: Option<MockProviders>,
    environment: Vec<(String, String)>,
    database: Database,
    log_dir: PathBuf,
    _room: OwnedSemaphorePermit,
}

impl World {
    /// One API and one worker process, unless it says otherwise.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder { apis: 1, workers: 1, ..WorldBuilder::default() }
    }

    /// One API and one worker process with the usual settings.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// The world's database, seen directly.
    #[must_use]
    pub fn sql(&self) -> &PgPool {
        &self.database.pool
    }

    /// What the processes connect with.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database.url()
    }

    /// The same by way of [`World::proxy`].
    #[must_use]
    pub fn proxied_url(&self) -> String {
        self.database.url_through(self.proxy().port())
    }

    /// What stands before Postgres, if the world was built so.
    #[must_use]
    pub fn proxy(&self) -> &FaultProxy {
        self.proxy.as_ref().expect("this world was built with through_proxy()")
    }

    /// The pretended providers, if the world was built with them.
    #[must_use]
    pub fn mocks(&self) -> &MockProviders {
        self.mocks.as_ref().expect("this world was built with providers()")
    }

    /// Waits until every process that runs is ready.
    pub async fn wait_ready(&self) {
        for process in self.apis.iter().chain(&self.workers) {
            process.wait_ready().await;
        }
    }

    /// Starts one more worker process, with settings of its own. It may not be ready yet.
    pub fn add_worker(&mut self, more: &[(&str, &str)]) -> &Process {
        let name = format!("workers-{}", self.workers.len());
        let metrics = format!("127.0.0.1:{}", free_port());
        let mut environment = self.environment.clone();
        environment.extend(more.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        environment.push(("RELAY_METRICS_LISTEN".to_owned(), metrics.clone()));
        let ready = format!("http://{metrics}/metrics");
        let process = Process::start(&name, &["workers"], environment, ready, &self.log_dir);
        self.workers.push(process);
        self.workers.last().expect("it was just added")
    }

    fn new_api(&self, index: usize, port: u16) -> Process {
        let mut environment = self.environment.clone();
        for (name, port) in [("RELAY_LISTEN", port), ("RELAY_METRICS_LISTEN", free_port())] {
            environment.push((name.to_owned(), format!("127.0.0.1:{port}")));
        }
        let ready = format!("http://127.0.0.1:{port}/readyz");
        let command = if self.together { "serve" } else { "api" };
        Process::start(&format!("api-{index}"), &[command], environment, ready, &self.log_dir)
    }

    /// Runs a command of the binary to its end: its status and all that it wrote.
    pub async fn run(&self, name: &str, arguments: &[&str]) -> (ExitStatus, String) {
        let (name, environment) = (name.to_owned(), self.environment.clone());
        let arguments: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        let log_dir = self.log_dir.clone();
        let running = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            process::run(&name, &arguments, &environment, &log_dir)
        });
        running.await.expect("it does not panic")
    }

    /// How many deliveries are promised and not settled; those that wait for an admin left out.
    pub async fn outbox_len(&self) -> i64 {
        sqlx::query_scalar("select count(*) from relay.outbox where due_at < 'infinity'")
            .fetch_one(self.sql())
            .await
            .expect("the database answers")
    }

    /// Waits until every promised delivery is settled.
    pub async fn run_until_idle(&self) {
        wait_until("the outbox to be empty", LONG, || async {
            (self.outbox_len().await == 0).then_some(())
        })
        .await;
    }

    /// Where a secret stands in what the processes and commands wrote.
    fn leaks(&self) -> Vec<String> {
        let mut secrets = self.relay.secrets();
        secrets.extend(self.database.password());
        secrets.extend(self.mocks.iter().flat_map(MockProviders::secrets));
        let mut found = Vec::new();
        for file in fs::read_dir(&self.log_dir).into_iter().flatten().filter_map(Result::ok) {
            let log = fs::read(file.path()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            found.extend(secrets.iter().filter(|secret| log.contains(secret.as_str())).map(
                |secret| {
                    let begin: String = secret.chars().take(8).collect();
                    format!("{}: a secret that begins with {begin}", file.path().display())
                },
            ));
        }
        found
    }

    fn print_logs(&self) {
        for process in self.apis.iter().chain(&self.workers) {
            let log = process.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(60);
            println!("--- {} (the last of {} lines)", process.name, lines.len());
            println!("{}", lines[from..].join("\n"));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            let (server, name) = self.database.server();
            for line in on_a_runtime(async move { Database::describe(&server, &name).await }) {
                println!("{line}");
            }
        }
        for process in self.apis.iter().chain(&self.workers) {
            process.kill9();
        }
        let (leaks, unverified) = (self.leaks(), self.receiver.unverified());
        let refused = self.mocks.as_ref().map_or(Ok(()), MockProviders::finish);
        if failed || !leaks.is_empty() || !unverified.is_empty() || refused.is_err() {
            self.print_logs();
        }
        let (server, name) = self.database.server();
        on_a_runtime(async move { Database::remove(&server, &name).await });
        let _ = fs::remove_dir_all(&self.log_dir);
        if !failed {
            assert!(leaks.is_empty(), "secrets in the log: {leaks:?}");
            assert!(unverified.is_empty(), "arrivals that do not verify: {unverified:?}");
            assert!(refused.is_ok(), "requests that a provider would refuse:\n{refused:?}");
        }
    }
}

/// Waits for something where nobody can `await`: on a thread of its own, since a runtime cannot wait
/// inside another one.
fn on_a_runtime<T: Default + Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let waiting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be had").block_on(work)
    });
    waiting.join().unwrap_or_default()
}
