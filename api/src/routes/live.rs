//! What happens, as it happens: a stream of server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use chrono::{DateTime, Utc};
use engine::{
    delivery::DeliveryStatus,
    ids::ConnectionId,
    live::{News, Position, ReplayProgress, Update, Watch, WatchError},
};
use futures_util::{Stream, StreamExt, future, stream};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::filter,
    filters::{self, A_UUID},
};

/// How long nothing may be said, so that whoever is between keeps the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream lasts: whoever goes on shows a token again.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// How soon a reader should come back after a stream ended.
const COME_BACK: Duration = Duration::from_secs(1);

/// A delivery was attempted, or settled without an attempt: what an event `delivery` tells.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveDelivery {
    /// The delivery.
    id: Uuid,
    connection_id: Uuid,
    event_id: Uuid,
    /// The kind of event; null once the event is no longer kept.
    #[schema(example = "vulnerability.found")]
    event: Option<String>,
    /// `pending` where it is tried again, `parked`, `delivered`, `dead`, `skipped`, `cancelled` or `expired`.
    #[schema(example = "delivered")]
    status: &'static str,
    /// Requests made so far.
    attempts: i32,
    /// The answer's HTTP status.
    status_code: Option<i16>,
    /// The failure's class, or the provider's own code for it.
    error_class: Option<String>,
    /// Why it ended as it did, or is parked.
    reason: Option<String>,
    /// `live`, `retry` or `replay`.
    class: &'static str,
    /// When it was recorded.
    at: DateTime<Utc>,
}

impl From<&Update> for LiveDelivery {
    fn from(update: &Update) -> Self {
        Self {
            id: update.id.0,
            connection_id: update.connection_id.0,
            event_id: update.event_id.0,
            event: update.event.clone(),
            status: update.status.as_str(),
            attempts: update.attempts,
            status_code: update.status_code,
            error_class: update.error_class.clone(),
            reason: update.reason.clone(),
            class: update.class.as_str(),
            at: update.at,
        }
    }
}

/// A replay of many deliveries got on: what an event `replay` tells.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveReplay {
    /// The replay.
    id: Uuid,
    /// `counting`, `running`, `paused`, `completed`, `cancelled` or `failed`.
    #[schema(example = "running")]
    status: &'static str,
    /// How many deliveries it looked at.
    done: i64,
    /// How many there are; null while they are counted.
    total: Option<i64>,
    /// How many it made due.
    replayed: i64,
    /// How many of those arrived by now.
    delivered: i64,
}

impl From<&ReplayProgress> for LiveReplay {
    fn from(progress: &ReplayProgress) -> Self {
        Self {
            id: progress.id.0,
            status: progress.status.as_str(),
            done: progress.done,
            total: progress.total,
            replayed: progress.replayed,
            delivered: progress.delivered,
        }
    }
}

/// More happened than is told one by one: what an event `lagged` tells. Read the lists anew.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LiveLagged {
    /// Whether this stream goes on. If not, the reader was too slow for it and can resume.
    goes_on: bool,
}

/// The data of one event, by its `event:` line: `delivery`, `replay` or `lagged`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LiveData {
    /// `delivery`
    Delivery(LiveDelivery),
    /// `replay`
    Replay(LiveReplay),
    /// `lagged`
    Lagged(LiveLagged),
}

/// What to hear of.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct LiveQuery {
    /// Only deliveries to this connection.
    connection_id: Option<Uuid>,
    /// Only deliveries that came to stand so; may be given several times.
    status: Option<Vec<String>>,
}

/// Watch what happens
///
/// Server-sent events, about a second after things are recorded: `delivery`, `replay`, and `lagged` where
/// more happened than is told. Something comes at least every 15 seconds, if only a comment. A stream ends
/// after 15 minutes, or when this process stops; a reader that comes back within 5 minutes with the
/// last `id:` in `Last-Event-ID` misses nothing, and may hear the last second again.
#[utoipa::path(
    get, operation_id = "watch", path = "/api/organizations/{org}/live", tag = "Statistics",
    params(
        ("org" = Uuid, Path, description = "The organization"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` that was read; any other text is passed over"),
        LiveQuery,
    ),
    responses(
        (status = 200, description = "The stream", body = LiveData, content_type = "text/event-stream"),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
        (status = 429, description = "`too_many_streams`: 20 are open already", body = ErrorBody),
    ),
)]
pub(crate) async fn watch(
    State(app): State<App>,
    member: Member,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<impl IntoResponse, ApiError> {
    let wanted = Wanted::parse(query.as_deref())?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    // What is no position of ours says as little as none.
    let since = last.and_then(|text| text.parse::<Position>().ok());
    let watch = app.live().watch(member.organization_id, since).await.map_err(refused)?;
    let over = future::select(
        Box::pin(app.closing().cancelled_owned()),
        Box::pin(tokio::time::sleep(LIFE)),
    );
    let stream = told(watch, wanted).take_until(over);
    // Proxies that collect answers would keep this one to themselves.
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let keep_alive = KeepAlive::new().interval(HEARTBEAT);
    Ok((unbuffered, Sse::new(stream).keep_alive(keep_alive)))
}

fn refused(error: WatchError) -> ApiError {
    match error {
        WatchError::TooMany => ApiError {
            retry_after: Some(HEARTBEAT),
            ..ApiError::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_streams",
                "Too many people watch this organization already. Close another window first",
            )
        },
        WatchError::Db(error) => error.into(),
    }
}

/// Which deliveries somebody wants to hear of.
#[derive(Debug, Default)]
struct Wanted {
    connection_id: Option<ConnectionId>,
    statuses: Vec<DeliveryStatus>,
}

impl Wanted {
    fn parse(query: Option<&str>) -> Result<Self, ApiError> {
        let mut wanted = Self::default();
        filters::read(query, |name, value| {
            match name {
                "connection_id" => wanted.connection_id = Some(filter(name, value, A_UUID)?),
                "status" => {
                    let words = "pending, parked, delivered, dead, skipped, cancelled or expired";
                    wanted.statuses.push(filter(name, value, words)?);
                }
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(wanted)
    }

    fn takes(&self, update: &Update) -> bool {
        self.connection_id.is_none_or(|id| id == update.connection_id)
            && (self.statuses.is_empty() || self.statuses.contains(&update.status))
    }
}

fn told(watch: Watch, wanted: Wanted) -> impl Stream<Item = Result<Event, Infallible>> {
    let hello = stream::once(future::ready(Event::default().retry(COME_BACK)));
    let news = stream::unfold((watch, wanted), |(mut watch, wanted)| async move {
        let events = events(&watch.next().await?, &wanted);
        Some((stream::iter(events), (watch, wanted)))
    });
    hello.chain(news.flatten()).map(Ok)
}

/// The position comes last, so that a reader who is cut off hears all of these again rather than
/// missing some.
fn events(news: &News, wanted: &Wanted) -> Vec<Event> {
    let at = |position: &Position| Event::default().id(position.to_string());
    match news {
        News::Updates(batch) => {
            let updates = batch.updates.iter().filter(|update| wanted.takes(update));
            let updates =
                updates.map(|update| event("delivery", &LiveData::Delivery(update.into())));
            let replays = batch.replays.iter();
            let replays = replays.map(|replay| event("replay", &LiveData::Replay(replay.into())));
            updates.chain(replays).chain([at(&batch.position)]).collect()
        }
        News::Skipped(position) => {
            let lagged = event("lagged", &LiveData::Lagged(LiveLagged { goes_on: true }));
            vec![lagged.id(position.to_string())]
        }
        News::TooSlow => {
            vec![event("lagged", &LiveData::Lagged(LiveLagged { goes_on: false }))]
        }
    }
}

fn event(name: &str, data: &LiveData) -> Event {
    Event::default().event(name).json_data(data).expect("it is plain data")
}
