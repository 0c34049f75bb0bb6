//! An attempt as people see it: what was sent, what came back, where the time went.

use chrono::{DateTime, Utc};
use engine::delivery::{AttemptView, RequestView, ResponseView, TimingView};
use serde::Serialize;
use utoipa::ToSchema;

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
    /// The last request of the attempt; null where none was made.
    request: Option<RequestItem>,
    /// The answer to it; null where none came.
    response: Option<ResponseItem>,
    /// Where the time went; null where no request was made.
    timing: Option<TimingItem>,
}

/// A request as it was sent, or as it would have been where no connection came about.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptRequest)]
pub(crate) struct RequestItem {
    #[schema(example = "POST")]
    method: String,
    url: String,
    /// Names and values. The values of credentials, and of the connection's own headers, are `•••`.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// The bytes that the signatures are over, or the beginning of what a provider was sent. Null where
    /// it was empty, where the attempt was put off and does not count, and where it cannot be shown as it was, since the event is no longer kept or would
    /// be written in other words today.
    body: Option<String>,
    /// Whether more was sent than the body shown.
    body_is_truncated: bool,
}

/// An answer as it came: show all of it as text only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptResponse)]
pub(crate) struct ResponseItem {
    #[schema(example = 200)]
    status: i16,
    /// Names and values, as many as are kept. The values of cookies and credentials are `•••`.
    #[schema(value_type = Vec<Vec<String>>)]
    headers: Vec<(String, String)>,
    /// The beginning of the body.
    body: Option<String>,
}

/// Where the time of an attempt went, in milliseconds. Where it took several requests, all of them
/// together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttemptTiming)]
pub(crate) struct TimingItem {
    /// From when it was due until the attempt began.
    queue_ms: f64,
    /// Waiting for its turn at the provider.
    pace_ms: f64,
    /// Looking the name up, connecting and TLS; null where an open connection was used.
    connect_ms: Option<f64>,
    /// Until the connection had taken the request.
    send_ms: f64,
    /// Until the head of the answer was here.
    wait_ms: f64,
    /// Until its body was here, as much of it as is read.
    read_ms: f64,
}

impl From<TimingView> for TimingItem {
    fn from(timing: TimingView) -> Self {
        Self {
            queue_ms: timing.queue_ms,
            pace_ms: timing.pace_ms,
            connect_ms: timing.connect_ms,
            send_ms: timing.send_ms,
            wait_ms: timing.wait_ms,
            read_ms: timing.read_ms,
        }
    }
}

impl From<RequestView> for RequestItem {
    fn from(sent: RequestView) -> Self {
        Self {
            method: sent.method,
            url: sent.url,
            headers: sent.headers,
            body: sent.body,
            body_is_truncated: sent.body_is_truncated,
        }
    }
}

impl From<ResponseView> for ResponseItem {
    fn from(answer: ResponseView) -> Self {
        Self { status: answer.status, headers: answer.headers, body: answer.body }
    }
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
            request: view.request.map(Into::into),
            response: view.response.map(Into::into),
            timing: view.timing.map(Into::into),
        }
    }
}
