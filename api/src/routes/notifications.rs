//! Deliveries by the addresses and names that the Deptex core has always had for them.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
};
use chrono::{DateTime, TimeDelta, Utc};
use engine::{
    audit::{self, Payload},
    clock,
    delivery::{self, DeliveryFilter, DeliveryStatus, DeliveryView, EventOf},
    statistics,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Done, event_history::kind};
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody},
    extract::{DeliveryInPath, filter},
    filters::{self, A_UUID},
};

const PER_PAGE: u16 = 20;
const PER_PAGE_MAX: u16 = 50;
/// How many recent failures are shown.
const FAILURES: u16 = 5;
const TIMEFRAMES: &str = "24h, 7d or 30d";
const STATUSES: &str = "pending, sending, delivered, failed, rate_limited, skipped or dry_run";

/// The filters of the history.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: they are read one by one")]
pub(crate) struct NotificationQuery {
    /// Only of this kind of event.
    event_type: Option<String>,
    /// Only to connections of this service.
    destination_type: Option<String>,
    /// Only to this connection.
    destination_id: Option<Uuid>,
    /// `pending`, `delivered`, `failed` or `skipped`; the core's other words find nothing.
    status: Option<String>,
    /// `24h`, `7d` or `30d`.
    timeframe: Option<String>,
    /// From 1 on.
    page: Option<usize>,
    /// 1 to 50, 20 by default.
    per_page: Option<u16>,
}

/// A delivery by the core's names.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Notification {
    id: Uuid,
    event_id: Uuid,
    organization_id: Uuid,
    /// Always null: no rule made it, but the subscription of a connection.
    rule_id: Option<Uuid>,
    /// Always null.
    rule_name: Option<String>,
    /// The connection's service.
    #[schema(example = "slack")]
    destination_type: String,
    /// The connection.
    destination_id: Uuid,
    destination_name: String,
    /// `pending`, `delivered`, `failed` or `skipped`.
    #[schema(example = "delivered")]
    status: &'static str,
    /// Always false: tests leave no delivery.
    is_test: bool,
    external_id: Option<String>,
    error_message: Option<String>,
    attempts: i32,
    last_attempt_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// What was reported.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationEvent {
    event_type: String,
    /// Byte for byte; null where the page would have more than 4 MiB of them.
    #[schema(value_type = Option<Object>)]
    payload: Option<Box<RawValue>>,
    priority: String,
    created_at: DateTime<Utc>,
}

/// A delivery and its event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationWithEvent {
    #[serde(flatten)]
    notification: Notification,
    /// Null once the event is no longer kept.
    notification_events: Option<NotificationEvent>,
}

/// A page by its number.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NotificationPage {
    /// The newest first.
    deliveries: Vec<NotificationWithEvent>,
    /// Up to 1,000: there may be more.
    total: usize,
    page: usize,
    per_page: u16,
}

/// A day and a week in numbers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NotificationStats {
    /// How many of a hundred arrived, of those that did or were given up; null where there were none.
    delivery_success_rate_24h: Option<f64>,
    /// Deliveries that came to an end.
    total_deliveries_24h: i64,
    total_deliveries_7d: i64,
    /// Up to 10,000: there may be more.
    total_events_7d: i64,
    /// The newest first, at most five.
    recent_failures: Vec<Notification>,
}

impl Notification {
    fn of(organization_id: Uuid, view: DeliveryView) -> Self {
        let status = view.status.parse().map_or("pending", core_status);
        let is_delivered = status == "delivered";
        Self {
            id: view.id.0,
            event_id: view.event_id.0,
            organization_id,
            rule_id: None,
            rule_name: None,
            destination_type: view.provider,
            destination_id: view.connection_id.0,
            destination_name: view.connection_name,
            status,
            is_test: false,
            external_id: view.external_id,
            error_message: view.error.or_else(|| view.reason.filter(|_| !is_delivered)),
            attempts: view.attempts,
            last_attempt_at: view.updated_at.filter(|_| view.attempts > 0),
            delivered_at: view.updated_at.filter(|_| is_delivered),
            created_at: view.created_at,
        }
    }
}

impl From<EventOf> for NotificationEvent {
    fn from(event: EventOf) -> Self {
        Self {
            event_type: event.kind,
            payload: event.payload,
            priority: event.priority,
            created_at: event.recorded_at,
        }
    }
}

/// The core's word for where a delivery stands.
fn core_status(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Pending | DeliveryStatus::Parked => "pending",
        DeliveryStatus::Delivered => "delivered",
        DeliveryStatus::Dead | DeliveryStatus::Expired => "failed",
        DeliveryStatus::Skipped | DeliveryStatus::Cancelled => "skipped",
    }
}

/// List deliveries as the core does
///
/// By the number of a page, with what was reported, which is recorded as read. At most 1,000 are found.
#[utoipa::path(
    get, operation_id = "list_notifications", path = "/api/organizations/{org}/notification-history", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), NotificationQuery),
    responses(
        (status = 200, description = "A page", body = NotificationPage),
        (status = 400, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Json<NotificationPage>, ApiError> {
    let asked = read(query.as_deref(), clock::now()).map_err(ApiError::for_seed_route)?;
    let (org, size) = (member.organization_id, usize::from(asked.per_page));
    let found = match asked.finds_nothing {
        true => delivery::NumberedPage::default(),
        false => delivery::numbered(app.engine(), org, &asked.filter, asked.page, size).await?,
    };
    let shown = found.events.iter().filter(|(_, event)| event.payload.is_some());
    let shown: Vec<Payload> = shown.map(|(id, _)| Payload::Event(*id)).collect();
    audit::record_read(app.engine(), org, &member.actor, &shown).await?;
    let deliveries = found.items.into_iter().map(|view| NotificationWithEvent {
        notification_events: found.events.get(&view.event_id).cloned().map(Into::into),
        notification: Notification::of(org.0, view),
    });
    Ok(Json(NotificationPage {
        deliveries: deliveries.collect(),
        total: found.total,
        page: asked.page,
        per_page: asked.per_page,
    }))
}

/// Send a failed delivery again
///
/// As a replay of that one delivery: under its old id, and with who asked for it on record.
#[utoipa::path(
    post, operation_id = "retry_notification", path = "/api/organizations/{org}/notification-history/{id}/retry", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The delivery")),
    responses(
        (status = 200, description = "It is due", body = Done),
        (status = 400, description = "`not_failed`, or why it cannot be sent: `connection_not_connected`, `delivery_in_flight`, `event_not_wanted`, `event_expired`", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    manager: Manager,
    DeliveryInPath(id): DeliveryInPath,
) -> Result<Json<Done>, ApiError> {
    let org = manager.organization_id;
    let view = delivery::stands(app.engine(), org, id).await?;
    let view = view.ok_or(ApiError::not_found("Delivery"))?;
    if view.status.parse().map_or("pending", core_status) != "failed" {
        let message = "Only failed deliveries can be retried";
        return Err(ApiError::bad_request("not_failed", message));
    }
    delivery::replay(app.engine(), org, id, &manager.actor, None).await.map_err(|error| {
        let mut error = ApiError::from(error);
        if matches!(error.status, StatusCode::CONFLICT | StatusCode::GONE) {
            error.status = StatusCode::BAD_REQUEST;
        }
        error
    })?;
    Ok(Json(Done { success: true }))
}

/// Get deliveries in numbers as the core does
///
/// Added up from counted hours, which are some seconds behind.
#[utoipa::path(
    get, operation_id = "get_notification_stats", path = "/api/organizations/{org}/notification-stats", tag = "Statistics",
    params(("org" = Uuid, Path, description = "The organization")),
    responses(
        (status = 200, description = "A day and a week", body = NotificationStats),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn statistics(
    State(app): State<App>,
    member: Member,
) -> Result<Json<NotificationStats>, ApiError> {
    let org = member.organization_id;
    let totals = statistics::totals(app.engine(), org, clock::now()).await?;
    let failed = DeliveryFilter {
        statuses: vec![DeliveryStatus::Dead, DeliveryStatus::Expired],
        limit: FAILURES,
        ..DeliveryFilter::default()
    };
    let failures = delivery::list(app.engine(), org, &failed).await?.items.into_iter();
    Ok(Json(NotificationStats {
        delivery_success_rate_24h: totals.success_percent(),
        total_deliveries_24h: totals.ended_24h,
        total_deliveries_7d: totals.ended_7d,
        total_events_7d: totals.events_7d,
        recent_failures: failures.map(|view| Notification::of(org.0, view)).collect(),
    }))
}

/// What the history is asked for.
#[derive(Debug)]
struct Asked {
    filter: DeliveryFilter,
    /// By a status of the core's that nothing has here.
    finds_nothing: bool,
    page: usize,
    per_page: u16,
}

fn read(query: Option<&str>, now: DateTime<Utc>) -> Result<Asked, ApiError> {
    let mut asked = Asked {
        filter: DeliveryFilter::default(),
        finds_nothing: false,
        page: 1,
        per_page: PER_PAGE,
    };
    filters::read(query, |name, value| {
        let wanted = &mut asked.filter;
        match name {
            "event_type" => wanted.kind = Some(kind(name, value)?),
            "destination_type" => wanted.provider = Some(filters::text(name, value)?),
            "destination_id" => wanted.connection_id = Some(filter(name, value, A_UUID)?),
            "status" => {
                wanted.statuses = statuses(value)?;
                asked.finds_nothing = asked.filter.statuses.is_empty();
            }
            "timeframe" => wanted.since = Some(now - timeframe(value)?),
            "page" => {
                let number: std::num::NonZeroU32 = filter(name, value, "a number from 1 on")?;
                asked.page = usize::try_from(number.get()).unwrap_or(usize::MAX);
            }
            "per_page" => asked.per_page = filters::limit(name, value, PER_PAGE_MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(asked)
}

/// The statuses that the core's word stands for.
fn statuses(word: &str) -> Result<Vec<DeliveryStatus>, ApiError> {
    let statuses = DeliveryStatus::ALL.into_iter().filter(|status| core_status(*status) == word);
    let statuses: Vec<DeliveryStatus> = statuses.collect();
    if statuses.is_empty() && !["sending", "rate_limited", "dry_run"].contains(&word) {
        let message = format!("status must be {STATUSES}");
        return Err(ApiError::unprocessable("invalid_filter", message));
    }
    Ok(statuses)
}

fn timeframe(word: &str) -> Result<TimeDelta, ApiError> {
    match word {
        "24h" => Ok(TimeDelta::hours(24)),
        "7d" => Ok(TimeDelta::days(7)),
        "30d" => Ok(TimeDelta::days(30)),
        _ => {
            let message = format!("timeframe must be {TIMEFRAMES}");
            Err(ApiError::unprocessable("invalid_filter", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, ApiError> {
        read(Some(query), "2026-02-25T12:00:00Z".parse().expect("an instant"))
    }

    #[test]
    fn every_filter_is_read_and_others_are_refused() {
        let id = Uuid::from_u128(7);
        let all = asked(&format!(
            "event_type=status_changed&destination_type=slack&destination_id={id}&status=failed\
             &timeframe=24h&page=3&per_page=50"
        ));
        let all = all.expect("it is fine");
        assert_eq!(all.filter.kind.as_deref(), Some("project.status_changed"), "the older name");
        assert_eq!(all.filter.provider.as_deref(), Some("slack"));
        assert_eq!(all.filter.connection_id, Some(id.into()));
        assert_eq!(all.filter.statuses, [DeliveryStatus::Dead, DeliveryStatus::Expired]);
        assert_eq!(all.filter.since, "2026-02-24T12:00:00Z".parse().ok());
        assert_eq!((all.page, all.per_page, all.finds_nothing), (3, 50, false));
        let none = asked("").expect("it is fine");
        assert_eq!((none.page, none.per_page, none.finds_nothing), (1, 20, false));
        assert!(asked("status=rate_limited").expect("it is a word").finds_nothing);
        for query in [
            "status=lost",
            "timeframe=1h",
            "page=0",
            "per_page=0",
            "per_page=51",
            "destination_id=7",
        ] {
            assert_eq!(asked(query).expect_err(query).code, "invalid_filter", "{query}");
        }
        assert_eq!(asked("cursor=x").expect_err("not here").code, "unknown_filter");
    }
}
