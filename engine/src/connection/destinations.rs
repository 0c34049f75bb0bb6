//! Where a connection's events go: what the provider offers, what an admin chooses, and a test of it.

mod asker;

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use self::asker::{Asker, Problem, sentence};
use super::{
    Actor, Connection, ConnectionError, ConnectionView, Status, TestOutcome, custom,
    health::{Promised, transition},
    store,
};
use crate::{
    clock,
    engine::Engine,
    event::{RecordedEvent, TEST_PING, headline},
    ids::{ConnectionId, OrganizationId},
    oauth::ask::Asking,
    provider::{Destination, Outgoing, PickStep, Picking, Step, Verdict, Wish},
};

/// How many pages are gone through for one that holds anything that was searched for.
const PAGES_MAX: usize = 5;
/// How long a test may take: an admin waits.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest text that is taken from a caller.
const INPUT_CHARS_MAX: usize = 2_048;

/// One page of what can be chosen.
#[derive(Clone, Debug)]
pub struct DestinationPage {
    /// `channel`, `project`, `team` or `repository`.
    pub noun: &'static str,
    /// What can be chosen.
    pub destinations: Vec<Destination>,
    /// What to ask for the next page with; `None` on the last one.
    pub next: Option<String>,
}

/// What an admin chose.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The provider's id.
    pub id: String,
    /// Jira: the name or id of the issue type.
    pub issue_type: Option<String>,
}

/// Asks the provider for a page of what can be chosen; of what was searched for, where `search` is set.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    page: Option<&str>,
    search: Option<&str>,
) -> Result<DestinationPage, ConnectionError> {
    let asker = Asker::of(engine, organization_id, id).await?;
    let offered = asker.offered()?;
    let search = search.map(str::trim).filter(|search| !search.is_empty());
    check_input([page, search].into_iter().flatten())?;
    let mut page = page.map(str::to_owned);
    for _ in 0..PAGES_MAX {
        let (mut found, next) = asker
            .ask(|account, replies| {
                let picking = Picking { account, page: page.as_deref(), search };
                match (offered.list)(&picking, replies) {
                    PickStep::Call(call) => Asking::Call(call),
                    PickStep::Page(found, next) => Asking::Done(Ok((found, next))),
                    PickStep::Refused(verdict) => Asking::Done(Err(verdict)),
                }
            })
            .await
            .map_err(|problem| asker.refused(&problem))?;
        if let Some(search) = search {
            found.retain(|destination| matches(&destination.name, search));
        }
        if !found.is_empty() || next.is_none() || search.is_none() {
            return Ok(DestinationPage { noun: offered.noun, destinations: found, next });
        }
        page = next;
    }
    Ok(DestinationPage { noun: offered.noun, destinations: Vec::new(), next: page })
}

fn matches(name: &str, search: &str) -> bool {
    name.to_lowercase().contains(&search.to_lowercase())
}

fn check_input<'a>(texts: impl Iterator<Item = &'a str>) -> Result<(), ConnectionError> {
    for text in texts {
        if text.chars().count() > INPUT_CHARS_MAX || text.chars().any(char::is_control) {
            let message = "The text is too long or has control characters";
            return Err(ConnectionError::refused("invalid_destination", message));
        }
    }
    Ok(())
}

/// Makes sure that the choice can be sent to, stores it, and lets go on what waited for one.
pub async fn choose(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    chosen: &Chosen,
    actor: &Actor,
) -> Result<ConnectionView, ConnectionError> {
    let asker = Asker::of(engine, organization_id, id).await?;
    let offered = asker.offered()?;
    check_input([Some(chosen.id.as_str()), chosen.issue_type.as_deref()].into_iter().flatten())?;
    if chosen.id.trim().is_empty() {
        return Err(ConnectionError::refused("invalid_destination", "id is required"));
    }
    let checked = asker.check(offered, chosen).await.map_err(|problem| asker.refused(&problem))?;
    let destination =
        checked.map_err(|sentence| ConnectionError::refused("unusable_destination", sentence))?;
    let decide = |state: &Connection| {
        let is_there = state.status != Status::Disconnected;
        is_there.then(|| state.choose(destination.clone())).flatten()
    };
    transition(engine, organization_id, id, actor, decide, Promised::GoOn).await?;
    store::find(&engine.db, organization_id, id).await?.ok_or(ConnectionError::NotFound)
}

/// Sends `test.ping` now, once, to wherever the connection's events go, outside the log and the outbox.
pub async fn send_test(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<TestOutcome, ConnectionError> {
    let view = store::find(&engine.db, organization_id, id).await?;
    let view = view.ok_or(ConnectionError::NotFound)?;
    if view.provider.starts_with("custom_") {
        return custom::send_test(engine, organization_id, id).await;
    }
    let asker = Asker::of(engine, organization_id, id).await?;
    match tokio::time::timeout(TEST_TIMEOUT, asker.test()).await {
        Ok(outcome) => Ok(outcome),
        Err(_) => Ok(TestOutcome {
            success: false,
            status: None,
            status_text: "timeout".to_owned(),
            message: format!("{} did not answer within 20 seconds", asker.provider.label),
            timed_out: true,
        }),
    }
}

impl Asker<'_> {
    async fn test(&self) -> TestOutcome {
        let destination = self.state.destination();
        let event = test_event(self.state.organization_id);
        let notification = headline(&event, self.engine.config.frontend_url.as_ref());
        let data: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        let (delivery_id, now) = (Uuid::now_v7().into(), clock::now());
        let mut status = None;
        let done = self
            .ask(|account, replies| {
                status = replies.last().map(|reply| reply.status);
                let out = Outgoing {
                    event: &event,
                    notification: &notification,
                    data: &data,
                    delivery_id,
                    attempt: 1,
                    replay: false,
                    unheard_for: None,
                    connection_id: self.state.id,
                    account,
                    destination: destination.as_ref(),
                    ticket: None,
                    wish: Wish::Open,
                    signing: &[],
                    now,
                };
                match (self.provider.advance)(&out, replies) {
                    Step::Call(call) => Asking::Call(call),
                    Step::End(Verdict::Delivered(_)) => Asking::Done(Ok(())),
                    Step::End(verdict) => Asking::Done(Err(verdict)),
                }
            })
            .await;
        let done = match done {
            // Nothing is ever made of a test here: that the destination is in reach is all there is.
            Err(Problem::Verdict(Verdict::NothingToDo(_))) => self.reaches(destination).await,
            done => done.map(|()| "Test message delivered successfully".to_owned()),
        };
        let label = self.provider.label;
        outcome(status, done.map_err(|problem| sentence(label, &problem).1))
    }

    async fn reaches(&self, destination: Option<Destination>) -> Result<String, Problem> {
        let Some((offered, destination)) = self.provider.destinations.as_ref().zip(destination)
        else {
            return Err(Problem::Verdict(Verdict::NoDestination));
        };
        let issue_type = destination.settings["issue_type"].as_str().map(str::to_owned);
        let chosen = Chosen { id: destination.id, issue_type };
        match self.check(offered, &chosen).await? {
            Ok(found) => Ok(format!("{} can be reached", found.name)),
            Err(_) => Err(Problem::Verdict(Verdict::WrongDestination("unusable".into()))),
        }
    }
}

fn test_event(organization_id: OrganizationId) -> RecordedEvent {
    let payload = json!({ "message": "This is a test from Deptex" }).to_string();
    RecordedEvent {
        id: Uuid::now_v7().into(),
        organization_id,
        kind: TEST_PING.to_owned(),
        payload: payload.into(),
        project_id: None,
        team_id: None,
        subject: None,
        priority: "normal".to_owned(),
        source: None,
        occurred_at: clock::now(),
        hops: 0,
        traceparent: None,
    }
}

fn outcome(status: Option<u16>, done: Result<String, String>) -> TestOutcome {
    let reason = status.and_then(|status| reqwest::StatusCode::from_u16(status).ok());
    let status_text = reason.and_then(|status| status.canonical_reason()).unwrap_or_default();
    TestOutcome {
        success: done.is_ok(),
        status,
        status_text: status_text.to_owned(),
        message: done.unwrap_or_else(|sentence| sentence),
        timed_out: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_searched_for_is_found_in_any_case() {
        assert!(matches("#Security-Alerts", "security") && matches("SEC — Überblick", "über"));
        assert!(!matches("#general", "security"));
    }

    #[test]
    fn a_test_tells_status_and_sentence() {
        let good = outcome(Some(200), Ok("done".into()));
        assert!(good.success && good.status_text == "OK" && good.message == "done");
        let bad = outcome(None, Err("no".into()));
        assert!(!bad.success && bad.status.is_none() && bad.message == "no");
    }
}
