//! Connections that were removed go from memory, with their secrets.

use uuid::Uuid;

use super::Receivers;
use crate::{engine::Engine, ids::ConnectionId};

impl Receivers {
    /// Forgets what this process keeps in memory of connections that were removed, whoever removed them.
    /// Returns how many those were.
    pub async fn forget_removed(&self, engine: &Engine) -> Result<usize, sqlx::Error> {
        let known: Vec<Uuid> = {
            let cache = self.0.lock().expect("no holder of this lock panics");
            cache.keys().map(|id| id.0).collect()
        };
        let removed = sqlx::query_scalar!(
            "select id from relay.organization_integrations
             where id = any($1) and status = 'disconnected'",
            &known,
        )
        .fetch_all(&engine.db.work)
        .await?;
        let removed: Vec<ConnectionId> = removed.into_iter().map(ConnectionId).collect();
        let mut cache = self.0.lock().expect("no holder of this lock panics");
        for id in &removed {
            cache.remove(id);
            engine.tokens.forget(*id);
        }
        self.1.forget(&removed);
        Ok(removed.len())
    }
}
