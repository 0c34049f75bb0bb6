//! Plays a delivery against answers, and looks into its requests.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{CALLS_MAX, sample::Event, sample::Sample, ticket_as};
use crate::{
    event::{Notification, headline},
    ids::{ConnectionId, DeliveryId},
    provider::{
        AccountAccess, Call, Hosts, Outgoing, Provider, Reply, Step, Ticket, Verdict, Wish,
    },
    secret::Secret,
};

/// A delivery to be played.
#[derive(Clone)]
pub(super) struct Run<'a> {
    pub(super) provider: &'a Provider,
    pub(super) sample: &'a Sample,
    pub(super) event: &'a Event,
    pub(super) said: &'a Notification,
    pub(super) ticket: Option<&'a Ticket>,
    pub(super) is_open: bool,
    pub(super) wish: Wish,
    pub(super) attempt: i32,
    pub(super) unheard_for: Option<Duration>,
    pub(super) has_destination: bool,
}

/// A delivery that was played.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) calls: Vec<Call>,
    pub(super) replies: Vec<Reply>,
    pub(super) verdict: Verdict,
}

impl<'a> Run<'a> {
    /// The first delivery of an event; a resolved one finds the sample's ticket open.
    pub(super) fn new(
        provider: &'a Provider,
        sample: &'a Sample,
        event: &'a Event,
        said: &'a Notification,
    ) -> Self {
        let closes = event.recorded.kind == "vulnerability.resolved";
        Self {
            provider,
            sample,
            event,
            said,
            ticket: sample.ticket.as_ref().filter(|_| closes),
            is_open: true,
            wish: if closes { Wish::Close } else { Wish::Open },
            attempt: 1,
            unheard_for: None,
            has_destination: true,
        }
    }

    /// The next step after these answers; asked for twice, it is the same.
    pub(super) fn advance(&self, replies: &[Reply]) -> Step {
        let (first, second) = (self.advance_once(replies), self.advance_once(replies));
        let same = match (&first, &second) {
            (Step::Call(a), Step::Call(b)) => {
                (&a.method, &a.url, &a.headers, &a.body, a.creates)
                    == (&b.method, &b.url, &b.headers, &b.body, b.creates)
            }
            (Step::End(a), Step::End(b)) => a == b,
            _ => false,
        };
        assert!(same, "the same answers lead to {first:?} and to {second:?}");
        first
    }

    fn advance_once(&self, replies: &[Reply]) -> Step {
        let hosts = Hosts::of(self.provider, |_| None);
        let credential = Secret::new(self.sample.credential);
        let signing = [Secret::new(self.sample.credential)];
        let ticket = self.ticket.map(|ticket| ticket_as(ticket, self.is_open));
        let out = Outgoing {
            event: &self.event.recorded,
            notification: self.said,
            data: &self.event.data,
            delivery_id: DeliveryId(Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_000a)),
            attempt: self.attempt,
            replay: false,
            unheard_for: self.unheard_for,
            connection_id: ConnectionId(Uuid::from_u128(3)),
            account: AccountAccess {
                credential: &credential,
                metadata: &self.sample.metadata,
                installation_id: self.sample.installation_id,
                hosts: &hosts,
            },
            destination: self.sample.destination.as_ref().filter(|_| self.has_destination),
            ticket: ticket.as_ref(),
            wish: self.wish,
            signing: &signing,
            now: "2026-02-25T12:00:02Z".parse().expect("a time"),
        };
        (self.provider.advance)(&out, replies)
    }
}

impl Sample {
    /// The next step of a delivery at this attempt: a vulnerability was found, and the provider
    /// gave these answers so far.
    #[must_use]
    pub fn advance(&self, provider: &Provider, attempt: i32, replies: &[Reply]) -> Step {
        let event = Event::of_kind("vulnerability.found");
        let said = headline(&event.recorded, None);
        let mut run = Run::new(provider, self, &event, &said);
        run.attempt = attempt;
        run.advance(replies)
    }

    /// The first request for an event.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn call(&self, provider: &Provider, kind: &str, data: &Value) -> Call {
        let event = Event::of_kind(kind).with(data.clone());
        let said = headline(&event.recorded, None);
        match Run::new(provider, self, &event, &said).advance(&[]) {
            Step::Call(call) => call,
            Step::End(verdict) => panic!("{kind} ends with {verdict:?}"),
        }
    }

    /// Lends the account, for the provider's other functions.
    pub fn account<T>(&self, provider: &Provider, then: impl FnOnce(AccountAccess<'_>) -> T) -> T {
        let hosts = Hosts::of(provider, |_| None);
        let credential = Secret::new(self.credential);
        then(AccountAccess {
            credential: &credential,
            metadata: &self.metadata,
            installation_id: self.installation_id,
            hosts: &hosts,
        })
    }
}

/// Plays a delivery to its end, with good answers.
pub(super) fn exchange(run: &Run<'_>) -> Exchange {
    let (mut calls, mut replies) = (Vec::new(), Vec::new());
    loop {
        match run.advance(&replies) {
            Step::Call(call) => {
                replies.push((run.sample.answer)(&call));
                calls.push(call);
                assert!(calls.len() <= CALLS_MAX, "{}: does not end: {calls:?}", run.event.name);
            }
            Step::End(verdict) => return Exchange { calls, replies, verdict },
        }
    }
}

/// A request as people can look at it; secrets stay hidden.
pub(super) fn render(call: &Call) -> Value {
    let headers: Map<String, Value> = call
        .headers
        .iter()
        .map(|(name, value)| {
            let shown =
                if value.is_sensitive() { "(hidden)" } else { value.to_str().unwrap_or("?") };
            (name.to_string(), shown.into())
        })
        .collect();
    json!({
        "request": format!("{} {}", call.method, call.url),
        "headers": headers,
        "body": body(call),
    })
}

fn body(call: &Call) -> Value {
    serde_json::from_slice(&call.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&call.body).as_ref().into())
}

/// Every text of a body.
pub(super) fn texts(call: &Call) -> Vec<String> {
    let mut found = Vec::new();
    collect(&body(call), &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(entries) => entries.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The texts at a pattern such as `/blocks/*/text/text` or `/blocks/0/text/text`.
pub(super) fn fields_at(call: &Call, pattern: &str) -> Vec<String> {
    let body = body(call);
    let mut at = vec![&body];
    for step in pattern.split('/').skip(1) {
        at = at
            .into_iter()
            .flat_map(|value| match (value, step) {
                (Value::Array(items), "*") => items.iter().collect(),
                (Value::Object(entries), "*") => entries.values().collect(),
                (Value::Array(items), place) => {
                    place.parse().ok().and_then(|at: usize| items.get(at)).into_iter().collect()
                }
                (value, step) => value.get(step).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    at.into_iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
