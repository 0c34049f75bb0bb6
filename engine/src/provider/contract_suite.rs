//! What every provider must hold to, as one call: [`check`]. Each provider's tests make it, and so
//! can another crate that brings a provider of its own (feature `contract-suite`).

mod hostile;
mod run;
mod sample;

use std::time::Duration;

use serde_json::{Value, json};

pub use self::sample::{Markup, Sample, reply, reply_with};
use self::{
    hostile::{MARKED, data_of, long_data_of, longest},
    run::{Exchange, exchange, fields_at, texts},
};
use super::{Category, Connect, Provider, Step, Ticket, Verdict, Wish};
use crate::event::{CATALOGUE, Notification, Severity, headline};

/// The receiver of a 429 asks for so much patience.
const ASKED: Duration = Duration::from_secs(7);
/// An earlier attempt was made so long ago that every look-up would find what it made.
const LONG_AGO: Duration = Duration::from_secs(60 * 60);
/// How many calls one delivery may need.
const CALLS_MAX: usize = 8;

/// Checks a provider with every kind of event that Deptex reports, and gives the requests that it
/// makes for them, for people to look at.
///
/// # Panics
/// When the provider breaks a rule.
pub fn check(provider: &Provider, sample: &Sample) -> Value {
    addresses_are_secure(provider);
    let mut rendered = Vec::new();
    for event in sample::events(sample) {
        let exchange = a_delivery(provider, sample, &event, |_, _| {});
        rendered.push(json!({
            "event": event.name,
            "calls": exchange.calls.iter().map(run::render).collect::<Vec<_>>(),
        }));
        for state in [None, Some(true), Some(false)].into_iter().filter(|_| sample.ticket.is_some())
        {
            for unheard_for in [None, Some(LONG_AGO)] {
                a_delivery(provider, sample, &event, |run, sample| {
                    run.ticket = state.and(sample.ticket.as_ref());
                    run.is_open = state.unwrap_or_default();
                    run.unheard_for = unheard_for;
                    run.attempt = if unheard_for.is_some() { 3 } else { 1 };
                });
            }
        }
    }
    hostile_texts_stay_texts(provider, sample);
    long_texts_are_cut(provider, sample);
    let rendered = Value::from(rendered);
    #[cfg(test)]
    if super::find(provider.id).is_some() {
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_json_snapshot!(sample.name.unwrap_or(provider.id), rendered);
        });
    }
    rendered
}

fn addresses_are_secure(provider: &Provider) {
    for host in provider.hosts {
        assert!(host.url.starts_with("https://"), "{} is not reached by HTTPS", host.url);
        assert!(!host.url.ends_with('/'), "{} ends with a slash", host.url);
    }
}

/// One delivery that goes well, and everything that may be wrong with it.
fn a_delivery(
    provider: &Provider,
    sample: &Sample,
    event: &sample::Event,
    change: impl for<'a> Fn(&mut run::Run<'a>, &'a Sample),
) -> Exchange {
    let said = headline(&event.recorded, None);
    let mut run = run::Run::new(provider, sample, event, &said);
    change(&mut run, sample);
    let exchange = exchange(&run);
    let name = &event.name;
    match (&exchange.verdict, provider.category) {
        (Verdict::Delivered(_), _) => {}
        (Verdict::NothingToDo(_), Category::Ticketing | Category::CiCd) => {}
        (verdict, _) => panic!("{name} ended with {verdict:?}, though every answer was good"),
    }
    assert!(exchange.calls.len() <= CALLS_MAX, "{name}: {} calls", exchange.calls.len());
    for call in &exchange.calls {
        is_safe(provider, sample, call);
    }
    let makes = matches!(exchange.verdict, Verdict::Delivered(_)) && run.ticket.is_none();
    if makes && run.wish == Wish::Open {
        let all: String = exchange.calls.iter().map(|call| texts(call).join("\n")).collect();
        assert!(all.contains(&said.url), "{name}: no link to Deptex in {all}");
    }
    patience_is_honoured(&run, &exchange);
    without_a_destination_it_waits(&run);
    exchange
}

fn is_safe(provider: &Provider, sample: &Sample, call: &super::Call) {
    let (url, shown) = (call.url.as_str(), format!("{call:?}"));
    let body = String::from_utf8_lossy(&call.body);
    assert_eq!(call.url.scheme(), "https", "{url}");
    let origin = call.url.origin().ascii_serialization();
    let known = provider.hosts.iter().map(|host| host.url).chain(sample.own_hosts.iter().copied());
    assert!(known.into_iter().any(|host| host.starts_with(&origin)), "{url} is nobody's");
    for (place, text) in [("URL", url), ("body", &*body), ("Debug", &*shown)] {
        assert!(!text.contains(sample.credential), "the credential is in the {place} of {shown}");
    }
    for (name, value) in &call.headers {
        let holds = String::from_utf8_lossy(value.as_bytes()).contains(sample.credential);
        let secret = holds || name == "authorization";
        assert!(!secret || value.is_sensitive(), "{name} of {shown} is not marked sensitive");
    }
    let authorized = call.headers.contains_key("authorization");
    assert!(authorized || matches!(provider.connect, Connect::Webhook), "{shown} is anybody's");
    assert!(call.body.len() <= sample.body_bytes_max, "{} bytes to {shown}", call.body.len());
    let silent = (call.heeds)(&reply(200, &json!({})));
    assert!(silent.is_none(), "{shown}: an answer that names no budget asks for a wait");
}

/// At every call of a delivery: what a busy or broken provider answers is tried again, and not
/// sooner than it asks for.
fn patience_is_honoured(run: &run::Run<'_>, exchange: &Exchange) {
    for (at, call) in exchange.calls.iter().enumerate() {
        for status in [429, 500, 502, 503, 504] {
            let asks = [("retry-after", "7"), ("content-type", "application/json")];
            let mut replies = exchange.replies[..at].to_vec();
            replies.push(reply_with(status, &asks, "{}"));
            match run.advance(&replies) {
                Step::End(Verdict::Retry { after, .. }) => {
                    let waits = status != 429 || after.is_some_and(|after| ASKED <= after);
                    assert!(waits, "{call:?}: 429 with 7 s is tried again after {after:?}");
                }
                step => panic!("{call:?}: {status} leads to {step:?}"),
            }
        }
    }
}

fn without_a_destination_it_waits(run: &run::Run<'_>) {
    if run.provider.destinations.is_none() {
        return;
    }
    let mut run = run.clone();
    run.has_destination = false;
    match run.advance(&[]) {
        Step::End(Verdict::NoDestination) => {}
        step => panic!("without a destination: {step:?}"),
    }
}

/// Whatever customers write, it mentions nobody, links nowhere and formats nothing.
fn hostile_texts_stay_texts(provider: &Provider, sample: &Sample) {
    let mut seen = vec![false; sample.markup.len()];
    for event in sample::events(sample) {
        let event = event.with(data_of(MARKED));
        let exchange = a_delivery(provider, sample, &event, |_, _| {});
        for call in &exchange.calls {
            for (at, (pattern, markup)) in sample.markup.iter().enumerate() {
                for text in fields_at(call, pattern) {
                    seen[at] = true;
                    for fragment in markup.active() {
                        let shown = format!("{fragment:?} is active in {pattern}: {text}");
                        assert!(!text.contains(fragment), "{}: {shown}", event.name);
                    }
                }
            }
        }
    }
    for ((pattern, _), seen) in sample.markup.iter().zip(seen) {
        assert!(seen, "no request has a text at {pattern}");
    }
}

/// However much customers write, each text keeps the provider's limit, and a cut is to be seen.
fn long_texts_are_cut(provider: &Provider, sample: &Sample) {
    let mut seen = vec![false; sample.limits.len()];
    let hard = ["evil & <wide> ", "🔴", "*_`~|[]{}\\", MARKED];
    for (at, event) in sample::events(sample).iter().enumerate() {
        // All of them once, then in turn.
        for text in if at == 0 { &hard[..] } else { &hard[at % hard.len()..][..1] } {
            let event = event.with(long_data_of(text));
            // Words longer than any that we write, in case that limit ever goes.
            let said = Notification {
                title: longest(text),
                body: longest(text),
                severity: Severity::Critical,
                url: headline(&event.recorded, None).url,
            };
            let exchange = exchange(&run::Run::new(provider, sample, &event, &said));
            for call in &exchange.calls {
                assert!(call.body.len() <= sample.body_bytes_max, "{} bytes", call.body.len());
                for (at, (pattern, chars_max)) in sample.limits.iter().enumerate() {
                    for text in fields_at(call, pattern) {
                        seen[at] = true;
                        let chars = text.encode_utf16().count();
                        assert!(chars <= *chars_max, "{}: {chars} at {pattern}", event.name);
                    }
                }
            }
            let all: String = exchange.calls.iter().map(|call| texts(call).join("")).collect();
            let is_seen = all.contains('…') && all.contains("View in Deptex");
            assert!(is_seen || !sample.cuts || all.is_empty(), "{}: no cut to see", event.name);
        }
    }
    for ((pattern, _), seen) in sample.limits.iter().zip(seen) {
        assert!(seen, "no request has a text at {pattern}");
    }
}

/// Every kind that Deptex reports.
fn kinds() -> impl Iterator<Item = &'static str> {
    CATALOGUE.iter().map(|info| info.kind)
}

/// A ticket as it stands before a delivery.
fn ticket_as(ticket: &Ticket, is_open: bool) -> Ticket {
    Ticket { is_open, ..ticket.clone() }
}

#[cfg(test)]
mod tests;
