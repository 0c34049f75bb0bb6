//! Which of the last events a subscription would have taken, before it is set.

use axum::{Json, extract::State};
use engine::{
    connection::preview::{self, Proposal},
    ids::{ProjectId, TeamId},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::event_history::EventItem;
use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody, connection_error},
    extract::{AdminJson, ConnectionInPath, nullable},
};

/// A subscription to try; what is left out is as the connection has it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PreviewBody {
    /// Patterns of kinds.
    #[schema(example = json!(["vulnerability.*"]))]
    event_types: Option<Vec<String>>,
    /// `null`: none.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Object>)]
    conditions: Option<Option<Value>>,
    /// Of this project alone; `null`: of the whole organization.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<Option<Uuid>>,
    /// Of this team alone; `null`: of the whole organization.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Uuid>)]
    team_id: Option<Option<Uuid>>,
}

/// The organization's last events, and which of them it would have taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Preview {
    /// How many events were looked at: the last ones, at most 100.
    considered: usize,
    /// How many of them match.
    matching: usize,
    /// The newest first.
    events: Vec<PreviewedEvent>,
}

/// An event, and whether it matches.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewedEvent {
    #[serde(flatten)]
    event: EventItem,
    matches: bool,
    /// Why it does not: `scope`, `type`, `its_own` (it tells of this very connection) or `conditions`.
    #[schema(example = "conditions")]
    why: Option<&'static str>,
}

/// Try a subscription on the last events
///
/// Nothing is changed and nothing is sent. Postgres decides, by the same functions as for a real event.
#[utoipa::path(
    post, operation_id = "preview_subscription", path = "/api/organizations/{org}/connections/{id}/preview", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    request_body = PreviewBody,
    responses(
        (status = 200, description = "What it would have taken", body = Preview),
        (status = 400, description = "`malformed_json`", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`invalid_event_types`, `invalid_conditions`, `invalid_scope` or `unknown_field`; the sentence says where", body = ErrorBody),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    ConnectionInPath(id): ConnectionInPath,
    AdminJson(body): AdminJson<PreviewBody>,
) -> Result<Json<Preview>, ApiError> {
    let proposal = Proposal {
        event_types: body.event_types,
        conditions: body.conditions,
        project_id: body.project_id.map(|id| id.map(ProjectId)),
        team_id: body.team_id.map(|id| id.map(TeamId)),
    };
    let events = preview::preview(app.engine(), member.organization_id, id, proposal)
        .await
        .map_err(connection_error("Connection"))?;
    Ok(Json(Preview {
        considered: events.len(),
        matching: events.iter().filter(|event| event.why.is_none()).count(),
        events: events
            .into_iter()
            .map(|previewed| PreviewedEvent {
                event: previewed.event.into(),
                matches: previewed.why.is_none(),
                why: previewed.why,
            })
            .collect(),
    }))
}
