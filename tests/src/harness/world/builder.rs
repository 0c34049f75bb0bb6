//! How a world is to be, and the making of it.

use std::{
    fs,
    sync::{Arc, LazyLock},
};

use mock_providers::MockProviders;
use tokio::sync::Semaphore;

use super::{FRONTEND_URL, World};
use crate::harness::{
    client::{Keys, Relay},
    database::Database,
    fault_proxy::FaultProxy,
    own_postgres::OwnPostgres,
    process::free_port,
    receiver::Receiver,
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
    own_postgres: bool,
    /// How much room that Postgres has, if not all there is.
    postgres_bytes: Option<u64>,
    /// Another server than the tests' own.
    server_url: Option<String>,
    with_providers: bool,
    environment: Vec<(String, String)>,
    /// Migrations only; no process is started.
    is_bare: bool,
    /// Whether each API process delivers as well.
    together: bool,
    is_walled: bool,
}

impl WorldBuilder {
    /// One API and one worker process.
    pub(super) fn usual() -> Self {
        Self { apis: 1, workers: 1, ..Self::default() }
    }

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

    /// A Postgres that nobody else uses: [`World::postgres`].
    #[must_use]
    pub fn own_postgres(mut self) -> Self {
        self.own_postgres = true;
        self
    }

    /// The same on a file system of this size; only for root ([`OwnPostgres::can_be_small`]).
    #[must_use]
    pub fn own_postgres_on(mut self, bytes: u64) -> Self {
        self.postgres_bytes = Some(bytes);
        self.own_postgres()
    }

    /// Its database is made on this server, which outlives the world.
    #[must_use]
    pub fn on_server(mut self, url: &str) -> Self {
        self.server_url = Some(url.to_owned());
        self
    }

    /// The processes own nothing, and Postgres itself keeps organizations apart: [`World::as_request`].
    #[must_use]
    pub fn walled(mut self) -> Self {
        self.is_walled = true;
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
        let own_postgres = match self.own_postgres {
            true => Some(OwnPostgres::start(self.postgres_bytes).await),
            false => None,
        };
        let server_url = own_postgres.as_ref().map(OwnPostgres::url).or(self.server_url);
        let database = match &server_url {
            Some(url) => Database::create_on(url).await,
            None => Database::create().await,
        };
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
            own_postgres,
            log_dir,
            _room: room,
        };
        if !self.is_bare {
            let (status, log) = world.run("migrate", &["migrate"]).await;
            assert!(status.success(), "relay migrate ended with {status}:\n{log}");
            if self.is_walled || std::env::var_os("RELAY_TESTS_WALLED").is_some() {
                world.build_walls().await;
            }
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
