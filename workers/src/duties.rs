//! The clockwork: partitions ahead of time, retention, and the gauges that alarms watch.

use std::time::Duration;

use engine::{
    Engine,
    connection::tokens,
    delivery::{self, expire_parked, tickets::tidy_turns},
    health,
    observe::{LOOK_EVERY, Observer, Scope},
    partitions, statistics,
};
use tokio_util::sync::CancellationToken;

use crate::replays;

/// How often partitions are looked after.
const PARTITIONS_EVERY: Duration = Duration::from_secs(15 * 60);
/// How often it is seen to what changes of connections left undone.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// How often tokens that are near their end are looked for.
const TOKENS_EVERY: Duration = Duration::from_secs(30);

/// How often attempts are counted.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Does the periodic duties until `stop`. Several processes may do them: each is harmless to repeat.
pub(crate) async fn run(engine: Engine, stop: CancellationToken) {
    // Tokens wait for providers, and the gauges should not wait along.
    tokio::join!(
        tend_tables(&engine, &stop),
        tend_tokens(&engine, &stop),
        sweep(&engine, &stop),
        tend_health(&engine, &stop),
        replays::run(&engine, &stop),
        tend_statistics(&engine, &stop),
        look(&engine, &stop),
    );
}

/// Reads what the gauges tell, whatever else goes on.
async fn look(engine: &Engine, stop: &CancellationToken) {
    let mut observer = Observer::new(engine, Scope::All);
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        observer.look().await;
    }
}

async fn tend_statistics(engine: &Engine, stop: &CancellationToken) {
    let mut due = tokio::time::interval(COUNT_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let counted = tokio::select! {
            () = stop.cancelled() => return,
            counted = async { due.tick().await; statistics::roll_up(engine).await } => counted,
        };
        if let Err(error) = counted {
            tracing::warn!(error = %error, "attempts were not counted; trying again in a while");
        }
    }
}

async fn tend_tokens(engine: &Engine, stop: &CancellationToken) {
    let mut due = tokio::time::interval(TOKENS_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let tended = tokio::select! {
            () = stop.cancelled() => return,
            // A refresh that was begun goes on by itself.
            tended = async { due.tick().await; tokens::tend(engine).await } => tended,
        };
        match tended {
            Ok(tended) if tended == tokens::Tended::default() => {}
            Ok(tended) => {
                let tokens::Tended { renewed, failed, purged } = tended;
                tracing::info!(renewed, failed, states.purged = purged, "tokens tended");
            }
            Err(error) => tracing::warn!(error = %error, "tokens were not tended"),
        }
    }
}

async fn tend_health(engine: &Engine, stop: &CancellationToken) {
    let mut due = tokio::time::interval(health::tend_every(engine));
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = due.tick() => {}
        }
        match health::tend(engine).await {
            Ok(health::Tended { told: 0, .. }) => {}
            Ok(health::Tended { failing, told, disabled }) => {
                tracing::info!(failing, told, disabled, "connections in trouble were told of");
            }
            Err(error) => {
                tracing::warn!(error = %error, "connections in trouble were not looked at")
            }
        }
    }
}

async fn sweep(engine: &Engine, stop: &CancellationToken) {
    let mut due = tokio::time::interval(SWEEP_EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let swept = tokio::select! {
            () = stop.cancelled() => return,
            swept = async { due.tick().await; delivery::sweep(engine).await } => swept,
        };
        match swept {
            Ok(swept) if swept == delivery::Swept::default() => {}
            Ok(delivery::Swept { resumed, cancelled }) => {
                tracing::info!(
                    resumed,
                    cancelled,
                    "what changes of connections left undone is done"
                );
            }
            Err(error) => tracing::warn!(error = %error, "promised deliveries were not swept"),
        }
    }
}

async fn tend_tables(engine: &Engine, stop: &CancellationToken) {
    let mut partitions_due = tokio::time::interval(PARTITIONS_EVERY);
    while stop.run_until_cancelled(partitions_due.tick()).await.is_some() {
        tidy_queue(engine).await;
        tend_partitions(engine).await;
    }
}

/// Gives up what nobody will ever send, and forgets who waited for a ticket in vain.
async fn tidy_queue(engine: &Engine) {
    match expire_parked(engine, engine.config.retention).await {
        Ok(0) => {}
        Ok(expired) => {
            tracing::warn!(expired, "deliveries expired: nobody set their connections right")
        }
        Err(error) => tracing::warn!(error = %error, "old parked deliveries were not given up"),
    }
    if let Err(error) = tidy_turns(engine).await {
        tracing::warn!(error = %error, "the queues for tickets were not tidied");
    }
    if let Err(error) = engine.receivers.forget_removed(engine).await {
        tracing::warn!(error = %error, "removed connections are still in memory");
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
    if let Err(error) = statistics::forget_old(engine, engine.config.retention).await {
        tracing::warn!(error = %error, "hours past retention were not forgotten");
    }
}
