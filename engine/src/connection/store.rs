//! Remembers connections: the read model, kept in the transaction that appends their events.

use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    limits::{Ordering, RateLimit},
    state::{Connection, Scope, Status},
};
use crate::{
    clock::Timestamp,
    db::{Db, DbError},
    ids::{ConnectionId, OrganizationId, ProjectId, TeamId},
    subscription::Conditions,
};

/// A connection as admins see it: no secret, sealed or not.
#[derive(Clone, Debug, Serialize)]
pub struct ConnectionView {
    /// Its id.
    pub id: ConnectionId,
    /// The owner.
    pub organization_id: OrganizationId,
    /// The service.
    pub provider: String,
    /// The service's own id for it.
    pub installation_id: String,
    /// What people call it.
    pub display_name: String,
    /// What the provider needs to know.
    pub metadata: Value,
    /// `connected`, `error` or `suspended`.
    pub status: String,
    /// Why it is not connected.
    pub status_reason: Option<String>,
    /// Whether an admin paused it.
    pub paused: bool,
    /// The team it serves, if only one.
    pub team_id: Option<TeamId>,
    /// The project it serves, if only one.
    pub project_id: Option<ProjectId>,
    /// Patterns of the kinds it wants.
    pub event_types: Vec<String>,
    /// Conditions on the events it wants.
    pub conditions: Option<Value>,
    /// Waits between attempts in seconds, if not the default ones.
    pub retry_schedule: Option<Vec<i32>>,
    /// Names of the headers that its requests carry beside ours.
    pub header_names: Vec<String>,
    /// How fast it may be sent to, if not as fast as we may.
    pub rate_limit: Option<RateLimit>,
    /// In which order, if it matters.
    pub ordering: Option<Ordering>,
    /// For how long events are gathered into one message, if they are.
    pub digest_minutes: Option<u16>,
    /// When it was last connected.
    pub connected_at: Option<Timestamp>,
    /// When it was first connected.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Grows with every change.
    pub version: i64,
}

impl From<Connection> for ConnectionView {
    fn from(c: Connection) -> Self {
        Self {
            team_id: c.scope.team_id(),
            project_id: c.scope.project_id(),
            id: c.id,
            organization_id: c.organization_id,
            provider: c.provider,
            installation_id: c.installation_id,
            display_name: c.display_name,
            metadata: c.metadata,
            status: c.status.as_str().to_owned(),
            status_reason: c.status_reason,
            paused: c.paused,
            event_types: c.event_types,
            conditions: c.conditions,
            retry_schedule: c.retry_schedule,
            header_names: c.header_names,
            rate_limit: c.rate_limit,
            ordering: c.ordering,
            digest_minutes: c.digest_minutes,
            connected_at: Some(c.connected_at),
            created_at: c.created_at,
            updated_at: c.updated_at,
            version: c.version,
        }
    }
}

/// The stored row of a connection, whatever its status.
#[derive(Debug)]
pub(crate) struct ConnectionRow {
    pub(crate) id: Uuid,
    pub(crate) organization_id: Uuid,
    pub(crate) provider: String,
    pub(crate) installation_id: String,
    pub(crate) display_name: String,
    pub(crate) metadata: Value,
    pub(crate) status: String,
    pub(crate) status_reason: Option<String>,
    pub(crate) paused: bool,
    pub(crate) team_id: Option<Uuid>,
    pub(crate) project_id: Option<Uuid>,
    pub(crate) event_types: Vec<String>,
    pub(crate) conditions: Option<Value>,
    pub(crate) retry_schedule: Option<Vec<i32>>,
    pub(crate) header_names: Vec<String>,
    pub(crate) rate_limit_count: Option<i32>,
    pub(crate) rate_limit_seconds: Option<i32>,
    pub(crate) ordering: Option<String>,
    pub(crate) ordering_after: Option<i16>,
    pub(crate) digest_minutes: Option<i16>,
    pub(crate) connected_at: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) version: i64,
}

impl From<ConnectionRow> for Connection {
    fn from(row: ConnectionRow) -> Self {
        Self {
            id: row.id.into(),
            organization_id: row.organization_id.into(),
            provider: row.provider,
            installation_id: row.installation_id,
            display_name: row.display_name,
            metadata: row.metadata,
            scope: Scope::from_columns(row.team_id, row.project_id),
            status: Status::from_stored(&row.status),
            status_reason: row.status_reason,
            paused: row.paused,
            event_types: row.event_types,
            conditions: row.conditions,
            retry_schedule: row.retry_schedule,
            header_names: row.header_names,
            rate_limit: RateLimit::from_columns(row.rate_limit_count, row.rate_limit_seconds),
            ordering: Ordering::from_columns(row.ordering.as_deref(), row.ordering_after),
            digest_minutes: row.digest_minutes.and_then(|minutes| u16::try_from(minutes).ok()),
            connected_at: row.connected_at.unwrap_or(row.created_at),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: row.version,
        }
    }
}

/// Every connection that was not removed, the oldest first.
pub async fn list(
    db: &Db,
    organization_id: OrganizationId,
) -> Result<Vec<ConnectionView>, DbError> {
    let rows = sqlx::query_as!(
        ConnectionRow,
        r#"select id, organization_id, provider, installation_id, display_name, metadata, status,
                  status_reason, paused, team_id, project_id, event_types, conditions,
                  retry_schedule, header_names, rate_limit_count, rate_limit_seconds, ordering,
                  ordering_after, digest_minutes, connected_at, created_at, updated_at, version
           from relay.organization_integrations
           where organization_id = $1 and status <> 'disconnected'
           order by created_at, id"#,
        organization_id.0,
    )
    .fetch_all(&db.api)
    .await?;
    Ok(rows.into_iter().map(|row| Connection::from(row).into()).collect())
}

/// One connection. `None` where it was removed or belongs to another organization.
pub async fn find(
    db: &Db,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<Option<ConnectionView>, DbError> {
    let mut connection = db.api.acquire().await?;
    let found = load(&mut connection, organization_id, id).await?;
    Ok(found.filter(|c| c.status != Status::Disconnected).map(Into::into))
}

/// One connection's state, whatever its status.
pub(crate) async fn load(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<Option<Connection>, sqlx::Error> {
    let row = sqlx::query_as!(
        ConnectionRow,
        r#"select id, organization_id, provider, installation_id, display_name, metadata, status,
                  status_reason, paused, team_id, project_id, event_types, conditions,
                  retry_schedule, header_names, rate_limit_count, rate_limit_seconds, ordering,
                  ordering_after, digest_minutes, connected_at, created_at, updated_at, version
           from relay.organization_integrations where organization_id = $1 and id = $2"#,
        organization_id.0,
        id.0,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Into::into))
}

/// Writes the read model's row to equal the state; tokens are left as they are, but for a removed
/// connection, which keeps none.
pub(crate) async fn save(
    connection: &mut PgConnection,
    state: &Connection,
) -> Result<(), sqlx::Error> {
    let path = state
        .conditions
        .as_ref()
        .and_then(|conditions| Conditions::parse(conditions).ok())
        .map(|conditions| conditions.to_jsonpath());
    sqlx::query!(
        r#"insert into relay.organization_integrations as c (
               id, organization_id, provider, installation_id, display_name, metadata, status,
               status_reason, paused, team_id, project_id, event_types, conditions,
               conditions_path, retry_schedule, connected_at, created_at, updated_at, version,
               header_names, rate_limit_count, rate_limit_seconds, ordering, ordering_after,
               digest_minutes)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, ($14::text)::jsonpath,
                   $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)
           on conflict (id) do update set
               provider = excluded.provider, installation_id = excluded.installation_id,
               display_name = excluded.display_name, metadata = excluded.metadata,
               status = excluded.status, status_reason = excluded.status_reason,
               paused = excluded.paused, team_id = excluded.team_id,
               project_id = excluded.project_id, event_types = excluded.event_types,
               conditions = excluded.conditions, conditions_path = excluded.conditions_path,
               retry_schedule = excluded.retry_schedule, connected_at = excluded.connected_at,
               created_at = excluded.created_at, updated_at = excluded.updated_at,
               version = excluded.version, header_names = excluded.header_names,
               rate_limit_count = excluded.rate_limit_count,
               rate_limit_seconds = excluded.rate_limit_seconds, ordering = excluded.ordering,
               ordering_after = excluded.ordering_after, digest_minutes = excluded.digest_minutes,
               access_token = case when excluded.status <> 'disconnected' then c.access_token end,
               refresh_token = case when excluded.status <> 'disconnected' then c.refresh_token end,
               token_expires_at = case when excluded.status <> 'disconnected' then c.token_expires_at end,
               refresh_after = case when excluded.status <> 'disconnected' then c.refresh_after end,
               grant_id = case when excluded.status <> 'disconnected' then c.grant_id end"#,
        state.id.0,
        state.organization_id.0,
        state.provider,
        state.installation_id,
        state.display_name,
        state.metadata,
        state.status.as_str(),
        state.status_reason,
        state.paused,
        state.scope.team_id().map(|id| id.0),
        state.scope.project_id().map(|id| id.0),
        &state.event_types,
        state.conditions,
        path,
        state.retry_schedule.as_deref(),
        state.connected_at,
        state.created_at,
        state.updated_at,
        state.version,
        &state.header_names,
        state.rate_limit.and_then(|limit| i32::try_from(limit.count).ok()),
        state.rate_limit.and_then(|limit| i32::try_from(limit.seconds).ok()),
        state.ordering.map(|ordering| ordering.policy.as_str()),
        state.ordering.and_then(|ordering| ordering.after).map(i16::from),
        state.digest_minutes.and_then(|minutes| i16::try_from(minutes).ok()),
    )
    .execute(connection)
    .await?;
    Ok(())
}
