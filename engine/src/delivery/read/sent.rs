//! Shows a request as it was sent. Of a custom webhook's, most is written anew by the very functions
//! that wrote it first; the rest was kept.

use bytes::Bytes;
use reqwest::header::{HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::super::{
    details::{Sent, Signed, print_of},
    request::{add_marks, contract_headers},
};
use crate::{
    event::{RecordedEvent, webhook_body},
    http::{USER_AGENT, as_sent},
    ids::DeliveryId,
};

/// A request as it was sent.
#[derive(Clone, Debug, Serialize)]
pub struct RequestView {
    /// `POST`, or another.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Names and values, without credentials.
    pub headers: Vec<(String, String)>,
    /// The body, or its beginning. `None` where it was empty, where it cannot be shown as it was, and
    /// where those of newer attempts leave no room for it.
    pub body: Option<String>,
    /// Whether more was sent than is shown.
    pub body_is_truncated: bool,
}

/// What is known of an attempt besides what was kept of it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) delivery_id: DeliveryId,
    pub(super) attempt: i32,
    pub(super) replay: bool,
    /// `None` once it is no longer kept.
    pub(super) written: Option<&'a Written<'a>>,
}

/// An event, and what a custom webhook would be sent of it today.
#[derive(Debug)]
pub(super) struct Written<'a> {
    event: &'a RecordedEvent,
    body: Bytes,
    /// [`print_of`] the body.
    print: String,
}

impl<'a> Written<'a> {
    pub(super) fn new(
        event: &'a RecordedEvent,
        delivery_id: DeliveryId,
        frontend_url: Option<&Url>,
    ) -> Self {
        let body = webhook_body(event, delivery_id, frontend_url);
        Self { event, print: print_of(&body), body }
    }
}

impl RequestView {
    /// The same, without its body where there is no room for that; it takes up what it needs.
    pub(super) fn fitting(self, room: &mut usize) -> Self {
        match room.checked_sub(self.body.as_ref().map_or(0, String::len)) {
            Some(rest) => {
                *room = rest;
                self
            }
            None => Self { body: None, body_is_truncated: true, ..self },
        }
    }
}

/// The request of an attempt. `None` where what was kept makes none.
pub(super) fn shown(sent: Sent, seen: &Seen<'_>) -> Option<RequestView> {
    let Sent { url, signed, method, headers, body, is_cut } = sent;
    match signed {
        Some(signed) => webhook(url, &signed, seen),
        None => Some(RequestView { method, url, headers, body, body_is_truncated: is_cut }),
    }
}

fn webhook(url: String, signed: &Signed, seen: &Seen<'_>) -> Option<RequestView> {
    let event = seen.written.map(|written| written.event);
    let kind = event.map_or("unknown", |event| event.kind.as_str());
    let (deptex, standard) = (signed.deptex.as_deref(), &signed.standard);
    let (id, attempt, timestamp) = (seen.delivery_id, seen.attempt, signed.timestamp);
    let mut headers = contract_headers(kind, id, attempt, timestamp, deptex, standard).ok()?;
    match event {
        Some(event) => add_marks(&mut headers, seen.replay, event.hops),
        // What only the event knew is left out.
        None => {
            add_marks(&mut headers, seen.replay, 0);
            headers.remove("x-deptex-event");
            headers.remove("x-deptex-hops");
        }
    }
    let traceparent = signed.traceparent.as_deref();
    if let Some(value) = traceparent.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert("traceparent", value);
    }
    let mut hidden = HeaderValue::from_static("hidden");
    hidden.set_sensitive(true);
    for name in signed.own.iter().filter_map(|name| HeaderName::try_from(name).ok()) {
        headers.entry(name).or_insert_with(|| hidden.clone());
    }
    let body = seen.written.filter(|written| written.print == signed.body_print);
    Some(RequestView {
        method: "POST".to_owned(),
        headers: as_sent(&Url::parse(&url).ok()?, headers, USER_AGENT, signed.body_bytes),
        url,
        body: body.and_then(|written| str::from_utf8(&written.body).ok()).map(str::to_owned),
        body_is_truncated: false,
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::{
        delivery::request::{self, Webhook, add_headers},
        event::headline,
        secret::Secret,
        signing,
        trace::Traceparent,
    };

    const SECRET: &str = "whsec_AAAA";

    fn found(data: &'static str) -> RecordedEvent {
        let id = uuid::Uuid::from_u128(1);
        RecordedEvent {
            id: id.into(),
            organization_id: id.into(),
            kind: "vulnerability.found".into(),
            payload: Bytes::from_static(data.as_bytes()),
            project_id: Some(id.into()),
            team_id: None,
            subject: None,
            priority: "normal".into(),
            source: None,
            occurred_at: "2026-02-25T11:59:59.120Z".parse().expect("a timestamp"),
            hops: 1,
            traceparent: Traceparent::parse(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
        }
    }

    /// What is kept of a webhook's request, and every header that goes out with it.
    fn sent(event: &RecordedEvent, seen: &Seen<'_>) -> (Sent, Vec<(String, String)>) {
        let own: HeaderMap = ["x-team", "traceparent"]
            .map(|name| {
                let mut value = HeaderValue::from_static("s3cret");
                value.set_sensitive(true);
                (HeaderName::from_static(name), value)
            })
            .into_iter()
            .collect();
        let mut request = request::build(&Webhook {
            event,
            notification: &headline(event, None),
            delivery_id: seen.delivery_id,
            attempt: seen.attempt,
            replay: seen.replay,
            secrets: &[Secret::new(SECRET), Secret::new("whsec_BBBB")],
            webhook_url: Some("https://hook.example:8443/in?a=b"),
            traceparent: event.traceparent.as_ref(),
            now: "2026-02-25T12:00:00Z".parse().expect("a timestamp"),
        })
        .expect("it can be sent");
        add_headers(&mut request.headers, &own);
        let kept = Sent::webhook(&request, &own);
        let length = request.body.len();
        (kept, as_sent(&request.url, request.headers, USER_AGENT, length))
    }

    const DELIVERY: DeliveryId = DeliveryId(uuid::Uuid::from_u128(7));

    fn seen<'a>(written: Option<&'a Written<'a>>, replay: bool) -> Seen<'a> {
        Seen { delivery_id: DELIVERY, attempt: 3, replay, written }
    }

    #[test]
    fn a_webhooks_request_is_told_exactly_from_little() {
        let traced = found(r#"{ "severity" : "high" ,"x":1.50}"#);
        let untraced = RecordedEvent { traceparent: None, ..traced.clone() };
        for (event, replay) in [(&traced, false), (&traced, true), (&untraced, false)] {
            let written = Written::new(event, DELIVERY, None);
            let seen = seen(Some(&written), replay);
            let (kept, headers) = sent(event, &seen);
            let stored = serde_json::to_string(&kept).expect("it can be written");
            assert!(!stored.contains("s3cret") && stored.len() < 480, "{stored}");
            let kept = serde_json::from_str(&stored).expect("it is read back");
            let view = shown(kept, &seen).expect("a request");
            assert_eq!(view.headers, headers);
            assert_eq!((view.method.as_str(), view.body_is_truncated), ("POST", false));
            assert_eq!(view.url, "https://hook.example:8443/in?a=b");
            let body = view.body.expect("it is the same");
            let signature = signing::deptex_signature(&Secret::new(SECRET), body.as_bytes());
            assert!(view.headers.contains(&("X-Deptex-Signature".into(), signature)));
        }
    }

    /// B40c: what would be written in other words today is not shown as if it had been sent.
    #[test]
    fn b40_a_body_that_was_another_is_not_shown() {
        let event = found(r#"{"severity":"high"}"#);
        let (kept, headers) = sent(&event, &seen(None, false));
        let moved = Url::parse("https://elsewhere.example").expect("a URL");
        let today = Written::new(&event, DELIVERY, Some(&moved));
        let view = shown(kept.clone(), &seen(Some(&today), false)).expect("a request");
        assert_eq!((view.body, view.headers), (None, headers.clone()), "the head is what it was");
        let view = shown(kept, &seen(None, false)).expect("a request");
        assert_eq!(view.body, None);
        let missing =
            |(name, _): &(String, String)| !view.headers.iter().any(|(shown, _)| shown == name);
        let missing: Vec<_> = headers.iter().filter(|one| missing(one)).map(|(n, _)| n).collect();
        assert_eq!(missing, ["X-Deptex-Event", "X-Deptex-Hops"]);
    }

    #[test]
    fn a_body_without_room_is_left_out_and_said_to_be() {
        let view = |body: Option<&str>| RequestView {
            method: "POST".into(),
            url: "https://hook.example/".into(),
            headers: Vec::new(),
            body: body.map(str::to_owned),
            body_is_truncated: false,
        };
        let mut room = 5;
        let mut fitted = |body| {
            let view = view(body).fitting(&mut room);
            (view.body, view.body_is_truncated)
        };
        assert_eq!(fitted(Some("abc")), (Some("abc".into()), false));
        assert_eq!(fitted(Some("def")), (None, true));
        assert_eq!(fitted(Some("gh")), (Some("gh".into()), false));
        assert_eq!(fitted(None), (None, false));
    }
}
