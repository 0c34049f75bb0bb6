//! Plays deliveries of ticketing services against scripted answers, for tests.

use std::{ops::ControlFlow, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    event::{RecordedEvent, headline, recorded},
    ids::{ConnectionId, DeliveryId, ProjectId},
    provider::{
        AccountAccess, AccountStep, Call, CheckStep, Choosing, Destination, Hosts, Outgoing,
        PickStep, Picking, Provider, Reply, Step, Ticket, Verdict, Wish,
        contract_suite::{reply, reply_with},
    },
    secret::Secret,
};

/// The mark of the deliveries that are played.
pub(in crate::provider) const DELIVERY_MARK: &str = "deptex-018900000000700080000000000000aa";

/// A delivery that is to be played.
pub(in crate::provider) struct Case {
    pub(in crate::provider) provider: &'static Provider,
    pub(in crate::provider) metadata: Value,
    pub(in crate::provider) installation_id: &'static str,
    pub(in crate::provider) destination: Option<Destination>,
    pub(in crate::provider) ticket: Option<Ticket>,
    pub(in crate::provider) kind: &'static str,
    pub(in crate::provider) data: Value,
    pub(in crate::provider) attempt: i32,
    pub(in crate::provider) unheard_for: Option<Duration>,
}

impl Case {
    /// The first attempt for a critical finding of which there is no ticket yet.
    pub(in crate::provider) fn new(
        provider: &'static Provider,
        installation_id: &'static str,
        metadata: Value,
        destination: Destination,
    ) -> Self {
        Self {
            provider,
            metadata,
            installation_id,
            destination: Some(destination),
            ticket: None,
            kind: "vulnerability.found",
            data: json!({
                "vulnerability_id": "CVE-2026-1234", "severity": "critical", "package": "lodash",
                "version": "4.17.20", "project": "my-project",
            }),
            attempt: 1,
            unheard_for: None,
        }
    }

    /// Brings an event of this kind.
    pub(in crate::provider) fn of(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }

    /// Finds this ticket.
    pub(in crate::provider) fn with(mut self, ticket: &Ticket, is_open: bool) -> Self {
        self.ticket = Some(Ticket { is_open, ..ticket.clone() });
        self
    }

    /// Comes after an attempt of which nothing was heard.
    pub(in crate::provider) fn again(mut self) -> Self {
        (self.attempt, self.unheard_for) = (2, Some(Duration::ZERO));
        self
    }

    /// Lends the delivery.
    pub(in crate::provider) fn lend<T>(&self, then: impl FnOnce(&Outgoing<'_>) -> T) -> T {
        let event = RecordedEvent {
            project_id: Some(ProjectId(Uuid::from_u128(9))),
            ..recorded(self.kind, &self.data.to_string())
        };
        let closes = self.kind == "vulnerability.resolved";
        self.account(|account| {
            then(&Outgoing {
                event: &event,
                notification: &headline(&event, None),
                data: &self.data,
                delivery_id: DeliveryId(Uuid::from_u128(0x0189_0000_0000_7000_8000_0000_0000_00aa)),
                attempt: self.attempt,
                replay: false,
                unheard_for: self.unheard_for,
                connection_id: ConnectionId(Uuid::from_u128(3)),
                account,
                destination: self.destination.as_ref(),
                ticket: self.ticket.as_ref(),
                wish: if closes { Wish::Close } else { Wish::Open },
                signing: &[],
                now: "2026-02-25T12:00:02Z".parse().expect("a time"),
            })
        })
    }

    /// Lends the account.
    pub(in crate::provider) fn account<T>(&self, then: impl FnOnce(AccountAccess<'_>) -> T) -> T {
        let hosts = Hosts::of(self.provider, |_| None);
        then(AccountAccess {
            credential: &Secret::new("the-token"),
            metadata: &self.metadata,
            installation_id: self.installation_id,
            hosts: &hosts,
        })
    }

    /// The verdict after these calls, each written as a part of its line `POST https://…` and body,
    /// were answered so.
    pub(in crate::provider) fn play(&self, script: &[(&str, Reply)]) -> Verdict {
        self.lend(|out| {
            let advance = |replies: &[Reply]| match (self.provider.advance)(out, replies) {
                Step::Call(call) => ControlFlow::Continue(call),
                Step::End(verdict) => ControlFlow::Break(verdict),
            };
            run(advance, script)
        })
    }

    /// What the picker shows.
    pub(in crate::provider) fn pick(
        &self,
        page: Option<&str>,
        search: Option<&str>,
        script: &[(&str, Reply)],
    ) -> PickStep {
        let destinations = self.provider.destinations.as_ref().expect("destinations");
        self.account(|account| {
            let picking = Picking { account, page, search };
            run(
                |replies| match (destinations.list)(&picking, replies) {
                    PickStep::Call(call) => ControlFlow::Continue(call),
                    end => ControlFlow::Break(end),
                },
                script,
            )
        })
    }

    /// What is said of a choice.
    pub(in crate::provider) fn check(
        &self,
        id: &str,
        issue_type: Option<&str>,
        script: &[(&str, Reply)],
    ) -> CheckStep {
        let destinations = self.provider.destinations.as_ref().expect("destinations");
        self.account(|account| {
            let choosing = Choosing { account, id, issue_type };
            run(
                |replies| match (destinations.check)(&choosing, replies) {
                    CheckStep::Call(call) => ControlFlow::Continue(call),
                    end => ControlFlow::Break(end),
                },
                script,
            )
        })
    }
}

/// Plays a fold to its end. Every call must be the one that the script has next, and none be left.
pub(in crate::provider) fn run<T>(
    advance: impl Fn(&[Reply]) -> ControlFlow<T, Call>,
    script: &[(&str, Reply)],
) -> T {
    let mut replies = Vec::new();
    loop {
        let call = match advance(&replies) {
            ControlFlow::Continue(call) => call,
            ControlFlow::Break(end) => {
                assert_eq!(replies.len(), script.len(), "calls were expected that did not come");
                return end;
            }
        };
        let line = line(&call);
        let Some((expected, answer)) = script.get(replies.len()) else {
            panic!("nobody expected {line}");
        };
        for part in expected.split(" … ") {
            assert!(line.contains(part), "expected {part} in {line}");
        }
        replies.push(answer.clone());
    }
}

/// The same for the question whose account it is.
pub(in crate::provider) fn who(
    account: impl Fn(&[Reply]) -> AccountStep,
    script: &[(&str, Reply)],
) -> AccountStep {
    run(
        |replies| match account(replies) {
            AccountStep::Call(call) => ControlFlow::Continue(call),
            end => ControlFlow::Break(end),
        },
        script,
    )
}

fn line(call: &Call) -> String {
    format!("{} {} {}", call.method, call.url, String::from_utf8_lossy(&call.body))
}

/// An answer with this status and this JSON.
#[expect(clippy::needless_pass_by_value, reason = "JSON is written where it is passed")]
pub(in crate::provider) fn says(status: u16, body: Value) -> Reply {
    reply(status, &body)
}

/// A refusal with these headers.
#[expect(clippy::needless_pass_by_value, reason = "JSON is written where it is passed")]
pub(in crate::provider) fn says_with(
    status: u16,
    headers: &[(&'static str, &str)],
    body: Value,
) -> Reply {
    reply_with(status, headers, &body.to_string())
}
