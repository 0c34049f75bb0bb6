//! Tells connections what their deliveries found out about them, once the deliveries are settled.

use std::collections::HashSet;

use super::attempt::Settled;
use crate::{connection, engine::Engine};

/// Records what some settlements mean for their connections, each once. Repeating it is harmless, and
/// so is a failure: whatever is sent next finds out again.
pub async fn follow_up(engine: &Engine, settled: &[Settled]) {
    let mut done = HashSet::new();
    for one in settled {
        let Some(consequence) = &one.consequence else { continue };
        let (owner, id) = (one.claimed.organization_id, one.claimed.connection_id);
        let used = one.connection_version;
        if !done.insert((id, used, consequence)) {
            continue;
        }
        if let Err(error) = connection::found_out(engine, owner, id, used, consequence).await {
            tracing::warn!(connection.id = %id, error = %error, consequence = ?consequence, "what a delivery found out about its connection was not recorded");
        }
    }
}

/// Whether any of them says something about its connection.
#[must_use]
pub fn has_follow_up(settled: &[Settled]) -> bool {
    settled.iter().any(|one| one.consequence.is_some())
}
