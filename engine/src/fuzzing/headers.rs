//! Headers that customers set, and those that bring a trace: a head that holds what was taken has the same
//! lines for whoever reads it, and a refusal tells nothing of a value.
//!
//! The input has a header on each line, `Name: value`, or a name alone to remove one; an empty line ends a
//! change. `\n` in it stands for a line's end in a name or a value.

use std::{collections::BTreeMap, sync::LazyLock};

use uuid::Uuid;

use super::text;
use crate::{
    connection::{HeaderChanges, headers::CustomHeaders},
    secret::{KeyRing, Place, Purpose, Secret},
    trace::Traceparent,
};

const HEADERS_MAX: usize = 30;
const BYTES_MAX: usize = 8 * 1024;
/// Names that frame a request, or are ours to say.
const FRAMING: [&str; 11] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
const OURS: [&str; 3] = ["proxy-", "webhook-", "x-deptex-"];

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into();
    KeyRing::new(&key, []).expect("a good key")
});

pub(super) fn check(data: &[u8]) {
    let Some(text) = text(data) else { return };
    text.lines().for_each(check_traceparent);
    let mut headers = CustomHeaders::default();
    for change in text.split("\n\n") {
        let wanted = changes(change);
        match headers.changed(&wanted) {
            Ok(after) => {
                let after = after.unwrap_or_else(|| headers.clone());
                let again = after.changed(&wanted).expect("what was taken is taken again");
                assert!(again.is_none(), "the second time it changes nothing");
                check_taken(&after);
                headers = after;
            }
            Err(refused) => {
                let of_others = headers.changed(&with_other_values(&wanted));
                let of_others = of_others.expect_err("values of the same shape");
                assert_eq!(refused.to_string(), of_others.to_string(), "it tells of a value");
            }
        }
    }
    let id = Uuid::from_u128(1);
    let place =
        Place { organization_id: id.into(), connection_id: id.into(), purpose: Purpose::Headers };
    let sealed = KEYS.seal(&headers.to_secret(), &place);
    let opened = CustomHeaders::open(&KEYS, &place, Some(&sealed)).expect("it was just sealed");
    assert_eq!(opened.to_secret().reveal(), headers.to_secret().reveal());
}

fn changes(text: &str) -> HeaderChanges {
    let unescaped = |text: &str| text.replace("\\n", "\n");
    let change = |line: &str| match line.split_once(": ") {
        Some((name, value)) => (unescaped(name), Some(Secret::new(unescaped(value)))),
        None => (unescaped(line), None),
    };
    text.split('\n').filter(|line| !line.is_empty()).map(change).collect()
}

/// Values as long and as good as these, each visible letter replaced by the next one.
fn with_other_values(wanted: &HeaderChanges) -> HeaderChanges {
    let next = |c: char| match c {
        '!'..='}' => char::from_u32(c as u32 + 1).unwrap_or(c),
        '~' => '!',
        other => other,
    };
    let other = |value: &Secret| Secret::new(value.reveal().chars().map(next).collect::<String>());
    wanted.iter().map(|(name, value)| (name.clone(), value.as_ref().map(other))).collect()
}

fn check_taken(headers: &CustomHeaders) {
    let stored = headers.to_secret();
    let stored: BTreeMap<String, String> =
        serde_json::from_str(stored.reveal()).expect("it is a JSON object of texts");
    let bytes: usize = stored.iter().map(|(name, value)| name.len() + value.len()).sum();
    assert!(stored.len() <= HEADERS_MAX && bytes <= BYTES_MAX, "{} {bytes}", stored.len());
    assert_eq!(stored.len(), headers.names().len());

    let sent = headers.to_map();
    assert_eq!(sent.len(), stored.len(), "every one of them is sent");
    assert!(sent.values().all(reqwest::header::HeaderValue::is_sensitive));

    let mut head = String::from("POST / HTTP/1.1\r\n");
    for (name, value) in &stored {
        let folded = name.to_lowercase().replace(['_', '.'], "-");
        assert!(!FRAMING.contains(&folded.as_str()), "{name}");
        assert!(!OURS.iter().any(|ours| folded.starts_with(ours)), "{name}");
        assert_eq!(sent.get(name).and_then(|sent| sent.to_str().ok()), Some(value.as_str()));
        head.extend([name.as_str(), ": ", value, "\r\n"]);
    }
    // Read by somebody who takes every sign for the end of a line that anybody does.
    let is_end = |c: char| c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines: Vec<&str> = head.split(is_end).filter(|line| !line.is_empty()).collect();
    let read: BTreeMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    assert_eq!(read, stored);
}

fn check_traceparent(line: &str) {
    let Some(read) = Traceparent::parse(line) else { return };
    assert_eq!(read.as_str(), line);
    let (trace, span) = (read.trace_id(), read.span_id());
    assert_eq!(line, format!("00-{trace}-{span}-{}", &line[53..]));
    let number = |hex: &str| u128::from_str_radix(hex, 16).expect("hexadecimal digits");
    assert!(number(trace) > 0 && number(span) > 0);
    assert_eq!(read.is_sampled(), number(&line[53..]) & 1 == 1);
}
