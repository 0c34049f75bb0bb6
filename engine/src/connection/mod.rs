//! A linked account: `state` decides, `store` remembers, and here is load → decide → append.

pub mod connect_access_token;
pub mod custom;
mod decisions;
pub mod destinations;
pub mod event;
pub mod health;
pub mod install;
pub(crate) mod linking;
mod reseal;
pub mod revocation;
pub mod secrets;
pub mod state;
pub mod store;
pub mod tokens;

use serde_json::Value;
use sqlx::PgConnection;

pub use self::{
    custom::{Created, CustomCategory, NewCustom, TestOutcome, create_custom, send_test},
    event::ConnectionEvent,
    health::{destination_failing, disable, errored, suspended},
    state::{Connection, Scope, Status},
    store::ConnectionView,
};
pub use crate::event_log::Actor;
use crate::{
    clock::Timestamp,
    db::DbError,
    delivery::{DeliveryReason, cancel, resume},
    engine::Engine,
    event_log::{self, AppendError},
    ids::{ConnectionId, OrganizationId},
    secret::Secret,
    subscription::{Conditions, EventPatterns},
};
use std::time::Duration;

/// How often a change is decided anew when somebody else's came first.
const TRIES_MAX: usize = 5;
/// The longest time that a replaced secret may go on signing.
pub const SECRET_OVERLAP_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The most waits in a connection's own retry schedule.
pub const RETRY_STEPS_MAX: usize = 20;
/// The longest single wait in it, in seconds.
pub const RETRY_SECONDS_MAX: u32 = 7 * 24 * 60 * 60;

/// A change was not made; nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No such connection in this organization.
    #[error("connection not found")]
    NotFound,
    /// The input is wrong; the message is a sentence for a person.
    #[error("{message}")]
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The caller's version is old, or others kept changing it.
    #[error("the connection was changed by somebody else in the meantime")]
    VersionConflict,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for ConnectionError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<AppendError> for ConnectionError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::VersionConflict => Self::VersionConflict,
            AppendError::Database(error) => Self::Db(error.into()),
        }
    }
}

impl ConnectionError {
    pub(crate) fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }
}

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
    /// The version that the admin saw.
    pub expected_version: Option<i64>,
}

/// What a change did.
#[derive(Debug)]
pub struct Changed {
    /// The new signing secret, to be shown once.
    pub secret: Option<Secret>,
    /// The connection as it is now.
    pub connection: ConnectionView,
    /// What the admin should know.
    pub warnings: Vec<String>,
}

/// Every connection of an organization that was not removed, the oldest first.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
) -> Result<Vec<ConnectionView>, DbError> {
    store::list(&engine.db, organization_id).await
}

/// One connection. `None` where it was removed or belongs to another organization.
pub async fn find(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<Option<ConnectionView>, DbError> {
    store::find(&engine.db, organization_id, id).await
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
    let mut secret = None;
    if change.regenerate_secret {
        if secrets::overlapping(&mut tx, id).await? >= secrets::OVERLAPPING_MAX {
            return Err(ConnectionError::refused(
                "too_many_secrets",
                "Ten earlier secrets are still valid; wait until one expires",
            ));
        }
        let fresh = Secret::new_webhook_secret();
        let (secret_version, overlap_until) = secrets::rotate(
            &mut tx,
            &engine.keys,
            organization_id,
            id,
            &fresh,
            change.secret_overlap,
        )
        .await?;
        events.push(ConnectionEvent::SecretRotated { secret_version, overlap_until });
        secret = Some(fresh);
    }
    record(&mut tx, &mut state, &events, actor).await?;
    let resumed = events.contains(&ConnectionEvent::Resumed {});
    if resumed {
        resume(&mut tx, id).await?;
    }
    tx.commit().await?;
    if resumed {
        engine.made_due();
    }
    Ok(Changed { secret, connection: state.into(), warnings })
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
    let (name, metadata, warnings) = custom::changed_settings(engine, state, change)?;
    let event_types = change.event_types.clone().unwrap_or_else(|| state.event_types.clone());
    let conditions = change.conditions.clone().unwrap_or_else(|| state.conditions.clone());
    let (event_types, conditions) = checked_subscription(Some(event_types), conditions)?;
    let seconds = match &change.retry_schedule {
        None => state.retry_schedule.clone(),
        Some(None) => None,
        Some(Some(seconds)) => Some(checked_schedule(seconds)?),
    };
    let events = [
        state.update(name, metadata),
        state.subscribe(event_types, conditions),
        state.set_retry_schedule(seconds),
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

/// Brings a subscription to its normal form.
pub(crate) fn checked_subscription(
    event_types: Option<Vec<String>>,
    conditions: Option<Value>,
) -> Result<(Vec<String>, Option<Value>), ConnectionError> {
    let patterns = event_types.unwrap_or_else(|| vec!["*".to_owned()]);
    let patterns = EventPatterns::parse(&patterns)
        .map_err(|error| ConnectionError::refused("invalid_event_types", error.to_string()))?;
    let conditions = conditions
        .map(|conditions| Conditions::parse(&conditions).map(|parsed| parsed.to_json()))
        .transpose()
        .map_err(|error| ConnectionError::refused("invalid_conditions", error.to_string()))?;
    Ok((patterns.into_vec(), conditions))
}

/// Removes a connection: nothing more is sent, what was promised is cancelled, secrets are gone.
/// `scope`, where given, must be the connection's own. Afterwards its access is taken back at the
/// provider, where there is a way: see [`revocation`].
pub async fn disconnect(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    scope: Option<Scope>,
    actor: &Actor,
) -> Result<ConnectionView, ConnectionError> {
    for _ in 0..TRIES_MAX {
        let mut tx = engine.db.api.begin().await?;
        let mut state = store::load(&mut tx, organization_id, id)
            .await?
            .filter(|c| c.status != Status::Disconnected)
            .filter(|c| c.scope == scope.unwrap_or(Scope::Organization))
            .ok_or(ConnectionError::NotFound)?;
        let before = state.clone();
        // An event that is being fanned out at this moment may still be promised to it: a worker
        // finds it removed and cancels that delivery.
        let event = ConnectionEvent::Disconnected { cancelled: queued(&mut tx, id).await? };
        let revocable = revocation::prepare(engine, &mut tx, &state).await?;
        match record(&mut tx, &mut state, &[event], actor).await {
            Err(ConnectionError::VersionConflict) => continue,
            other => other?,
        }
        cancel(&mut tx, organization_id, id, DeliveryReason::ConnectionRemoved).await?;
        secrets::forget(&mut tx, id).await?;
        tx.commit().await?;
        engine.tokens.forget(id);
        revocation::revoke(engine, &before, revocable).await;
        return Ok(before.into());
    }
    Err(ConnectionError::VersionConflict)
}

async fn queued(tx: &mut PgConnection, id: ConnectionId) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.outbox
           where shard in (relay.shard_of($1), relay.parked_shard_of($1))
             and connection_id = $1"#,
        id.0
    )
    .fetch_one(tx)
    .await
}

/// Appends events and brings the read model up to them, in the caller's transaction.
pub(crate) async fn record(
    tx: &mut PgConnection,
    state: &mut Connection,
    events: &[ConnectionEvent],
    actor: &Actor,
) -> Result<(), ConnectionError> {
    if events.is_empty() {
        return Ok(());
    }
    let at = moment(tx).await?;
    let (organization_id, id) = (state.organization_id, state.id);
    let appended =
        event_log::append(tx, organization_id, id, state.version, events, actor, at).await;
    let is_behind = matches!(appended, Err(AppendError::VersionConflict));
    if is_behind && !event_log::has_stream(tx, id).await? {
        adopt(tx, state, events, actor, at).await?;
    } else {
        appended?;
    }
    for event in events {
        state.apply(event, at);
    }
    store::save(tx, state).await?;
    Ok(())
}

/// Begins the stream of a connection that came with a table of the old core, and appends to it.
async fn adopt(
    tx: &mut PgConnection,
    state: &mut Connection,
    events: &[ConnectionEvent],
    actor: &Actor,
    at: Timestamp,
) -> Result<(), ConnectionError> {
    let (organization_id, id, version) = (state.organization_id, state.id, state.version);
    let adopted = state.adopted();
    *state = Connection::begin(id, organization_id, &adopted, at)
        .map(|begun| Connection { version, ..begun })
        .expect("a stream may begin with `adopted`");
    let all = [std::slice::from_ref(&adopted), events].concat();
    event_log::append(tx, organization_id, id, version - 1, &all, actor, at).await?;
    Ok(())
}

/// The database's clock, so that hosts need not agree.
pub(crate) async fn moment(tx: &mut PgConnection) -> Result<Timestamp, sqlx::Error> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(tx).await
}
