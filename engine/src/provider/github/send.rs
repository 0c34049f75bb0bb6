//! Marks commits with a status and a check run, comments on pull requests, keeps issues.

use reqwest::Method;
use serde_json::{Value, json};

use super::{api, is_full_name, verdict};
use crate::provider::{
    code_host::{
        self, CodeHost, IssueId, Issues, LABEL, LOOK_UP_PAGE, Made, Thread, context, description,
        is_good_news, issue_body, title,
    },
    contract::{Call, Delivered, Destination, Outgoing, Reply, Step, Verdict, Wish},
    fold::{Answers, told},
    ticket::{self, Told},
};

/// How long the line beside a status may be.
const STATUS_CHARS_MAX: usize = 140;
/// How far clocks may differ.
const CLOCKS_DIFFER_SECONDS: i64 = 60 * 60;

/// What to do next for one event.
pub(super) fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let Some(destination) = out.destination else { return Verdict::NoDestination.into() };
    let github = GitHub { out, destination };
    let mut answers = Answers::new(replies, verdict);
    told(code_host::deliver(&github, out, &mut answers).map(Step::End))
}

/// GitHub, at one account with one repository.
struct GitHub<'a> {
    out: &'a Outgoing<'a>,
    destination: &'a Destination,
}

impl GitHub<'_> {
    fn call(&self, method: Method, path: &str) -> Call {
        let url = self.out.account.hosts.url("api", path);
        api(Call::new(method, url), &self.out.account)
    }

    /// The path of a repository: by its name, as documented. Where only the id is known, by that,
    /// the way that redirects of renamed repositories lead.
    fn path(&self, repository: &str, below: &str) -> String {
        let name = self.destination.settings["full_name"].as_str().filter(|n| is_full_name(n));
        match name.filter(|_| repository == self.destination.id) {
            Some(full_name) => format!("/repos/{full_name}{below}"),
            None => format!("/repositories/{repository}{below}"),
        }
    }

    fn here(&self, method: Method, below: &str) -> Call {
        self.call(method, &self.path(&self.destination.id, below))
    }

    fn comments_path(&self, thread: Thread<'_>) -> String {
        match thread {
            Thread::Issue(IssueId { repository, number }) => {
                self.path(repository, &format!("/issues/{number}/comments"))
            }
            // A pull request is an issue to this call.
            Thread::PullRequest(number) => {
                self.path(&self.destination.id, &format!("/issues/{number}/comments"))
            }
        }
    }

    /// Only the latest status of a context counts, so repeating it is harmless.
    fn status(&self, out: &Outgoing<'_>, sha: &str, context: &str) -> Call {
        self.here(Method::POST, &format!("/statuses/{sha}")).json(&json!({
            "state": if is_good_news(out) { "success" } else { "failure" },
            "context": context,
            "description": description(out, STATUS_CHARS_MAX),
            "target_url": out.notification.url,
        }))
    }

    fn earlier_run(
        &self,
        out: &Outgoing<'_>,
        sha: &str,
        context: &str,
        answers: &mut Answers<'_, Step>,
    ) -> Told<Option<u64>> {
        let call = self
            .here(Method::GET, &format!("/commits/{sha}/check-runs"))
            .query("check_name", context)
            .query("filter", "all")
            .query("per_page", &LOOK_UP_PAGE.to_string());
        let reply = answers.need(call)?;
        let answer = reply.json();
        let Some(runs) = answer["check_runs"].as_array() else {
            return Err(Box::new(Verdict::retry(reply).into()));
        };
        let mark = out.mark();
        let ours = runs.iter().find(|run| run["external_id"] == mark.as_str());
        Ok(ours.and_then(|run| run["id"].as_u64()))
    }

    fn run(&self, out: &Outgoing<'_>, sha: &str, context: &str, earlier: Option<u64>) -> Call {
        let conclusion = match out.wish {
            _ if !is_good_news(out) => "failure",
            Wish::Close => "success",
            Wish::Open => "neutral",
        };
        let mut run = json!({
            "name": context,
            "details_url": out.notification.url,
            "external_id": out.mark(),
            "status": "completed",
            "conclusion": conclusion,
            "output": { "title": title(out), "summary": issue_body(out, "") },
        });
        match earlier {
            Some(id) => self.here(Method::PATCH, &format!("/check-runs/{id}")).json(&run),
            None => {
                run["head_sha"] = json!(sha);
                self.here(Method::POST, "/check-runs").json(&run).creating()
            }
        }
    }
}

impl CodeHost for GitHub<'_> {
    fn verdict(&self, reply: &Reply) -> Verdict {
        verdict(reply)
    }

    fn read_repository(&self) -> Call {
        self.here(Method::GET, "")
    }

    /// A commit that is not there has an answer of its own here, which is the verdict.
    fn mark_commit(
        &self,
        out: &Outgoing<'_>,
        sha: &str,
        answers: &mut Answers<'_, Step>,
    ) -> Told<Option<Delivered>> {
        let context = context(out);
        answers.need(self.status(out, sha, &context))?;
        let earlier = if ticket::may_repeat(out) {
            self.earlier_run(out, sha, &context, answers)?
        } else {
            None
        };
        let run = self.made(&answers.need(self.run(out, sha, &context, earlier))?.json());
        Ok(Some(Delivered { external_id: Some(run.id), url: run.url, ticket: None }))
    }

    /// They come oldest first and cannot be turned around: only those since the delivery exists.
    fn comments(&self, out: &Outgoing<'_>, thread: Thread<'_>, page: u32) -> Call {
        let call = self
            .call(Method::GET, &self.comments_path(thread))
            .query("per_page", &LOOK_UP_PAGE.to_string())
            .query("page", &page.to_string());
        match since(out) {
            Some(since) => call.query("since", &since),
            None => call,
        }
    }

    fn comment(&self, thread: Thread<'_>, text: &str) -> Call {
        self.call(Method::POST, &self.comments_path(thread)).json(&json!({ "body": text }))
    }

    fn made(&self, item: &Value) -> Made {
        let is_pull_request = item.get("pull_request").is_some();
        let text = item["body"].as_str().filter(|_| !is_pull_request).unwrap_or_default();
        let id = item["number"].as_u64().or(item["id"].as_u64());
        Made {
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            url: item["html_url"].as_str().map(str::to_owned),
            text: text.to_owned(),
            is_open: item["state"] == "open",
        }
    }
}

impl Issues for GitHub<'_> {
    fn repository(&self) -> &str {
        &self.destination.id
    }

    fn create(&self, out: &Outgoing<'_>, text: &str) -> Call {
        let issue = json!({ "title": title(out), "body": text, "labels": [LABEL] });
        self.here(Method::POST, "/issues").json(&issue)
    }

    fn issues(&self, page: u32) -> Call {
        self.here(Method::GET, "/issues")
            .query("labels", LABEL)
            .query("state", "all")
            .query("sort", "created")
            .query("direction", "desc")
            .query("per_page", &LOOK_UP_PAGE.to_string())
            .query("page", &page.to_string())
    }

    fn issue(&self, issue: IssueId<'_>) -> Call {
        self.call(Method::GET, &self.path(issue.repository, &format!("/issues/{}", issue.number)))
    }

    fn set_open(&self, issue: IssueId<'_>, is_open: bool) -> Call {
        let path = self.path(issue.repository, &format!("/issues/{}", issue.number));
        self.call(Method::PATCH, &path).json(&if is_open {
            json!({ "state": "open" })
        } else {
            json!({ "state": "closed", "state_reason": "completed" })
        })
    }
}

/// When the delivery was made, by its id: nothing of it can be older.
fn since(out: &Outgoing<'_>) -> Option<String> {
    let (seconds, _) = out.delivery_id.0.get_timestamp()?.to_unix();
    let seconds = i64::try_from(seconds).ok()?.saturating_sub(CLOCKS_DIFFER_SECONDS);
    let at = chrono::DateTime::from_timestamp(seconds, 0)?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
