//! How a connection stands, as learned from its provider: each change is recorded once, and in the same
//! transaction what was promised to the connection waits or goes on, and the organization's other
//! connections are told (see [`crate::health`]).

use super::{Actor, Connection, ConnectionError, ConnectionEvent, TRIES_MAX, record, store};
use crate::{
    delivery::{self, Consequence},
    engine::Engine,
    event_log,
    ids::{ConnectionId, OrganizationId},
    metrics,
};

/// What happens to the promised deliveries along with a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Promised {
    /// Nothing.
    Untouched,
    /// They wait until the connection stands well again.
    Wait,
    /// They go on.
    GoOn,
}

/// The provider no longer lets us in: the admin must connect again. Asking twice is harmless.
pub async fn errored(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    reason: &str,
) -> Result<(), ConnectionError> {
    let decide = |state: &Connection| state.errored(reason);
    transition(engine, organization_id, id, &Actor::system(), decide, Promised::Wait)
        .await
        .map(drop)
}

/// The account is switched off at the provider. Asking twice is harmless.
pub async fn suspended(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    reason: &str,
) -> Result<(), ConnectionError> {
    let decide = |state: &Connection| state.suspended(reason);
    transition(engine, organization_id, id, &Actor::system(), decide, Promised::Wait)
        .await
        .map(drop)
}

/// Records what an attempt found out about its connection; `used` is the version of the connection that
/// the attempt used. What an admin has lifted since then, or what concerned an address that is another
/// one now, is passed over: an old attempt must not break what was just put right. Asking twice is
/// harmless.
pub async fn found_out(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    used: i64,
    consequence: &Consequence,
) -> Result<(), ConnectionError> {
    let decide = |state: &Connection| match consequence {
        Consequence::Disabled(reason) => state.disable(reason),
        Consequence::Errored(reason) => state.errored(reason),
        Consequence::Suspended(reason) => state.suspended(reason),
        Consequence::DestinationFailing(reason) => state.destination_failing(reason),
    };
    let promised = match consequence {
        Consequence::Errored(_) | Consequence::Suspended(_) => Promised::Wait,
        Consequence::Disabled(_) | Consequence::DestinationFailing(_) => Promised::Untouched,
    };
    let lifts = Lifted { since: used, by: lifted_by(consequence) };
    let actor = Actor::system();
    let is_new =
        transition_unless(engine, organization_id, id, &actor, decide, promised, Some(&lifts))
            .await?;
    if let (true, Consequence::Disabled(reason)) = (is_new, consequence) {
        metrics::connection_disabled(reason);
    }
    Ok(())
}

/// Kinds of events after which a trouble that was found before may be over.
fn lifted_by(consequence: &Consequence) -> Vec<&'static str> {
    let mut by = vec![
        "connection.connected",
        "connection.reconnected",
        "connection.resumed",
        "connection.recovered",
    ];
    match consequence {
        Consequence::Disabled(_) => by.push("connection.updated"),
        Consequence::DestinationFailing(_) => by.push("connection.destination_chosen"),
        // What is not taken after a renewal was refused with the new token.
        Consequence::Errored(reason) if reason != "unauthorized" => {
            by.push("connection.token_refreshed");
        }
        Consequence::Errored(_) | Consequence::Suspended(_) => {}
    }
    by
}

/// What makes a finding void: an event of these kinds after that version.
struct Lifted {
    since: i64,
    by: Vec<&'static str>,
}

/// Records what `decide` says, anew when somebody else's change came first. Returns whether anything
/// was recorded; a connection that is not there records nothing.
pub(super) async fn transition(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    actor: &Actor,
    decide: impl Fn(&Connection) -> Option<ConnectionEvent>,
    promised: Promised,
) -> Result<bool, ConnectionError> {
    transition_unless(engine, organization_id, id, actor, decide, promised, None).await
}

/// The same, unless what it rests on was lifted meanwhile.
async fn transition_unless(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    actor: &Actor,
    decide: impl Fn(&Connection) -> Option<ConnectionEvent>,
    promised: Promised,
    lifted: Option<&Lifted>,
) -> Result<bool, ConnectionError> {
    for _ in 0..TRIES_MAX {
        let mut tx = engine.db.work.begin().await?;
        let Some(mut state) = store::load(&mut tx, organization_id, id).await? else {
            return Ok(false);
        };
        let Some(event) = decide(&state) else { return Ok(false) };
        if let Some(lifted) = lifted.filter(|lifted| lifted.since < state.version)
            && event_log::has_any_since(&mut tx, id, lifted.since, &lifted.by).await?
        {
            tracing::info!(connection.id = %id, kind = event.kind(), "an old attempt's finding is void");
            return Ok(false);
        }
        match record(&mut tx, &mut state, &[event], actor).await {
            Err(ConnectionError::VersionConflict) => continue,
            other => other?,
        }
        match promised {
            Promised::Untouched => {}
            Promised::Wait => drop(delivery::park(&mut tx, &state).await?),
            Promised::GoOn => drop(delivery::resume(&mut tx, id).await?),
        }
        tx.commit().await?;
        // Deliveries go on, or others are told.
        engine.made_due();
        return Ok(true);
    }
    Err(ConnectionError::VersionConflict)
}
