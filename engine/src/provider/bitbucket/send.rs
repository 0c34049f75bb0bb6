//! Marks commits with a build status and comments on pull requests.

use serde_json::{Value, json};

use super::verdict;
use crate::provider::{
    code_host::{self, CodeHost, LOOK_UP_PAGE, Made, Thread, context, description, is_good_news},
    contract::{Call, Delivered, Destination, Outgoing, Reply, Step, Verdict},
    fold::{Answers, told},
    ticket::Told,
};

/// How long the line beside a status may be.
const STATUS_CHARS_MAX: usize = 255;

/// What to do next for one event.
pub(super) fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    let Some(destination) = out.destination else { return Verdict::NoDestination.into() };
    let bitbucket = Bitbucket { out, destination };
    told(bitbucket.deliver(&mut Answers::new(replies, verdict)).map(Step::End))
}

/// Bitbucket, at one workspace with one repository.
struct Bitbucket<'a> {
    out: &'a Outgoing<'a>,
    destination: &'a Destination,
}

impl Bitbucket<'_> {
    fn deliver(&self, answers: &mut Answers<'_, Step>) -> Told<Verdict> {
        let marked = code_host::mark(self, self.out, true, answers)?;
        Ok(marked.map_or(Verdict::NothingToDo("nothing_to_mark"), Verdict::Delivered))
    }

    /// Both ids survive renames: <https://developer.atlassian.com/cloud/bitbucket/rest/intro/>.
    fn url(&self, below: &str) -> url::Url {
        let account = &self.out.account;
        let (workspace, repository) = (account.installation_id, &self.destination.id);
        account.hosts.url("api", &format!("/2.0/repositories/{workspace}/{repository}{below}"))
    }

    fn read(&self, below: &str) -> Call {
        Call::get(self.url(below)).bearer(self.out.account.credential)
    }

    fn write(&self, below: &str, body: &Value) -> Call {
        Call::post(self.url(below)).bearer(self.out.account.credential).json(body)
    }
}

fn comments_path(thread: Thread<'_>) -> String {
    match thread {
        Thread::PullRequest(number) => format!("/pullrequests/{number}/comments"),
        Thread::Issue(issue) => format!("/issues/{}/comments", issue.number),
    }
}

impl CodeHost for Bitbucket<'_> {
    fn verdict(&self, reply: &Reply) -> Verdict {
        verdict(reply)
    }

    fn read_repository(&self) -> Call {
        self.read("")
    }

    /// A second one with the same key takes the place of the first.
    fn mark_commit(
        &self,
        out: &Outgoing<'_>,
        sha: &str,
        answers: &mut Answers<'_, Step>,
    ) -> Told<Option<Delivered>> {
        let key = out.mark();
        let status = json!({
            "type": "build",
            "key": key,
            "state": if is_good_news(out) { "SUCCESSFUL" } else { "FAILED" },
            "name": context(out),
            "description": description(out, STATUS_CHARS_MAX),
            "url": out.notification.url,
        });
        let call = self.write(&format!("/commit/{sha}/statuses/build"), &status);
        if answers.find(call)?.is_none() {
            return Ok(None);
        }
        let page = self.destination.settings["full_name"].as_str().map(|full_name| {
            out.account.hosts.url("web", &format!("/{full_name}/commits/{sha}")).into()
        });
        Ok(Some(Delivered { external_id: Some(key), url: page, ticket: None }))
    }

    fn comments(&self, _out: &Outgoing<'_>, thread: Thread<'_>, page: u32) -> Call {
        self.read(&comments_path(thread))
            .query("sort", "-created_on")
            .query("pagelen", &LOOK_UP_PAGE.to_string())
            .query("page", &page.to_string())
    }

    fn comment(&self, thread: Thread<'_>, text: &str) -> Call {
        let comment = json!({ "type": "pullrequest_comment", "content": { "raw": text } });
        self.write(&comments_path(thread), &comment)
    }

    fn made(&self, item: &Value) -> Made {
        Made {
            id: item["id"].as_u64().map(|id| id.to_string()).unwrap_or_default(),
            url: item["links"]["html"]["href"].as_str().map(str::to_owned),
            text: item["content"]["raw"].as_str().unwrap_or_default().to_owned(),
            is_open: true,
        }
    }

    /// Its Markdown shows comments of HTML to everybody; the mark in the link is enough.
    fn hidden(&self, _mark: &str) -> String {
        String::new()
    }

    fn items<'a>(&self, page: &'a Value) -> Option<&'a Vec<Value>> {
        page["values"].as_array()
    }
}
