//! What became of events: deliveries, their attempts, and sending one again.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use chrono::{DateTime, Utc};
use engine::{
    delivery::{self, AttemptView, DeliveryFilter, DeliveryView, PAGE_MAX},
    ids::{ConnectionId, DeliveryId, EventId},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Done;
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody},
    extract::{AdminJson, DeliveryInPath, filter},
};

const A_UUID: &str = "a UUID";
const AN_INSTANT: &str = "an instant such as 2026-02-25T12:00:00Z";

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct ListQuery {
    /// `pending`, `parked`, `delivered`, `dead`, `skipped`, `cancelled` or `expired`.
    status: Option<String>,
    /// Only to this connection.
    connection_id: Option<Uuid>,
    /// Only of this event.
    event_id: Option<Uuid>,
    /// Only of this kind of event.
    event: Option<String>,
    /// Only promised at this instant or later.
    since: Option<DateTime<Utc>>,
    /// Only promised before this instant.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

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

/// One request, or one settlement without a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(crate) struct AttemptItem {
    /// From 1; a settlement without a request keeps the number before it.
    number: i32,
    started_at: Option<DateTime<Utc>>,
    duration_ms: Option<f64>,
    /// The answer's HTTP status.
    status_code: Option<i16>,
    /// The failure's class, or the provider's own code for it.
    error_class: Option<String>,
    error: Option<String>,
    /// The provider's id of what was made.
    external_id: Option<String>,
    /// Where to look at that.
    external_url: Option<String>,
    /// The beginning of the answer's body, as the receiver wrote it: show it as text only.
    response_head: Option<String>,
    /// `delivered`, `retrying`, `parked`, `dead`, `skipped`, `cancelled` or `expired`.
    settlement: String,
    reason: Option<String>,
    next_due_at: Option<DateTime<Utc>>,
    /// The version of the connection that was used.
    connection_version: Option<i64>,
    recorded_at: DateTime<Utc>,
}

impl From<AttemptView> for AttemptItem {
    fn from(view: AttemptView) -> Self {
        Self {
            number: view.number,
            started_at: view.started_at,
            duration_ms: view.duration_ms,
            status_code: view.status_code,
            error_class: view.error_class,
            error: view.error,
            external_id: view.external_id,
            external_url: view.external_url,
            response_head: view.response_head,
            settlement: view.settlement,
            reason: view.reason,
            next_due_at: view.next_due_at,
            connection_version: view.connection_version,
            recorded_at: view.recorded_at,
        }
    }
}

/// A page of deliveries, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryPage {
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
    /// The first one first.
    attempt_list: Vec<AttemptItem>,
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
/// The newest first. Pages stay whole while new deliveries arrive.
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
    let filter = parse_filter(query.as_deref().unwrap_or_default())?;
    let page = delivery::list(app.engine(), member.organization_id, &filter).await?;
    Ok(Json(DeliveryPage {
        items: page.items.into_iter().map(DeliveryItem::from).collect(),
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

fn parse_filter(query: &str) -> Result<DeliveryFilter, ApiError> {
    let mut wanted = DeliveryFilter::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if value.is_empty() {
            continue; // What a form sends for a filter that is not set.
        }
        let (name, value) = (name.as_ref(), value.as_ref());
        match name {
            "status" => {
                let words = "pending, parked, delivered, dead, skipped, cancelled or expired";
                wanted.status = Some(filter(name, value, words)?);
            }
            "connection_id" => wanted.connection_id = Some(filter(name, value, A_UUID)?),
            "event_id" => wanted.event_id = Some(filter(name, value, A_UUID)?),
            "event" => wanted.kind = Some(value.to_owned()),
            "since" => wanted.since = Some(instant(name, value)?),
            "until" => wanted.until = Some(instant(name, value)?),
            "cursor" => wanted.before = Some(filter(name, value, "the next_cursor of a page")?),
            "limit" => {
                let expected = "a number from 1 to 200";
                wanted.limit = filter(name, value, expected)?;
                if !(1..=PAGE_MAX).contains(&wanted.limit) {
                    let message = format!("limit must be {expected}");
                    return Err(ApiError::unprocessable("invalid_filter", message));
                }
            }
            unknown => {
                let name: String = unknown.chars().filter(|c| !c.is_control()).take(50).collect();
                let message = format!("There is no filter named {name}");
                return Err(ApiError::unprocessable("unknown_filter", message));
            }
        }
    }
    Ok(wanted)
}

fn instant(name: &str, value: &str) -> Result<DateTime<Utc>, ApiError> {
    // An unescaped `+` of an offset arrives as a space.
    let value = value.replace(' ', "+");
    filter::<DateTime<chrono::FixedOffset>>(name, &value, AN_INSTANT).map(|at| at.to_utc())
}

/// Get a delivery
///
/// With each of its attempts: what was answered, how long it took, and what followed.
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
    Ok(Json(DeliveryWithAttempts {
        delivery: detail.delivery.into(),
        attempt_list: detail.attempts.into_iter().map(AttemptItem::from).collect(),
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
        (status = 409, description = "`connection_not_connected` or `delivery_in_flight`", body = ErrorBody),
        (status = 410, description = "`event_expired`: the event is no longer kept", body = ErrorBody),
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

#[cfg(test)]
mod tests {
    use super::*;
    use engine::delivery::DeliveryStatus;

    fn refused(query: &str) -> (u16, &'static str, String) {
        let error = parse_filter(query).expect_err(query);
        (error.status.as_u16(), error.code, error.message)
    }

    #[test]
    fn every_filter_is_read() {
        let id = "0199b1c0-0000-7000-8000-000000000001";
        let query = format!(
            "status=dead&connection_id={id}&event_id={id}&event=a.b&cursor={id}&limit=7\
             &since=2026-02-25T12:00:00Z&until=2026-02-25T14:00:00%2B01:00"
        );
        let filter = parse_filter(&query).expect("it is fine");
        assert_eq!(filter.status, Some(DeliveryStatus::Dead));
        assert_eq!(filter.connection_id.expect("given").to_string(), id);
        assert_eq!(filter.event_id.expect("given").to_string(), id);
        assert_eq!(filter.before.expect("given").to_string(), id);
        assert_eq!((filter.kind.as_deref(), filter.limit), (Some("a.b"), 7));
        assert_eq!((filter.until.expect("given") - filter.since.expect("given")).num_hours(), 1);
    }

    #[test]
    fn an_unset_filter_filters_nothing() {
        let filter = parse_filter("status=&event=&limit=").expect("it is fine");
        assert!(filter.status.is_none() && filter.kind.is_none() && filter.limit == 0);
        let unescaped = parse_filter("since=2026-02-25T12:00:00+01:00").expect("it is fine");
        assert!(unescaped.since.is_some());
    }

    #[test]
    fn a_wrong_or_unknown_filter_is_named() {
        for (query, name) in [
            ("status=lost", "status"),
            ("connection_id=7", "connection_id"),
            ("event_id=x", "event_id"),
            ("since=yesterday", "since"),
            ("until=2026-02-25", "until"),
            ("cursor=abc", "cursor"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=-1", "limit"),
        ] {
            let (status, code, message) = refused(query);
            assert_eq!((status, code), (422, "invalid_filter"), "{query}");
            assert!(message.starts_with(name), "{message}");
        }
        let (status, code, message) = refused("connection=7");
        assert_eq!((status, code), (422, "unknown_filter"));
        assert!(message.contains("connection"), "{message}");
    }
}
