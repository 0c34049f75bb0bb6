//! What happened, as members look it up: the events that an organization reported.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use engine::{
    audit::{self, Payload},
    event::history::{self, EventFilter, EventView, PAGE_MAX, StatusCounts},
    ids::{EventId, ProjectId, TeamId},
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::{EventInPath, filter},
    filters::{self, A_CURSOR, A_UUID},
};

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct EventQuery {
    /// Only of this kind, or of one of the core's older names for it.
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only about exactly this.
    subject: Option<String>,
    /// Only of this project.
    project_id: Option<Uuid>,
    /// Only of this team.
    team_id: Option<Uuid>,
    /// Only reported by this part of Deptex.
    source: Option<String>,
    /// Only recorded at this instant or later.
    since: Option<DateTime<Utc>>,
    /// Only recorded before this instant.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

/// An event, and how many of its deliveries stand where.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventItem {
    #[schema(value_type = Uuid)]
    id: EventId,
    #[serde(rename = "type")]
    #[schema(example = "vulnerability.found")]
    kind: String,
    /// What it is about.
    subject: Option<String>,
    /// `critical`, `high`, `normal` or `low`.
    priority: String,
    /// The part of Deptex that reported it.
    source: Option<String>,
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<ProjectId>,
    #[schema(value_type = Option<Uuid>)]
    team_id: Option<TeamId>,
    /// When it happened, as it was reported.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// How many deliveries of ours led to it.
    hops: i16,
    deliveries: DeliveryCounts,
}

/// How many deliveries stand where.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryCounts {
    pending: u32,
    parked: u32,
    delivered: u32,
    dead: u32,
    skipped: u32,
    cancelled: u32,
    expired: u32,
}

impl From<StatusCounts> for DeliveryCounts {
    fn from(counts: StatusCounts) -> Self {
        Self {
            pending: counts.pending,
            parked: counts.parked,
            delivered: counts.delivered,
            dead: counts.dead,
            skipped: counts.skipped,
            cancelled: counts.cancelled,
            expired: counts.expired,
        }
    }
}

impl From<EventView> for EventItem {
    fn from(view: EventView) -> Self {
        Self {
            id: view.id,
            kind: view.kind,
            subject: view.subject,
            priority: view.priority,
            source: view.source,
            project_id: view.project_id,
            team_id: view.team_id,
            occurred_at: view.occurred_at,
            recorded_at: view.recorded_at,
            hops: view.hops,
            deliveries: view.deliveries.into(),
        }
    }
}

/// A page of events, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// There may be fewer than asked for, and even none, where many were looked through.
    items: Vec<EventItem>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// An event with what it says.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventDetail)]
pub(crate) struct EventWithData {
    #[serde(flatten)]
    event: EventItem,
    /// What it says, byte for byte.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
}

/// List events
///
/// What the organization reported, the newest first, with how many of its deliveries stand where.
/// Pages stay whole while new events arrive. A page may have fewer items than asked for: go on until
/// `next_cursor` is null.
#[utoipa::path(
    get, operation_id = "list_events", path = "/api/organizations/{org}/events", tag = "Events",
    params(("org" = Uuid, Path, description = "The organization"), EventQuery),
    responses(
        (status = 200, description = "A page", body = EventPage),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Json<EventPage>, ApiError> {
    let wanted = parse_filter(query.as_deref())?;
    let page = history::list(app.engine(), member.organization_id, &wanted).await?;
    let (items, next_cursor) = filters::page(page.items, page.next);
    Ok(Json(EventPage { items, next_cursor }))
}

fn parse_filter(query: Option<&str>) -> Result<EventFilter, ApiError> {
    let mut wanted = EventFilter::default();
    filters::read(query, |name, value| {
        match name {
            "type" => wanted.kind = Some(kind(name, value)?),
            "subject" => wanted.subject = Some(filters::text(name, value)?),
            "project_id" => wanted.project_id = Some(filter(name, value, A_UUID)?),
            "team_id" => wanted.team_id = Some(filter(name, value, A_UUID)?),
            "source" => wanted.source = Some(filters::text(name, value)?),
            "since" => wanted.since = Some(filters::instant(name, value)?),
            "until" => wanted.until = Some(filters::instant(name, value)?),
            "cursor" => wanted.before = Some(filter(name, value, A_CURSOR)?),
            "limit" => wanted.limit = filters::limit(name, value, PAGE_MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(wanted)
}

/// A kind of event by its name, or by one of the core's older names.
pub(crate) fn kind(name: &str, value: &str) -> Result<String, ApiError> {
    let value = engine::event::canonical(value).unwrap_or(value);
    filters::text(name, value)
}

/// Get an event
///
/// With its data. Its deliveries: `GET deliveries?event_id=`. Who read it is recorded.
#[utoipa::path(
    get, operation_id = "get_event", path = "/api/organizations/{org}/events/{id}", tag = "Events",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The event")),
    responses(
        (status = 200, description = "The event", body = EventWithData),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`: another organization's, or no longer kept"),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    EventInPath(id): EventInPath,
) -> Result<Json<EventWithData>, ApiError> {
    let found = history::find(app.engine(), member.organization_id, id).await?;
    let detail = found.ok_or(ApiError::not_found("Event"))?;
    let read = [Payload::Event(id)];
    audit::record_read(app.engine(), member.organization_id, &member.actor, &read).await?;
    Ok(Json(EventWithData { event: detail.event.into(), data: detail.data }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_read() {
        let id = "0199b1c0-0000-7000-8000-000000000001";
        let query = format!(
            "type=status_changed&subject=CVE-1&project_id={id}&team_id={id}&source=scanner&cursor={id}\
             &limit=7&since=2026-02-25T12:00:00Z&until=2026-02-25T14:00:00%2B01:00"
        );
        let wanted = parse_filter(Some(&query)).expect("it is fine");
        assert_eq!(wanted.kind.as_deref(), Some("project.status_changed"), "the older name");
        assert_eq!(wanted.subject.as_deref(), Some("CVE-1"));
        assert_eq!(wanted.source.as_deref(), Some("scanner"));
        assert_eq!(wanted.project_id.expect("given").to_string(), id);
        assert_eq!(wanted.team_id.expect("given").to_string(), id);
        assert_eq!(wanted.before.expect("given").to_string(), id);
        assert_eq!(wanted.limit, 7);
        assert_eq!((wanted.until.expect("given") - wanted.since.expect("given")).num_hours(), 1);
    }

    #[test]
    fn a_wrong_or_unknown_filter_is_named() {
        for (query, code, says) in [
            ("project_id=7", "invalid_filter", "project_id"),
            ("cursor=x", "invalid_filter", "cursor"),
            ("limit=201", "invalid_filter", "limit"),
            ("type=a%00b", "invalid_filter", "type"),
            ("event=a.b", "unknown_filter", "event"),
        ] {
            let error = parse_filter(Some(query)).expect_err(query);
            assert_eq!((error.status.as_u16(), error.code), (422, code), "{query}");
            assert!(error.message.contains(says), "{}", error.message);
        }
    }
}
