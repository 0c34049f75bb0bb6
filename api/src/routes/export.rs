//! Deliveries as a CSV file: all that a filter finds, written while it is read.

use std::io;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use engine::{
    Engine,
    db::DbError,
    delivery::{self, DeliveryFilter, DeliveryView, PAGE_MAX},
    ids::OrganizationId,
};
use futures_util::stream;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::deliveries::query::{Paged, read};
use crate::{
    App,
    auth::Member,
    csv::Csv,
    error::{ApiError, ErrorBody},
};

/// The most rows of a file.
const ROWS_MAX: usize = 100_000;
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
}

/// Export deliveries
///
/// A CSV file of the deliveries that the filters of the list find, the newest first, at most 100,000.
/// Cells that a spreadsheet could take for a formula begin with an apostrophe.
#[utoipa::path(
    get, operation_id = "export_deliveries", path = "/api/organizations/{org}/deliveries/export", tag = "Deliveries",
    params(("org" = Uuid, Path, description = "The organization"), ExportQuery),
    responses(
        (status = 200, description = "The file", body = String, content_type = "text/csv"),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unknown_filter` or `invalid_filter`; the sentence names it", body = ErrorBody),
    ),
)]
pub(crate) async fn download(
    State(app): State<App>,
    member: Member,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let filter = DeliveryFilter { limit: PAGE_MAX, ..read(query.as_deref(), Paged::No)? };
    let organization_id = member.organization_id;
    // The first part is read before the answer begins: what goes wrong now can still be said.
    let mut export = Export::new(app.engine().clone(), organization_id, filter);
    let first = export.next_part().await?;
    let (parts, receiver) = mpsc::channel(PARTS_WAITING_MAX);
    // In a task of its own: a caller who leaves must not cut a query off.
    tokio::spawn(async move {
        let mut part = Ok(first);
        while let Some(text) = part.transpose() {
            let failed = text.as_ref().err().map(|error: &DbError| {
                tracing::warn!(organization.id = %organization_id, error = %error, "an export was cut off");
            });
            if parts.send(text.map_err(io::Error::other)).await.is_err() || failed.is_some() {
                return;
            }
            part = export.next_part().await;
        }
    });
    let body = stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|part| (part, receiver))
    });
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"deliveries.csv\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
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

    /// The next lines; `None` after the last ones.
    async fn next_part(&mut self) -> Result<Option<String>, DbError> {
        while !self.is_over {
            let page = delivery::list(&self.engine, self.organization_id, &self.filter).await?;
            for item in page.items.iter().take(self.rows_left) {
                row(&mut self.csv, item);
            }
            self.rows_left = self.rows_left.saturating_sub(page.items.len());
            self.filter.before = page.next;
            self.is_over = page.next.is_none() || self.rows_left == 0;
            let part = self.csv.take();
            if !part.is_empty() {
                return Ok(Some(part));
            }
        }
        Ok(None)
    }
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
