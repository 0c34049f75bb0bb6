//! `relay api`: serves HTTP.

use std::process::ExitCode;

use crate::{
    settings::{Needs, Settings},
    telemetry, wiring,
};

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
    let serve = wiring::api(&settings, engine.clone(), listener, stop);
    let announcing = tokio::spawn(engine::wake::announce(engine.clone()));
    serve.await?;
    announcing.abort();
    engine.close().await;
    traces.end().await;
    Ok(ExitCode::SUCCESS)
}
