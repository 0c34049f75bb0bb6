//! Moves replays on, batch by batch, for as long as there are any.

use std::time::Duration;

use engine::{
    Engine,
    replay::{self, Step},
};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a replay's turn has come.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The wait after the database was away.
const AWAY: Duration = Duration::from_secs(2);
/// How often replays are forgotten that ended long ago.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);

/// Works until `stop`; a batch that is under way ends first. Several processes may do it.
pub(crate) async fn run(engine: &Engine, stop: &CancellationToken) {
    tokio::join!(move_on(engine, stop), tidy(engine, stop));
}

async fn move_on(engine: &Engine, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let wait = match replay::step(engine).await {
            // The next one may be due as well; others get their turn on the processor.
            Ok(Step::Moved) => Duration::ZERO,
            Ok(Step::Idle) => LOOK_EVERY,
            Err(error) => {
                tracing::warn!(error = %error, "replays are moved on again shortly");
                AWAY
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn tidy(engine: &Engine, stop: &CancellationToken) {
    let mut due = tokio::time::interval(TIDY_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        match replay::tidy(engine).await {
            Ok(0) => {}
            Ok(forgotten) => tracing::info!(forgotten, "replays of long ago were forgotten"),
            Err(error) => tracing::warn!(error = %error, "replays of long ago were not forgotten"),
        }
    }
}
