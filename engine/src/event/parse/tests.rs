//! Tests of what callers may send, and of what they are told when they may not.

use proptest::prelude::*;

use super::*;
use crate::event::CODES;

const ORGANIZATION: &str = "00000000-0000-4000-8000-000000000001";

fn one(text: &str) -> Result<NewEvent, EventRefused> {
    match parse_body(text.as_bytes(), 0)? {
        ParsedBody::One(event) => Ok(event),
        ParsedBody::Many(_) => panic!("one event was sent"),
    }
}

fn many(text: &str) -> Vec<Result<NewEvent, EventRefused>> {
    match parse_body(text.as_bytes(), 0).expect("a batch") {
        ParsedBody::Many(events) => events,
        ParsedBody::One(_) => panic!("a batch was sent"),
    }
}

/// A whole event with one more field, or with one of its own replaced.
fn with(field: &str) -> String {
    let name = field.split_once(':').map_or(field, |(name, _)| name);
    let own = [
        r#""type":"vulnerability.found""#.to_owned(),
        format!(r#""organization_id":"{ORGANIZATION}""#),
        r#""data":{}"#.to_owned(),
    ];
    let kept = own.into_iter().filter(|own| !own.starts_with(name));
    format!("{{{}}}", kept.chain([field.to_owned()]).collect::<Vec<_>>().join(","))
}

#[test]
fn an_event_is_read_with_all_its_fields_and_its_data_byte_for_byte() {
    let text = r#" {"data": { "b":1.50, "a" : "\u00e9\/", "n":12345678901234567890123 }, "type":"vulnerability.found",
        "organization_id":"00000000-0000-4000-8000-00000000000A", "project_id":"00000000-0000-4000-8000-000000000002",
        "team_id":"00000000-0000-4000-8000-000000000003", "occurred_at":"2026-02-25T13:00:00.5+01:00",
        "source":"scanner", "priority":"critical", "subject":"CVE-1 in é", "idempotency_key":"k"} "#;
    let ParsedBody::One(event) = parse_body(text.as_bytes(), 2).expect("an event") else {
        panic!("one event");
    };
    assert_eq!(event.data.get(), r#"{ "b":1.50, "a" : "\u00e9\/", "n":12345678901234567890123 }"#);
    assert_eq!(event.kind.as_str(), "vulnerability.found");
    assert_eq!(event.organization_id.to_string(), "00000000-0000-4000-8000-00000000000a");
    assert_eq!(event.occurred_at.expect("given").to_rfc3339(), "2026-02-25T12:00:00.500+00:00");
    assert_eq!(event.priority, Priority::Critical);
    assert_eq!(
        (event.source.as_deref(), event.subject.as_deref()),
        (Some("scanner"), Some("CVE-1 in é"))
    );
    assert_eq!((event.idempotency_key.as_deref(), event.hops), (Some("k"), 2));
    assert!(event.project_id.is_some() && event.team_id.is_some());
}

#[test]
fn what_may_be_missing_may_also_be_null() {
    let event = one(&with(
        r#""project_id":null,"team_id":null,"occurred_at":null,"source":null,"priority":null,"subject":null,"idempotency_key":null"#,
    ))
    .expect("an event");
    assert_eq!(event.priority, Priority::Normal);
    assert!(event.project_id.is_none() && event.occurred_at.is_none() && event.source.is_none());
}

#[test]
fn an_older_name_becomes_its_kind() {
    let event = one(&with(r#""type":"malicious_package_detected""#)).expect("an event");
    assert_eq!(event.kind.as_str(), "malicious.package_detected");
}

#[test]
fn i39_every_refusal_names_its_field() {
    let long = |count: usize| "x".repeat(count);
    for (field, code, begins) in [
        (r#""id":"x.\ny""#.to_owned(), "unknown_field", "id cannot be given"),
        (
            r#""kind":"a.b""#.to_owned(),
            "unknown_field",
            "There is no field \"kind\"; an event has: type,",
        ),
        (r#""type":"vulnerability.*""#.to_owned(), "invalid_field", "type must be a dotted name"),
        (r#""type":"vulnerability""#.to_owned(), "invalid_field", "type must be a dotted name"),
        (
            r#""type":"Vulnerability.Found""#.to_owned(),
            "invalid_field",
            "type must be a dotted name",
        ),
        (r#""type":"a..b""#.to_owned(), "invalid_field", "type must be a dotted name"),
        (r#""type":"a.b\n""#.to_owned(), "invalid_field", "type must be a dotted name"),
        (r#""type":"é.b""#.to_owned(), "invalid_field", "type must be a dotted name"),
        (
            format!("\"type\":\"a{}\"", ".a".repeat(299)),
            "invalid_field",
            "type must be a dotted name",
        ),
        (
            format!("\"type\":\"a{}\"", ".a".repeat(8)),
            "invalid_field",
            "type must be a dotted name",
        ),
        (format!("\"type\":\"a.{}\"", long(127)), "invalid_field", "type must be a dotted name"),
        (r#""type":7"#.to_owned(), "invalid_type", "type must be a string, not a number"),
        (r#""type":null"#.to_owned(), "missing_field", "type is missing"),
        (r#""organization_id":"7""#.to_owned(), "invalid_field", "organization_id must be a UUID"),
        (
            r#""organization_id":"00000000000040008000000000000001""#.to_owned(),
            "invalid_field",
            "organization_id must be",
        ),
        (r#""organization_id":null"#.to_owned(), "missing_field", "organization_id is missing"),
        (r#""project_id":"""#.to_owned(), "invalid_field", "project_id must be a UUID, not \"\""),
        (r#""team_id":[]"#.to_owned(), "invalid_type", "team_id must be a string, not an array"),
        (r#""data":[]"#.to_owned(), "data_not_object", "data must be a JSON object, not an array"),
        (r#""data":null"#.to_owned(), "data_not_object", "data must be a JSON object, not null"),
        (
            r#""data":"{}""#.to_owned(),
            "data_not_object",
            "data must be a JSON object, not a string",
        ),
        (
            r#""priority":"urgent""#.to_owned(),
            "invalid_field",
            "priority must be critical, high, normal or low, not \"urgent\"",
        ),
        (
            r#""occurred_at":"yesterday""#.to_owned(),
            "invalid_field",
            "occurred_at must be an RFC 3339 time",
        ),
        (r#""occurred_at":1750000000"#.to_owned(), "invalid_type", "occurred_at must be a string"),
        (
            r#""occurred_at":"0000-01-01T00:00:00+14:00""#.to_owned(),
            "invalid_field",
            "occurred_at must be",
        ),
        (
            r#""source":"a\u001bb""#.to_owned(),
            "invalid_field",
            "source must not hold control characters: \"a\\u{1b}b\"",
        ),
        (
            format!("\"source\":\"{}\"", long(129)),
            "invalid_field",
            "source must have at most 128 bytes, not 129",
        ),
        (
            format!("\"subject\":\"{}\"", long(513)),
            "invalid_field",
            "subject must have at most 512 bytes",
        ),
        (r#""subject":"a\nb""#.to_owned(), "invalid_field", "subject must not hold control"),
        (
            r#""idempotency_key":"""#.to_owned(),
            "invalid_field",
            "idempotency_key must have 1 to 256 bytes, not 0",
        ),
        (
            format!("\"idempotency_key\":\"{}\"", long(257)),
            "invalid_field",
            "idempotency_key must have 1 to",
        ),
        (
            r#""idempotency_key":"a\u0085""#.to_owned(),
            "invalid_field",
            "idempotency_key must not hold control",
        ),
    ] {
        let refused = one(&with(&field)).expect_err(&field);
        assert_eq!((refused.class, refused.code), (RefusedClass::Invalid, code), "{field}");
        assert!(refused.message.starts_with(begins), "{field}: {}", refused.message);
    }
    for (text, missing) in [
        (format!(r#"{{"organization_id":"{ORGANIZATION}","data":{{}}}}"#), "type is missing"),
        (r#"{"type":"a.b","data":{}}"#.to_owned(), "organization_id is missing"),
        (format!(r#"{{"type":"a.b","organization_id":"{ORGANIZATION}"}}"#), "data is missing"),
    ] {
        let refused = one(&text).expect_err(missing);
        assert_eq!((refused.code, refused.message.as_str()), ("missing_field", missing));
    }
}

#[test]
fn the_longest_that_is_allowed_is_taken() {
    for field in [
        format!("\"type\":\"a.{}\"", "x".repeat(126)),
        format!("\"type\":\"a{}\"", ".a".repeat(7)),
        format!("\"source\":\"{}\"", "x".repeat(128)),
        format!("\"subject\":\"{}\"", "x".repeat(512)),
        format!("\"idempotency_key\":\"{}\"", "x".repeat(256)),
    ] {
        assert!(one(&with(&field)).is_ok(), "{field}");
    }
}

#[test]
fn data_of_256_kib_is_taken_and_one_byte_more_is_not() {
    let filled = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
    let event = one(&with(&format!("\"data\":{}", filled(DATA_BYTES_MAX)))).expect("the limit");
    assert_eq!(event.data.get().len(), DATA_BYTES_MAX);
    let refused =
        one(&with(&format!("\"data\":{}", filled(DATA_BYTES_MAX + 1)))).expect_err("more");
    assert_eq!((refused.class, refused.code), (RefusedClass::TooLarge, "event_too_large"));
    assert!(refused.message.contains("262144 (256 KiB)"), "{}", refused.message);
}

#[test]
fn i37_a_body_that_is_not_strict_json_is_refused_whole_with_its_place() {
    let good = with("\"source\":\"x\"");
    for (text, code, place) in [
        (format!("[{good},\n {{\"type\":}}]"), "malformed_json", "(line 2, column 10)"),
        (format!("[{good},\n {{\"data\":{{\"a\":1,\"a\":1}}}}]"), "duplicate_key", "(line 2, "),
        (format!("[{good},\n {{\"data\":{{\"a\":1e999}}}}]"), "number_out_of_range", "(line 2, "),
        (with("\"data\":{\"a\":\"\\ud800\"}"), "lone_surrogate", "(line 1, "),
        (with("\"source\":\"x\",\"source\":\"y\""), "duplicate_key", "(line 1, "),
        (String::new(), "malformed_json", "(line 1, column 0)"),
    ] {
        let refused = parse_body(text.as_bytes(), 0).expect_err(&text);
        assert_eq!((refused.class, refused.code), (RefusedClass::Malformed, code), "{text}");
        assert!(refused.message.contains(place), "{text}: {}", refused.message);
    }
}

#[test]
fn a_bad_event_leaves_its_siblings_alone() {
    let good = with("\"source\":\"x\"");
    let bad = with("\"priority\":\"urgent\"");
    let events = many(&format!("[{good}, {bad}, 7, {good}]"));
    let codes: Vec<_> = events.iter().map(|event| event.as_ref().err().map(|e| e.code)).collect();
    assert_eq!(codes, [None, Some("invalid_field"), Some("invalid_type"), None]);
}

#[test]
fn a_batch_holds_one_to_a_thousand_events() {
    let batch = |count: usize| format!("[{}]", vec![with("\"source\":\"x\""); count].join(","));
    assert_eq!(many(&batch(EVENTS_MAX)).len(), EVENTS_MAX);
    let refused = parse_body(batch(EVENTS_MAX + 1).as_bytes(), 0).expect_err("too many");
    assert_eq!((refused.class, refused.code), (RefusedClass::TooLarge, "batch_too_large"));
    let refused = parse_body(b"[]", 0).expect_err("none");
    assert_eq!((refused.class, refused.code), (RefusedClass::Invalid, "batch_empty"));
    for text in ["7", "\"x\"", "null", "true"] {
        let refused = parse_body(text.as_bytes(), 0).expect_err(text);
        assert_eq!((refused.class, refused.code), (RefusedClass::Invalid, "invalid_type"));
    }
}

proptest! {
    #[test]
    fn every_refusal_has_a_listed_code(field in r#""(type|data|source|id|priority|team_id)":("[a-z.*\\\\n]{0,9}"|7|\{\}|\[\{\}\]|nul?l)"#) {
        if let Err(refused) = parse_body(with(&field).as_bytes(), 0) {
            prop_assert!(CODES.iter().any(|(code, _)| *code == refused.code), "{}", refused.code);
            prop_assert!(!refused.message.is_empty());
        }
    }
}
