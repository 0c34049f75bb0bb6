//! Reads the attempts of a delivery, with all that is kept of each.

use std::{cell::LazyCell, time::Duration};

use serde::Serialize;

use super::{
    super::details::{Details, Timing},
    sent::{RequestView, Seen, Written, shown},
};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    event::RecordedEvent,
    ids::{DeliveryId, OrganizationId},
    outbox::Class,
};

/// How many attempts of a delivery are shown.
const ATTEMPTS_MAX: i64 = 200;
/// How many bytes the bodies shown may have together; of more, those of the newest are.
const BODIES_BYTES_MAX: usize = 1024 * 1024;

/// One request, or one settlement without a request.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    /// From 1; a settlement without a request keeps the number before it.
    pub number: i32,
    /// When the request began.
    pub started_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<f64>,
    /// The answer's status.
    pub status_code: Option<i16>,
    /// The failure's class, or the provider's own code for it.
    pub error_class: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response_head: Option<String>,
    /// The provider's id of what was made, `SEC-12`.
    pub external_id: Option<String>,
    /// Where to look at that.
    pub external_url: Option<String>,
    /// What followed.
    pub settlement: String,
    /// Why.
    pub reason: Option<String>,
    /// When the next attempt was due.
    pub next_due_at: Option<Timestamp>,
    /// The version of the connection that was used.
    pub connection_version: Option<i64>,
    /// When it was written down.
    pub recorded_at: Timestamp,
    /// The last request; `None` where none was made.
    pub request: Option<RequestView>,
    /// The answer to it; `None` where none came.
    pub response: Option<ResponseView>,
    /// Where the time went; `None` where no request was made.
    pub timing: Option<TimingView>,
}

/// An answer as it came.
#[derive(Clone, Debug, Serialize)]
pub struct ResponseView {
    /// The HTTP status.
    pub status: i16,
    /// Names and values, as many as are kept, without credentials.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body.
    pub body: Option<String>,
}

/// Where the time of an attempt went, in milliseconds: see [`Timing`].
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TimingView {
    /// From when it was due until the attempt began.
    pub queue_ms: f64,
    /// Waiting for its turn at the provider.
    pub pace_ms: f64,
    /// Looking names up, connecting and TLS; `None` where an open connection was used.
    pub connect_ms: Option<f64>,
    /// Until the connection had taken the request.
    pub send_ms: f64,
    /// Until the head of the answer was here.
    pub wait_ms: f64,
    /// Until its body was here, as much of it as is read.
    pub read_ms: f64,
}

impl From<Timing> for TimingView {
    fn from(timing: Timing) -> Self {
        let ms = |span: Duration| span.as_secs_f64() * 1_000.0;
        Self {
            queue_ms: ms(timing.queue),
            pace_ms: ms(timing.pace),
            connect_ms: timing.wire.connect.map(ms),
            send_ms: ms(timing.wire.send),
            wait_ms: ms(timing.wire.wait),
            read_ms: ms(timing.wire.read),
        }
    }
}

/// The newest attempts, the first one first, and how many there are before them. Of custom webhooks,
/// what was sent is told from the event.
pub(super) async fn of(
    engine: &Engine,
    organization_id: OrganizationId,
    delivery_id: DeliveryId,
    event: Option<&RecordedEvent>,
) -> Result<(Vec<AttemptView>, i64), DbError> {
    let rows = sqlx::query!(
        r#"select number, class, started_at, duration_us::float8 / 1000 as duration_ms, status_code,
                  error_class, error, response_head, external_id, external_url, settlement, reason,
                  next_due_at, connection_version, recorded_at, details,
                  (select count(*) from relay.attempts
                   where organization_id = $1 and delivery_id = $2) as "of_all!"
           from relay.attempts where organization_id = $1 and delivery_id = $2
           order by number desc, recorded_at desc limit $3"#,
        organization_id.0,
        delivery_id.0,
        ATTEMPTS_MAX,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let frontend_url = engine.config.frontend_url.as_ref();
    // Written anew only where there is a custom webhook's request to show.
    let written =
        LazyCell::new(|| event.map(|event| Written::new(event, delivery_id, frontend_url)));
    let mut room = BODIES_BYTES_MAX;
    let omitted = rows.first().map_or(0, |row| row.of_all - rows.len() as i64);
    let mut attempts: Vec<AttemptView> = rows
        .into_iter()
        .map(|row| {
            // What a newer version wrote may be in a form that this one does not know.
            let details = row.details.and_then(|text| serde_json::from_str::<Details>(&text).ok());
            let timing = details.as_ref().map(|details| details.timing().into());
            let (sent, headers) =
                details.map_or_else(Default::default, |one| (Some(one.sent), one.answer));
            let body = row.response_head.clone();
            let response = row.status_code.map(|status| ResponseView { status, headers, body });
            let replay = Class::from_number(row.class) == Class::Replay;
            let request = sent.and_then(|sent| {
                let written = sent.signed.as_ref().and_then(|_| written.as_ref());
                shown(sent, &Seen { delivery_id, attempt: row.number, replay, written })
            });
            let request = request.map(|request| request.fitting(&mut room));
            AttemptView {
                number: row.number,
                started_at: row.started_at,
                duration_ms: row.duration_ms,
                status_code: row.status_code,
                error_class: row.error_class,
                error: row.error,
                response_head: row.response_head,
                external_id: row.external_id,
                external_url: row.external_url,
                settlement: row.settlement,
                reason: row.reason,
                next_due_at: row.next_due_at,
                connection_version: row.connection_version,
                recorded_at: row.recorded_at,
                request,
                response,
                timing,
            }
        })
        .collect();
    attempts.reverse();
    Ok((attempts, omitted))
}
