//! Facts about connections: append-only, one writer per stream version.

use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    connection::event::ConnectionEvent,
    ids::{ConnectionId, OrganizationId},
};

/// Who did it.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    /// The person's id at the identity provider.
    pub user_id: Option<Uuid>,
    /// The person's address, for people who read the log.
    pub email: Option<String>,
}

impl Actor {
    /// Relay itself.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A person.
    #[must_use]
    pub fn user(user_id: Uuid, email: Option<String>) -> Self {
        Self { user_id: Some(user_id), email }
    }

    /// As the log keeps it: `user:<id>` or `system`.
    #[must_use]
    pub fn as_text(&self) -> String {
        self.user_id.map_or_else(|| "system".to_owned(), |id| format!("user:{id}"))
    }

    /// Which person the log means.
    pub(crate) fn person(text: &str) -> Option<Uuid> {
        text.strip_prefix("user:").and_then(|id| id.parse().ok())
    }
}

/// An append did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first.
    #[error("the stream has moved on")]
    VersionConflict,
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Appends events to a stream that stands at version `after` (0 for a new one). A connection that is
/// older than the log begins its stream with [`ConnectionEvent::Adopted`], at the version it has.
pub async fn append(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    stream: ConnectionId,
    after: i64,
    events: &[ConnectionEvent],
    actor: &Actor,
    at: Timestamp,
) -> Result<i64, AppendError> {
    let version = after + i64::try_from(events.len()).unwrap_or(0);
    // The row update is the optimistic lock: of two writers after the same version, one finds none.
    let begins = after == 0 || matches!(events.first(), Some(ConnectionEvent::Adopted { .. }));
    let moved = if begins {
        sqlx::query!(
            "insert into relay.streams (stream_id, organization_id, version) values ($1, $2, $3)
             on conflict do nothing",
            stream.0,
            organization_id.0,
            version,
        )
        .execute(&mut *tx)
        .await?
    } else {
        sqlx::query!(
            "update relay.streams set version = $3 where stream_id = $1 and version = $2",
            stream.0,
            after,
            version,
        )
        .execute(&mut *tx)
        .await?
    };
    if moved.rows_affected() != 1 {
        return Err(AppendError::VersionConflict);
    }
    let kinds: Vec<&str> = events.iter().map(ConnectionEvent::kind).collect();
    let payloads: Vec<Json<Value>> = events.iter().map(|event| Json(event.payload())).collect();
    sqlx::query!(
        r#"insert into relay.event_log (
               id, category, organization_id, stream_id, version, kind, payload, actor, occurred_at)
           select relay.uuid7(), 'connection', $1, $2, $3 + e.place, e.kind, e.payload::json, $6, $7
           from unnest($4::text[], $5::jsonb[]) with ordinality as e(kind, payload, place)"#,
        organization_id.0,
        stream.0,
        after,
        &kinds as &[&str],
        &payloads as &[Json<Value>],
        actor.as_text(),
        at,
    )
    .execute(&mut *tx)
    .await?;
    Ok(version)
}

/// Whether a stream was ever begun.
pub(crate) async fn has_stream(
    tx: &mut PgConnection,
    stream: ConnectionId,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(select from relay.streams where stream_id = $1) as "exists!""#,
        stream.0
    )
    .fetch_one(tx)
    .await
}

/// Whether a stream has an event of one of these kinds after a version.
pub(crate) async fn has_any_since(
    tx: &mut PgConnection,
    stream: ConnectionId,
    after: i64,
    kinds: &[&str],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists(
               select from relay.event_log
               where category = 'connection' and stream_id = $1 and version > $2
                 and kind = any($3)) as "exists!""#,
        stream.0,
        after,
        kinds as &[&str],
    )
    .fetch_one(tx)
    .await
}

/// Makes the writers of some streams wait until the transaction ends, so that what is read next stays
/// true. In the order of ids: two callers never wait for each other.
pub(crate) async fn hold(tx: &mut PgConnection, streams: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select stream_id from relay.streams where stream_id = any($1)
         order by stream_id for update",
        streams,
    )
    .fetch_all(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_read_as_it_was_written() {
        let id = Uuid::from_u128(7);
        assert_eq!(Actor::person(&Actor::user(id, None).as_text()), Some(id));
        assert_eq!(Actor::person(&Actor::system().as_text()), None);
    }
}
