//! Tests that the suite sees what it is for: each rule is broken once.

use serde_json::json;

use super::*;
use crate::provider::{
    Call, CredentialOf, Host, Outgoing, Pace, Reply, SharedBy, contract::Destinations,
};

const SAFE: Provider = Provider {
    id: "safe",
    label: "Safe",
    category: Category::Notification,
    hosts: &[Host { name: "web", url: "https://safe.example", setting: "RELAY_SAFE_URL" }],
    connect: Connect::Webhook,
    credential: CredentialOf::Connection,
    destinations: None,
    pace: Pace {
        burst: 1,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Destination,
    },
    event_types: &["*"],
    advance: |out, replies| told(post(out), replies),
    limits: "",
};

fn sample() -> Sample {
    Sample { limits: &[("/text", 500)], markup: &[("/text", Markup::Slack)], ..Sample::default() }
}

fn told(call: Call, replies: &[Reply]) -> Step {
    match replies.last() {
        None => Step::Call(call),
        Some(reply) => Step::End(Verdict::from_status(reply)),
    }
}

fn words(out: &Outgoing<'_>) -> String {
    let said = &out.notification;
    crate::provider::text::clip(
        &crate::provider::text::slack(&format!("{} {}", said.title, said.body)),
        300,
        "… View in Deptex",
    )
}

fn post_words(out: &Outgoing<'_>, words: &str) -> Call {
    let url = out.account.hosts.url("web", "/messages");
    let body = json!({"text": words, "link": out.notification.url});
    Call::post(url).bearer(out.account.credential).json(&body)
}

fn post(out: &Outgoing<'_>) -> Call {
    post_words(out, &words(out))
}

#[test]
fn a_provider_that_holds_to_every_rule_passes() {
    let rendered = check(&SAFE, &sample());
    assert_eq!(rendered.as_array().map(Vec::len), Some(CATALOGUE.len()));
}

#[test]
#[should_panic(expected = "is not reached by HTTPS")]
fn an_address_without_encryption_is_seen() {
    let hosts = &[Host { name: "web", url: "http://safe.example", setting: "RELAY_SAFE_URL" }];
    check(&Provider { hosts, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "is nobody's")]
fn a_request_to_another_host_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| {
        let mut call = post(out);
        call.url = "https://elsewhere.example/".parse().expect("a URL");
        told(call, replies)
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "the credential is in the body")]
fn a_credential_in_a_body_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| {
        let token = out.account.credential.reveal();
        told(post_words(out, &format!("{} {token}", words(out))), replies)
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "is not marked sensitive")]
fn a_credential_in_a_header_that_is_printed_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step =
        |out, replies| told(post(out).header("x-token", out.account.credential.reveal()), replies);
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "429 with 7 s is tried again after None")]
fn a_provider_that_does_not_wait_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| match replies.last() {
        Some(reply) if reply.status == 429 => Step::End(Verdict::Retry { after: None, hold: None }),
        _ => told(post(out), replies),
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "503 leads to End(Rejected")]
fn a_provider_that_gives_up_on_a_broken_answer_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| match replies.last() {
        Some(reply) if reply.status == 503 => Step::End(Verdict::Rejected("down".into())),
        _ => told(post(out), replies),
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "does not end")]
fn a_delivery_without_an_end_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, _| Step::Call(post(out));
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "no link to Deptex")]
fn a_message_without_a_link_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| {
        let body = json!({"text": words(out)});
        told(post(out).json(&body), replies)
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "is active in /text")]
fn a_text_that_is_not_escaped_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| {
        told(post_words(out, &format!("{} {}", out.notification.title, words(out))), replies)
    };
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "at /text")]
fn a_text_beyond_its_limit_is_seen() {
    check(&SAFE, &Sample { limits: &[("/text", 200)], ..sample() });
}

#[test]
#[should_panic(expected = "no cut to see")]
fn a_silent_cut_is_seen() {
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step =
        |out, replies| told(post_words(out, &words(out).replace("… View in Deptex", "")), replies);
    check(&Provider { advance, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "no request has a text at /txet")]
fn a_misspelt_place_is_seen() {
    check(&SAFE, &Sample { limits: &[("/txet", 200)], ..sample() });
}

#[test]
#[should_panic(expected = "without a destination: Call(")]
fn a_message_to_nowhere_is_seen() {
    let destinations = Some(Destinations {
        noun: "channel",
        list: |_, _| crate::provider::PickStep::Page(Vec::new(), None),
        check: |_, _| crate::provider::CheckStep::Unusable(String::new()),
    });
    check(&Provider { destinations, ..SAFE }, &sample());
}

#[test]
#[should_panic(expected = "the same answers lead to")]
fn a_request_that_differs_each_time_is_seen() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let advance: fn(&Outgoing<'_>, &[Reply]) -> Step = |out, replies| {
        let count = CALLS.fetch_add(1, Ordering::Relaxed).to_string();
        told(post(out).header("x-count", &count), replies)
    };
    check(&Provider { advance, ..SAFE }, &sample());
}
