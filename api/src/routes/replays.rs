//! Sending many deliveries again: telling beforehand, starting, watching, pausing, calling off.

mod bodies;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use engine::{
    ids::ReplayId,
    replay::{self, Change, NewReplay, PAGE_MAX, ReplayStatus, ReplaysError},
};
use uuid::Uuid;

use self::bodies::{NewReplayBody, ReplayChangeBody, ReplayItem, ReplayPage, ReplayPreview};

use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody},
    extract::{AdminJson, ReplayInPath, filter},
    filters,
};

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct ReplaysQuery {
    /// `counting`, `running`, `paused`, `completed`, `cancelled` or `failed`.
    status: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

/// Replay deliveries
///
/// Starts a job that makes the selected deliveries due again, each once and under its old id, at the
/// given rate; it survives restarts. With `dry_run` it only tells what it would do.
#[utoipa::path(
    post, operation_id = "start_replay", path = "/api/organizations/{org}/replays", tag = "Replays",
    params(("org" = Uuid, Path, description = "The organization")),
    request_body = NewReplayBody,
    responses(
        (status = 200, description = "What it would do (`dry_run`)", body = ReplayPreview),
        (status = 202, description = "It has begun", body = ReplayItem),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`: the connection, or one of the deliveries"),
        (status = 409, body = ErrorBody, description = "`connection_not_connected`: the one connection that was asked for takes nothing now"),
        (status = 422, body = ErrorBody, description = "`selection_required`, `invalid_selection`, `invalid_rate`, `too_old`, `unknown_field` or `invalid_field`"),
        (status = 429, body = ErrorBody, description = "`too_many_replays`: so many of this organization are under way"),
    ),
)]
pub(crate) async fn start(
    State(app): State<App>,
    manager: Manager,
    AdminJson(body): AdminJson<NewReplayBody>,
) -> Result<Response, ApiError> {
    let owner = manager.organization_id;
    let asked = NewReplay {
        selection: body.selection.read()?,
        configuration: body.configuration.into(),
        rate_per_second: body.rate_per_second,
        reason: body.reason,
    };
    if body.dry_run {
        let preview = replay::preview(app.engine(), owner, &asked).await?;
        return Ok(Json(ReplayPreview::from(preview)).into_response());
    }
    let started = replay::start(app.engine(), owner, &asked, &manager.actor).await?;
    Ok((StatusCode::ACCEPTED, Json(ReplayItem::from(started))).into_response())
}

/// List replays
///
/// The newest first.
#[utoipa::path(
    get, operation_id = "list_replays", path = "/api/organizations/{org}/replays", tag = "Replays",
    params(("org" = Uuid, Path, description = "The organization"), ReplaysQuery),
    responses(
        (status = 200, description = "A page", body = ReplayPage),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Json<ReplayPage>, ApiError> {
    let Wanted { status, before, limit } = parse_query(query.as_deref())?;
    let page = replay::list(app.engine(), member.organization_id, status, before, limit).await?;
    let (items, next_cursor) = filters::page(page.items, page.next);
    Ok(Json(ReplayPage { items, next_cursor }))
}

#[derive(Debug, Default, PartialEq)]
struct Wanted {
    status: Option<ReplayStatus>,
    before: Option<ReplayId>,
    limit: u16,
}

fn parse_query(query: Option<&str>) -> Result<Wanted, ApiError> {
    let mut wanted = Wanted::default();
    filters::read(query, |name, value| {
        match name {
            "status" => {
                let words = "counting, running, paused, completed, cancelled or failed";
                wanted.status = Some(filter(name, value, words)?);
            }
            "cursor" => {
                let id: Uuid = filter(name, value, filters::A_CURSOR)?;
                wanted.before = Some(id.into());
            }
            "limit" => wanted.limit = filters::limit(name, value, PAGE_MAX)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(wanted)
}

/// Get a replay
///
/// With its progress.
#[utoipa::path(
    get, operation_id = "get_replay", path = "/api/organizations/{org}/replays/{id}", tag = "Replays",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The replay")),
    responses(
        (status = 200, description = "The replay", body = ReplayItem),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn show(
    State(app): State<App>,
    member: Member,
    ReplayInPath(id): ReplayInPath,
) -> Result<Json<ReplayItem>, ApiError> {
    let found = replay::find(app.engine(), member.organization_id, id).await?;
    Ok(Json(found.ok_or(ApiError::not_found("Replay"))?.into()))
}

/// Change a replay
///
/// Pauses it, lets it go on, calls it off, or changes its rate. What it has made due already is sent
/// while it is paused; when it is called off, what was not tried yet is taken back.
#[utoipa::path(
    patch, operation_id = "change_replay", path = "/api/organizations/{org}/replays/{id}", tag = "Replays",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The replay")),
    request_body = ReplayChangeBody,
    responses(
        (status = 200, description = "The replay as it is now", body = ReplayItem),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 409, body = ErrorBody, description = "`replay_finished`: it is over"),
        (status = 422, body = ErrorBody, description = "`invalid_status`, `invalid_rate`, `unknown_field` or `invalid_field`"),
    ),
)]
pub(crate) async fn change(
    State(app): State<App>,
    manager: Manager,
    ReplayInPath(id): ReplayInPath,
    AdminJson(body): AdminJson<ReplayChangeBody>,
) -> Result<Json<ReplayItem>, ApiError> {
    let change =
        Change { status: body.status.map(Into::into), rate_per_second: body.rate_per_second };
    let owner = manager.organization_id;
    let changed = replay::change(app.engine(), owner, id, change, &manager.actor).await?;
    Ok(Json(changed.into()))
}

impl From<ReplaysError> for ApiError {
    fn from(error: ReplaysError) -> Self {
        let conflict = |code, message| Self::new(StatusCode::CONFLICT, code, message);
        match error {
            ReplaysError::NotFound(what) => Self::not_found(what),
            ReplaysError::Refused { code, message } => Self::unprocessable(code, message),
            ReplaysError::NotConnected => conflict(
                "connection_not_connected",
                "This connection is paused, disabled or removed",
            ),
            ReplaysError::Finished => {
                conflict("replay_finished", "This replay is over. Start another one")
            }
            ReplaysError::TooMany => Self {
                retry_after: Some(std::time::Duration::from_secs(30)),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_replays",
                    "Many replays of this organization are under way. Wait for one to end, or call one off",
                )
            },
            ReplaysError::Db(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_of_the_list_is_read_and_others_are_refused() {
        let id = Uuid::from_u128(7);
        let wanted =
            parse_query(Some(&format!("status=running&cursor={id}&limit=3"))).expect("fine");
        let expected =
            Wanted { status: Some(ReplayStatus::Running), before: Some(id.into()), limit: 3 };
        assert_eq!(wanted, expected);
        assert_eq!(parse_query(Some("status=&limit=")).expect("fine"), Wanted::default());
        for (query, code) in [
            ("status=lost", "invalid_filter"),
            ("cursor=x", "invalid_filter"),
            ("limit=0", "invalid_filter"),
            ("limit=201", "invalid_filter"),
            ("state=running", "unknown_filter"),
        ] {
            let error = parse_query(Some(query)).expect_err(query);
            assert_eq!((error.status.as_u16(), error.code), (422, code), "{query}");
        }
    }

    #[test]
    fn every_refusal_keeps_its_status_and_code() {
        let refused = ReplaysError::Refused { code: "too_old", message: "no".into() };
        for (error, status, code) in [
            (ReplaysError::NotFound("Replay"), 404, "not_found"),
            (refused, 422, "too_old"),
            (ReplaysError::NotConnected, 409, "connection_not_connected"),
            (ReplaysError::Finished, 409, "replay_finished"),
            (ReplaysError::TooMany, 429, "too_many_replays"),
        ] {
            let error = ApiError::from(error);
            assert_eq!((error.status.as_u16(), error.code), (status, code), "{error:?}");
        }
    }
}
