//! Marks commits with a status, comments on merge requests, keeps issues.

use reqwest::Method;
use serde_json::{Value, json};

use super::{budget, verdict};
use crate::provider::{
    code_host::{
        self, CodeHost, IssueId, Issues, LABEL, LOOK_UP_PAGE, Made, Thread, context, description,
        is_good_news, title_without_references,
    },
    contract::{Call, Delivered, Destination, Outgoing, Reply, Step, Verdict},
    fold::{Answers, NOT_FOUND, told},
    ticket::Told,
};

/// How long the line beside a status may be, and the address behind it.
const STATUS_CHARS_MAX: usize = 255;

/// What to do next for one event.
pub(super) fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let Some(destination) = out.destination else { return Verdict::NoDestination.into() };
    let gitlab = GitLab { out, destination };
    let mut answers = Answers::new(replies, verdict);
    told(code_host::deliver(&gitlab, out, &mut answers).map(Step::End))
}

/// GitLab, at one account with one project.
struct GitLab<'a> {
    out: &'a Outgoing<'a>,
    destination: &'a Destination,
}

impl GitLab<'_> {
    fn call(&self, method: Method, project: &str, below: &str) -> Call {
        let path = format!("/api/v4/projects/{project}{below}");
        let account = &self.out.account;
        Call::new(method, account.hosts.url("web", &path))
            .bearer(account.credential)
            .heeding(budget)
    }

    fn here(&self, method: Method, below: &str) -> Call {
        self.call(method, &self.destination.id, below)
    }

    fn notes(&self, method: Method, thread: Thread<'_>) -> Call {
        match thread {
            Thread::Issue(IssueId { repository, number }) => {
                self.call(method, repository, &format!("/issues/{number}/notes"))
            }
            Thread::PullRequest(number) => {
                self.here(method, &format!("/merge_requests/{number}/notes"))
            }
        }
    }

    /// A page of the project that people see.
    fn page(&self, below: &str) -> Option<String> {
        let full_name = self.destination.settings["full_name"].as_str()?;
        Some(self.out.account.hosts.url("web", &format!("/{full_name}/-/{below}")).into())
    }
}

impl CodeHost for GitLab<'_> {
    fn verdict(&self, reply: &Reply) -> Verdict {
        verdict(reply)
    }

    fn read_repository(&self) -> Call {
        self.here(Method::GET, "")
    }

    fn mark_commit(
        &self,
        out: &Outgoing<'_>,
        sha: &str,
        answers: &mut Answers<'_, Step>,
    ) -> Told<Option<Delivered>> {
        let mut status = json!({
            "state": if is_good_news(out) { "success" } else { "failed" },
            "name": context(out),
            "description": description(out, STATUS_CHARS_MAX),
        });
        if out.notification.url.len() <= STATUS_CHARS_MAX {
            status["target_url"] = json!(out.notification.url);
        }
        let call = self.here(Method::POST, &format!("/statuses/{sha}")).json(&status);
        let reply = answers.ask(call)?;
        match verdict(reply) {
            Verdict::Delivered(_) => {}
            // The mark of this name says so already.
            _ if is_so_already(reply) => {}
            Verdict::WrongDestination(code) if code == NOT_FOUND => return Ok(None),
            refusal => return Err(Box::new(refusal.into())),
        }
        let id = reply.json()["id"].as_u64().map(|id| id.to_string());
        let url = self.page(&format!("commit/{sha}"));
        Ok(Some(Delivered { external_id: id, url, ticket: None }))
    }

    fn comments(&self, _out: &Outgoing<'_>, thread: Thread<'_>, page: u32) -> Call {
        self.notes(Method::GET, thread)
            .query("order_by", "created_at")
            .query("sort", "desc")
            .query("per_page", &LOOK_UP_PAGE.to_string())
            .query("page", &page.to_string())
    }

    fn comment(&self, thread: Thread<'_>, text: &str) -> Call {
        self.notes(Method::POST, thread).json(&json!({ "body": text }))
    }

    fn made(&self, item: &Value) -> Made {
        let id = item["iid"].as_u64().or(item["id"].as_u64());
        let text = item["description"].as_str().or(item["body"].as_str());
        Made {
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            url: item["web_url"].as_str().map(str::to_owned),
            text: text.unwrap_or_default().to_owned(),
            is_open: item["state"] == "opened",
        }
    }

    fn comment_page(&self, pull_request: u64, comment: &str) -> Option<String> {
        Some(format!("{}#note_{comment}", self.page(&format!("merge_requests/{pull_request}"))?))
    }
}

fn is_so_already(reply: &Reply) -> bool {
    let says = |text: &[u8]| {
        String::from_utf8_lossy(text).to_ascii_lowercase().contains("cannot transition status")
    };
    reply.status == 400 && says(&reply.body)
}

impl Issues for GitLab<'_> {
    fn repository(&self) -> &str {
        &self.destination.id
    }

    fn create(&self, out: &Outgoing<'_>, text: &str) -> Call {
        self.here(Method::POST, "/issues").json(&json!({
            "title": title_without_references(out),
            "description": text,
            "labels": [LABEL],
        }))
    }

    fn issues(&self, page: u32) -> Call {
        self.here(Method::GET, "/issues")
            .query("labels", LABEL)
            .query("state", "all")
            .query("order_by", "created_at")
            .query("sort", "desc")
            .query("per_page", &LOOK_UP_PAGE.to_string())
            .query("page", &page.to_string())
    }

    fn issue(&self, issue: IssueId<'_>) -> Call {
        self.call(Method::GET, issue.repository, &format!("/issues/{}", issue.number))
    }

    fn set_open(&self, issue: IssueId<'_>, is_open: bool) -> Call {
        let turn = if is_open { "reopen" } else { "close" };
        self.call(Method::PUT, issue.repository, &format!("/issues/{}", issue.number))
            .json(&json!({ "state_event": turn }))
    }
}
