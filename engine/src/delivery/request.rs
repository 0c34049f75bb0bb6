//! Builds what a custom webhook receives: the body once, then the headers that sign those bytes.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use url::Url;

use crate::{
    clock::Timestamp,
    event::{Notification, RecordedEvent, webhook_body_with},
    http::Request,
    ids::DeliveryId,
    secret::Secret,
    signing::{self, Scheme},
    trace::Traceparent,
};

/// A delivery cannot be turned into a request; trying again would not help.
#[derive(Debug, thiserror::Error)]
pub enum Unsendable {
    /// The stored URL is no URL.
    #[error("the connection has no usable webhook URL")]
    Url,
    /// There is nothing to sign with; nothing is ever sent unsigned.
    #[error("the connection has no signing secret")]
    Secret,
    /// A header would not be valid HTTP.
    #[error("a header value is not valid HTTP")]
    Header(#[from] InvalidHeaderValue),
}

/// What one request to a custom webhook is made of.
#[derive(Debug)]
pub struct Webhook<'a> {
    /// What happened.
    pub event: &'a RecordedEvent,
    /// The same in words.
    pub notification: &'a Notification,
    /// The duty; the receiver dedupes by it.
    pub delivery_id: DeliveryId,
    /// The number of this request, from 1.
    pub attempt: i32,
    /// Whether a person asked for it.
    pub replay: bool,
    /// The keys to sign with, the newest first.
    pub secrets: &'a [Secret],
    /// Where to.
    pub webhook_url: Option<&'a str>,
    /// The span that it is, for the receiver's own to go on from.
    pub traceparent: Option<&'a Traceparent>,
    /// The moment of this attempt.
    pub now: Timestamp,
}

/// One event as one signed request.
pub fn build(out: &Webhook<'_>) -> Result<Request, Unsendable> {
    let url = out.webhook_url.and_then(|url| Url::parse(url).ok()).ok_or(Unsendable::Url)?;
    let body = webhook_body_with(out.event, out.delivery_id, out.notification);
    let mut headers =
        signed_headers(out.secrets, &out.event.kind, out.delivery_id, out.attempt, out.now, &body)?;
    add_marks(&mut headers, out.replay, out.event.hops);
    if let Some(traceparent) = out.traceparent {
        headers.insert("traceparent", HeaderValue::from_str(traceparent.as_str())?);
    }
    Ok(Request { url, headers, body })
}

/// Says how the request came about.
pub(super) fn add_marks(headers: &mut HeaderMap, replay: bool, hops: i16) {
    if replay {
        headers.insert("x-deptex-replay", HeaderValue::from_static("true"));
    }
    // Whoever makes an event of our request passes this on; a loop ends at the third round.
    headers.insert("x-deptex-hops", HeaderValue::from(hops + 1));
}

/// The headers of the receivers' contract, signed over the very bytes of `body`.
pub fn signed_headers(
    secrets: &[Secret],
    kind: &str,
    delivery_id: DeliveryId,
    attempt: i32,
    now: Timestamp,
    body: &Bytes,
) -> Result<HeaderMap, Unsendable> {
    if secrets.is_empty() {
        return Err(Unsendable::Secret);
    }
    let timestamp = now.timestamp();
    // The documented header carries one HMAC, of the newest shared secret. Where the admin has chosen
    // a key pair, and no shared secret lives on beside it, there is nothing to make one with.
    let newest = secrets.iter().find(|secret| Scheme::of(secret) == Scheme::Hmac);
    let deptex = newest.map(|newest| signing::deptex_signature(newest, body));
    let id = delivery_id.to_string();
    let standard = signing::standard_signature(secrets, &id, timestamp, body);
    contract_headers(kind, delivery_id, attempt, timestamp, deptex.as_deref(), &standard)
}

/// The headers of the receivers' contract, with signatures that were made before.
pub(super) fn contract_headers(
    kind: &str,
    delivery_id: DeliveryId,
    attempt: i32,
    timestamp: i64,
    deptex_signature: Option<&str>,
    standard_signature: &str,
) -> Result<HeaderMap, Unsendable> {
    let id = delivery_id.to_string();
    let mut headers = HeaderMap::with_capacity(16);
    let mut put = |name: &'static str, value: &str| -> Result<(), Unsendable> {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value)?);
        Ok(())
    };
    put("content-type", "application/json")?;
    put("x-deptex-event", kind)?;
    put("x-deptex-delivery", &id)?;
    put("x-deptex-attempt", &attempt.to_string())?;
    put("webhook-id", &id)?;
    put("webhook-timestamp", &timestamp.to_string())?;
    if let Some(signature) = deptex_signature {
        put("x-deptex-signature", signature)?;
    }
    put("webhook-signature", standard_signature)?;
    Ok(headers)
}

/// Adds the headers that the customer wants; what we send ourselves stays as it is.
pub(crate) fn add_headers(headers: &mut HeaderMap, wanted: &HeaderMap) {
    for (name, value) in wanted {
        headers.entry(name).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_built_without_a_secret_to_sign_it() {
        let id = DeliveryId(uuid::Uuid::from_u128(1));
        let now = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        let body = Bytes::from_static(b"{}");
        let unsigned = signed_headers(&[], "test.ping", id, 1, now, &body);
        assert!(matches!(unsigned, Err(Unsendable::Secret)));
        let signed = signed_headers(&[Secret::new("whsec_AAAA")], "test.ping", id, 1, now, &body);
        let signed = signed.expect("it can be signed");
        for header in ["x-deptex-signature", "webhook-signature", "webhook-id"] {
            assert!(signed.contains_key(header), "{header}");
        }
    }

    /// B21: a key pair signs beside a shared secret that lives on, and then alone.
    #[test]
    fn b21_the_documented_header_is_the_newest_shared_secrets() {
        let id = DeliveryId(uuid::Uuid::from_u128(1));
        let now = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        let body = Bytes::from_static(b"{}");
        let shared = Secret::new("whsec_AAAA");
        let pair = Scheme::Ed25519.new_secret();
        let both = [pair.clone(), shared.clone()];
        let headers = |secrets: &[Secret]| {
            signed_headers(secrets, "a.b", id, 1, now, &body).expect("it can be signed")
        };
        let overlap = headers(&both);
        assert_eq!(overlap["x-deptex-signature"], signing::deptex_signature(&shared, &body));
        let signatures = overlap["webhook-signature"].to_str().expect("plain text");
        let (first, second) = signatures.split_once(' ').expect("two signatures");
        assert!(first.starts_with("v1a,") && second.starts_with("v1,"), "{signatures}");
        let alone = headers(&[pair]);
        assert!(!alone.contains_key("x-deptex-signature"));
        assert!(!alone["webhook-signature"].to_str().expect("plain text").contains(' '));
    }

    #[test]
    fn b23_what_a_customer_adds_replaces_nothing_of_ours() {
        let header = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let mut ours: HeaderMap = [header("webhook-id", "ours")].into_iter().collect();
        let theirs = [header("webhook-id", "theirs"), header("x-team", "a")].into_iter().collect();
        add_headers(&mut ours, &theirs);
        assert_eq!(
            (ours.len(), &ours["webhook-id"], &ours["x-team"]),
            (2, &"ours".parse().expect("plain"), &"a".parse().expect("plain"))
        );
    }
}
