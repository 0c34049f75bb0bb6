//! Everything that an admin can see and set of one connection, whatever its scope or status.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header::ETAG},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use engine::{
    connection::{self, ConnectionChange, ConnectionView},
    health::{self, Missed},
    ids::{ConnectionId, OrganizationId, ProjectId, TeamId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::limits::{HeadersBody, OrderingBody, RateLimitBody, header_changes, headers};
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody, connection_error},
    extract::{AdminJson, ConnectionInPath, nullable},
    filters,
};

const WHAT: &str = "Connection";

/// A connection with all its settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionSettings {
    #[schema(value_type = Uuid)]
    id: ConnectionId,
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    provider: String,
    installation_id: String,
    display_name: String,
    #[schema(value_type = Object)]
    metadata: Value,
    /// `connected`, `error` or `suspended`.
    #[schema(example = "connected")]
    status: String,
    /// Why it is not connected.
    status_reason: Option<String>,
    /// Whether deliveries are skipped until somebody resumes it.
    paused: bool,
    /// The team that it serves alone.
    #[schema(value_type = Option<Uuid>)]
    team_id: Option<TeamId>,
    /// The project that it serves alone.
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<ProjectId>,
    /// Patterns of the kinds of events it wants.
    #[schema(example = json!(["vulnerability.*"]))]
    event_types: Vec<String>,
    /// Conditions on the events it wants.
    #[schema(value_type = Option<Object>)]
    conditions: Option<Value>,
    /// Waits between attempts in seconds; null means the default ones.
    retry_schedule: Option<Vec<i32>>,
    /// Names of the headers that its requests carry beside ours. Their values are never shown.
    #[schema(example = json!(["X-Team"]))]
    header_names: Vec<String>,
    /// How fast it is sent to at most; null means as fast as we may.
    rate_limit: Option<RateLimitBody>,
    /// In which order; null means in none.
    ordering: Option<OrderingBody>,
    /// For how many minutes events are gathered into one message; null means not at all.
    digest_minutes: Option<u32>,
    connected_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    /// Grows with each change; also in the ETag.
    version: i64,
    /// What it missed while it was off: there when a change has just switched it on again, for a
    /// console to offer a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<MissedBody>,
}

/// Deliveries that were not sent because the connection was off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MissedBody {
    /// How many, up to 10,000.
    #[schema(example = 12)]
    count: i64,
    /// Whether there are more than that.
    is_more: bool,
    /// When it went off.
    since: DateTime<Utc>,
}

impl From<Missed> for MissedBody {
    fn from(Missed { count, is_more, since }: Missed) -> Self {
        Self { count, is_more, since }
    }
}

impl From<ConnectionView> for ConnectionSettings {
    fn from(view: ConnectionView) -> Self {
        Self {
            id: view.id,
            organization_id: view.organization_id,
            provider: view.provider,
            installation_id: view.installation_id,
            display_name: view.display_name,
            metadata: view.metadata,
            status: view.status,
            status_reason: view.status_reason,
            paused: view.paused,
            team_id: view.team_id,
            project_id: view.project_id,
            event_types: view.event_types,
            conditions: view.conditions,
            retry_schedule: view.retry_schedule,
            header_names: view.header_names,
            rate_limit: view.rate_limit.map(Into::into),
            ordering: view.ordering.map(Into::into),
            digest_minutes: view.digest_minutes.map(u32::from),
            connected_at: view.connected_at,
            created_at: view.created_at,
            updated_at: view.updated_at,
            version: view.version,
            missed: None,
        }
    }
}

impl IntoResponse for ConnectionSettings {
    fn into_response(self) -> Response {
        let tag = format!("\"{}\"", self.version);
        let tag = HeaderValue::from_str(&tag).expect("digits and quotes fit a header");
        ([(ETAG, tag)], Json(self)).into_response()
    }
}

/// What to change; what is left out stays. Unknown fields are refused.
// It does not print: the values of headers are secrets.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConnectionPatch {
    name: Option<String>,
    /// Custom integrations only.
    webhook_url: Option<String>,
    /// `null` removes the picture.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    icon_url: Option<Option<String>>,
    event_types: Option<Vec<String>>,
    /// `null` removes the conditions.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Object>)]
    conditions: Option<Option<Value>>,
    /// Pauses, or resumes; resuming also lifts a suspension.
    paused: Option<bool>,
    /// Waits between attempts in seconds: at most 20, each at most 7 days. An empty list means one
    /// attempt only, `null` returns to the default schedule.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Vec<u32>>, example = json!([5, 30, 120]))]
    retry_schedule: Option<Option<Vec<u32>>>,
    /// Custom integrations only: headers that their requests carry beside ours. Each name is set to its
    /// value, or removed with `null`; names that are left out stay. `null` for all of it removes every
    /// one. At most 30, and 8 KiB with their names. Values are printable ASCII, and never shown again.
    #[serde(deserialize_with = "headers")]
    #[schema(value_type = Option<BTreeMap<String, Option<String>>>, example = json!({ "X-Team": "security", "X-Old": null }))]
    headers: Option<Option<HeadersBody>>,
    /// How fast it is sent to at most; `null`: as fast as we may.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<RateLimitBody>)]
    rate_limit: Option<Option<RateLimitBody>>,
    /// Custom integrations and notifications only: one delivery at a time, in the order of recording;
    /// `null`: each on its own. Not together with a digest.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<OrderingBody>)]
    ordering: Option<Option<OrderingBody>>,
    /// Slack and Discord only: for how many minutes events are gathered into one message, 1 to 1440;
    /// `null`: each is sent by itself.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<u32>, example = 15)]
    digest_minutes: Option<Option<u32>>,
    /// The version that was seen; instead of `If-Match`.
    expected_version: Option<i64>,
}

/// Which of its states.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct AsOfQuery {
    /// As it stood at this instant, instead of now.
    as_of: Option<DateTime<Utc>>,
}

/// Get a connection's settings
///
/// As they are, or as they were at an instant.
#[utoipa::path(
    get, operation_id = "get_connection", path = "/api/organizations/{org}/connections/{id}", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection"), AsOfQuery),
    responses(
        (status = 200, description = "The connection", body = ConnectionSettings, headers(("ETag" = String, description = "Its version in quotes"))),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`; also where it did not exist yet, or was removed, at that instant"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    ConnectionInPath(id): ConnectionInPath,
    RawQuery(query): RawQuery,
) -> Result<ConnectionSettings, ApiError> {
    let mut as_of = None;
    filters::read(query.as_deref(), |name, value| {
        if name == "as_of" {
            as_of = Some(filters::instant(name, value)?);
        }
        Ok(name == "as_of")
    })?;
    let (engine, organization_id) = (app.engine(), member.organization_id);
    let found = match as_of {
        Some(at) => connection::find_as_of(engine, organization_id, id, at).await?,
        None => connection::find(engine, organization_id, id).await?,
    };
    found.map(ConnectionSettings::from).ok_or(ApiError::not_found(WHAT))
}

/// Change a connection's settings
///
/// All of the change is made, or none of it. With `If-Match` (or `expected_version`) it is made only
/// if nobody else changed the connection in the meantime.
#[utoipa::path(
    patch, operation_id = "change_connection", path = "/api/organizations/{org}/connections/{id}", tag = "Connections",
    params(
        ("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was seen"),
    ),
    request_body = ConnectionPatch,
    responses(
        (status = 200, description = "The connection after the change", body = ConnectionSettings, headers(("ETag" = String, description = "Its version in quotes"))),
        (status = 400, description = "`malformed_json` or `invalid_if_match`", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 409, description = "`version_conflict`", body = ErrorBody),
        (status = 422, description = "A field is wrong; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn change(
    State(app): State<App>,
    manager: Manager,
    ConnectionInPath(id): ConnectionInPath,
    request_headers: HeaderMap,
    AdminJson(body): AdminJson<ConnectionPatch>,
) -> Result<ConnectionSettings, ApiError> {
    let seen = if_match(&request_headers)?;
    if let (Some(header), Some(field)) = (seen, body.expected_version)
        && header != field
    {
        let message = "If-Match and expected_version name different versions";
        return Err(ApiError::bad_request("invalid_if_match", message));
    }
    let change = ConnectionChange {
        name: body.name,
        webhook_url: body.webhook_url,
        icon_url: body.icon_url,
        event_types: body.event_types,
        conditions: body.conditions,
        paused: body.paused,
        retry_schedule: body.retry_schedule,
        headers: body.headers.map(|headers| headers.map(header_changes)),
        rate_limit: body.rate_limit.map(|limit| limit.map(Into::into)),
        ordering: body.ordering.map(|ordering| ordering.map(Into::into)),
        digest_minutes: body.digest_minutes.map(|minutes| {
            // What is too large for the engine's type stays too large.
            minutes.map(|minutes| u16::try_from(minutes).unwrap_or(u16::MAX))
        }),
        expected_version: seen.or(body.expected_version),
        ..ConnectionChange::default()
    };
    let changed =
        connection::change(app.engine(), manager.organization_id, id, None, change, &manager.actor)
            .await
            .map_err(connection_error(WHAT))?;
    let mut settings = ConnectionSettings::from(changed.connection);
    if changed.is_resumed {
        // The change is made, whether or not this can be told.
        match health::missed(app.engine(), manager.organization_id, id).await {
            Ok(missed) => settings.missed = missed.map(Into::into),
            Err(error) => {
                tracing::warn!(connection.id = %id, error = %error, "what it missed was not counted");
            }
        }
    }
    Ok(settings)
}

/// The version in `If-Match`; `*` and no header ask for none.
fn if_match(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get("if-match") else { return Ok(None) };
    let text = value.to_str().map(str::trim).unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    version.and_then(|version| version.parse().ok()).map(Some).ok_or(ApiError::bad_request(
        "invalid_if_match",
        "If-Match must be the ETag of this connection, such as \"3\"",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_the_etag_that_was_given() {
        let table = [
            (None, Some(None)),
            (Some("*"), Some(None)),
            (Some("\"3\""), Some(Some(3))),
            (Some(" \"12\" "), Some(Some(12))),
            (Some("3"), None),
            (Some("W/\"3\""), None),
            (Some("\"3\", \"4\""), None),
            (Some("\"x\""), None),
            (Some(""), None),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("if-match", HeaderValue::from_static(value));
            }
            let found = if_match(&headers).map_err(|error| error.status.as_u16());
            assert_eq!(found, expected.ok_or(400), "{value:?}");
        }
    }
}
