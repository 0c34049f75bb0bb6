//! An organization at a glance: what arrives, what is stuck and why.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use engine::{
    clock,
    statistics::{self, Amount, ConnectionSummary, Overview, Troubled, Waiting, WaitingReason},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::statistics::HourItem;
use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
};

/// How many, as far as it was counted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Amount)]
pub(crate) struct AmountItem {
    /// Exactly so many, or at least so many if `is_more`.
    count: i64,
    /// Whether there are more: counting stops at some 10,000.
    is_more: bool,
}

impl From<Amount> for AmountItem {
    fn from(Amount { count, is_more }: Amount) -> Self {
        Self { count, is_more }
    }
}

/// Deliveries that wait for the same reason.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WaitingReason)]
pub(crate) struct WaitingReasonItem {
    /// As a delivery's `reason`; `sending`, `scheduled` (its time has not come) or `due` (it goes next)
    /// where it has none.
    #[schema(example = "breaker_open")]
    reason: String,
    #[serde(flatten)]
    amount: AmountItem,
    /// When the oldest of them was promised.
    oldest_at: DateTime<Utc>,
}

impl From<WaitingReason> for WaitingReasonItem {
    fn from(waiting: WaitingReason) -> Self {
        Self { reason: waiting.reason, amount: waiting.amount.into(), oldest_at: waiting.oldest_at }
    }
}

/// Deliveries that go out by themselves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub(crate) struct WaitingItem {
    #[serde(flatten)]
    amount: AmountItem,
    /// When the one was due that is due the longest and is not being sent; null where none is.
    oldest_due_at: Option<DateTime<Utc>>,
    /// The most frequent reason first.
    by_reason: Vec<WaitingReasonItem>,
}

impl From<Waiting> for WaitingItem {
    fn from(waiting: Waiting) -> Self {
        Self {
            amount: waiting.amount.into(),
            oldest_due_at: waiting.oldest_due_at,
            by_reason: waiting.by_reason.into_iter().map(Into::into).collect(),
        }
    }
}

/// A connection that does not work as it should.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TroubledConnection)]
pub(crate) struct TroubledItem {
    connection_id: Uuid,
    name: String,
    /// The service.
    #[schema(example = "slack")]
    provider: String,
    /// `connected`, `error` or `suspended`.
    #[schema(example = "connected")]
    status: String,
    /// Since when nothing arrived that was tried.
    failing_since: Option<DateTime<Utc>>,
    /// Until when its receiver asked us to wait.
    held_until: Option<DateTime<Utc>>,
    /// Why, as a stable code.
    held_because: Option<String>,
    /// It failed so much that it is left alone: when the next probe may go.
    breaker_open_until: Option<DateTime<Utc>>,
    /// What it was promised and did not get yet, parked or not.
    waiting: AmountItem,
}

impl From<Troubled> for TroubledItem {
    fn from(troubled: Troubled) -> Self {
        Self {
            connection_id: troubled.id.0,
            name: troubled.name,
            provider: troubled.provider,
            status: troubled.status,
            failing_since: troubled.failing_since,
            held_until: troubled.held_until,
            held_because: troubled.held_because,
            breaker_open_until: troubled.breaker_open_until,
            waiting: troubled.waiting.into(),
        }
    }
}

/// A connection and its last 24 hours.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConnectionOverview)]
pub(crate) struct ConnectionItem {
    connection_id: Uuid,
    name: String,
    /// The service.
    #[schema(example = "slack")]
    provider: String,
    /// `connected`, `error` or `suspended`.
    #[schema(example = "connected")]
    status: String,
    paused: bool,
    requests: u64,
    delivered: u64,
    /// The share of requests that did not fail, from 0 to 1; null where there were none.
    #[schema(example = 0.998)]
    success: Option<f64>,
    /// From the event to the receiver's answer: 99 of 100 were faster. Null where nothing was delivered.
    p99_ms: Option<u64>,
}

impl From<ConnectionSummary> for ConnectionItem {
    fn from(summary: ConnectionSummary) -> Self {
        Self {
            connection_id: summary.id.0,
            name: summary.name,
            provider: summary.provider,
            status: summary.status,
            paused: summary.paused,
            requests: summary.counts.requests,
            delivered: summary.counts.delivered,
            success: summary.counts.success(),
            p99_ms: summary.counts.latency().map(|latency| latency.p99_ms),
        }
    }
}

/// An organization at a glance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Overview)]
pub(crate) struct OverviewItem {
    /// All that was recorded before this moment is counted in `hours` and `connections`: seconds ago.
    /// What waits is of now.
    as_of: DateTime<Utc>,
    /// The last 24 hours, the one that goes on among them, whether anything happened in them or not.
    /// Connections that were removed are counted.
    hours: Vec<HourItem>,
    waiting: WaitingItem,
    /// Deliveries that wait for somebody to set their connection right.
    parked: AmountItem,
    /// Connections that fail, are held, left alone, or not connected any more.
    troubled: Vec<TroubledItem>,
    /// Every connection that was not removed, the oldest first.
    connections: Vec<ConnectionItem>,
}

impl From<Overview> for OverviewItem {
    fn from(overview: Overview) -> Self {
        Self {
            as_of: overview.as_of,
            hours: overview.hours.into_iter().map(Into::into).collect(),
            waiting: overview.waiting.into(),
            parked: overview.parked.into(),
            troubled: overview.troubled.into_iter().map(Into::into).collect(),
            connections: overview.connections.into_iter().map(Into::into).collect(),
        }
    }
}

/// Get the overview
///
/// What arrived in the last 24 hours, and what is stuck now and why. It costs the same however much
/// waits.
#[utoipa::path(
    get, operation_id = "get_overview", path = "/api/organizations/{org}/overview", tag = "Statistics",
    params(("org" = Uuid, Path, description = "The organization")),
    responses(
        (status = 200, description = "The overview", body = OverviewItem),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
) -> Result<Json<OverviewItem>, ApiError> {
    let now = clock::now();
    let overview = statistics::overview(app.engine(), member.organization_id, now).await?;
    Ok(Json(overview.into()))
}
