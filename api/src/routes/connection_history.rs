//! What happened to one connection, who did it, and how it stood at a moment.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use engine::connection::history::{self, Entry, PAGE_MAX};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::{ConnectionInPath, filter},
    filters::{self, A_CURSOR},
};

/// Which part of the history.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct HistoryQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

/// One thing that happened to a connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionChanged {
    /// The connection's version from then on.
    version: i64,
    /// Stable, for programs.
    #[serde(rename = "type")]
    #[schema(example = "connection.paused")]
    kind: String,
    /// One plain sentence.
    #[schema(example = "Paused.")]
    summary: String,
    actor: ChangedBy,
    at: DateTime<Utc>,
    /// What the log keeps of it; never a secret.
    #[schema(value_type = Object)]
    data: Value,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangedBy {
    /// `user`, or `system` for Deptex itself.
    #[schema(example = "user")]
    kind: &'static str,
    /// The person's id at the identity provider.
    id: Option<String>,
    /// The person's name, where it is known.
    name: Option<String>,
}

impl ChangedBy {
    pub(crate) fn of(user_id: Option<Uuid>) -> Self {
        let kind = if user_id.is_some() { "user" } else { "system" };
        Self { kind, id: user_id.map(|id| id.to_string()), name: None }
    }
}

/// A page of a connection's history, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionHistory {
    items: Vec<ConnectionChanged>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

impl From<Entry> for ConnectionChanged {
    fn from(entry: Entry) -> Self {
        Self {
            version: entry.version,
            kind: entry.kind,
            summary: entry.summary,
            actor: ChangedBy::of(entry.user_id),
            at: entry.at,
            data: entry.data,
        }
    }
}

/// List what happened to a connection
///
/// The newest first, each with who did it. A removed connection keeps its history.
#[utoipa::path(
    get, operation_id = "list_connection_history", path = "/api/organizations/{org}/connections/{id}/history", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection"), HistoryQuery),
    responses(
        (status = 200, description = "A page", body = ConnectionHistory),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    ConnectionInPath(id): ConnectionInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<ConnectionHistory>, ApiError> {
    let (mut before, mut limit) = (None, 50);
    filters::read(query.as_deref(), |name, value| {
        match name {
            "cursor" => before = Some(filter::<i64>(name, value, A_CURSOR)?),
            "limit" => limit = filters::limit(name, value, PAGE_MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let found = history::list(app.engine(), member.organization_id, id, before, limit).await?;
    let page = found.ok_or(ApiError::not_found("Connection"))?;
    let (items, next_cursor) = filters::page(page.items, page.next);
    Ok(Json(ConnectionHistory { items, next_cursor }))
}
