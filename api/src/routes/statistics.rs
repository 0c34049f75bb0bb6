//! What was counted of a connection, hour by hour.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, TimeDelta, Utc};
use engine::{
    clock,
    statistics::{self, Counts, Hour, Latency},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::ConnectionInPath,
    filters::{self, instant},
};

/// What is shown where nothing else is asked for.
const SHOWN: TimeDelta = TimeDelta::hours(24);
/// The longest time that can be asked for.
const SPAN_MAX: TimeDelta = TimeDelta::days(31);

/// How long deliveries took from their event to the receiver's answer; replays are left out. From
/// buckets that grow by a fifth each, so a number is at most a tenth off.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Latency)]
pub(crate) struct LatencyItem {
    /// Half of them were faster; in milliseconds.
    #[schema(example = 84)]
    p50_ms: u64,
    /// 95 of 100 were faster.
    #[schema(example = 310)]
    p95_ms: u64,
    /// 99 of 100 were faster.
    #[schema(example = 1200)]
    p99_ms: u64,
}

impl From<Latency> for LatencyItem {
    fn from(Latency { p50_ms, p95_ms, p99_ms }: Latency) -> Self {
        Self { p50_ms, p95_ms, p99_ms }
    }
}

/// What attempts came to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub(crate) struct CountsItem {
    /// Requests made; a digest is one, however many deliveries it settles.
    requests: u64,
    /// Requests that failed, whatever became of their deliveries later.
    failed: u64,
    /// Deliveries that arrived.
    delivered: u64,
    /// Deliveries given up on.
    dead: u64,
    /// Deliveries not sent because of how the connection stood.
    skipped: u64,
    /// Deliveries not sent because the connection was removed.
    cancelled: u64,
    /// Deliveries that were of no use any more.
    expired: u64,
    /// Times that a delivery was parked.
    parked: u64,
    /// Null where nothing was delivered.
    latency: Option<LatencyItem>,
}

impl From<Counts> for CountsItem {
    fn from(counts: Counts) -> Self {
        Self {
            requests: counts.requests,
            failed: counts.failed,
            delivered: counts.delivered,
            dead: counts.dead,
            skipped: counts.skipped,
            cancelled: counts.cancelled,
            expired: counts.expired,
            parked: counts.parked,
            latency: counts.latency().map(Into::into),
        }
    }
}

/// An hour, by when things were recorded.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Hour)]
pub(crate) struct HourItem {
    /// When it began (UTC).
    #[schema(example = "2026-02-25T12:00:00Z")]
    hour: DateTime<Utc>,
    #[serde(flatten)]
    counts: CountsItem,
}

impl From<Hour> for HourItem {
    fn from(hour: Hour) -> Self {
        Self { hour: hour.hour, counts: hour.counts.into() }
    }
}

/// The hours of a connection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Statistics)]
pub(crate) struct StatisticsItem {
    /// All that was recorded before this moment is counted: seconds ago.
    as_of: DateTime<Utc>,
    /// Every hour that the time touches, the first one first, whether anything happened in it or not.
    hours: Vec<HourItem>,
    /// All of them together.
    total: CountsItem,
}

/// Which time.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct StatisticsQuery {
    /// From the hour of this instant; 24 hours before the end by default.
    since: Option<DateTime<Utc>>,
    /// To before this instant; now by default. At most 31 days after `since`.
    until: Option<DateTime<Utc>>,
}

/// Get a connection's statistics
///
/// Counted once, some seconds after things are recorded, and kept as long as attempts are.
#[utoipa::path(
    get, operation_id = "get_statistics", path = "/api/organizations/{org}/connections/{id}/statistics", tag = "Statistics",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection; one that was removed keeps its hours"), StatisticsQuery),
    responses(
        (status = 200, description = "The hours", body = StatisticsItem),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    ConnectionInPath(id): ConnectionInPath,
    RawQuery(query): RawQuery,
) -> Result<Json<StatisticsItem>, ApiError> {
    let (since, until) = span(query.as_deref(), clock::now())?;
    let found =
        statistics::of_connection(app.engine(), member.organization_id, id, since, until).await?;
    let found = found.ok_or(ApiError::not_found("Connection"))?;
    Ok(Json(StatisticsItem {
        as_of: found.as_of,
        hours: found.hours.into_iter().map(Into::into).collect(),
        total: found.total.into(),
    }))
}

fn span(
    query: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), ApiError> {
    let (mut since, mut until) = (None, None);
    filters::read(query, |name, value| {
        match name {
            "since" => since = Some(instant(name, value)?),
            "until" => until = Some(instant(name, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let refused = |message: &str| Err(ApiError::unprocessable("invalid_filter", message));
    let until = until.unwrap_or(now);
    let Some(since) = since.or(until.checked_sub_signed(SHOWN)) else {
        return refused("until must be an instant of our time");
    };
    if until < since {
        return refused("until must not be before since");
    }
    if until - since > SPAN_MAX {
        return refused("since must be at most 31 days before until");
    }
    Ok((since, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn the_last_day_is_shown_where_nothing_else_is_asked_for() {
        let now = at("2026-02-25T12:30:00Z");
        assert_eq!(span(None, now).ok(), Some((at("2026-02-24T12:30:00Z"), now)));
        let until = span(Some("until=2026-02-20T00:00:00Z&since="), now).ok();
        assert_eq!(until, Some((at("2026-02-19T00:00:00Z"), at("2026-02-20T00:00:00Z"))));
        let since = span(Some("since=2026-01-25T12:30:00Z"), now).ok();
        assert_eq!(since, Some((at("2026-01-25T12:30:00Z"), now)), "31 days");
    }

    #[test]
    fn a_time_that_is_too_long_or_backwards_is_refused() {
        let now = at("2026-02-25T12:30:00Z");
        for (query, code) in [
            ("since=2026-01-25T12:29:59Z", "invalid_filter"),
            ("since=2026-02-25T12:30:01Z", "invalid_filter"),
            ("since=-262143-01-01T00:00:00Z", "invalid_filter"),
            ("until=-262143-01-01T00:00:00Z", "invalid_filter"),
            ("since=yesterday", "invalid_filter"),
            ("from=2026-02-25T12:30:01Z", "unknown_filter"),
        ] {
            let error = span(Some(query), now).expect_err(query);
            assert_eq!((error.status.as_u16(), error.code), (422, code), "{query}");
        }
    }
}
