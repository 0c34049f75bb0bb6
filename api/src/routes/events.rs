//! Recording events, and the catalogue of what they can be.

use axum::{
    Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use engine::{
    event::{CATALOGUE, EventRefused, KindInfo, NewEvent, ParsedBody, RefusedClass, parse_body},
    ids::EventId,
    ingest::Recorded,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    auth::Service,
    body::{read_body, require_identity},
    error::{ApiError, ErrorBody},
};

mod traced;

use traced::Traced;

/// The largest request.
const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bodies past this are parsed off the threads that serve requests.
const PARSED_INLINE_BYTES_MAX: usize = 64 * 1024;
/// How many deliveries of ours may have led to a request before it is taken for a loop.
const HOPS_MAX: u32 = 3;

/// An event to be recorded. An array of up to 1,000 of them is taken as well.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "only described here: the engine reads the bytes")]
pub(crate) struct EventBody {
    /// A dotted name, or one of the core's older names.
    #[schema(rename = "type", example = "vulnerability.found")]
    kind: String,
    /// Whose event it is.
    organization_id: Uuid,
    /// A JSON object of at most 256 KiB. Its bytes are delivered as they were received.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The project that it concerns.
    project_id: Option<Uuid>,
    /// The team that it concerns.
    team_id: Option<Uuid>,
    /// When it happened; now by default.
    occurred_at: Option<chrono::DateTime<chrono::Utc>>,
    /// The part of Deptex that reports it.
    source: Option<String>,
    /// `critical`, `high`, `normal` (the default) or `low`.
    #[schema(example = "normal")]
    priority: Option<String>,
    /// What it is about: events of one subject belong together, as in one ticket.
    #[schema(example = "CVE-2026-12345")]
    subject: Option<String>,
    /// By which the event may be sent again without being recorded again, for two days.
    idempotency_key: Option<String>,
}

/// What became of one event.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum EventResult {
    /// It is recorded, now or earlier.
    Stored(StoredEvent),
    /// It is not, and nothing of it is kept. The others of the array are not affected.
    Refused(RefusedEvent),
}

/// A recorded event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoredEvent {
    /// Its id.
    #[schema(value_type = Uuid)]
    id: EventId,
    /// Whether it had been recorded before, under the same idempotency key.
    duplicate: bool,
}

/// An event of an array that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusedEvent {
    /// Its place in the array, from 0.
    index: usize,
    /// Why, in a sentence.
    error: String,
    /// Why, for programs.
    code: &'static str,
}

/// One result for each event of an array, in its order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventResults {
    results: Vec<EventResult>,
}

/// Either shape, by what was sent.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "only described here")]
#[serde(untagged)]
#[schema(as = EventsAccepted)]
pub(crate) enum Accepted {
    #[schema(title = "For one event")]
    One(StoredEvent),
    #[schema(title = "For an array")]
    Many(EventResults),
}

/// Record events
///
/// One event, or an array of up to 1,000. The answer comes after the events and all their deliveries
/// are committed together. Concurrent calls share a commit. Sending an event again with the same
/// `idempotency_key` and content gives the same id, with `duplicate: true`.
#[utoipa::path(
    post, operation_id = "record_events", path = "/v1/events", tag = "Events", security(("service_key" = [])),
    request_body(content = EventBody, content_type = "application/json"),
    params((
        "X-Deptex-Hops" = Option<u32>, Header,
        description = "Copied by a receiver that reports events itself: how many deliveries led to this request. 3 or more is a loop",
    ), (
        "traceparent" = Option<String>, Header,
        description = "[W3C Trace Context](https://www.w3.org/TR/trace-context/) of the caller: kept on every event of the request, and told to custom webhooks. One that is malformed is passed over",
    )),
    responses(
        (status = 202, description = "Recorded: `{id, duplicate}` for one event, `{results}` for an array", body = Accepted),
        (status = 400, description = "Not JSON; the sentence names the place", body = ErrorBody),
        (status = 401, description = "`unauthorized`: no or an unknown service key", body = ErrorBody),
        (status = 409, description = "`idempotency_conflict`: the key was used with other content", body = ErrorBody),
        (status = 413, description = "`body_too_large` (8 MiB), `event_too_large` (256 KiB) or `batch_too_large` (1,000 events)", body = ErrorBody),
        (status = 415, description = "`content_encoding_unsupported`", body = ErrorBody),
        (status = 422, description = "JSON, but not an event", body = ErrorBody),
        (status = 503, description = "`overloaded`, `database_unavailable` or `service_key_unset`; nothing is known to be stored, see Retry-After", body = ErrorBody),
        (status = 508, description = "`loop_detected`", body = ErrorBody),
    ),
)]
pub(crate) async fn record(
    State(app): State<App>,
    _: Service,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let hops = hops(&parts.headers)?;
    require_identity(&parts.headers)?;
    let too_large = || ApiError::too_large(BODY_BYTES_MAX);
    let bytes = read_body(&parts.headers, body, BODY_BYTES_MAX, too_large).await?;
    let mut parsed = parse(bytes, hops).await?;
    let traced = Traced::begin(&parts.headers);
    for event in parsed.events_mut() {
        event.traceparent.clone_from(&traced.traceparent);
    }
    let count = parsed.events_mut().count();
    let answered = record_all(&app, parsed).await;
    traced.end(count, answered.as_ref().map_or_else(|error| error.status, Response::status));
    answered
}

async fn record_all(app: &App, parsed: ParsedBody) -> Result<Response, ApiError> {
    let answer = match parsed {
        ParsedBody::One(event) => one(app, event).await?.into_response(),
        ParsedBody::Many(events) => many(app, events).await?.into_response(),
    };
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

async fn one(app: &App, event: NewEvent) -> Result<Json<StoredEvent>, ApiError> {
    let recorded = app.engine().ingest.record(vec![event]).await?.pop();
    match outcome(recorded) {
        Ok(stored) => Ok(Json(stored)),
        Err(Unrecorded { status, code, message }) => Err(ApiError::new(status, code, message)),
    }
}

async fn many(
    app: &App,
    events: Vec<Result<NewEvent, EventRefused>>,
) -> Result<Json<EventResults>, ApiError> {
    let mut whole = Vec::with_capacity(events.len());
    let refusals: Vec<Option<EventRefused>> =
        events.into_iter().map(|event| event.map(|event| whole.push(event)).err()).collect();
    let recorded = match whole.is_empty() {
        true => Vec::new(),
        false => app.engine().ingest.record(whole).await?,
    };
    let mut recorded = recorded.into_iter();
    let results = refusals.into_iter().enumerate().map(|(index, refusal)| match refusal {
        Some(refused) => {
            EventResult::Refused(RefusedEvent { index, error: refused.message, code: refused.code })
        }
        None => match outcome(recorded.next()) {
            Ok(stored) => EventResult::Stored(stored),
            Err(Unrecorded { code, message, .. }) => {
                EventResult::Refused(RefusedEvent { index, error: message, code })
            }
        },
    });
    Ok(Json(EventResults { results: results.collect() }))
}

struct Unrecorded {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn outcome(recorded: Option<Recorded>) -> Result<StoredEvent, Unrecorded> {
    match recorded.expect("the engine answers for every event") {
        Recorded::New(id) => Ok(StoredEvent { id, duplicate: false }),
        Recorded::Duplicate(id) => Ok(StoredEvent { id, duplicate: true }),
        Recorded::Conflict(id) => Err(Unrecorded {
            status: StatusCode::CONFLICT,
            code: "idempotency_conflict",
            message: format!("This idempotency_key was used for the event {id} with other content"),
        }),
        Recorded::Refused(message) => Err(Unrecorded {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            code: "event_refused",
            message,
        }),
    }
}

async fn parse(bytes: Bytes, hops: u8) -> Result<ParsedBody, ApiError> {
    let parsed = if bytes.len() <= PARSED_INLINE_BYTES_MAX {
        parse_body(&bytes, hops)
    } else {
        tokio::task::spawn_blocking(move || parse_body(&bytes, hops))
            .await
            .map_err(|error| ApiError::internal(&error))?
    };
    parsed.map_err(|refused| {
        let status = match refused.class {
            RefusedClass::Malformed => StatusCode::BAD_REQUEST,
            RefusedClass::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusedClass::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        };
        ApiError::new(status, refused.code, refused.message)
    })
}

fn hops(headers: &HeaderMap) -> Result<u8, ApiError> {
    let Some(value) = headers.get("x-deptex-hops") else { return Ok(0) };
    let digits = value.to_str().ok().filter(|text| !text.is_empty());
    let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let text = digits
        .ok_or(ApiError::bad_request("invalid_hops", "X-Deptex-Hops must be a whole number"))?;
    // A number too long for its type is surely a loop as well.
    let hops = text.parse::<u32>().unwrap_or(u32::MAX);
    if hops >= HOPS_MAX {
        return Err(ApiError::new(
            StatusCode::LOOP_DETECTED,
            "loop_detected",
            "This event was caused by our own deliveries, over and over: it is not recorded",
        ));
    }
    Ok(u8::try_from(hops).unwrap_or(u8::MAX))
}

/// A kind of event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventType {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "vulnerability.found")]
    kind: &'static str,
    /// Older names that are taken for it.
    aliases: &'static [&'static str],
    /// When it is reported.
    description: &'static str,
    /// A JSON Schema of its `data`, where there is one.
    #[schema(value_type = Option<Object>)]
    schema: Option<&'static RawValue>,
    /// A `data` that fits the schema.
    #[schema(value_type = Option<Object>)]
    example: Option<&'static RawValue>,
}

/// Every kind of event that Deptex reports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventTypes {
    event_types: Vec<EventType>,
}

fn event_type(info: &'static KindInfo) -> EventType {
    let json = |text: &'static str| {
        serde_json::from_str::<&RawValue>(text).expect("the engine's tests parse the catalogue")
    };
    EventType {
        kind: info.kind,
        aliases: info.aliases,
        description: info.description,
        schema: info.schema.map(json),
        example: info.example.map(json),
    }
}

/// List the kinds of events
///
/// The catalogue informs; events of other kinds are recorded and delivered all the same.
#[utoipa::path(
    get, operation_id = "list_event_types", path = "/v1/event-types", tag = "Events", security(()),
    responses((status = 200, description = "The catalogue", body = EventTypes)),
)]
pub(crate) async fn catalogue() -> Json<EventTypes> {
    Json(EventTypes { event_types: CATALOGUE.iter().map(event_type).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    /// I32: a request that our own deliveries led to three times is a loop.
    #[test]
    fn i32_hops_are_counted_and_three_are_a_loop() {
        let table = [
            (None, Ok(0)),
            (Some("0"), Ok(0)),
            (Some("2"), Ok(2)),
            (Some("3"), Err((508, "loop_detected"))),
            (Some("99999999999999999999"), Err((508, "loop_detected"))),
            (Some("-1"), Err((400, "invalid_hops"))),
            (Some("+1"), Err((400, "invalid_hops"))),
            (Some(""), Err((400, "invalid_hops"))),
            (Some("1, 2"), Err((400, "invalid_hops"))),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("x-deptex-hops", HeaderValue::from_static(value));
            }
            let found = hops(&headers).map_err(|error| (error.status.as_u16(), error.code));
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn the_whole_catalogue_is_shown() {
        let shown: Vec<EventType> = CATALOGUE.iter().map(event_type).collect();
        assert_eq!(shown.len(), CATALOGUE.len());
        assert!(
            shown.iter().any(|kind| kind.kind == "vulnerability.found" && kind.schema.is_some())
        );
    }
}
