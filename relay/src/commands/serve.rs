//! `relay serve`: serves HTTP and delivers, in one process. What it records it sends without looking for
//! it in the outbox first.

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::{
    settings::{Needs, Settings},
    telemetry, wiring,
};

/// How long deliveries that are under way may take once the API has ended.
const END: Duration = Duration::from_secs(30);

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Api)?;
    telemetry::init_logging(&settings)?;
    let stop = wiring::stop_signal()?;
    let probes = wiring::metrics(&settings, stop.clone()).await?;
    let traces = telemetry::start_traces(&settings)?;
    let engine = wiring::engine(&settings).await?;
    probes.watch(&engine);
    wiring::leave_when_cut_off(&engine);
    let listener = wiring::listen(&settings).await?;
    tracing::info!(address = %listener.local_addr()?, "the API is listening");
    let serving = wiring::api(&settings, engine.clone(), listener, stop.clone());
    // Other processes may deliver beside this one, and record.
    let announcing = tokio::spawn(engine::wake::announce(engine.clone()));
    let listening = tokio::spawn(engine::wake::listen(engine.clone()));
    let delivering = tokio::spawn(deliver(engine.clone(), stop.clone()));
    let served = serving.await;
    stop.cancel();
    let delivered = tokio::time::timeout(END, delivering).await;
    announcing.abort();
    listening.abort();
    engine.close().await;
    traces.end().await;
    served?;
    delivered.context("the deliveries did not end in time")???;
    Ok(ExitCode::SUCCESS)
}

async fn deliver(engine: engine::Engine, stop: CancellationToken) -> anyhow::Result<()> {
    if wiring::wait_for_schema(&engine, &stop).await.is_err() {
        // Stopped before there was anything to do.
        return Ok(());
    }
    workers::run(engine, stop).await?;
    tracing::info!("the deliveries have ended");
    Ok(())
}
