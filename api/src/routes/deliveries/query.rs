//! The filters of deliveries, as a query string has them: of the list, and of its export.

use chrono::{DateTime, Utc};
use engine::{
    delivery::{DeliveryFilter, PAGE_MAX},
    outbox::Class,
};
use uuid::Uuid;

use crate::{
    error::ApiError,
    extract::filter,
    filters::{self, A_CURSOR, A_UUID},
    routes::event_history::kind,
};

/// The filters of the list.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: unknown names must be refused one by one")]
pub(crate) struct ListQuery {
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
    /// Only what the provider calls by this id, such as `SEC-12`.
    external_id: Option<String>,
    /// `live`, `retry` or `replay`: what it was sent for last.
    class: Option<String>,
    /// Only promised at this instant or later.
    since: Option<DateTime<Utc>>,
    /// Only promised before this instant.
    until: Option<DateTime<Utc>>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many: 1 to 200, 50 by default.
    limit: Option<u16>,
}

pub(crate) fn read(query: Option<&str>) -> Result<DeliveryFilter, ApiError> {
    let mut wanted = DeliveryFilter::default();
    filters::read(query, |name, value| {
        match name {
            "cursor" => wanted.before = Some(filter(name, value, A_CURSOR)?),
            "limit" => wanted.limit = filters::limit(name, value, PAGE_MAX)?,
            _ => return take(&mut wanted, name, value),
        }
        Ok(true)
    })?;
    Ok(wanted)
}

/// Takes one filter, without regard to pages. Says whether it knows that name.
pub(crate) fn take(wanted: &mut DeliveryFilter, name: &str, value: &str) -> Result<bool, ApiError> {
    match name {
        "status" => {
            let words = "pending, parked, delivered, dead, skipped, cancelled or expired";
            let status = filter(name, value, words)?;
            if !wanted.statuses.contains(&status) {
                wanted.statuses.push(status);
            }
        }
        "connection_id" => wanted.connection_id = Some(filter(name, value, A_UUID)?),
        "provider" => wanted.provider = Some(filters::text(name, value)?),
        "event_id" => wanted.event_id = Some(filter(name, value, A_UUID)?),
        "event" => wanted.kind = Some(kind(name, value)?),
        "subject" => wanted.subject = Some(filters::text(name, value)?),
        "error_class" => wanted.error_class = Some(filters::text(name, value)?),
        "external_id" => wanted.external_id = Some(filters::text(name, value)?),
        "class" => wanted.class = Some(class(value)?),
        "since" => wanted.since = Some(filters::instant(name, value)?),
        "until" => wanted.until = Some(filters::instant(name, value)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn class(value: &str) -> Result<Class, ApiError> {
    let known = [Class::Live, Class::Retry, Class::Replay];
    known.into_iter().find(|class| class.as_str() == value).ok_or_else(|| {
        ApiError::unprocessable("invalid_filter", "class must be live, retry or replay")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::delivery::DeliveryStatus;

    fn refused(query: &str) -> (u16, &'static str, String) {
        let error = read(Some(query)).expect_err(query);
        (error.status.as_u16(), error.code, error.message)
    }

    #[test]
    fn every_filter_is_read() {
        let id = "0199b1c0-0000-7000-8000-000000000001";
        let query = format!(
            "status=dead&status=skipped&status=dead&connection_id={id}&event_id={id}&event=a.b\
             &cursor={id}&limit=7&since=2026-02-25T12:00:00Z&until=2026-02-25T14:00:00%2B01:00\
             &provider=slack&subject=CVE-1&error_class=timeout&external_id=SEC-12&class=replay"
        );
        let filter = read(Some(&query)).expect("it is fine");
        assert_eq!(filter.statuses, [DeliveryStatus::Dead, DeliveryStatus::Skipped]);
        assert_eq!(filter.connection_id.expect("given").to_string(), id);
        assert_eq!(filter.event_id.expect("given").to_string(), id);
        assert_eq!(filter.before.expect("given").to_string(), id);
        assert_eq!((filter.kind.as_deref(), filter.limit), (Some("a.b"), 7));
        assert_eq!((filter.until.expect("given") - filter.since.expect("given")).num_hours(), 1);
        assert_eq!(filter.provider.as_deref(), Some("slack"));
        assert_eq!(filter.subject.as_deref(), Some("CVE-1"));
        assert_eq!(filter.error_class.as_deref(), Some("timeout"));
        assert_eq!(filter.external_id.as_deref(), Some("SEC-12"));
        assert_eq!(filter.class, Some(Class::Replay));
    }

    #[test]
    fn an_unset_filter_filters_nothing() {
        let filter = read(Some("status=&event=&limit=")).expect("it is fine");
        assert!(filter.statuses.is_empty() && filter.kind.is_none() && filter.limit == 0);
        let unescaped = read(Some("since=2026-02-25T12:00:00+01:00"));
        assert!(unescaped.expect("it is fine").since.is_some());
    }

    #[test]
    fn a_wrong_or_unknown_filter_is_named() {
        for (query, name) in [
            ("status=lost", "status"),
            ("connection_id=7", "connection_id"),
            ("event_id=x", "event_id"),
            ("since=yesterday", "since"),
            ("until=2026-02-25", "until"),
            ("cursor=abc", "cursor"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("limit=-1", "limit"),
            ("class=2", "class"),
            ("subject=%00", "subject"),
        ] {
            let (status, code, message) = refused(query);
            assert_eq!((status, code), (422, "invalid_filter"), "{query}");
            assert!(message.starts_with(name), "{message}");
        }
        let (status, code, message) = refused("connection=7");
        assert_eq!((status, code), (422, "unknown_filter"));
        assert!(message.contains("connection"), "{message}");
        for (name, value) in [("cursor", "0199b1c0-0000-7000-8000-000000000001"), ("limit", "5")] {
            let known = take(&mut DeliveryFilter::default(), name, value);
            assert!(!known.expect("it is not read"), "{name}: an export has no pages");
        }
    }
}
