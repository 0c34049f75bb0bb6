//! What Linear can do with issues. Their ids are chosen by us, so what is made twice is refused, and
//! a refusal may mean that it is there already.

use serde_json::{Value, json};

use super::{ask_for, graphql, markdown, verdict::verdict};
use crate::{
    event::Severity,
    provider::{
        Call, Outgoing, Reply, Step, Ticket, Verdict,
        fold::{Answers, NOT_FOUND, told},
        ticket::{self, Aim, News, Told, Tracker, Words},
    },
};

/// Brings one event into its subject's issue.
pub(super) fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let mut answers = Answers::new(replies, verdict);
    told(ticket::live(&Linear { out }, out, &mut answers).map(Step::End))
}

struct Linear<'a> {
    out: &'a Outgoing<'a>,
}

impl Tracker for Linear<'_> {
    type State = Value;
    type Way = String;

    fn open(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict> {
        let id = ticket::as_v4(ticket::ticket_key(self.out)).to_string();
        let made = answers.ask(self.create(&id))?;
        match verdict(made) {
            Verdict::Delivered(_) => {
                let issue = issue(&made.json()["data"]["issueCreate"]["issue"]);
                let unheard = Verdict::Retry { after: None, hold: None };
                Ok(issue.map_or(unheard, |issue| ticket::delivered(&issue, true)))
            }
            refusal if self.may_be_there(made, &refusal) => {
                let issue = self.find_issue(answers, &id)?.as_ref().and_then(issue);
                Ok(issue.map_or(refusal, |issue| ticket::delivered(&issue, issue.is_open)))
            }
            refusal => Ok(refusal),
        }
    }

    fn state(&self, answers: &mut Answers<'_, Step>, known: &Ticket) -> Told<Option<Value>> {
        self.find_issue(answers, &known.external_id)
    }

    fn is_done(state: &Value) -> bool {
        is_done(state)
    }

    fn way(
        &self,
        _: &mut Answers<'_, Step>,
        _: &Ticket,
        state: &Value,
        aim: Aim,
    ) -> Told<Option<String>> {
        Ok(best(&state["team"]["states"]["nodes"], aim))
    }

    fn take(&self, answers: &mut Answers<'_, Step>, known: &Ticket, way: &String) -> Told<bool> {
        let variables = json!({ "id": known.external_id, "input": { "stateId": way } });
        let moved = answers.ask(self.ask(graphql::ISSUE_UPDATE, &variables))?;
        match verdict(moved) {
            Verdict::Delivered(_) => Ok(true),
            Verdict::Rejected(_) => Ok(false),
            refusal => Err(Box::new(refusal.into())),
        }
    }

    fn comment(&self, answers: &mut Answers<'_, Step>, known: &Ticket, news: News) -> Told<bool> {
        let id = ticket::as_v4(self.out.delivery_id.0).to_string();
        let body = markdown::document(&Words::of(self.out, news));
        let input = json!({ "id": id, "issueId": known.external_id, "body": body });
        let made = answers.ask(self.ask(graphql::COMMENT_CREATE, &json!({ "input": input })))?;
        match verdict(made) {
            Verdict::Delivered(_) => Ok(true),
            Verdict::WrongDestination(code) if code == NOT_FOUND => Ok(false),
            refusal if self.may_be_there(made, &refusal) => {
                match answers.find(self.ask(graphql::COMMENT, &json!({ "id": id })))? {
                    Some(_) => Ok(true),
                    None => Err(Box::new(refusal.into())),
                }
            }
            refusal => Err(Box::new(refusal.into())),
        }
    }
}

impl Linear<'_> {
    fn ask(&self, query: &str, variables: &Value) -> Call {
        ask_for(&self.out.account, query, variables)
    }

    /// An issue that people can see.
    fn find_issue(&self, answers: &mut Answers<'_, Step>, id: &str) -> Told<Option<Value>> {
        let found = answers.find(self.ask(graphql::ISSUE, &json!({ "id": id })))?;
        let found = found.map(|reply| reply.json()["data"]["issue"].clone());
        // For some weeks a removed issue is still there, where nobody looks.
        Ok(found.filter(|issue| issue.is_object() && issue["trashed"] != true))
    }

    /// Whether a refusal may mean that the id is taken, by what an earlier attempt made. How Linear
    /// says so is not written anywhere: it may as well look like trouble of its own, for ever.
    fn may_be_there(&self, answer: &Reply, refusal: &Verdict) -> bool {
        match refusal {
            Verdict::Rejected(_) => true,
            Verdict::Retry { hold: None, .. } => {
                ticket::may_repeat(self.out) && answer.json()["errors"].is_array()
            }
            _ => false,
        }
    }

    fn create(&self, id: &str) -> Call {
        let words = Words::of(self.out, News::Opened);
        let destination = self.out.destination.expect("nothing is opened without a destination");
        let priority = match words.severity {
            Severity::Critical => 1,
            Severity::High => 2,
            Severity::Medium => 3,
            Severity::Low => 4,
            Severity::Info => 0,
        };
        let input = json!({
            "id": id,
            "teamId": destination.id,
            "title": words.title,
            "description": markdown::document(&words),
            "priority": priority,
        });
        self.ask(graphql::ISSUE_CREATE, &json!({ "input": input }))
    }
}

fn issue(issue: &Value) -> Option<Ticket> {
    Some(Ticket {
        external_id: issue["id"].as_str()?.to_owned(),
        external_key: issue["identifier"].as_str().map(str::to_owned),
        url: issue["url"].as_str().map(str::to_owned),
        is_open: !is_done(issue),
    })
}

fn is_done(issue: &Value) -> bool {
    matches!(issue["state"]["type"].as_str(), Some("completed" | "canceled" | "duplicate"))
}

/// The first status of the best kind, by its place in the team's workflow.
fn best(states: &Value, aim: Aim) -> Option<String> {
    let kinds: &[&str] = match aim {
        Aim::Done => &["completed"],
        Aim::Open => &["unstarted", "backlog", "triage", "started"],
    };
    let fitting = states.as_array()?.iter().filter_map(|state| {
        let kind = kinds.iter().position(|kind| state["type"] == *kind)?;
        let place = state["position"].as_f64().unwrap_or(f64::MAX);
        Some((kind, place, state["id"].as_str()?))
    });
    let first = fitting.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.cmp(b.2)));
    first.map(|(_, _, id)| id.to_owned())
}
