//! Everything around one test: a database, processes, a receiver; made and cleared away.

mod builder;

use std::{fs, path::PathBuf, process::ExitStatus, sync::Arc};

use mock_providers::MockProviders;
use sqlx::{PgConnection, PgPool};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

pub use self::builder::WorldBuilder;
use super::{
    client::Relay,
    database::Database,
    fault_proxy::FaultProxy,
    own_postgres::OwnPostgres,
    process::{self, Process, free_port},
    receiver::Receiver,
    wait::{LONG, on_a_runtime, wait_until},
    walled::Roles,
};

/// Where the frontend is, in worlds with providers: nobody goes there.
pub const FRONTEND_URL: &str = "http://frontend.example";

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
    own_postgres: Option<OwnPostgres>,
    log_dir: PathBuf,
    _room: OwnedSemaphorePermit,
}

impl World {
    /// One API and one worker process, unless it says otherwise.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::usual()
    }

    /// One API and one worker process with the usual settings.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Every process that starts from now on has a login that owns nothing.
    async fn build_walls(&mut self) {
        let roles = Roles::of(&self.database.server().1);
        let walled = roles.admit(self.sql(), &self.process_url()).await;
        self.set_env("DATABASE_URL", &walled);
    }

    /// What a process that starts now connects with.
    #[must_use]
    pub fn process_url(&self) -> String {
        let is_url = |(name, _): &&(String, String)| name == "DATABASE_URL";
        let url = self.environment.iter().rfind(is_url).map(|(_, url)| url.clone());
        url.expect("every world has one")
    }

    /// A session as a process has it while it answers a request for this organization, or for nobody yet.
    pub async fn as_request(&self, org: Option<Uuid>) -> PgConnection {
        let mut session = self.sql().acquire().await.expect("the database answers").detach();
        let roles = Roles::of(&self.database.server().1);
        sqlx::query(
            "select set_config('role', $1, false), set_config('relay.organization', $2, false)",
        )
        .bind(roles.requests)
        .bind(org.map(|org| org.to_string()).unwrap_or_default())
        .execute(&mut session)
        .await
        .expect("this world was built with walled()");
        session
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

    /// The world's own Postgres, if it was built with one.
    #[must_use]
    pub fn postgres(&self) -> &OwnPostgres {
        self.own_postgres.as_ref().expect("this world was built with own_postgres()")
    }

    /// The pretended providers, if the world was built with them.
    #[must_use]
    pub fn mocks(&self) -> &MockProviders {
        self.mocks.as_ref().expect("this world was built with providers()")
    }

    /// A setting for whatever starts from now on.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
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
        if let Some(own) = &self.own_postgres {
            own.thaw();
        }
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
        // What lies in a Postgres of its own goes with it.
        if self.own_postgres.is_none() {
            let (server, name) = self.database.server();
            on_a_runtime(async move { Database::remove(&server, &name).await });
        }
        let _ = fs::remove_dir_all(&self.log_dir);
        if !failed {
            assert!(leaks.is_empty(), "secrets in the log: {leaks:?}");
            assert!(unverified.is_empty(), "arrivals that do not verify: {unverified:?}");
            assert!(refused.is_ok(), "requests that a provider would refuse:\n{refused:?}");
        }
    }
}
