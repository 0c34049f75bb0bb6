//! What is kept of an attempt for people who look at it, and the short form that it is stored in.
//! Nothing decides by it.
//!
//! Of a custom webhook's request only that is stored which cannot be told from the event, the delivery
//! and the attempt: see `read/attempts.rs`, which tells the rest.

use std::time::Duration;

use reqwest::{
    Method,
    header::{HeaderMap, HeaderName},
};
use serde::{Deserialize, Serialize};
use url::Url;

use super::masks::{Masks, is_telling};
use crate::{
    http::{MASKED, PROVIDER_USER_AGENT, Request, WireTiming, as_sent, title_case},
    signing,
};

/// How much of a request's body is kept, where it is.
const BODY_BYTES_MAX: usize = 8 * 1024;
/// How much of the headers of an answer.
const HEADERS_BYTES_MAX: usize = 2 * 1024;
/// How much of one value.
const VALUE_CHARS_MAX: usize = 500;

/// Names and values, in their order.
pub(super) type Headers = Vec<(String, String)>;

/// Where the time of an attempt went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From when it was due until the attempt began.
    pub queue: Duration,
    /// Waiting for its turn at the provider.
    pub pace: Duration,
    /// All requests of the attempt together.
    pub wire: WireTiming,
}

/// A request as it is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Sent {
    #[serde(rename = "u")]
    pub(super) url: String,
    /// What is kept of a custom webhook's; all else of it is told from elsewhere.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub(super) signed: Option<Signed>,
    #[serde(rename = "m", default, skip_serializing_if = "String::is_empty")]
    pub(super) method: String,
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) headers: Headers,
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    #[serde(rename = "c", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) is_cut: bool,
}

/// What only the moment of sending knew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// `webhook-timestamp`.
    #[serde(rename = "t")]
    pub(super) timestamp: i64,
    /// `x-deptex-signature`.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(super) deptex: Option<String>,
    /// `webhook-signature`.
    #[serde(rename = "v")]
    pub(super) standard: String,
    /// `traceparent`.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub(super) traceparent: Option<String>,
    /// How many bytes the body had.
    #[serde(rename = "n")]
    pub(super) body_bytes: usize,
    /// [`print_of`] the body: what is written anew is the same, or is not shown.
    #[serde(rename = "f")]
    pub(super) body_print: String,
    /// Names of the headers that the customer wanted.
    #[serde(rename = "h", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) own: Vec<String>,
}

impl Sent {
    /// A custom webhook's request. `own` are the customer's headers.
    pub(super) fn webhook(request: &Request, own: &HeaderMap) -> Self {
        let text = |name: &str| {
            let value = request.headers.get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        // A customer's own header may have this name too: of those the value is a secret.
        let is_theirs = own.get("traceparent") == request.headers.get("traceparent");
        let signed = Signed {
            timestamp: text("webhook-timestamp").and_then(|t| t.parse().ok()).unwrap_or_default(),
            deptex: text("x-deptex-signature"),
            standard: text("webhook-signature").unwrap_or_default(),
            traceparent: text("traceparent").filter(|_| !is_theirs),
            body_bytes: request.body.len(),
            body_print: print_of(&request.body),
            own: own.keys().map(|name| name.as_str().to_owned()).collect(),
        };
        // Its owner sees this address with the connection as well.
        let url = kept_url(&request.url, &Masks::default());
        Self { url, signed: Some(signed), ..Self::default() }
    }

    /// A provider's request.
    pub(super) fn call(
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &[u8],
        masks: &Masks<'_>,
    ) -> Self {
        let headers = as_sent(url, headers.clone(), PROVIDER_USER_AGENT, body.len());
        let masked = |(name, value): (String, String)| {
            let value = match is_telling(&name) {
                true => MASKED.to_owned(),
                false => masks.hide(value).into_owned(),
            };
            (name, value)
        };
        // More than is kept: a credential across the end of that is seen whole.
        let beginning = &body[..body.len().min(2 * BODY_BYTES_MAX)];
        let text = masks.hide_in_beginning(String::from_utf8_lossy(beginning));
        let text = text.replace('\0', "\u{fffd}");
        let kept = &text[..text.floor_char_boundary(BODY_BYTES_MAX)];
        Self {
            url: kept_url(url, masks),
            signed: None,
            method: method.to_string(),
            headers: headers.into_iter().map(masked).collect(),
            is_cut: kept.len() < text.len() || beginning.len() < body.len(),
            body: (!kept.is_empty()).then(|| kept.to_owned()),
        }
    }

    /// The same, with no more of the body than that there was one.
    pub(super) fn without_body(self) -> Self {
        Self { is_cut: self.is_cut || self.body.is_some(), body: None, ..self }
    }
}

/// The beginning of the SHA-256 of a body: that two are the same is then beyond doubt between versions
/// of our own.
pub(super) fn print_of(body: &[u8]) -> String {
    let mut print = signing::fingerprint(body);
    print.truncate(16);
    print
}

/// Credentials before the host are not to be seen, whoever put them there.
fn kept_url(url: &Url, masks: &Masks<'_>) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    masks.hide(url.as_str()).into_owned()
}

/// The headers of an answer as they are kept: as many as fit.
pub(super) fn kept_headers(headers: &HeaderMap, masks: &Masks<'_>) -> Headers {
    let mut room = HEADERS_BYTES_MAX;
    let shown = |name: &HeaderName, value: &[u8]| {
        let value = match is_telling(name.as_str()) {
            true => MASKED.to_owned(),
            false => masks.hide(String::from_utf8_lossy(value)).into_owned(),
        };
        match value.char_indices().nth(VALUE_CHARS_MAX) {
            Some((at, _)) => format!("{}…", &value[..at]),
            None => value,
        }
    };
    headers
        .iter()
        .map(|(name, value)| (title_case(name.as_str()), shown(name, value.as_bytes())))
        .take_while(|(name, value)| {
            let rest = room.checked_sub(name.len() + value.len());
            room = rest.unwrap_or(0);
            rest.is_some()
        })
        .collect()
}

/// All of it, as stored in `attempts.details`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Details {
    us: (u64, u64, Option<u64>, u64, u64, u64),
    #[serde(flatten)]
    pub(super) sent: Sent,
    #[serde(rename = "a", default, skip_serializing_if = "Vec::is_empty")]
    pub(super) answer: Headers,
}

impl Details {
    pub(super) fn new(timing: Timing, sent: Sent, answer: Headers) -> Self {
        let us = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let WireTiming { connect, send, wait, read } = timing.wire;
        let us = (us(timing.queue), us(timing.pace), connect.map(us), us(send), us(wait), us(read));
        Self { us, sent, answer }
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers can be written")
    }

    pub(super) fn timing(&self) -> Timing {
        let (queue, pace, connect, send, wait, read) = self.us;
        let span = Duration::from_micros;
        Timing {
            queue: span(queue),
            pace: span(pace),
            wire: WireTiming {
                connect: connect.map(span),
                send: span(send),
                wait: span(wait),
                read: span(read),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::secret::Secret;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        headers.iter().map(pair).collect()
    }

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    /// B22: no credential is kept, whatever carries it.
    #[test]
    fn what_a_provider_is_sent_is_kept_without_its_credential() {
        let credential = Secret::new("xoxb-s3cret");
        let masks = Masks::of_credential(&credential);
        let mut headers = map(&[("private-token", "other-s3cret"), ("x-note", "for xoxb-s3cret")]);
        let mut bearer = HeaderValue::from_static("Bearer xoxb-s3cret");
        bearer.set_sensitive(true);
        headers.insert("authorization", bearer);
        let body = format!(r#"{{"token":"xoxb-s3cret","text":"{}"}}"#, "é".repeat(BODY_BYTES_MAX));
        let at = url("https://ada:s3cret@api.example/x?token=xoxb-s3cret&page=1");
        let sent = Sent::call(&Method::POST, &at, &headers, body.as_bytes(), &masks);
        assert_eq!(sent.url, "https://api.example/x?token=•••&page=1");
        assert!(sent.is_cut && sent.body.as_ref().is_some_and(|b| b.len() <= BODY_BYTES_MAX));
        let answer = map(&[
            ("set-cookie", "id=s3cret"),
            ("x-echo", "Bearer xoxb-s3cret"),
            ("content-type", "text/plain"),
        ]);
        let details = Details::new(Timing::default(), sent, kept_headers(&answer, &masks));
        assert!(!details.to_json().contains("s3cret"), "{}", details.to_json());
        assert!(details.answer.contains(&("Content-Type".into(), "text/plain".into())));
        // Before, across and after the end of what is kept; and where what is looked at ends.
        for before in [BODY_BYTES_MAX - 30, BODY_BYTES_MAX - 5, 2 * BODY_BYTES_MAX - 7] {
            let body = format!("{}xoxb-s3cret{}", "x".repeat(before), "y".repeat(9));
            let sent = Sent::call(&Method::POST, &at, &HeaderMap::new(), body.as_bytes(), &masks);
            let kept = sent.body.expect("there was one");
            assert!(!kept.contains("xoxb") && kept.len() <= BODY_BYTES_MAX, "{before}");
            assert_eq!(sent.is_cut, before > BODY_BYTES_MAX - 30);
        }
        let many = "xoxb-s3cret".repeat(BODY_BYTES_MAX);
        let sent = Sent::call(&Method::POST, &at, &HeaderMap::new(), many.as_bytes(), &masks);
        let kept = sent.body.expect("there was one");
        assert!(sent.is_cut && kept.chars().all(|c| c == '•'), "{kept}");
        let empty = Sent::call(&Method::GET, &at, &HeaderMap::new(), b"", &masks);
        assert_eq!((&empty.body, empty.is_cut), (&None, false));
        assert!(!empty.without_body().is_cut);
        let short = Sent::call(&Method::POST, &at, &HeaderMap::new(), b"{}", &masks);
        assert_eq!((short.body.as_deref(), short.is_cut), (Some("{}"), false));
        let rest = short.without_body();
        assert_eq!((rest.body, rest.is_cut, rest.method.as_str()), (None, true, "POST"));
    }

    #[test]
    fn headers_of_an_answer_are_bounded() {
        let long: &'static str = "é".repeat(VALUE_CHARS_MAX + 1).leak();
        let value = HeaderValue::from_bytes(long.as_bytes()).expect("a value");
        let names = (0..100).map(|n| HeaderName::try_from(format!("x-{n}")).expect("a name"));
        let headers: HeaderMap = names.map(|name| (name, value.clone())).collect();
        let kept = kept_headers(&headers, &Masks::default());
        let bytes: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!((1..=HEADERS_BYTES_MAX).contains(&bytes), "{bytes}");
        assert!(kept.iter().all(|(_, value)| value.ends_with("é…")));
        assert_eq!(kept[0].1.chars().count(), VALUE_CHARS_MAX + 1);
    }

    /// What a delivery costs on disk: see decision 0032.
    #[test]
    fn the_usual_webhook_is_stored_in_few_bytes_and_read_back() {
        let headers = [
            ("webhook-timestamp", "1767268800"),
            (
                "x-deptex-signature",
                "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            ("webhook-signature", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ];
        let request = Request {
            url: url("https://hooks.example.com/deptex"),
            headers: map(&headers),
            body: bytes::Bytes::from_static(b"{}"),
        };
        let timing = Timing {
            queue: Duration::from_micros(12_345),
            pace: Duration::ZERO,
            wire: WireTiming {
                connect: None,
                send: Duration::from_micros(20),
                wait: Duration::from_micros(45_678),
                read: Duration::from_micros(90),
            },
        };
        let answer = map(&[("content-length", "2"), ("date", "Thu, 01 Jan 2026 12:00:00 GMT")]);
        let sent = Sent::webhook(&request, &map(&[("x-team", "s3cret")]));
        let signed = sent.signed.clone();
        let details = Details::new(timing, sent, kept_headers(&answer, &Masks::default()));
        let stored = details.to_json();
        assert!(stored.len() < 360, "{} bytes: {stored}", stored.len());
        assert!(!stored.contains("s3cret"), "{stored}");
        let read: Details = serde_json::from_str(&stored).expect("it is read back");
        assert_eq!(read.timing(), timing);
        assert_eq!(read.sent.signed, signed);
        assert_eq!(signed.expect("signed").own, ["x-team"]);
        assert_eq!(read.answer[1].1, "Thu, 01 Jan 2026 12:00:00 GMT");
    }
}
