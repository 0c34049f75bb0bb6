//! `relay dev`: everything in one process, with a private Postgres, a demo organization, a demo receiver
//! and pretended providers. For trying and developing; it listens on loopback only.

mod frontend;
mod page;
mod providers;
mod receiver;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use api::DemoSession;
use engine::{partitions, secret::Secret};
use mock_providers::MockProviders;
use secrecy::SecretString;
use url::Url;

use crate::{
    embedded_postgres::{self, EmbeddedPostgres},
    kept::Kept,
    settings::{Needs, Settings, is_set_by_name},
    telemetry, wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the demo receiver listens.
    #[arg(long, default_value = "127.0.0.1:3002", value_name = "ADDRESS")]
    receiver: SocketAddr,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::from_env(Needs::Nothing)?;
    telemetry::init_logging(&settings)?;
    if !settings.listen.ip().is_loopback() || !arguments.receiver.ip().is_loopback() {
        bail!(
            "`relay dev` holds well-known demo rights and listens on loopback only: use `relay api` and `relay workers`"
        );
    }
    let stop = wiring::stop_signal()?;
    let postgres = match settings.database_url {
        Some(_) => None,
        None => {
            std::fs::create_dir_all(&settings.data_dir).with_context(|| {
                format!("RELAY_DATA_DIR: cannot make {}", settings.data_dir.display())
            })?;
            let data_dir = wiring::postgres_dir(settings.data_dir.as_path());
            eprintln!("Starting a private Postgres in {} …", data_dir.display());
            let options = embedded_postgres::Options {
                bin_dir: settings.pg_bin_dir.clone(),
                throw_away: false,
            };
            let started =
                tokio::task::spawn_blocking(move || EmbeddedPostgres::start(&data_dir, &options));
            let postgres = started.await??;
            if postgres.was_adopted() {
                eprintln!("Found one left running there, and took it over.");
            }
            let wanted = std::path::absolute(wiring::postgres_dir(&settings.data_dir))?;
            if postgres.home() != wanted {
                eprintln!(
                    "Its user cannot reach that directory: the data is in {}.",
                    postgres.home().display()
                );
            }
            Some(postgres)
        }
    };
    let outcome = run_over(&mut settings, &arguments, postgres.as_ref(), stop).await;
    if let Some(postgres) = postgres {
        tokio::task::spawn_blocking(move || postgres.stop()).await??;
    }
    outcome
}

async fn run_over(
    settings: &mut Settings,
    arguments: &Arguments,
    postgres: Option<&EmbeddedPostgres>,
    stop: tokio_util::sync::CancellationToken,
) -> anyhow::Result<ExitCode> {
    let kept = Kept::open(&settings.data_dir)?;
    kept.fill(settings);
    // A demo receiver lives on this machine, and speaks plain HTTP.
    settings.allow_http = true;
    for network in ["127.0.0.0/8", "::1/128"] {
        settings.allow_private_networks.push(network.parse()?);
    }
    let database_url = match postgres {
        Some(postgres) => SecretString::from(postgres.url(embedded_postgres::DATABASE)),
        None => wiring::database_url(settings)?,
    };
    let listener = wiring::listen(settings).await?;
    let demo = receiver::listen(arguments.receiver).await?;
    let (address, receiver) = (listener.local_addr()?, demo.local_addr()?);
    if !is_set_by_name("BACKEND_URL") {
        settings.backend_url = Url::parse(&format!("http://{address}"))?;
    }
    if !is_set_by_name("FRONTEND_URL") {
        // Nobody may have a frontend at hand: the console stands in for it, and without one the demo
        // receiver shows where it would be gone to.
        let at =
            if api::has_console() { format!("{address}/console") } else { receiver.to_string() };
        settings.frontend_url = Url::parse(&format!("http://{at}"))?;
    }
    let pretended = providers::pretend(settings).await?;
    let probes = wiring::metrics(settings, stop.clone()).await?;
    let traces = telemetry::start_traces(settings)?;
    let engine = wiring::engine_over(settings, &database_url).await?;
    probes.watch(&engine);
    let report = engine.db.migrate().await?;
    tracing::info!(applied = report.applied, total = report.total, "the schema is up to date");
    partitions::ensure(&engine).await?;
    receiver::start(demo, engine.clone(), kept.organization_id, stop.clone());
    let token = page::admin_token(&kept)?;
    let session =
        DemoSession { token: Secret::new(token.as_str()), organization_id: kept.organization_id };
    let serve = wiring::api_with(settings, engine.clone(), listener, Some(session), stop.clone());
    let workers = tokio::spawn(workers::run(engine.clone(), stop.clone()));
    let pages = pretended.as_ref().map(MockProviders::pages).unwrap_or_default();
    print!("{}", page::render(address, settings.metrics_listen, receiver, &pages, &kept, &token));
    let served = serve.await.context("the API stopped");
    stop.cancel();
    let delivered = tokio::time::timeout(Duration::from_secs(30), workers).await;
    engine.close().await;
    traces.end().await;
    served?;
    delivered.context("the workers did not end in time")???;
    Ok(ExitCode::SUCCESS)
}
