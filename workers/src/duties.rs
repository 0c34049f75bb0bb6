//! The clockwork: partitions ahead of time, retention, and the gauges that alarms watch.

use std::time::Duration;

use engine::{Engine, partitions};
use tokio_util::sync::CancellationToken;

/// How often partitions are looked after.
const PARTITIONS_EVERY: Duration = Duration::from_secs(15 * 60);
/// How often the gauges are read.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// Does the periodic duties until `stop`. Several processes may do them: each is harmless to repeat.
pub(crate) async fn run(engine: Engine, stop: CancellationToken) {
    let mut partitions_due = tokio::time::interval(PARTITIONS_EVERY);
    let mut measure_due = tokio::time::interval(MEASURE_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = partitions_due.tick() => tend_partitions(&engine).await,
            _ = measure_due.tick() => {
                if let Err(error) = partitions::measure(&engine).await {
                    tracing::warn!(error = %error, "the gauges were not read");
                }
            }
        }
    }
}

async fn tend_partitions(engine: &Engine) {
    match partitions::ensure(engine).await {
        Ok(0) => {}
        Ok(made) => tracing::info!(made, "partitions made ahead"),
        Err(error) => {
            tracing::warn!(error = %error, "partitions were not made; trying again in a while")
        }
    }
    match partitions::drop_old(engine, engine.config.retention).await {
        Ok(0) => {}
        Ok(dropped) => tracing::info!(dropped, "partitions past retention dropped"),
        Err(error) => tracing::warn!(error = %error, "old partitions were not dropped"),
    }
}
