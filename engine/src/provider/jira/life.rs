//! What Jira can do with issues: make them with a mark, comment on them, move them through their
//! project's own workflow.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Api, Edition, by_id_or, is_id, unknown_place, workflow};
use crate::provider::{
    Call, Outgoing, Reply, Step, Ticket, Verdict,
    fold::{Answers, told},
    ticket::{self, Aim, News, Told, Tracker, Words},
};

/// By when a search finds what was made.
const INDEX_LAG: Duration = Duration::from_secs(30);
/// How many comments are looked through for our own, the newest first.
const COMMENTS_MAX: &str = "100";

/// Brings one event into its subject's issue.
pub(in crate::provider) fn advance(
    edition: &'static Edition,
    out: &Outgoing<'_>,
    replies: &[Reply],
) -> Step {
    let Some(api) = Api::of(edition, out.account) else { return Step::End(unknown_place()) };
    let mut answers = Answers::new(replies, edition.verdict);
    told(ticket::live(&Jira { api, out }, out, &mut answers).map(Step::End))
}

struct Jira<'a> {
    api: Api<'a>,
    out: &'a Outgoing<'a>,
}

impl Tracker for Jira<'_> {
    type State = Value;
    type Way = workflow::Way;

    fn open(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict> {
        if ticket::may_repeat(self.out) {
            let found = answers.need(self.look())?.json();
            if let Some(issue) = found["issues"].get(0).and_then(|issue| self.issue(issue)) {
                let is_open = issue.is_open;
                return Ok(ticket::delivered(&issue, is_open));
            }
            let lag = self.out.unheard_for.and_then(|past| INDEX_LAG.checked_sub(past));
            if let Some(left) = lag.filter(|left| !left.is_zero()) {
                return Ok(Verdict::Retry { after: Some(left), hold: None });
            }
        }
        let made = answers.need(self.create())?.json();
        // Behind an answer that does not name the issue, the next attempt looks.
        let unheard = Verdict::Retry { after: None, hold: None };
        Ok(self.issue(&made).map_or(unheard, |issue| ticket::delivered(&issue, true)))
    }

    fn state(&self, answers: &mut Answers<'_, Step>, known: &Ticket) -> Told<Option<Value>> {
        let call = self.api.get(&format!("/issue/{}", known.external_id)).query("fields", "status");
        Ok(answers.find(call)?.map(Reply::json))
    }

    fn is_done(state: &Value) -> bool {
        workflow::is_done(state)
    }

    fn way(
        &self,
        answers: &mut Answers<'_, Step>,
        known: &Ticket,
        _: &Value,
        aim: Aim,
    ) -> Told<Option<workflow::Way>> {
        let path = format!("/issue/{}/transitions", known.external_id);
        let call = self.api.get(&path).query("expand", "transitions.fields");
        Ok(workflow::best(&answers.need(call)?.json(), aim))
    }

    /// A workflow may check for what no screen shows; then Jira refuses.
    fn take(
        &self,
        answers: &mut Answers<'_, Step>,
        known: &Ticket,
        way: &workflow::Way,
    ) -> Told<bool> {
        let path = format!("/issue/{}/transitions", known.external_id);
        let moved = answers.ask(self.api.post(&path, &way.body()))?;
        match (self.api.edition.verdict)(moved) {
            Verdict::Delivered(_) => Ok(true),
            _ if matches!(moved.status, 400 | 403 | 404 | 422) => Ok(false),
            refusal => Err(Box::new(refusal.into())),
        }
    }

    fn comment(&self, answers: &mut Answers<'_, Step>, known: &Ticket, news: News) -> Told<bool> {
        let path = format!("/issue/{}/comment", known.external_id);
        if ticket::may_repeat(self.out) {
            let newest = self.api.get(&path).query("orderBy", "-created");
            let Some(comments) = answers.find(newest.query("maxResults", COMMENTS_MAX))? else {
                return Ok(false);
            };
            if ticket::holds(comments, &ticket::comment_mark(self.out)) {
                return Ok(true);
            }
        }
        let body = json!({ "body": (self.api.edition.document)(&Words::of(self.out, news)) });
        Ok(answers.find(self.api.post(&path, &body).creating())?.is_some())
    }
}

impl Jira<'_> {
    fn create(&self) -> Call {
        let (out, words) = (self.out, Words::of(self.out, News::Opened));
        let destination = out.destination.expect("nothing is opened without a destination");
        let issue_type = destination.settings["issue_type"].as_str().unwrap_or("Task");
        let severity = format!("severity-{}", words.severity.as_str());
        let mut body = json!({ "fields": {
            "project": by_id_or("key", &destination.id),
            "issuetype": by_id_or("name", issue_type),
            "summary": words.title,
            "description": (self.api.edition.document)(&words),
            "labels": ["deptex", severity, ticket::ticket_mark(out)],
        }});
        if self.api.edition.properties {
            let id = out.delivery_id.to_string();
            body["properties"] = json!([{ "key": "deptex.delivery", "value": { "id": id } }]);
        }
        self.api.post("/issue", &body).creating()
    }

    /// Asks for the issue that carries our mark.
    fn look(&self) -> Call {
        let mark = ticket::ticket_mark(self.out);
        let jql = format!("labels = \"{mark}\" ORDER BY created ASC");
        let body = json!({ "jql": jql, "fields": ["status"], "maxResults": 1 });
        self.api.post(self.api.edition.search, &body)
    }

    fn issue(&self, issue: &Value) -> Option<Ticket> {
        let id = issue["id"].as_str().filter(|id| is_id(id))?;
        let key = issue["key"].as_str();
        Some(Ticket {
            external_id: id.to_owned(),
            external_key: key.map(str::to_owned),
            url: key.and_then(|key| self.api.page(key)),
            is_open: !workflow::is_done(issue),
        })
    }
}
