//! Keeps what the scheduler finds out about connections, and reads what their former owners knew.

use std::time::{Duration, Instant};

use engine::{
    Engine, health,
    ids::{ConnectionId, OrganizationId},
    metrics,
    schedule::{Change, Trouble},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::JoinHandle,
};

/// The most changes that are written down together.
const BATCH_MAX: usize = 500;
/// The wait between tries while the database is away.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

/// Shards, with what is known of their connections.
pub(crate) type Known = (Vec<i16>, Vec<(ConnectionId, Trouble)>);
/// A connection with what became of it.
pub(crate) type News = (OrganizationId, ConnectionId, Change);

/// Starts writing down what is sent here, in order. It ends once every sender is gone and all is
/// written.
pub(crate) fn start(engine: Engine) -> (JoinHandle<()>, UnboundedSender<News>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (tokio::spawn(run(engine, receiver)), sender)
}

async fn run(engine: Engine, mut news: UnboundedReceiver<News>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while news.recv_many(&mut batch, BATCH_MAX).await > 0 {
        if !write(&engine, &batch).await {
            // One that is refused must not take the others along.
            for one in &batch {
                write(&engine, std::slice::from_ref(one)).await;
            }
        }
        batch.clear();
    }
}

/// Writes changes for as long as it takes while the database is away. Says whether they were written:
/// not, if it refused them.
async fn write(engine: &Engine, changes: &[News]) -> bool {
    let mut wait = RETRY_MIN;
    while let Err(error) = health::record(engine, changes, Instant::now()).await {
        if !engine::db::is_unavailable(&error) {
            tracing::error!(error = %error, changes = changes.len(), "what became of connections was not recorded");
            return false;
        }
        metrics::database_retry("health");
        tracing::warn!(error = %error, changes = changes.len(), "recording the state of connections again shortly");
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
    true
}

/// What is known of the connections of shards that have just become this process's; asks until it
/// is answered.
pub(crate) async fn read(engine: Engine, shards: Vec<i16>) -> Known {
    let mut wait = RETRY_MIN;
    loop {
        match health::of_shards(&engine, &shards).await {
            Ok(known) => return (shards, known),
            Err(error) => {
                metrics::database_retry("health");
                tracing::warn!(error = %error, shards = shards.len(), "reading the state of connections again shortly");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY_MAX);
            }
        }
    }
}
