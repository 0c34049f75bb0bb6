//! Tests of what tickets say and of the marks by which they are found.

use serde_json::json;

use super::{fixture::Case, *};
use crate::provider::{Destination, Ticket, linear::LINEAR};

fn case(kind: &'static str, data: serde_json::Value) -> Case {
    let settings = serde_json::Value::Null;
    let team = Destination { id: "team".into(), name: "SEC".into(), settings };
    Case { data, ..Case::new(&LINEAR, "org", json!({}), team).of(kind) }
}

#[test]
fn a_title_begins_with_the_severity() {
    let found = json!({"vulnerability_id":"CVE-1","severity":"high","package":"lodash"});
    for (kind, data, title) in [
        ("vulnerability.found", found.clone(), "High vulnerability CVE-1 in lodash"),
        ("vulnerability.resolved", found, "Resolved: vulnerability CVE-1 in lodash"),
        (
            "malicious.package_detected",
            json!({"package":"evil"}),
            "Critical: Malicious package detected: evil",
        ),
        ("test.ping", json!({}), "Hello from Deptex"),
    ] {
        let words = case(kind, data).lend(|out| Words::of(out, News::Opened));
        assert_eq!(words.title, title);
    }
}

#[test]
fn a_title_fits_and_shows_that_it_was_cut() {
    let data = json!({ "package": "x".repeat(400) });
    let words = case("malicious.package_detected", data).lend(|out| Words::of(out, News::Opened));
    assert_eq!(words.title.encode_utf16().count(), 255);
    assert!(words.title.ends_with(CUT), "{}", words.title);
}

#[test]
fn a_ticket_in_the_place_of_a_removed_one_has_another_mark() {
    let data = json!({"vulnerability_id":"CVE-1","package":"lodash","project":"shop"});
    let first = case("vulnerability.found", data);
    let mark = first.lend(ticket_mark);
    assert_eq!(mark, first.lend(|out| out.mark()));
    let removed = Ticket { external_id: "7".into(), external_key: None, url: None, is_open: true };
    let second = first.with(&removed, true);
    assert_ne!(mark, second.lend(ticket_mark));
    assert_eq!(second.lend(ticket_mark), second.lend(ticket_mark));
}

#[test]
fn an_id_of_ours_looks_like_a_random_one_and_stays_the_same() {
    let id = Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_00aa);
    let looks = as_v4(id);
    assert_eq!(looks.get_version(), Some(uuid::Version::Random));
    assert_eq!(looks.get_variant(), uuid::Variant::RFC4122);
    assert_eq!(looks, as_v4(id));
    assert_ne!(looks, as_v4(Uuid::from_u128(1)));
}
