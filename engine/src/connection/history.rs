//! What happened to one connection and who did it, in words.

use serde_json::Value;
use uuid::Uuid;

use super::{Connection, ConnectionEvent, past, sentence::sentence, store};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    event_log::Actor,
    ids::{ConnectionId, OrganizationId},
};

/// The most entries of one page.
pub const PAGE_MAX: u16 = 200;

/// One thing that happened to a connection.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The version from then on.
    pub version: i64,
    /// As the log names it.
    pub kind: String,
    /// One plain sentence.
    pub summary: String,
    /// The person who did it; `None` for Relay itself.
    pub user_id: Option<Uuid>,
    /// When.
    pub at: Timestamp,
    /// What the log keeps of it.
    pub data: Value,
}

/// A part of a history, and where the next one begins.
#[derive(Clone, Debug, Default)]
pub struct HistoryPage {
    /// The newest first.
    pub items: Vec<Entry>,
    /// The cursor of the next page, if there is one.
    pub next: Option<i64>,
}

/// The history of a connection below a version, the newest first. `None` where the connection is not
/// this organization's; one that was removed keeps its history.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    before: Option<i64>,
    limit: u16,
) -> Result<Option<HistoryPage>, DbError> {
    let mut connection = engine.db.api.acquire().await?;
    if store::load(&mut connection, organization_id, id).await?.is_none() {
        return Ok(None);
    }
    let limit = usize::from(limit.clamp(1, PAGE_MAX));
    let mut rows = sqlx::query!(
        r#"select version as "version!", kind, actor, occurred_at, payload as "payload: Value"
           from relay.event_log
           where category = 'connection' and organization_id = $1 and stream_id = $2 and version < $3
           order by version desc limit $4"#,
        organization_id.0,
        id.0,
        before.unwrap_or(i64::MAX),
        i64::try_from(limit + 1).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut *connection)
    .await?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let Some(oldest) = rows.last() else { return Ok(Some(HistoryPage::default())) };
    let next = is_more.then_some(oldest.version);
    // What changed is told by how it stood before.
    let mut state = past::before(&mut connection, organization_id, id, oldest.version).await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in rows.into_iter().rev() {
        let event = ConnectionEvent::from_stored(&row.kind, &row.payload)
            .map_err(|error| sqlx::Error::Decode(error.into()))?;
        items.push(Entry {
            version: row.version,
            summary: sentence(&event, state.as_ref()),
            kind: row.kind,
            user_id: row.actor.as_deref().and_then(Actor::person),
            at: row.occurred_at,
            data: row.payload,
        });
        match &mut state {
            Some(state) => state.apply(&event, row.occurred_at),
            None => state = Connection::begin(id, organization_id, &event, row.occurred_at),
        }
    }
    items.reverse();
    Ok(Some(HistoryPage { items, next }))
}
