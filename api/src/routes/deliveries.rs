//! What became of events: deliveries, their attempts, and sending one again.

mod attempts;
pub(crate) mod query;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use chrono::{DateTime, Utc};
use engine::{
    audit::{self, Payload},
    delivery::{self, DeliveryView},
    ids::{ConnectionId, DeliveryId, EventId},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use self::{
    attempts::AttemptItem,
    query::{ListQuery, read},
};
use super::Done;
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody},
    extract::{AdminJson, DeliveryInPath},
    filters,
};

/// A delivery as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryItem {
    /// The same that the receiver sees, through retries and replays.
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    #[schema(value_type = Uuid)]
    connection_id: ConnectionId,
    /// The connection's service.
    provider: String,
    connection_name: String,
    #[schema(value_type = Uuid)]
    event_id: EventId,
    /// The kind of event; null once the event is no longer kept.
    #[schema(example = "vulnerability.found")]
    event: Option<String>,
    subject: Option<String>,
    /// `pending`, `parked`, `delivered`, `dead`, `skipped`, `cancelled` or `expired`.
    #[schema(example = "delivered")]
    status: String,
    /// Requests made so far.
    attempts: i32,
    next_due_at: Option<DateTime<Utc>>,
    /// The last answer's HTTP status.
    status_code: Option<i16>,
    /// The last failure's class, or the provider's own code for it.
    error_class: Option<String>,
    /// The last failure in words.
    error: Option<String>,
    /// Why it ended as it did, or is parked.
    #[schema(example = "no_destination")]
    reason: Option<String>,
    /// The provider's id of what was made of it.
    #[schema(example = "SEC-12")]
    external_id: Option<String>,
    /// Where to look at that.
    external_url: Option<String>,
    /// `live`, `retry` or `replay`.
    class: String,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
}

impl From<DeliveryView> for DeliveryItem {
    fn from(view: DeliveryView) -> Self {
        Self {
            id: view.id,
            connection_id: view.connection_id,
            provider: view.provider,
            connection_name: view.connection_name,
            event_id: view.event_id,
            event: view.event,
            subject: view.subject,
            status: view.status,
            attempts: view.attempts,
            next_due_at: view.next_due_at,
            status_code: view.status_code,
            error_class: view.error_class,
            error: view.error,
            reason: view.reason,
            external_id: view.external_id,
            external_url: view.external_url,
            class: view.class,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// A page of deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
    /// There may be fewer than asked for where many were looked through.
    items: Vec<DeliveryItem>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// A delivery with its history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryDetail)]
pub(crate) struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryItem,
    /// The newest 200, the first one first.
    attempt_list: Vec<AttemptItem>,
    /// How many older attempts there are.
    #[schema(example = 0)]
    attempts_omitted: i64,
    /// The event's data, byte for byte; null once the event is no longer kept.
    #[schema(value_type = Option<Object>)]
    data: Option<Box<RawValue>>,
}

/// Why it is sent again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReplayBody {
    /// Kept in the connection's history; at most 500 characters of it.
    reason: Option<String>,
}

/// List deliveries
///
/// The newest first. Pages stay whole while new deliveries arrive. A page may have fewer items than
/// asked for, and even none, where many were looked through: go on until `next_cursor` is null.
#[utoipa::path(
    get, operation_id = "list_deliveries", path = "/api/organizations/{org}/deliveries", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ListQuery),
    responses(
        (status = 200, description = "A page", body = DeliveryPage),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Json<DeliveryPage>, ApiError> {
    let filter = read(query.as_deref())?;
    let page = delivery::list(app.engine(), member.organization_id, &filter).await?;
    let (items, next_cursor) = filters::page(page.items, page.next);
    Ok(Json(DeliveryPage { items, next_cursor }))
}

/// Get a delivery
///
/// With each of its attempts: what was answered, how long it took, and what followed. Who read it is
/// recorded.
#[utoipa::path(
    get, operation_id = "get_delivery", path = "/api/organizations/{org}/deliveries/{id}", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The delivery")),
    responses(
        (status = 200, description = "The delivery", body = DeliveryWithAttempts),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    DeliveryInPath(id): DeliveryInPath,
) -> Result<Json<DeliveryWithAttempts>, ApiError> {
    let found = delivery::find(app.engine(), member.organization_id, id).await?;
    let detail = found.ok_or(ApiError::not_found("Delivery"))?;
    let read = [Payload::Delivery(id, detail.delivery.event_id)];
    audit::record_read(app.engine(), member.organization_id, &member.actor, &read).await?;
    Ok(Json(DeliveryWithAttempts {
        delivery: detail.delivery.into(),
        attempt_list: detail.attempts.into_iter().map(AttemptItem::from).collect(),
        attempts_omitted: detail.attempts_omitted,
        data: detail.data,
    }))
}

/// Replay a delivery
///
/// Makes it due now under its old id, so that the receiver can tell. Who asked, and why, is kept.
#[utoipa::path(
    post, operation_id = "replay_delivery", path = "/api/organizations/{org}/deliveries/{id}/replay", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The delivery")),
    request_body = ReplayBody,
    responses(
        (status = 202, description = "It is due", body = Done),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 409, description = "`connection_not_connected`, `delivery_in_flight` or `event_not_wanted`", body = ErrorBody),
        (status = 410, description = "`event_expired`: the event is no longer kept", body = ErrorBody),
        (status = 422, description = "`unknown_field` or `invalid_field`", body = ErrorBody),
    ),
)]
pub(crate) async fn replay(
    State(app): State<App>,
    manager: Manager,
    DeliveryInPath(id): DeliveryInPath,
    AdminJson(body): AdminJson<ReplayBody>,
) -> Result<(StatusCode, Json<Done>), ApiError> {
    let organization_id = manager.organization_id;
    let reason = body.reason.as_deref().map(str::trim).filter(|reason| !reason.is_empty());
    delivery::replay(app.engine(), organization_id, id, &manager.actor, reason).await?;
    Ok((StatusCode::ACCEPTED, Json(Done { success: true })))
}
