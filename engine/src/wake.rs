//! Tells workers in other processes that deliveries are due. Only ever saves time: whoever misses
//! it finds the work by polling.

use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::engine::Engine;

const CHANNEL: &str = "relay_outbox";
/// At most one announcement in this time, however many commits there are.
const DEBOUNCE: Duration = Duration::from_millis(4);
/// The wait before listening again after the connection was lost.
const RELISTEN: Duration = Duration::from_secs(1);

/// Announces this process's commits, in transactions of its own: a `NOTIFY` inside the commits
/// themselves would make them wait for one another. Runs until it is dropped or aborted.
pub async fn announce(engine: Engine) {
    loop {
        engine.recorded.notified().await;
        let sent =
            sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(&engine.db.swift).await;
        if let Err(error) = sent {
            tracing::debug!(error = %error, "workers were not woken; they poll");
            tokio::time::sleep(RELISTEN).await;
        }
        tokio::time::sleep(DEBOUNCE).await;
    }
}

/// Wakes this process's pump when another announces work. Runs until it is dropped or aborted.
pub async fn listen(engine: Engine) {
    loop {
        match hear(&engine).await {
            Ok(()) => tracing::debug!("the wake-up channel was lost; listening again"),
            Err(error) => tracing::debug!(error = %error, "no wake-up channel; polling alone"),
        }
        // What came meanwhile was not heard.
        engine.work_waiting.notify_one();
        tokio::time::sleep(RELISTEN).await;
    }
}

async fn hear(engine: &Engine) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(&engine.db.listening).await?;
    listener.listen(CHANNEL).await?;
    while listener.try_recv().await?.is_some() {
        engine.work_waiting.notify_one();
    }
    Ok(())
}
