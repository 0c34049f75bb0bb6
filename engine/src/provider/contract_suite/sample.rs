//! What a provider is tried with.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::RecordedEvent,
    ids::{EventId, OrganizationId, ProjectId},
    provider::{Call, Destination, Reply, Ticket},
};

/// A connection of the provider, and how the provider answers when all is well.
#[derive(Debug)]
pub struct Sample {
    /// The snapshot's name, where one provider has several samples; else the provider's id.
    pub name: Option<&'static str>,
    /// What requests carry.
    pub credential: &'static str,
    /// The connection's metadata.
    pub metadata: Value,
    /// The provider's id for the account.
    pub installation_id: &'static str,
    /// Where events go.
    pub destination: Option<Destination>,
    /// A ticket of the subject, for providers with tickets; tried both open and closed.
    pub ticket: Option<Ticket>,
    /// Events beside those of the catalogue: a name, a kind, `data`.
    pub events: &'static [(&'static str, &'static str, &'static str)],
    /// Origins of the customer's own servers, where requests may go as well.
    pub own_hosts: &'static [&'static str],
    /// A good answer to any call.
    pub answer: fn(&Call) -> Reply,
    /// Where in the JSON of a body texts are, and how many characters they may have. A `*` stands
    /// for every entry: `/blocks/*/text/text`.
    pub limits: &'static [(&'static str, usize)],
    /// Where in the JSON of a body texts are read as markup.
    pub markup: &'static [(&'static str, Markup)],
    /// How many bytes a body may have.
    pub body_bytes_max: usize,
    /// Whether long texts are cut, with a visible "… View in Deptex".
    pub cuts: bool,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            name: None,
            credential: "credential-of-the-sample",
            metadata: json!({}),
            installation_id: "installation",
            destination: None,
            ticket: None,
            events: &[],
            own_hosts: &[],
            answer: |_| reply(200, &json!({})),
            limits: &[],
            markup: &[],
            body_bytes_max: 1024 * 1024,
            cuts: true,
        }
    }
}

/// How a provider reads a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Markup {
    /// Slack's mrkdwn.
    Slack,
    /// Discord's Markdown.
    Discord,
    /// The Markdown of GitHub, GitLab, Linear and Bitbucket.
    Markdown,
    /// Jira's wiki markup.
    Wiki,
    /// HTML.
    Html,
}

impl Markup {
    /// What must not be found in an escaped text of [`super::hostile::MARKED`].
    pub(super) fn active(self) -> &'static [&'static str] {
        match self {
            Self::Slack => &["<!channel", "<@U0EVIL", "<https:", "://evil"],
            Self::Discord => {
                &["@everyone", "<@&7", "<@U0EVIL", "[Deptex](", "://evil", " **b**", " `c`"]
            }
            Self::Markdown => &[
                "@everyone",
                "@octocat",
                " #123",
                "GH-12",
                "[Deptex](",
                "![x]",
                "<img",
                "<!channel",
                "://evil",
                " `c`",
                " **b**",
            ],
            Self::Wiki => &["[~admin]", "{code}", "!evil.png!", "[Deptex|", "://evil", " **b**"],
            Self::Html => &["<img", "<!channel", "<https:", "://evil"],
        }
    }
}

/// An answer with JSON in it.
#[must_use]
pub fn reply(status: u16, body: &Value) -> Reply {
    reply_with(status, &[("content-type", "application/json")], &body.to_string())
}

/// An answer with these headers.
///
/// # Panics
/// When a header is none.
#[must_use]
pub fn reply_with(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("the value of a header");
            (HeaderName::from_static(name), value)
        })
        .collect();
    let at = "2026-02-25T12:00:03Z".parse().expect("a time");
    Reply { status, headers, body: Bytes::copy_from_slice(body.as_bytes()), at }
}

/// An event that a provider is tried with.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) recorded: RecordedEvent,
    pub(super) data: Value,
}

impl Event {
    fn new(name: &str, kind: &str, data: &str) -> Self {
        let project_id = (!kind.starts_with("administrative") && !kind.starts_with("test"))
            .then(|| ProjectId(Uuid::from_u128(9)));
        let recorded = RecordedEvent {
            id: EventId(Uuid::from_u128(1)),
            organization_id: OrganizationId(Uuid::from_u128(7)),
            kind: kind.to_owned(),
            payload: Bytes::copy_from_slice(data.as_bytes()),
            project_id,
            team_id: None,
            subject: None,
            priority: "normal".to_owned(),
            source: None,
            occurred_at: "2026-02-25T12:00:00Z".parse().expect("a time"),
            hops: 0,
            traceparent: None,
        };
        let data = serde_json::from_str(data).expect("the data of an event is JSON");
        Self { name: name.to_owned(), recorded, data }
    }

    /// One of the catalogue.
    pub(super) fn of_kind(kind: &str) -> Self {
        Self::new(kind, kind, example(kind))
    }

    /// The same with these texts in its data.
    pub(super) fn with(&self, texts: Value) -> Self {
        let mut event = self.clone();
        if let (Value::Object(known), Value::Object(texts)) = (&mut event.data, texts) {
            known.extend(texts);
        }
        event.recorded.payload = Bytes::from(event.data.to_string());
        event
    }
}

/// Every kind of the catalogue, and the sample's own events.
pub(super) fn events(sample: &Sample) -> Vec<Event> {
    super::kinds()
        .map(Event::of_kind)
        .chain(sample.events.iter().map(|(name, kind, data)| Event::new(name, kind, data)))
        .collect()
}

/// Data as Deptex reports it.
fn example(kind: &str) -> &'static str {
    match kind {
        "malicious.package_detected" => {
            r#"{"package":"event-stream","version":"3.3.6","project":"my-project","message":"The package sends environment variables to an unknown server."}"#
        }
        "policy.violation" => {
            r#"{"rule":"No copyleft licences","dependency_name":"readline","version":"8.2","project":"my-project"}"#
        }
        "policy.code_updated" => r#"{"codeType":"package_policy","updatedBy":"ada@example.com"}"#,
        "project.status_changed" => {
            r#"{"project":"my-project","previous_status":"Compliant","new_status":"Not compliant"}"#
        }
        "project.created" | "project.deleted" => r#"{"projectName":"my-project"}"#,
        "sla.warning" | "sla.breached" => {
            r#"{"osv_id":"GHSA-35jh-r3h4-6jhm","severity":"high","sla_deadline_at":"2026-02-28","project":"my-project"}"#
        }
        "integration.connected" => r#"{"provider":"jira","displayName":"Example Jira"}"#,
        "integration.disconnected" | "integration.health_degraded" => {
            r#"{"provider":"jira","displayName":"Example Jira","reason":"unauthorized"}"#
        }
        "administrative.member_invited" => r#"{"email":"ada@example.com","role":"member"}"#,
        "administrative.member_removed" => r#"{"removedEmail":"ada@example.com"}"#,
        kind => crate::event::CATALOGUE
            .iter()
            .find(|info| info.kind == kind)
            .and_then(|info| info.example)
            .unwrap_or("{}"),
    }
}
