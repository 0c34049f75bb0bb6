//! A linked account: `state` decides, `store` remembers; here and in `changing` is load → decide → append.

pub mod changing;
pub mod connect_access_token;
pub mod custom;
mod decisions;
pub mod destinations;
mod erased;
pub mod event;
pub(crate) mod headers;
pub mod health;
pub mod history;
pub mod install;
pub mod limits;
pub(crate) mod linking;
pub mod listing;
mod matching;
pub(crate) mod past;
pub mod preview;
mod reseal;
pub mod revocation;
pub mod room;
pub mod secrets;
mod sentence;
pub mod state;
pub mod store;
pub mod tokens;
pub mod why;

use serde_json::Value;
use sqlx::PgConnection;

pub use self::{
    changing::{Changed, ConnectionChange, change},
    custom::{Created, CustomCategory, NewCustom, TestOutcome, create_custom, send_test},
    event::ConnectionEvent,
    headers::HeaderChanges,
    health::{errored, found_out, suspended},
    limits::{HeadOfLine, Ordering, RateLimit},
    past::find_as_of,
    state::{Connection, Scope, Status},
    store::ConnectionView,
};
pub use crate::event_log::Actor;
use crate::{
    clock::Timestamp,
    db::DbError,
    delivery::{DeliveryReason, cancel},
    engine::Engine,
    event_log::{self, AppendError},
    ids::{ConnectionId, OrganizationId},
    subscription::{Conditions, EventPatterns},
};

/// How often a change is decided anew when somebody else's came first.
const TRIES_MAX: usize = 5;
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
           where shard in (relay.home_shard($1, false), relay.home_shard($1, true),
                           relay.parked_shard_of($1))
             and connection_id = $1"#,
        id.0
    )
    .fetch_one(tx)
    .await
}

/// Appends events and brings the read model up to them, in the caller's transaction. What happened by
/// itself is told to the organization's other connections along with it.
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
    crate::health::note(tx, state, events).await?;
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
