//! What Asana can do with tasks. A task carries an id of ours, by which a repeat finds it.

use serde_json::{Value, json};

use super::{API, get, html, is_gid, verdict::verdict};
use crate::provider::{
    Call, Outgoing, Reply, Step, Ticket, Verdict,
    fold::{Answers, told},
    ticket::{self, Aim, News, Told, Tracker, Words},
};

/// What is asked of a task.
const FIELDS: &str = "completed,permalink_url";
/// How many pages of comments are looked through for our own.
const PAGES_MAX: usize = 3;

/// Brings one event into its subject's task.
pub(super) fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let mut answers = Answers::new(replies, verdict);
    told(ticket::live(&Asana { out }, out, &mut answers).map(Step::End))
}

struct Asana<'a> {
    out: &'a Outgoing<'a>,
}

impl Tracker for Asana<'_> {
    type State = Value;
    type Way = bool;

    /// Whether Asana refuses an id that is taken is not written anywhere, so it is always looked for.
    fn open(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict> {
        let mark = ticket::ticket_mark(self.out);
        let there = self.get(&format!("/tasks/external:{mark}")).query("opt_fields", FIELDS);
        if let Some(task) = answers.find(there)?.and_then(|reply| task(&reply.json()["data"])) {
            let is_open = task.is_open;
            return Ok(ticket::delivered(&task, is_open));
        }
        let made = answers.need(self.create(&mark))?;
        let unheard = Verdict::Retry { after: None, hold: None };
        Ok(task(&made.json()["data"]).map_or(unheard, |task| ticket::delivered(&task, true)))
    }

    fn state(&self, answers: &mut Answers<'_, Step>, known: &Ticket) -> Told<Option<Value>> {
        let call = self.get(&format!("/tasks/{}", known.external_id)).query("opt_fields", FIELDS);
        Ok(answers.find(call)?.map(|reply| reply.json()["data"].clone()))
    }

    fn is_done(state: &Value) -> bool {
        state["completed"] == true
    }

    fn way(
        &self,
        _: &mut Answers<'_, Step>,
        _: &Ticket,
        _: &Value,
        aim: Aim,
    ) -> Told<Option<bool>> {
        Ok(Some(aim == Aim::Done))
    }

    fn take(
        &self,
        answers: &mut Answers<'_, Step>,
        known: &Ticket,
        completed: &bool,
    ) -> Told<bool> {
        let url = self.out.account.hosts.url("web", &format!("{API}/tasks/{}", known.external_id));
        let call = Call::new(reqwest::Method::PUT, url)
            .query("opt_fields", FIELDS)
            .header("accept", "application/json")
            .bearer(self.out.account.credential)
            .json(&json!({ "data": { "completed": completed } }));
        let moved = answers.ask(call)?;
        match verdict(moved) {
            Verdict::Delivered(_) => Ok(true),
            Verdict::Rejected(_) => Ok(false),
            refusal => Err(Box::new(refusal.into())),
        }
    }

    fn comment(&self, answers: &mut Answers<'_, Step>, known: &Ticket, news: News) -> Told<bool> {
        let path = format!("/tasks/{}/stories", known.external_id);
        if ticket::may_repeat(self.out) {
            match self.find_comment(answers, &path)? {
                None => return Ok(false),
                Some(true) => return Ok(true),
                Some(false) => {}
            }
        }
        let text = html::document(&Words::of(self.out, news));
        let body = json!({ "data": { "html_text": text } });
        Ok(answers.find(self.post(&path, "created_at", &body))?.is_some())
    }
}

impl Asana<'_> {
    /// Whether our comment is there; `None` if the task is not.
    fn find_comment(&self, answers: &mut Answers<'_, Step>, path: &str) -> Told<Option<bool>> {
        let mark = ticket::comment_mark(self.out);
        let mut offset: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let mut call = self.get(path).query("limit", "100").query("opt_fields", "html_text");
            if let Some(offset) = &offset {
                call = call.query("offset", offset);
            }
            let Some(stories) = answers.find(call)? else { return Ok(None) };
            if ticket::holds(stories, &mark) {
                return Ok(Some(true));
            }
            match stories.json()["next_page"]["offset"].as_str() {
                Some(next) => offset = Some(next.to_owned()),
                None => break,
            }
        }
        Ok(Some(false))
    }

    fn create(&self, mark: &str) -> Call {
        let words = Words::of(self.out, News::Opened);
        let destination = self.out.destination.expect("nothing is opened without a destination");
        let body = json!({ "data": {
            "name": words.title,
            "html_notes": html::document(&words),
            "projects": [destination.id],
            "external": { "gid": mark, "data": self.out.delivery_id.to_string() },
        }});
        self.post("/tasks", FIELDS, &body)
    }

    fn get(&self, path: &str) -> Call {
        get(&self.out.account, path)
    }

    fn post(&self, path: &str, fields: &str, body: &Value) -> Call {
        let url = self.out.account.hosts.url("web", &format!("{API}{path}"));
        Call::post(url)
            .query("opt_fields", fields)
            .header("accept", "application/json")
            .bearer(self.out.account.credential)
            .json(body)
            .creating()
    }
}

fn task(task: &Value) -> Option<Ticket> {
    Some(Ticket {
        external_id: task["gid"].as_str().filter(|gid| is_gid(gid))?.to_owned(),
        external_key: None,
        url: task["permalink_url"].as_str().map(str::to_owned),
        is_open: task["completed"] != true,
    })
}
