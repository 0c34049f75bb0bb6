//! The body of `POST /v1/events`: what is taken is read alike by a plain reader, comes back from its own
//! text, and reaches a receiver byte for byte; what is refused is refused by a code that is documented.

use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

use super::{json::Shape, text};
use crate::{
    clock::Timestamp,
    event::{
        BODY_CHARS_MAX, CODES, DATA_BYTES_MAX, EVENTS_MAX, EventKind, EventRefused,
        IDEMPOTENCY_KEY_BYTES_MAX, NewEvent, ParsedBody, RecordedEvent, SOURCE_BYTES_MAX,
        SUBJECT_BYTES_MAX, TITLE_CHARS_MAX, canonical, headline, parse_body, webhook_body,
    },
    ids::DeliveryId,
    json::{DEPTH_MAX, KEYS_MAX},
};

/// A refusal is a sentence, however long that is which it refuses.
const MESSAGE_BYTES_MAX: usize = 1_024;

pub(super) fn check(data: &[u8]) {
    let parsed = match parse_body(data, 3) {
        Ok(parsed) => parsed,
        Err(refused) => return check_refusal(&refused),
    };
    let body = text(data).expect("what is taken is UTF-8");
    let shape = Shape::of(body);
    assert!(!shape.has_twins && !shape.has_null_character, "{shape:?}");
    assert!(shape.depth <= DEPTH_MAX + 1, "{shape:?}");
    let plain: Value =
        serde_json::from_str(body).expect("a plain reader takes what a strict one does");
    match parsed {
        ParsedBody::One(event) => {
            assert!(shape.keys <= KEYS_MAX && shape.depth <= DEPTH_MAX, "{shape:?}");
            check_event(&event, &plain, body);
        }
        ParsedBody::Many(events) => {
            let plain = plain.as_array().expect("an array");
            assert!((1..=EVENTS_MAX).contains(&events.len()) && plain.len() == events.len());
            for (event, plain) in events.iter().zip(plain) {
                match event {
                    Ok(event) => check_event(event, plain, body),
                    Err(refused) => check_refusal(refused),
                }
            }
        }
    }
}

fn check_refusal(refused: &EventRefused) {
    assert!(CODES.iter().any(|(code, _)| *code == refused.code), "{}", refused.code);
    assert!(refused.message.len() <= MESSAGE_BYTES_MAX, "{}", refused.message);
    assert!(!refused.message.chars().any(char::is_control), "{:?}", refused.message);
}

fn check_event(event: &NewEvent, plain: &Value, body: &str) {
    let plain = plain.as_object().expect("an event is an object");
    check_limits(event);
    check_fields(event, plain);
    let data = event.data.get();
    assert!(body.contains(data), "the data is not as it was posted");
    assert_eq!(serde_json::from_str::<Value>(data).ok().as_ref(), plain.get("data"));

    let written = written(event);
    match parse_body(written.as_bytes(), event.hops) {
        Ok(ParsedBody::One(again)) => assert!(is_same(event, &again), "{written}"),
        other => panic!("{written}: {other:?}"),
    }
    check_delivered(event);
}

fn check_limits(event: &NewEvent) {
    assert!(EventKind::is_grammatical(event.kind.as_str()), "{}", event.kind);
    assert!(canonical(event.kind.as_str()).is_none_or(|kind| kind == event.kind.as_str()));
    assert!(event.data.get().len() <= DATA_BYTES_MAX && event.data.get().starts_with('{'));
    let texts = [
        (&event.source, 0, SOURCE_BYTES_MAX),
        (&event.subject, 0, SUBJECT_BYTES_MAX),
        (&event.idempotency_key, 1, IDEMPOTENCY_KEY_BYTES_MAX),
    ];
    for (text, min, max) in texts {
        let Some(text) = text else { continue };
        assert!(
            (min..=max).contains(&text.len()) && !text.chars().any(char::is_control),
            "{text:?}"
        );
    }
    assert!(event.hops == 3 && event.traceparent.is_none());
}

/// A plain reader finds the same.
fn check_fields(event: &NewEvent, plain: &Map<String, Value>) {
    let text = |name: &str| plain.get(name).and_then(Value::as_str);
    let id = |name: &str| text(name).and_then(|text| text.parse::<Uuid>().ok());
    let kind = text("type").expect("a type");
    assert_eq!(canonical(kind).unwrap_or(kind), event.kind.as_str());
    assert_eq!(id("organization_id"), Some(event.organization_id.0));
    assert_eq!(id("project_id"), event.project_id.map(|id| id.0));
    assert_eq!(id("team_id"), event.team_id.map(|id| id.0));
    assert_eq!(text("source"), event.source.as_deref());
    assert_eq!(text("subject"), event.subject.as_deref());
    assert_eq!(text("idempotency_key"), event.idempotency_key.as_deref());
    assert_eq!(text("priority").unwrap_or("normal"), event.priority.as_str());
    let at = text("occurred_at").and_then(|text| text.parse::<Timestamp>().ok());
    let micros = |at: Timestamp| at.timestamp_micros();
    assert_eq!(at.map(micros), event.occurred_at.map(micros));
}

/// An event as a caller would post it.
fn written(event: &NewEvent) -> String {
    let fields = json!({
        "type": event.kind.as_str(),
        "organization_id": event.organization_id,
        "project_id": event.project_id,
        "team_id": event.team_id,
        "occurred_at": event.occurred_at,
        "source": event.source,
        "priority": event.priority.as_str(),
        "subject": event.subject,
        "idempotency_key": event.idempotency_key,
    });
    let fields = fields.to_string();
    format!("{},\"data\":{}}}", &fields[..fields.len() - 1], event.data.get())
}

fn is_same(a: &NewEvent, b: &NewEvent) -> bool {
    a.kind == b.kind
        && a.organization_id == b.organization_id
        && a.data.get() == b.data.get()
        && (a.project_id, a.team_id, a.occurred_at) == (b.project_id, b.team_id, b.occurred_at)
        && (&a.source, a.priority, &a.subject) == (&b.source, b.priority, &b.subject)
        && a.idempotency_key == b.idempotency_key
}

/// What a receiver gets of it.
fn check_delivered(event: &NewEvent) {
    let recorded = RecordedEvent {
        id: Uuid::from_u128(1).into(),
        organization_id: event.organization_id,
        kind: event.kind.as_str().to_owned(),
        payload: event.data.get().to_owned().into(),
        project_id: event.project_id,
        team_id: event.team_id,
        subject: event.subject.clone(),
        priority: event.priority.as_str().to_owned(),
        source: event.source.clone(),
        occurred_at: event.occurred_at.unwrap_or_default(),
        hops: i16::from(event.hops),
        traceparent: None,
    };
    let delivery_id = DeliveryId(Uuid::from_u128(2));
    let frontend = Url::parse("https://app.deptex.example").expect("a URL");
    let body = webhook_body(&recorded, delivery_id, Some(&frontend));
    let body = std::str::from_utf8(&body).expect("what is sent is UTF-8");
    let shape = Shape::of(body);
    assert!(!shape.has_twins && !shape.has_null_character, "{body}");
    assert!(body.contains(&format!(",\"data\":{},\"delivery_id\":", event.data.get())), "{body}");
    let read: Value = serde_json::from_str(body).expect("what is sent is JSON");
    assert_eq!(read["event"], event.kind.as_str());
    assert_eq!(read["delivery_id"], delivery_id.to_string());
    assert_eq!(serde_json::from_str::<Value>(event.data.get()).ok(), Some(read["data"].clone()));

    let words = headline(&recorded, Some(&frontend));
    for (line, most) in [(&words.title, TITLE_CHARS_MAX), (&words.body, BODY_CHARS_MAX)] {
        assert!(line.chars().count() <= most && !line.chars().any(char::is_control), "{line:?}");
    }
    assert!(words.url.starts_with("https://app.deptex.example/"), "{}", words.url);
}
