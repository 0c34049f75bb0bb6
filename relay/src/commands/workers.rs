//! `relay workers`: delivers what is promised.

use std::process::ExitCode;

use crate::{
    settings::{Needs, Settings},
    telemetry, wiring,
};

pub(super) async fn run() -> anyhow::Result<ExitCode> {
    let settings = Settings::from_env(Needs::Workers)?;
    telemetry::init_logging(&settings)?;
    let stop = wiring::stop_signal()?;
    let probes = wiring::metrics(&settings, stop.clone()).await?;
    let traces = telemetry::start_traces(&settings)?;
    let engine = wiring::engine(&settings).await?;
    probes.watch(&engine);
    wiring::leave_when_cut_off(&engine);
    wiring::wait_for_schema(&engine, &stop).await?;
    tracing::info!(
        concurrency = engine.config.worker_concurrency,
        lease.seconds = engine.config.lease.as_secs_f64(),
        "the workers are delivering"
    );
    let listening = tokio::spawn(engine::wake::listen(engine.clone()));
    workers::run(engine.clone(), stop).await?;
    listening.abort();
    engine.close().await;
    traces.end().await;
    tracing::info!("the workers have ended");
    Ok(ExitCode::SUCCESS)
}
