//! Wires the engine, the API and the workers from the settings. Holds no rule of its own.

use std::{
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{
    Engine, EngineConfig,
    db::{Db, PoolSizes},
    egress::EgressPolicy,
    http::{HttpClient, lookup},
    retry::RetrySchedule,
    secret::{KeyRing, Secret},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    embedded_postgres,
    kept::Kept,
    probes::Probes,
    settings::{Membership, Settings},
    telemetry,
};

/// Requests of admins that one organization may make in a minute.
const REQUESTS_PER_MINUTE: u32 = 1_200;

/// The database of the settings, or else the one that `relay dev` is running in the data directory.
pub(crate) fn database_url(settings: &Settings) -> anyhow::Result<SecretString> {
    if let Some(url) = &settings.database_url {
        return Ok(url.clone());
    }
    let data_dir = postgres_dir(&settings.data_dir);
    match embedded_postgres::running_url(&data_dir, embedded_postgres::DATABASE)? {
        Some(url) => Ok(SecretString::from(url)),
        None => bail!(
            "no database: set DATABASE_URL, or start `relay dev` and run this beside it (it looks in {})",
            settings.data_dir.display()
        ),
    }
}

/// Where `relay dev` keeps its Postgres.
pub(crate) fn postgres_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// An engine over the settings' database. Commands that open no secret work without a key.
pub(crate) async fn engine(settings: &Settings) -> anyhow::Result<Engine> {
    let mut settings = settings.clone();
    if settings.database_url.is_none() && settings.encryption_key.is_none() {
        // Beside `relay dev` its database is opened with its keys.
        let kept = Kept::find(&settings.data_dir)?;
        settings.encryption_key = kept.map(|kept| kept.encryption_key().clone());
    }
    engine_over(&settings, &database_url(&settings)?).await
}

/// An engine over the given database.
pub(crate) async fn engine_over(
    settings: &Settings,
    database_url: &SecretString,
) -> anyhow::Result<Engine> {
    let sizes = PoolSizes::within(settings.database_connections);
    let db = Db::connect(&Secret::new(database_url.expose_secret()), sizes).await?;
    let key = settings.encryption_key.clone().unwrap_or_else(random_key);
    let keys = KeyRing::new(&key, &settings.encryption_keys_previous)?;
    let own_hosts = settings.backend_url.host_str().map(str::to_ascii_lowercase);
    let policy = EgressPolicy {
        allowed: settings.allow_private_networks.clone(),
        allow_http: settings.allow_http,
        // On one's own machine everything shares the host name.
        own_hosts: own_hosts
            .into_iter()
            .filter(|host| host != "localhost" && host != "127.0.0.1")
            .collect(),
    };
    let extra_roots = match &settings.ca_file {
        Some(path) => Some(
            std::fs::read(path)
                .with_context(|| format!("RELAY_CA_FILE: cannot read {}", path.display()))?,
        ),
        None => None,
    };
    let names = lookup(&settings.dns_servers);
    let http = HttpClient::new(Arc::new(policy), names, extra_roots.as_deref())?;
    let config = EngineConfig {
        backend_url: Some(settings.backend_url.clone()),
        frontend_url: Some(settings.frontend_url.clone()),
        retry: RetrySchedule::new(settings.retry_schedule.clone()),
        lease: settings.lease,
        worker_concurrency: settings.worker_concurrency as usize,
        connection_concurrency: settings.connection_concurrency as usize,
        breaker_open: settings.breaker_open,
        disable_after: settings.disable_after,
        retention: settings.retention,
        providers: settings.providers.clone(),
    };
    Ok(Engine::new(db, keys, http, config))
}

/// 32 random bytes in base64.
pub(crate) fn random_key() -> SecretString {
    let bytes: [u8; 32] = rand::random();
    SecretString::from(STANDARD.encode(bytes))
}

/// Binds the API's address.
pub(crate) async fn listen(settings: &Settings) -> anyhow::Result<TcpListener> {
    TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("RELAY_LISTEN: cannot listen on {}", settings.listen))
}

/// Serves the API until `stop`.
pub(crate) fn api(
    settings: &Settings,
    engine: Engine,
    listener: TcpListener,
    stop: CancellationToken,
) -> impl Future<Output = std::io::Result<()>> + Send + use<> {
    api_with(settings, engine, listener, None, stop)
}

/// As [`api()`]; with a session, the console signs in by itself.
pub(crate) fn api_with(
    settings: &Settings,
    engine: Engine,
    listener: TcpListener,
    demo_session: Option<api::DemoSession>,
    stop: CancellationToken,
) -> impl Future<Output = std::io::Result<()>> + Send + use<> {
    let secret = |text: &SecretString| Secret::new(text.expose_secret());
    let auth = api::AuthConfig {
        jwt_secret: settings.supabase_jwt_secret.as_ref().map(secret),
        jwks_url: settings.supabase_jwks_url.clone(),
        issuer: settings.supabase_jwt_issuer.clone(),
        membership: match settings.membership {
            Membership::Claims => api::MembershipSource::Claims,
            Membership::Postgres => api::MembershipSource::Postgres,
        },
        service_keys: settings.service_keys.iter().map(secret).collect(),
    };
    let app = api::App::new(
        engine,
        api::ApiConfig {
            auth,
            frontend_urls: vec![settings.frontend_url.clone()],
            requests_per_minute: REQUESTS_PER_MINUTE,
            bind_browsers: settings.bind_browser,
            demo_session,
        },
    );
    api::serve(listener, app, stop)
}

/// Starts collecting metrics and serves them until the process ends, with the probes beside them.
pub(crate) async fn metrics(
    settings: &Settings,
    stop: CancellationToken,
) -> anyhow::Result<Probes> {
    let probes = Probes::new(stop);
    let handle = telemetry::install_metrics()?;
    engine::metrics::describe();
    // Until the very end: what a process does while it stops is counted, and told to whoever probes it.
    let never = CancellationToken::new();
    let routes = probes.routes();
    let (address, serve) =
        telemetry::metrics_server(settings.metrics_listen, handle, routes, never).await?;
    tracing::info!(%address, "metrics");
    tokio::spawn(serve);
    Ok(probes)
}

/// A token that is cancelled by SIGTERM, SIGINT or Ctrl-C. A second signal ends the process.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        for round in 0.. {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if round > 0 {
                tracing::warn!("a second signal: ending at once");
                std::process::exit(130);
            }
            tracing::info!("stopping: what is under way ends first");
            token.cancel();
        }
    });
    Ok(stop)
}

/// What a process ends with that only a restart can help: `EX_TEMPFAIL`.
const TRY_AGAIN: i32 = 75;

/// Ends this process once it is cut off from a database that others reach: whatever it has asked would
/// be waited for until the operating system gives up. Started again it connects anew, and what it held
/// is taken over like that of a process that was killed.
pub(crate) fn leave_when_cut_off(engine: &Engine) {
    let pulse = engine.db.pulse();
    tokio::spawn(async move {
        pulse.cut_off().await;
        tracing::error!("ending, to be started again with connections that work");
        std::process::exit(TRY_AGAIN);
    });
}

/// Waits until the schema is what this program knows, as `relay migrate` leaves it.
pub(crate) async fn wait_for_schema(
    engine: &Engine,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut told = false;
    loop {
        match engine.db.ready().await {
            Ok(()) => return Ok(()),
            Err(error) if !told => {
                tracing::warn!(%error, "waiting for the database");
                told = true;
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(500))).await.is_none()
        {
            bail!("stopped before the database was ready");
        }
    }
}
