//! Changes what an admin sets of a connection: all of a change is made, or none of it.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Actor, Connection, ConnectionError, ConnectionEvent, ConnectionView, HeaderChanges, Ordering,
    RateLimit, Status, TRIES_MAX, checked_subscription, custom, headers, limits, record, secrets,
    store,
};
use crate::{
    delivery::{move_home, resume},
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    secret::Secret,
    signing::{self, Scheme},
};

/// The longest time that a replaced secret may go on signing.
pub const SECRET_OVERLAP_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most waits in a connection's own retry schedule.
pub const RETRY_STEPS_MAX: usize = 20;
/// The longest single wait in it, in seconds.
pub const RETRY_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// What an admin wants changed; `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct ConnectionChange {
    /// The name.
    pub name: Option<String>,
    /// Where events go.
    pub webhook_url: Option<String>,
    /// The picture; `Some(None)` removes it.
    pub icon_url: Option<Option<String>>,
    /// Whether to make a new signing secret.
    pub regenerate_secret: bool,
    /// How the new secret signs; by HMAC where nothing is said.
    pub signing: Option<Scheme>,
    /// How long the old secret goes on signing; not at all by default.
    pub secret_overlap: Option<Duration>,
    /// Patterns of the kinds it wants.
    pub event_types: Option<Vec<String>>,
    /// Conditions on the events it wants; `Some(None)` removes them.
    pub conditions: Option<Option<Value>>,
    /// Pause, or resume; resuming also lifts a suspension.
    pub paused: Option<bool>,
    /// Waits between attempts in seconds; `Some(None)` returns to the default ones.
    pub retry_schedule: Option<Option<Vec<u32>>>,
    /// Headers to set and to remove; `Some(None)` removes all.
    pub headers: Option<Option<HeaderChanges>>,
    /// How fast it may be sent to; `Some(None)`: as fast as we may.
    pub rate_limit: Option<Option<RateLimit>>,
    /// In which order; `Some(None)`: in none.
    pub ordering: Option<Option<Ordering>>,
    /// For how many minutes events are gathered; `Some(None)`: not at all.
    pub digest_minutes: Option<Option<u16>>,
    /// The version that the admin saw.
    pub expected_version: Option<i64>,
}

/// What a change did.
#[derive(Debug)]
pub struct Changed {
    /// The new signing secret, to be shown once; none where receivers verify by a public key.
    pub secret: Option<Secret>,
    /// The public half of a new key pair.
    pub public_key: Option<String>,
    /// The connection as it is now.
    pub connection: ConnectionView,
    /// What the admin should know.
    pub warnings: Vec<String>,
    /// Whether it was off, and is on again by this.
    pub is_resumed: bool,
}

/// Makes all of a change or none of it. `only` names the providers it may touch by their prefix.
pub async fn change(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    only: Option<&str>,
    change: ConnectionChange,
    actor: &Actor,
) -> Result<Changed, ConnectionError> {
    for _ in 0..TRIES_MAX {
        match change_once(engine, organization_id, id, only, &change, actor).await {
            Err(ConnectionError::VersionConflict) if change.expected_version.is_none() => {}
            other => return other,
        }
    }
    Err(ConnectionError::VersionConflict)
}

async fn change_once(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    only: Option<&str>,
    change: &ConnectionChange,
    actor: &Actor,
) -> Result<Changed, ConnectionError> {
    let mut tx = engine.db.api.begin().await?;
    let mut state = store::load(&mut tx, organization_id, id)
        .await?
        .filter(|c| c.status != Status::Disconnected)
        .filter(|c| only.is_none_or(|prefix| c.provider.starts_with(prefix)))
        .ok_or(ConnectionError::NotFound)?;
    if change.expected_version.is_some_and(|expected| expected != state.version) {
        return Err(ConnectionError::VersionConflict);
    }
    let (mut events, warnings) = decide(engine, &state, change)?;
    headers::stay_with_their_origin(&state, change)?;
    if let Some(wanted) = &change.headers {
        events.extend(headers::change(&mut tx, &engine.keys, &state, wanted.as_ref()).await?);
    }
    let fresh = if change.regenerate_secret {
        let fresh = change.signing.unwrap_or_default().new_secret();
        events.push(rotate(engine, &mut tx, &state, &fresh, change.secret_overlap).await?);
        Some(fresh)
    } else {
        None
    };
    record(&mut tx, &mut state, &events, actor).await?;
    let is_resumed = events.contains(&ConnectionEvent::Resumed {});
    let changes_lane = events.iter().any(|event| {
        let digest = matches!(event, ConnectionEvent::DigestChanged { .. });
        digest || matches!(event, ConnectionEvent::OrderingChanged { .. })
    });
    if is_resumed {
        resume(&mut tx, id).await?;
    }
    if changes_lane {
        move_home(&mut tx, &state).await?;
    }
    tx.commit().await?;
    if is_resumed || changes_lane {
        engine.made_due();
    }
    let public_key = fresh.as_ref().and_then(signing::public_key);
    let secret = fresh.filter(|_| public_key.is_none());
    Ok(Changed { secret, public_key, connection: state.into(), warnings, is_resumed })
}

/// Which events a change records; pure but for the clock-free URL check.
fn decide(
    engine: &Engine,
    state: &Connection,
    change: &ConnectionChange,
) -> Result<(Vec<ConnectionEvent>, Vec<String>), ConnectionError> {
    if change.secret_overlap.is_some_and(|overlap| overlap > SECRET_OVERLAP_MAX) {
        return Err(ConnectionError::refused(
            "invalid_overlap",
            "An old secret can stay valid for 7 days at most",
        ));
    }
    if change.signing.is_some() && !change.regenerate_secret {
        return Err(ConnectionError::refused(
            "invalid_signing",
            "signing is chosen for a new secret, together with regenerate_secret",
        ));
    }
    let (name, metadata, warnings) = custom::changed_settings(engine, state, change)?;
    let event_types = change.event_types.clone().unwrap_or_else(|| state.event_types.clone());
    let conditions = change.conditions.clone().unwrap_or_else(|| state.conditions.clone());
    let (event_types, conditions) = checked_subscription(Some(event_types), conditions)?;
    let seconds = match &change.retry_schedule {
        None => state.retry_schedule.clone(),
        Some(None) => None,
        Some(Some(seconds)) => Some(checked_schedule(seconds)?),
    };
    let wanted = limits::checked(state, change)?;
    let events = [
        state.update(name, metadata),
        state.subscribe(event_types, conditions),
        state.set_retry_schedule(seconds),
        state.set_rate_limit(wanted.rate_limit),
        state.set_ordering(wanted.ordering),
        state.set_digest(wanted.digest_minutes),
        change.paused.and_then(|paused| state.set_paused(paused)),
    ];
    Ok((events.into_iter().flatten().collect(), warnings))
}

fn checked_schedule(seconds: &[u32]) -> Result<Vec<i32>, ConnectionError> {
    if seconds.len() > RETRY_STEPS_MAX || seconds.iter().any(|s| *s > RETRY_SECONDS_MAX) {
        return Err(ConnectionError::refused(
            "invalid_retry_schedule",
            "A retry schedule has at most 20 waits of at most 7 days each, in seconds",
        ));
    }
    Ok(seconds.iter().map(|s| i32::try_from(*s).unwrap_or(i32::MAX)).collect())
}

/// Makes a new secret the current one. Returns what that records.
async fn rotate(
    engine: &Engine,
    tx: &mut PgConnection,
    state: &Connection,
    fresh: &Secret,
    overlap: Option<Duration>,
) -> Result<ConnectionEvent, ConnectionError> {
    if secrets::overlapping(tx, state.id).await? >= secrets::OVERLAPPING_MAX {
        return Err(ConnectionError::refused(
            "too_many_secrets",
            "Ten earlier secrets are still valid; wait until one expires",
        ));
    }
    let (owner, id) = (state.organization_id, state.id);
    let (secret_version, overlap_until) =
        secrets::rotate(tx, &engine.keys, owner, id, fresh, overlap).await?;
    let public_key = signing::public_key(fresh);
    Ok(ConnectionEvent::SecretRotated { secret_version, overlap_until, public_key })
}
