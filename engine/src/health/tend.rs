//! The duty: looks at every connection in trouble, and records what is due.

use std::time::Duration;

use super::{
    rule::{self, Due},
    store::{self, Troubled},
};
use crate::{
    connection::{self, Actor, ConnectionError, ConnectionEvent},
    engine::Engine,
    event_log,
    ids::{ConnectionId, OrganizationId},
    metrics,
};

/// How often the duty looks, at most.
const EVERY_MIN: Duration = Duration::from_millis(250);
/// How often it looks, at least.
const EVERY_MAX: Duration = Duration::from_secs(30);

/// What one round found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Connections that are failing.
    pub failing: usize,
    /// Things that were told.
    pub told: usize,
    /// Connections that were switched off; they count among those told.
    pub disabled: usize,
}

/// How often [`tend`] is to be called: often enough for no warning to come much too late.
#[must_use]
pub fn tend_every(engine: &Engine) -> Duration {
    let window = engine.config.disable_after.unwrap_or(EVERY_MAX * 40);
    (window / 40).clamp(EVERY_MIN, EVERY_MAX)
}

/// Warns, switches off, forgets what is over, and sets the gauges. Several processes may do it: each
/// thing is told once, since it is decided again with the connection's stream in hand.
pub async fn tend(engine: &Engine) -> Result<Tended, ConnectionError> {
    let mut connection = engine.db.work.acquire().await?;
    let troubled = store::troubled(&mut connection, None).await?;
    drop(connection);
    let count = |of: fn(&Troubled) -> bool| troubled.iter().filter(|one| of(one)).count();
    let mut tended = Tended {
        failing: count(|one| one.standing.failing.as_ref().is_some_and(|f| !f.is_over)),
        ..Tended::default()
    };
    metrics::troubled_connections(
        tended.failing,
        count(|one| one.standing.is_held),
        count(|one| one.standing.is_broken),
    );
    for one in &troubled {
        if rule::due(&one.standing, one.now, engine.config.disable_after).is_nothing() {
            continue;
        }
        match tend_one(engine, one.organization_id, one.connection_id).await {
            Ok(due) => {
                tended.told += due.events.len();
                tended.disabled += due.events.iter().filter(|event| switches_off(event)).count();
            }
            // The others are not kept waiting.
            Err(error) => {
                tracing::warn!(connection.id = %one.connection_id, error = %error, "what is due about a connection was not recorded");
            }
        }
    }
    Ok(tended)
}

fn switches_off(event: &ConnectionEvent) -> bool {
    matches!(event, ConnectionEvent::Disabled { .. })
}

/// Decides about one connection, with its stream in hand so that nobody else does meanwhile, and
/// records it.
pub(super) async fn tend_one(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<Due, ConnectionError> {
    let mut tx = engine.db.work.begin().await?;
    event_log::hold(&mut tx, &[id.0]).await?;
    store::hold(&mut tx, id).await?;
    let Some(one) = store::troubled(&mut tx, Some(id)).await?.pop() else {
        return Ok(Due::default());
    };
    let due = rule::due(&one.standing, one.now, engine.config.disable_after);
    if due.is_forgotten {
        store::forget(&mut tx, id).await?;
    }
    if !due.events.is_empty()
        && let Some(mut state) = connection::store::load(&mut tx, organization_id, id).await?
    {
        connection::record(&mut tx, &mut state, &due.events, &Actor::system()).await?;
    }
    tx.commit().await?;
    if !due.events.is_empty() {
        engine.made_due();
    }
    for event in &due.events {
        tracing::info!(connection.id = %id, kind = event.kind(), "a connection's health was told");
        if let ConnectionEvent::Disabled { reason } = event {
            metrics::connection_disabled(reason);
        }
    }
    Ok(due)
}
