//! Everything that one process needs, wired once and shared.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::sync::Notify;
use url::Url;

use crate::{
    connection::tokens::TokenCache, db::Db, delivery::receivers::Receivers, handoff::Handoff,
    http::HttpClient, ingest::Ingest, oauth::config::ProvidersConfig, pace::Paces,
    retry::RetrySchedule, schedule, secret::KeyRing,
};

/// How long a refresh that is under way may take once everything else has ended.
const REFRESH_END: Duration = Duration::from_secs(15);

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where this API is reached from outside.
    pub backend_url: Option<Url>,
    /// Where the Deptex frontend is.
    pub frontend_url: Option<Url>,
    /// Waits between attempts, where a connection has none of its own.
    pub retry: RetrySchedule,
    /// How long a claimed delivery belongs to a worker that stopped renewing.
    pub lease: Duration,
    /// Requests under way at once in one process.
    pub worker_concurrency: usize,
    /// Requests under way at once to one connection.
    pub connection_concurrency: usize,
    /// How long a connection is left alone the first time that it fails again and again.
    pub breaker_open: Duration,
    /// How long a connection may fail until it is switched off; `None`: for ever.
    pub disable_after: Option<Duration>,
    /// How long product events and attempts are kept.
    pub retention: Duration,
    /// The operator's registrations with providers, and where those are reached.
    pub providers: ProvidersConfig,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            backend_url: None,
            frontend_url: None,
            retry: RetrySchedule::default(),
            lease: Duration::from_secs(30),
            worker_concurrency: 256,
            connection_concurrency: 64,
            breaker_open: schedule::BREAKER_OPEN,
            disable_after: Some(Duration::from_secs(5 * 24 * 60 * 60)),
            retention: Duration::from_secs(30 * 24 * 60 * 60),
            providers: ProvidersConfig::default(),
        }
    }
}

/// The parts of an [`Engine`].
#[derive(Debug)]
pub struct Parts {
    /// The database.
    pub db: Db,
    /// The keys that secrets are sealed with.
    pub keys: KeyRing,
    /// The client that sends.
    pub http: HttpClient,
    /// The way in for events.
    pub ingest: Ingest,
    /// From the way in to the pump, where both are in this process.
    pub handoff: Arc<Handoff>,
    /// What the operator set.
    pub config: EngineConfig,
    /// Told when deliveries are due: the pump of this process waits for it.
    pub work_waiting: Arc<Notify>,
    /// Told when this process made deliveries due: whoever tells other processes waits for it.
    pub recorded: Arc<Notify>,
    /// Connections in memory.
    pub receivers: Receivers,
    /// Whose turn it is to call providers.
    pub paces: Paces,
    /// Access tokens in memory.
    pub tokens: TokenCache,
}

/// Relay's rules over one database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Parts>);

impl Engine {
    /// Wires the parts and starts the committers. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn new(db: Db, keys: KeyRing, http: HttpClient, config: EngineConfig) -> Self {
        let (work_waiting, recorded) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let handoff = Arc::new(Handoff::default());
        let told = [work_waiting.clone(), recorded.clone()];
        let ingest = Ingest::start(&db, &told, &handoff, config.lease);
        Self(Arc::new(Parts {
            db,
            keys,
            http,
            ingest,
            handoff,
            config,
            work_waiting,
            recorded,
            receivers: Receivers::default(),
            paces: Paces::default(),
            tokens: TokenCache::default(),
        }))
    }
}

impl Engine {
    /// Ends in order: what a provider answered to a refresh is stored, then the database is left.
    pub async fn close(&self) {
        if tokio::time::timeout(REFRESH_END, self.tokens.idle()).await.is_err() {
            tracing::error!("a refresh was still under way at the end: its tokens may be lost");
        }
        self.db.close().await;
    }
}

impl Parts {
    /// Tells this process's pump, and through it the others, that deliveries became due.
    pub(crate) fn made_due(&self) {
        self.work_waiting.notify_one();
        self.recorded.notify_one();
    }
}

impl Deref for Engine {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}
