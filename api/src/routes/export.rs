//! Deliveries as a CSV file: all that a filter finds, written while it is read.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use engine::{
    Engine, audit,
    db::DbError,
    delivery::{self, DeliveryFilter, DeliveryView, PAGE_MAX},
    ids::OrganizationId,
    walls,
};
use futures_util::stream;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use super::deliveries::query;
use crate::{
    App,
    auth::Member,
    csv::Csv,
    error::{ApiError, ErrorBody},
    filters,
};

/// The most rows of a file.
const ROWS_MAX: usize = 100_000;
/// How many an organization may have under way at once in one process.
const EXPORTS_MAX: usize = 2;
/// How long one may take; then it is cut off.
const TIME_MAX: Duration = Duration::from_secs(10 * 60);
/// How many parts wait for a caller who reads slowly.
const PARTS_WAITING_MAX: usize = 2;

const COLUMNS: &[&str] = &[
    "id",
    "status",
    "reason",
    "event",
    "subject",
    "provider",
    "connection_name",
    "attempts",
    "status_code",
    "error_class",
    "error",
    "external_id",
    "external_url",
    "class",
    "created_at",
    "updated_at",
    "next_due_at",
    "event_id",
    "connection_id",
];

/// The filters of the file: those of the list, without a cursor and a limit.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct ExportQuery {
    /// `pending`, `parked`, `delivered`, `dead`, `skipped`, `cancelled` or `expired`; may be given
    /// several times.
    status: Option<String>,
    /// Only to this connection.
    connection_id: Option<Uuid>,
    /// Only to connections of this service.
    provider: Option<String>,
    /// Only of this event.
    event_id: Option<Uuid>,
    /// Only of this kind of event.
    event: Option<String>,
    /// Only of events about exactly this.
    subject: Option<String>,
    /// Only where the last failure is of this class, or has this code of the provider's.
    error_class: Option<String>,
    /// Only what the provider calls by this id.
    external_id: Option<String>,
    /// `live`, `retry` or `replay`.
    class: Option<String>,
    /// Only promised at this instant or later.
    since: Option<DateTime<Utc>>,
    /// Only promised before this instant.
    until: Option<DateTime<Utc>>,
    /// Why it is needed: kept with the record of the export, up to 500 characters of it.
    reason: Option<String>,
}

/// Export deliveries
///
/// A CSV file of the deliveries that the filters of the list find, the newest first, at most 100,000. One
/// that takes longer than ten minutes is cut off, and the connection with it.
/// Who asked for it, for which filters and why is recorded before it begins.
/// Cells that a spreadsheet could take for a formula begin with an apostrophe.
#[utoipa::path(
    get, operation_id = "export_deliveries", path = "/api/organizations/{org}/deliveries/export", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ExportQuery),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/csv"),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
        (status = 429, description = "`too_many_exports`: two of this organization are under way", body = ErrorBody),
    ),
)]
pub(crate) async fn download(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (filter, reason) = read(query.as_deref())?;
    let organization_id = member.organization_id;
    let turn = Turn::take(organization_id).ok_or_else(too_many)?;
    let deadline = Instant::now() + TIME_MAX;
    // The first page is read before the answer begins: what goes wrong now can still be said.
    let mut export = Export::new(app.engine().clone(), organization_id, filter.clone());
    let first = export.next_page().await?;
    let (actor, reason) = (&member.actor, reason.as_deref());
    audit::record_export(app.engine(), organization_id, actor, &filter, reason).await?;
    let (parts, receiver) = mpsc::channel(PARTS_WAITING_MAX);
    // In a task of its own: a caller who leaves must not cut a query off.
    tokio::spawn(walls::carried(async move {
        let _turn = turn;
        if let Err(error) = export.tell(first, &parts, deadline).await {
            tracing::warn!(organization.id = %organization_id, error = %error, "an export was cut off");
        }
    }));
    let body = stream::unfold(Some(receiver), async |receiver| {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Part::Lines(lines)) => Some((Ok(lines), Some(receiver))),
            Some(Part::End) => None,
            // A file that was cut off must not look whole.
            None => Some((Err(io::Error::other("the export was cut off")), None)),
        }
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"deliveries.csv\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// Which deliveries, and why somebody needs them.
fn read(query: Option<&str>) -> Result<(DeliveryFilter, Option<String>), ApiError> {
    let mut wanted = DeliveryFilter { limit: PAGE_MAX, ..DeliveryFilter::default() };
    let mut reason = None;
    filters::read(query, |name, value| {
        if name == "reason" {
            reason = Some(value.to_owned());
            return Ok(true);
        }
        query::take(&mut wanted, name, value)
    })?;
    Ok((wanted, reason))
}

fn too_many() -> ApiError {
    ApiError {
        retry_after: Some(Duration::from_secs(30)),
        ..ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_exports",
            "Two exports of this organization are under way. Wait for one to end",
        )
    }
}

/// How many exports of each organization are under way in this process.
static UNDER_WAY: LazyLock<Mutex<HashMap<OrganizationId, usize>>> = LazyLock::new(Mutex::default);

/// Leave to export, until it is dropped.
#[derive(Debug)]
struct Turn(OrganizationId);

impl Turn {
    fn take(organization_id: OrganizationId) -> Option<Self> {
        let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.entry(organization_id).or_default();
        (*count < EXPORTS_MAX).then(|| {
            *count += 1;
            Self(organization_id)
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = under_way.entry(self.0) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What the body is told. Where nobody says that it is the end, it was cut off.
#[derive(Debug)]
enum Part {
    Lines(String),
    End,
}

/// An export under way.
struct Export {
    engine: Engine,
    organization_id: OrganizationId,
    filter: DeliveryFilter,
    csv: Csv,
    rows_left: usize,
    is_over: bool,
}

impl Export {
    fn new(engine: Engine, organization_id: OrganizationId, filter: DeliveryFilter) -> Self {
        let mut csv = Csv::default();
        for name in COLUMNS {
            csv.plain(name);
        }
        csv.end_row();
        Self { engine, organization_id, filter, csv, rows_left: ROWS_MAX, is_over: false }
    }

    /// The lines of the next page, which may be none.
    async fn next_page(&mut self) -> Result<String, DbError> {
        let page = delivery::list(&self.engine, self.organization_id, &self.filter).await?;
        for item in page.items.iter().take(self.rows_left) {
            row(&mut self.csv, item);
        }
        self.rows_left = self.rows_left.saturating_sub(page.items.len());
        let goes_on = page.next.is_some() && page.next != self.filter.before && self.rows_left > 0;
        self.filter.before = page.next;
        self.is_over = !goes_on;
        Ok(self.csv.take())
    }

    /// Tells one page after the other, while somebody listens and there is time.
    async fn tell(
        &mut self,
        first: String,
        parts: &mpsc::Sender<Part>,
        deadline: Instant,
    ) -> Result<(), DbError> {
        let mut lines = first;
        loop {
            if !lines.is_empty() && !told(parts, Part::Lines(lines), deadline).await {
                return Ok(());
            }
            if self.is_over {
                told(parts, Part::End, deadline).await;
                return Ok(());
            }
            if parts.is_closed() || Instant::now() >= deadline {
                return Ok(());
            }
            lines = self.next_page().await?;
        }
    }
}

/// Whether a part was taken, in time.
async fn told(parts: &mpsc::Sender<Part>, part: Part, deadline: Instant) -> bool {
    matches!(timeout_at(deadline, parts.send(part)).await, Ok(Ok(())))
}

fn row(csv: &mut Csv, item: &DeliveryView) {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let optional = |value: Option<String>| value.unwrap_or_default();
    csv.plain(item.id);
    csv.plain(&item.status);
    csv.optional(item.reason.as_deref());
    csv.optional(item.event.as_deref());
    csv.optional(item.subject.as_deref());
    csv.text(&item.provider);
    csv.text(&item.connection_name);
    csv.plain(item.attempts);
    csv.plain(optional(item.status_code.map(|code| code.to_string())));
    csv.optional(item.error_class.as_deref());
    csv.optional(item.error.as_deref());
    csv.optional(item.external_id.as_deref());
    csv.optional(item.external_url.as_deref());
    csv.plain(&item.class);
    csv.plain(instant(item.created_at));
    csv.plain(optional(item.updated_at.map(instant)));
    csv.plain(optional(item.next_due_at.map(instant)));
    csv.plain(item.event_id);
    csv.plain(item.connection_id);
    csv.end_row();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_two_exports_at_once() {
        let (one, other) = (OrganizationId(Uuid::from_u128(1)), OrganizationId(Uuid::from_u128(2)));
        let first = Turn::take(one).expect("the first");
        let second = Turn::take(one).expect("the second");
        assert!(Turn::take(one).is_none());
        let of_other = Turn::take(other).expect("another organization's");
        drop(first);
        let again = Turn::take(one).expect("one has ended");
        assert!(Turn::take(one).is_none());
        drop((second, again, of_other));
        let under_way = UNDER_WAY.lock().expect("nobody panicked");
        assert!(!under_way.contains_key(&one) && !under_way.contains_key(&other));
    }

    /// Nothing is read for somebody who left, or for ever for somebody who does not read.
    #[tokio::test]
    async fn a_part_is_told_only_to_who_listens_in_time() {
        let (parts, mut receiver) = mpsc::channel(1);
        assert!(told(&parts, Part::End, Instant::now() + TIME_MAX).await);
        assert!(!told(&parts, Part::End, Instant::now()).await, "nobody took the one before");
        assert!(receiver.recv().await.is_some());
        drop(receiver);
        assert!(!told(&parts, Part::End, Instant::now() + TIME_MAX).await, "nobody listens");
    }

    #[test]
    fn every_row_has_every_column() {
        let at: DateTime<Utc> = "2026-02-25T12:00:00Z".parse().expect("an instant");
        let nobody = Uuid::nil();
        let item = DeliveryView {
            id: nobody.into(),
            connection_id: nobody.into(),
            provider: "slack".into(),
            connection_name: "=Ops".into(),
            event_id: nobody.into(),
            event: None,
            subject: Some("@x".into()),
            status: "delivered".into(),
            attempts: 1,
            next_due_at: None,
            status_code: Some(200),
            error_class: None,
            error: None,
            reason: None,
            external_id: None,
            external_url: None,
            class: "live".into(),
            created_at: at,
            updated_at: Some(at),
        };
        let mut csv = Csv::default();
        row(&mut csv, &item);
        let line = csv.take();
        assert_eq!(line.matches(',').count() + 1, COLUMNS.len(), "{line}");
        assert!(line.contains("\"'=Ops\"") && line.contains("\"'@x\""), "{line}");
        assert!(line.contains("2026-02-25T12:00:00.000Z"), "{line}");
    }
}
