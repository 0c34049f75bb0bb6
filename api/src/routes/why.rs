//! Why an event reached a connection, or why it did not.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use engine::{connection::why, ids::ConnectionId};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::deliveries::DeliveryItem;
use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::{EventInPath, filter},
    filters::{self, A_UUID},
};

/// What is asked for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct WhyQuery {
    /// The connection.
    connection_id: Uuid,
}

/// Why an event reached a connection, or why it did not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Why {
    /// Where its delivery stands (`delivered`, `pending`, `parked`, `dead`, `skipped`, `cancelled`,
    /// `expired`), or why there is none: `not_matched`, `connected_later`, `removed_before`.
    #[schema(example = "not_matched")]
    verdict: &'static str,
    /// The same for people.
    sentence: String,
    /// All that was asked of the event and the connection, as it stood then; `existed` alone where it was not there.
    checks: Vec<WhyCheck>,
    /// The version of the connection that the event met; null where it was not there.
    connection_version: Option<i64>,
    delivery: Option<DeliveryItem>,
}

/// One thing that was asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WhyCheck {
    /// `existed`, `connected`, `not_paused`, `scope`, `type`, `conditions` or `not_its_own`.
    #[schema(example = "conditions")]
    check: &'static str,
    passed: bool,
    /// For people.
    detail: String,
}

/// Ask why an event reached a connection, or did not
///
/// It is answered by the connection as it stood when the event was recorded, not as it is now.
#[utoipa::path(
    get, operation_id = "explain_event", path = "/api/organizations/{org}/events/{id}/why", tag = "Events",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The event"), WhyQuery),
    responses(
        (status = 200, description = "Why", body = Why),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`: the event or the connection"),
        (status = 422, description = "`unknown_filter`, `invalid_filter` or `missing_field`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    EventInPath(id): EventInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<Why>, ApiError> {
    let mut connection_id: Option<ConnectionId> = None;
    filters::read(query.as_deref(), |name, value| {
        if name != "connection_id" {
            return Ok(false);
        }
        connection_id = Some(filter(name, value, A_UUID)?);
        Ok(true)
    })?;
    let message = "connection_id says which connection is meant";
    let connection_id = connection_id.ok_or(ApiError::unprocessable("missing_field", message))?;
    let found = why::explain(app.engine(), member.organization_id, id, connection_id).await?;
    let why = found.map_err(|missing| match missing {
        why::Missing::Event => ApiError::not_found("Event"),
        why::Missing::Connection => ApiError::not_found("Connection"),
    })?;
    let check = |check: why::Check| WhyCheck {
        check: check.check,
        passed: check.passed,
        detail: check.detail,
    };
    Ok(Json(Why {
        verdict: why.verdict,
        sentence: why.sentence,
        checks: why.checks.into_iter().map(check).collect(),
        connection_version: why.connection_version,
        delivery: why.delivery.map(DeliveryItem::from),
    }))
}
