//! What people did and saw in an organization, for those who manage it. It can be read, and nothing else.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chrono::{DateTime, Utc};
use engine::audit::{self, AuditFilter, By, Fact, PAGE_MAX};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::connection_history::ChangedBy;
use crate::{
    App,
    auth::Manager,
    error::{ApiError, ErrorBody},
    extract::{self, filter},
    filters::{self, A_CURSOR},
};

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct AuditQuery {
    /// A person's id, `people` for anybody who signed in, or `system` for Deptex itself.
    actor: Option<String>,
    /// Only of this kind, such as `deliveries.exported`, or of one family, such as `connection`.
    #[param(rename = "type")]
    kind: Option<String>,
    /// Only recorded at this instant or later.
    since: Option<DateTime<Utc>>,
    /// Only recorded before this instant.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

/// Something that was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditItem {
    id: Uuid,
    /// Stable, for programs. Its first word says what `about` is an id of.
    #[serde(rename = "type")]
    #[schema(example = "delivery.payload_read")]
    kind: String,
    /// The connection, replay, delivery or event.
    about: Option<Uuid>,
    /// The version of the connection or the replay from then on.
    version: Option<i64>,
    actor: ChangedBy,
    at: DateTime<Utc>,
    /// What the log keeps of it, and `reason` where one was given; never a secret, and no payload.
    #[schema(value_type = Object)]
    data: Value,
}

impl From<Fact> for AuditItem {
    fn from(fact: Fact) -> Self {
        Self {
            id: fact.id,
            kind: fact.kind,
            about: fact.about,
            version: fact.version,
            actor: ChangedBy::of(fact.user_id),
            at: fact.at,
            data: fact.data,
        }
    }
}

/// A page of what was done, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditPage {
    /// There may be fewer than asked for, and even none, where many were looked through.
    items: Vec<AuditItem>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// List what was done
///
/// Every change of a connection and a replay, every export, and who read which payloads: the newest
/// first. Nothing of it can be changed or removed. What a change replaced: the connection's history.
#[utoipa::path(
    get, operation_id = "list_audit", path = "/api/organizations/{org}/audit", tag = "Audit",
    params(("org" = Uuid, Path, description = "The organization"), AuditQuery),
    responses(
        (status = 200, description = "A page", body = AuditPage),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`: only for those who manage integrations"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    manager: Manager,
    RawQuery(query): RawQuery,
) -> Result<Json<AuditPage>, ApiError> {
    let wanted = read(query.as_deref())?;
    let page = audit::list(app.engine(), manager.organization_id, &wanted).await?;
    let (items, next_cursor) = filters::page(page.items, page.next);
    Ok(Json(AuditPage { items, next_cursor }))
}

fn read(query: Option<&str>) -> Result<AuditFilter, ApiError> {
    let mut wanted = AuditFilter::default();
    filters::read(query, |name, value| {
        match name {
            "actor" => wanted.by = Some(by(value)?),
            "type" => wanted.kind = Some(filters::text(name, value)?),
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

fn by(value: &str) -> Result<By, ApiError> {
    match value {
        "people" => Ok(By::People),
        "system" => Ok(By::System),
        id => extract::id(id).map(By::Person).ok_or_else(|| {
            let message = "actor must be a person's id, people or system";
            ApiError::unprocessable("invalid_filter", message)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_is_read_and_others_are_refused() {
        let id = Uuid::from_u128(7);
        let query = format!(
            "actor={id}&type=connection&cursor={id}&limit=3&since=2026-02-25T12:00:00Z\
             &until=2026-02-25T13:00:00Z"
        );
        let wanted = read(Some(&query)).expect("it is fine");
        assert_eq!((wanted.by, wanted.limit), (Some(By::Person(id)), 3));
        assert_eq!((wanted.kind.as_deref(), wanted.before), (Some("connection"), Some(id)));
        assert_eq!((wanted.until.expect("given") - wanted.since.expect("given")).num_hours(), 1);
        assert_eq!(read(Some("actor=people")).expect("fine").by, Some(By::People));
        assert_eq!(read(Some("actor=system")).expect("fine").by, Some(By::System));
        for (query, code) in [
            ("actor=somebody", "invalid_filter"),
            ("type=%00", "invalid_filter"),
            ("cursor=x", "invalid_filter"),
            ("limit=201", "invalid_filter"),
            ("kind=connection", "unknown_filter"),
        ] {
            let error = read(Some(query)).expect_err(query);
            assert_eq!((error.status.as_u16(), error.code), (422, code), "{query}");
        }
    }
}
