//! How a connection stands, as learned from its provider: each change is recorded once, and what was
//! promised to the connection waits or goes on in the same transaction.

use super::{Actor, Connection, ConnectionError, ConnectionEvent, TRIES_MAX, record, store};
use crate::{
    delivery,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
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

/// The chosen destination does not take events. Recorded once, until another one is chosen.
pub async fn destination_failing(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    reason: &str,
) -> Result<(), ConnectionError> {
    let decide = |state: &Connection| state.destination_failing(reason);
    transition(engine, organization_id, id, &Actor::system(), decide, Promised::Untouched)
        .await
        .map(drop)
}

/// Switches a connection off because of what its receiver answered. Asking twice is harmless.
pub async fn disable(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    reason: &'static str,
) -> Result<(), ConnectionError> {
    let decide = |state: &Connection| state.disable(reason);
    transition(engine, organization_id, id, &Actor::system(), decide, Promised::Untouched)
        .await
        .map(drop)
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
    for _ in 0..TRIES_MAX {
        let mut tx = engine.db.work.begin().await?;
        let Some(mut state) = store::load(&mut tx, organization_id, id).await? else {
            return Ok(false);
        };
        let Some(event) = decide(&state) else { return Ok(false) };
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
        if matches!(promised, Promised::GoOn) {
            engine.made_due();
        }
        return Ok(true);
    }
    Err(ConnectionError::VersionConflict)
}
