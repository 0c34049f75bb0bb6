//! What changed of connections that may not be called now: nothing of them is claimed, so it must be
//! asked for.

use std::{collections::HashMap, sync::Arc};

use engine::{
    Engine, connection::limits::RateLimit, delivery::receivers::Receiver, ids::ConnectionId,
};

/// The most connections that are asked for at once.
const ASKED_MAX: usize = 1_000;

/// What is news of a connection.
#[derive(Debug)]
pub(crate) struct News {
    pub(crate) id: ConnectionId,
    pub(crate) rate: Option<RateLimit>,
    /// Whether its receiver may be another one than that which failed.
    pub(crate) is_set_right: bool,
}

/// Asks how some connections stand, and tells of those that changed.
pub(crate) async fn look(engine: Engine, mut ids: Vec<ConnectionId>) -> Vec<News> {
    ids.truncate(ASKED_MAX);
    let before: HashMap<ConnectionId, Option<Arc<Receiver>>> =
        ids.iter().map(|id| (*id, engine.receivers.known(*id))).collect();
    if let Err(error) = engine.receivers.refresh(&engine, &ids).await {
        tracing::warn!(error = %error, connections = ids.len(), "changes of connections were not read");
        return Vec::new();
    }
    let news = before.into_iter().filter_map(|(id, before)| {
        let now = engine.receivers.known(id)?;
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, &now)) {
            return None;
        }
        let is_set_right = before.is_some_and(|before| is_another(&before, &now));
        Some(News { id, rate: now.connection.rate_limit, is_set_right })
    });
    news.collect()
}

/// Whether requests go somewhere else now, or an admin connected it again.
fn is_another(before: &Receiver, now: &Receiver) -> bool {
    before.webhook_url() != now.webhook_url()
        || before.destination != now.destination
        || before.connection.connected_at != now.connection.connected_at
}
