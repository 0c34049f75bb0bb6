//! Deliveries to code hosts and their answers, for tests.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::{Notification, RecordedEvent, headline, recorded},
    ids::{ConnectionId, DeliveryId, ProjectId},
    provider::contract::{
        AccountAccess, Choosing, Destination, Hosts, Outgoing, Picking, Provider, Reply, Step,
        Ticket, Verdict, Wish,
    },
    secret::Secret,
};

/// The commit that events name here.
pub(in crate::provider) const SHA: &str = "e10dae226959c2194f2b07b077c07762d93821cf";
/// A finding that names a commit.
pub(in crate::provider) const ON_A_COMMIT: &str = r#"{"vulnerability_id":"CVE-2021-23337","severity":"high","package":"lodash","version":"4.17.20","project":"my-project","commit_sha":"e10dae226959c2194f2b07b077c07762d93821cf"}"#;
/// A finding that names a pull request.
pub(in crate::provider) const ON_A_PULL_REQUEST: &str = r#"{"vulnerability_id":"CVE-2021-23337","severity":"high","package":"lodash","version":"4.17.20","project":"my-project","pull_request":{"number":7}}"#;

/// One event on its way to one repository.
pub(in crate::provider) struct Case {
    provider: &'static Provider,
    event: RecordedEvent,
    notification: Notification,
    data: Value,
    credential: Secret,
    metadata: Value,
    pub(in crate::provider) hosts: Hosts,
    pub(in crate::provider) installation_id: &'static str,
    pub(in crate::provider) destination: Option<Destination>,
    pub(in crate::provider) ticket: Option<Ticket>,
    pub(in crate::provider) wish: Wish,
    pub(in crate::provider) unheard_for: Option<Duration>,
}

/// A finding, with what else its event says.
pub(in crate::provider) fn finding(more: &Value) -> Value {
    let mut data = json!({
        "vulnerability_id": "CVE-2021-23337",
        "severity": "critical",
        "package": "lodash",
        "version": "4.17.20",
        "project": "shop",
    });
    for (name, value) in more.as_object().expect("an object") {
        data[name] = value.clone();
    }
    data
}

/// An issue that was opened for the finding.
pub(in crate::provider) fn ticket(external_id: &str, is_open: bool) -> Ticket {
    Ticket {
        external_id: external_id.to_owned(),
        external_key: Some("#12".to_owned()),
        url: Some("https://code.example/issues/12".to_owned()),
        is_open,
    }
}

impl Case {
    /// An event on its first attempt.
    pub(in crate::provider) fn new(
        provider: &'static Provider,
        kind: &str,
        data: &Value,
        destination: Destination,
    ) -> Self {
        let event = RecordedEvent {
            project_id: Some(ProjectId(Uuid::from_u128(8))),
            ..recorded(kind, &data.to_string())
        };
        Self {
            provider,
            notification: headline(&event, None),
            event,
            data: data.clone(),
            credential: Secret::new("a-token-nobody-may-see"),
            metadata: json!({}),
            hosts: Hosts::of(provider, |_| None),
            installation_id: "42",
            destination: Some(destination),
            ticket: None,
            wish: if kind == "vulnerability.resolved" { Wish::Close } else { Wish::Open },
            unheard_for: None,
        }
    }

    fn account(&self) -> AccountAccess<'_> {
        AccountAccess {
            credential: &self.credential,
            metadata: &self.metadata,
            installation_id: self.installation_id,
            hosts: &self.hosts,
        }
    }

    /// What the provider gets to know of it.
    pub(in crate::provider) fn out(&self) -> Outgoing<'_> {
        Outgoing {
            event: &self.event,
            notification: &self.notification,
            data: &self.data,
            // Of version 7, made at noon of that day.
            delivery_id: DeliveryId(
                Uuid::parse_str("019c94ab-9a00-7000-8000-000000000009").expect("a UUID"),
            ),
            attempt: 1,
            replay: false,
            unheard_for: self.unheard_for,
            connection_id: ConnectionId(Uuid::from_u128(10)),
            account: self.account(),
            destination: self.destination.as_ref(),
            ticket: self.ticket.as_ref(),
            wish: self.wish,
            signing: &[],
            now: "2026-02-25T12:05:00Z".parse().expect("a time"),
        }
    }

    /// Someone looks for a repository.
    pub(in crate::provider) fn picking<'a>(
        &'a self,
        page: Option<&'a str>,
        search: Option<&'a str>,
    ) -> Picking<'a> {
        Picking { account: self.account(), page, search }
    }

    /// Someone chose a repository.
    pub(in crate::provider) fn choosing<'a>(&'a self, id: &'a str) -> Choosing<'a> {
        Choosing { account: self.account(), id, issue_type: None }
    }

    /// Answers each call with the next of these; tells what was called, and what it came to.
    pub(in crate::provider) fn play(&self, answers: &[(u16, Value)]) -> (Vec<String>, Verdict) {
        let out = self.out();
        let (mut calls, mut replies) = (Vec::new(), Vec::new());
        loop {
            match (self.provider.advance)(&out, &replies) {
                Step::End(verdict) => {
                    assert_eq!(replies.len(), answers.len(), "not all was asked: {calls:#?}");
                    return (calls, verdict);
                }
                Step::Call(call) => {
                    let secret = self.credential.reveal();
                    let body = String::from_utf8(call.body.to_vec()).expect("UTF-8");
                    assert!(!body.contains(secret) && !call.url.as_str().contains(secret));
                    assert!(call.headers["authorization"].is_sensitive(), "{call:?}");
                    let twin = if call.creates { " (creates)" } else { "" };
                    let body = match serde_json::from_str::<Value>(&body) {
                        Ok(body) => format!("\n{body:#}"),
                        Err(_) => String::new(),
                    };
                    calls.push(format!("{} {}{twin}{body}", call.method, call.url));
                    let Some((status, answer)) = answers.get(replies.len()) else {
                        panic!("one call too many: {calls:#?}");
                    };
                    replies.push(reply(*status, &[], &answer.to_string()));
                }
            }
        }
    }

    /// The first lines of what was called, for stories in which only the order matters.
    pub(in crate::provider) fn order(&self, answers: &[(u16, Value)]) -> (Vec<String>, Verdict) {
        let (calls, verdict) = self.play(answers);
        let first = |call: &String| {
            let line = call.lines().next().unwrap_or_default();
            let line = line.split(['?', '(']).next().unwrap_or_default().trim_end();
            let (method, url) = line.split_once(' ').unwrap_or_default();
            let path = url.splitn(4, '/').last().unwrap_or_default();
            format!("{method} /{path}")
        };
        (calls.iter().map(first).collect(), verdict)
    }
}

/// An answer that came at noon.
pub(in crate::provider) fn reply(
    status: u16,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Reply {
    let header = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
    };
    Reply {
        status,
        headers: headers.iter().map(header).collect::<HeaderMap>(),
        body: body.to_owned().into(),
        at: "2026-02-25T12:00:00Z".parse().expect("a time"),
    }
}
