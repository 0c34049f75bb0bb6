//! Writes the bytes that a custom webhook receives. They are written once, then signed and sent.

use bytes::Bytes;
use chrono::{SecondsFormat, Timelike};
use url::Url;

use super::{Notification, RecordedEvent, headline};
use crate::{clock::Timestamp, ids::DeliveryId};

/// The body of a webhook: the documented four keys first, `data` in the very bytes that were received.
///
/// `frontend_url` is where the links in `notification.url` lead; `None` means Deptex's own.
#[must_use]
pub fn webhook_body(
    event: &RecordedEvent,
    delivery_id: DeliveryId,
    frontend_url: Option<&Url>,
) -> Bytes {
    webhook_body_with(event, delivery_id, &headline(event, frontend_url))
}

/// The same, with the words already found.
#[must_use]
pub fn webhook_body_with(
    event: &RecordedEvent,
    delivery_id: DeliveryId,
    notification: &Notification,
) -> Bytes {
    let mut body = Vec::with_capacity(event.payload.len() + 1_024);
    let mut text = |name: &str, value: &str| {
        body.extend_from_slice(name.as_bytes());
        json(&mut body, value);
    };
    text("{\"event\":", &event.kind);
    text(",\"timestamp\":", &rfc3339(event.occurred_at));
    text(",\"organization_id\":", &event.organization_id.to_string());
    body.extend_from_slice(b",\"data\":");
    body.extend_from_slice(&event.payload);
    body.extend_from_slice(b",\"delivery_id\":");
    json(&mut body, &delivery_id);
    if let Some(project_id) = &event.project_id {
        body.extend_from_slice(b",\"project_id\":");
        json(&mut body, project_id);
    }
    body.extend_from_slice(b",\"notification\":");
    json(&mut body, notification);
    body.push(b'}');
    Bytes::from(body)
}

/// `2026-02-25T12:00:00Z`, with milliseconds only where there are any.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let whole = at.nanosecond() % 1_000_000_000 < 1_000_000;
    let precision = if whole { SecondsFormat::Secs } else { SecondsFormat::Millis };
    at.to_rfc3339_opts(precision, true)
}

fn json<T: serde::Serialize + ?Sized>(body: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(body, value).expect("plain texts can be written, and memory takes them");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;
    use crate::{
        event::headline::tests::recorded,
        ids::{OrganizationId, ProjectId},
    };

    fn delivery() -> DeliveryId {
        "01890000-0000-7000-8000-00000000000a".parse().expect("a UUID")
    }

    #[test]
    fn the_body_is_exactly_the_documented_one() {
        let data = r#"{ "vulnerability_id":"CVE-2026-1", "severity":"critical", "package":"lodash", "version":"4.17.20", "project":"my-project" }"#;
        let mut event = recorded("vulnerability.found", data);
        event.project_id = Some(ProjectId(uuid::Uuid::nil()));
        let body = webhook_body(&event, delivery(), None);
        let expected = format!(
            concat!(
                r#"{{"event":"vulnerability.found","timestamp":"2026-02-25T12:00:00Z","#,
                r#""organization_id":"{org}","data":{data},"#,
                r#""delivery_id":"01890000-0000-7000-8000-00000000000a","#,
                r#""project_id":"00000000-0000-0000-0000-000000000000","notification":{{"#,
                r#""title":"Critical vulnerability CVE-2026-1 in lodash 4.17.20","#,
                r#""body":"CVE-2026-1 (critical) was found in lodash 4.17.20, used by my-project.","#,
                r#""severity":"critical","#,
                r#""url":"https://app.deptex.io/organizations/{org}/projects/00000000-0000-0000-0000-000000000000/security"}}}}"#
            ),
            org = event.organization_id,
            data = data,
        );
        assert_eq!(std::str::from_utf8(&body).expect("UTF-8"), expected);
    }

    #[test]
    fn without_a_project_there_is_no_project_id() {
        let body = webhook_body(&recorded("aegis.activity", "{}"), delivery(), None);
        let body: Map<String, Value> = serde_json::from_slice(&body).expect("an object");
        assert!(!body.contains_key("project_id"));
    }

    #[test]
    fn milliseconds_are_written_only_where_there_are_any() {
        for (at, written) in [
            ("2026-02-25T12:00:00Z", "2026-02-25T12:00:00Z"),
            ("2026-02-25T13:00:00.000400+01:00", "2026-02-25T12:00:00Z"),
            ("2026-02-25T12:00:00.12Z", "2026-02-25T12:00:00.120Z"),
        ] {
            assert_eq!(rfc3339(at.parse().expect("a time")), written);
        }
    }

    fn any_data() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let key =
            prop_oneof!["[a-z_]{1,8}", Just("severity".to_owned()), Just("package".to_owned())];
        let value = leaf.prop_recursive(4, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        });
        prop::collection::hash_map(key, value, 0..6)
            .prop_map(|entries| Value::Object(entries.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_data_arrives_byte_for_byte(
            data in any_data(),
            pretty in any::<bool>(),
            organization in any::<u128>(),
            kind in "[a-z]{1,5}\\.[a-z_]{1,9}",
        ) {
            let text = if pretty { serde_json::to_string_pretty(&data) } else { serde_json::to_string(&data) };
            let text = text.expect("a value can be written");
            let mut event = recorded(&kind, &text);
            event.organization_id = OrganizationId(uuid::Uuid::from_u128(organization));
            let body = webhook_body(&event, delivery(), None);
            let body = std::str::from_utf8(&body).expect("UTF-8");
            let needle = format!(",\"data\":{text},\"delivery_id\":");
            prop_assert!(body.contains(&needle), "{body}");
            let read: Value = serde_json::from_str(body).expect("the whole parses");
            let sent: Value = serde_json::from_str(&text).expect("the data parses");
            prop_assert_eq!(&read["data"], &sent);
            prop_assert_eq!(&read["event"], &Value::from(kind.as_str()));
        }
    }
}
