//! Every connection of an organization, for consoles: whatever its scope and however it stands.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use engine::{
    connection::listing::{self, ConnectionSummary, ListFilter, TroubleView},
    ids::{ConnectionId, ProjectId, TeamId},
    provider::Category,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::filter,
    filters,
};

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct ConnectionsQuery {
    /// `connected`, `error` or `suspended`.
    status: Option<String>,
    /// Only of this service.
    provider: Option<String>,
    /// `true`: those that were removed, and no others.
    removed: Option<bool>,
}

/// A connection in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionSummary)]
pub(crate) struct SummaryItem {
    #[schema(value_type = Uuid)]
    id: ConnectionId,
    /// The service.
    #[schema(example = "slack")]
    provider: String,
    /// `ci_cd`, `notification` or `ticketing`; null for a service that is no more.
    #[schema(value_type = Option<String>, example = "notification")]
    category: Option<Category>,
    display_name: String,
    /// `connected`, `error` or `suspended`; `disconnected` for a removed one.
    #[schema(example = "connected")]
    status: String,
    /// Why it is not connected.
    status_reason: Option<String>,
    paused: bool,
    /// The project that it serves alone.
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<ProjectId>,
    /// The team that it serves alone.
    #[schema(value_type = Option<Uuid>)]
    team_id: Option<TeamId>,
    /// What troubles it; null where nothing does.
    health: Option<ConnectionHealth>,
    /// Where its events go, for people: a channel, a project, an address; null where that is not chosen.
    #[schema(example = "#security")]
    destination: Option<String>,
    /// Patterns of the kinds of events it wants.
    event_types: Vec<String>,
    /// Whether it has conditions on the events as well.
    has_conditions: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    version: i64,
    /// What lists show of the account: pictures and names.
    #[schema(value_type = Object)]
    metadata: Value,
}

/// What troubles a connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionHealth {
    /// Since when it has taken nothing.
    failing_since: Option<DateTime<Utc>>,
    /// Until when its receiver asked us to wait.
    held_until: Option<DateTime<Utc>>,
    /// Why, as a stable code.
    held_because: Option<String>,
    /// When it is tried next, while nothing is sent to it because it fails.
    breaker_open_until: Option<DateTime<Utc>>,
    /// When it is switched off if it goes on failing.
    disables_at: Option<DateTime<Utc>>,
}

/// Every connection that was asked for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionList {
    /// The oldest first.
    items: Vec<SummaryItem>,
}

impl From<TroubleView> for ConnectionHealth {
    fn from(trouble: TroubleView) -> Self {
        Self {
            failing_since: trouble.failing_since,
            held_until: trouble.held_until,
            held_because: trouble.held_because,
            breaker_open_until: trouble.breaker_open_until,
            disables_at: trouble.disables_at,
        }
    }
}

impl From<ConnectionSummary> for SummaryItem {
    fn from(summary: ConnectionSummary) -> Self {
        let view = summary.connection;
        Self {
            id: view.id,
            category: summary.category,
            provider: view.provider,
            display_name: view.display_name,
            status: view.status,
            status_reason: view.status_reason,
            paused: view.paused,
            project_id: view.project_id,
            team_id: view.team_id,
            health: summary.trouble.map(Into::into),
            destination: summary.destination,
            event_types: view.event_types,
            has_conditions: view.conditions.is_some(),
            created_at: view.created_at,
            updated_at: view.updated_at,
            version: view.version,
            metadata: summary.shown,
        }
    }
}

/// List every connection
///
/// Of whatever scope and however it stands, the oldest first.
#[utoipa::path(
    get, operation_id = "list_all_connections", path = "/api/organizations/{org}/connections", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization"), ConnectionsQuery),
    responses(
        (status = 200, description = "The connections", body = ConnectionList),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Json<ConnectionList>, ApiError> {
    let wanted = parse_filter(query.as_deref())?;
    let found = listing::list(app.engine(), member.organization_id, &wanted).await?;
    Ok(Json(ConnectionList { items: found.into_iter().map(SummaryItem::from).collect() }))
}

fn parse_filter(query: Option<&str>) -> Result<ListFilter, ApiError> {
    let mut wanted = ListFilter::default();
    filters::read(query, |name, value| {
        match name {
            "status" if ["connected", "error", "suspended"].contains(&value) => {
                wanted.status = Some(value.to_owned());
            }
            "status" => {
                let message = "status must be connected, error or suspended";
                return Err(ApiError::unprocessable("invalid_filter", message));
            }
            "provider" => wanted.provider = Some(filters::text(name, value)?),
            "removed" => wanted.removed = filter(name, value, "true or false")?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_wrong_ones_named() {
        let wanted = parse_filter(Some("status=error&provider=slack&removed=true")).expect("fine");
        assert_eq!(wanted.status.as_deref(), Some("error"));
        assert_eq!((wanted.provider.as_deref(), wanted.removed), (Some("slack"), true));
        for (query, code) in [
            ("status=disconnected", "invalid_filter"),
            ("removed=yes", "invalid_filter"),
            ("scope=team", "unknown_filter"),
        ] {
            let error = parse_filter(Some(query)).expect_err(query);
            assert_eq!((error.status.as_u16(), error.code), (422, code), "{query}");
        }
    }
}
