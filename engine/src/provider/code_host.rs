//! What the code hosts share: what an event names in a repository, how it is marked there, and how an
//! issue or a comment is made once although the call for it may be repeated.

mod issue;
mod words;

use serde_json::Value;

use super::{
    contract::{Call, Delivered, Outgoing, Reply, Step, Verdict},
    fold::Answers,
    ticket::{self, News, Told},
};

pub(super) use issue::{IssueId, Issues, LABEL, deliver};
pub(super) use words::{
    comment_body, context, description, is_good_news, issue_body, title, title_without_references,
};

/// How many things one page of a look-up has.
pub(super) const LOOK_UP_PAGE: usize = 30;
/// How many pages of a look-up are read.
const LOOK_UP_PAGES_MAX: u32 = 2;

/// What an event names in a repository.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// The full hash of a commit, in lower case.
    pub(super) commit: Option<String>,
    /// The number of a pull request.
    pub(super) pull_request: Option<u64>,
}

impl Named {
    /// Reads `commit_sha` or `commit.sha`, and `pull_request`: a number, or an object with one.
    /// Whatever is no hash or number is not there: it becomes part of a path.
    pub(super) fn of(data: &Value) -> Self {
        let sha = data["commit_sha"].as_str().or_else(|| data["commit"]["sha"].as_str());
        let number = |value: &Value| {
            value.as_u64().or_else(|| value.as_str()?.parse().ok()).filter(|number| 0 < *number)
        };
        let request = &data["pull_request"];
        let numbers = ["number", "iid", "id"];
        Self {
            commit: sha.filter(|sha| is_hash(sha)).map(str::to_ascii_lowercase),
            pull_request: number(request)
                .or_else(|| numbers.iter().find_map(|name| number(&request[*name]))),
        }
    }
}

/// SHA-1 or SHA-256, in full: hosts take nothing shorter.
fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Where people talk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thread<'a> {
    /// An issue.
    Issue(IssueId<'a>),
    /// A pull request of the destination, by its number.
    PullRequest(u64),
}

/// Something that was made before: an issue, or a comment.
#[derive(Clone, Debug, Default)]
pub(super) struct Made {
    /// The host's number or id.
    pub(super) id: String,
    /// Its page.
    pub(super) url: Option<String>,
    /// What it says.
    pub(super) text: String,
    /// Whether it is open; only of issues.
    pub(super) is_open: bool,
}

/// How one host is talked to. A value of it knows the account and the destination.
pub(super) trait CodeHost {
    /// What a refusal means.
    fn verdict(&self, reply: &Reply) -> Verdict;
    /// Reads the repository that events go to.
    fn read_repository(&self) -> Call;
    /// Marks a commit with what happened, `None` where it is not there; repeating it shows nothing
    /// twice.
    fn mark_commit(
        &self,
        out: &Outgoing<'_>,
        sha: &str,
        answers: &mut Answers<'_, Step>,
    ) -> Told<Option<Delivered>>;
    /// Lists a page of comments that may be ours.
    fn comments(&self, out: &Outgoing<'_>, thread: Thread<'_>, page: u32) -> Call;
    /// Comments.
    fn comment(&self, thread: Thread<'_>, text: &str) -> Call;
    /// Reads an issue or a comment.
    fn made(&self, item: &Value) -> Made;
    /// The page of a pull request's comment, for a host that does not tell.
    fn comment_page(&self, _pull_request: u64, _comment: &str) -> Option<String> {
        None
    }
    /// A mark, out of people's sight.
    fn hidden(&self, mark: &str) -> String {
        format!("<!-- deptex:{mark} -->")
    }
    /// The things of a listed page; `None` if it is no page.
    fn items<'a>(&self, page: &'a Value) -> Option<&'a Vec<Value>> {
        page.as_array()
    }
}

/// Marks the commit and, if it is wanted, the pull request that the event names; `None` if there was
/// nothing to mark.
pub(super) fn mark(
    host: &impl CodeHost,
    out: &Outgoing<'_>,
    wants_pull_request: bool,
    answers: &mut Answers<'_, Step>,
) -> Told<Option<Delivered>> {
    let named = Named::of(out.data);
    let mut delivered = None;
    if let Some(sha) = &named.commit {
        delivered = host.mark_commit(out, sha, answers)?;
        if delivered.is_none() {
            return Err(not_there(host, "commit_not_found", answers));
        }
    }
    if let Some(number) = named.pull_request.filter(|_| wants_pull_request) {
        let Some(made) =
            comment_once(host, out, Thread::PullRequest(number), News::Opened, answers)?
        else {
            return Err(not_there(host, "pull_request_not_found", answers));
        };
        let url = made.url.or_else(|| host.comment_page(number, &made.id));
        delivered = Some(Delivered { external_id: Some(made.id), url, ticket: None });
    }
    Ok(delivered)
}

/// What it means that a thing is not there which the event names. Hosts say the same of a repository
/// that they do not show, so that is asked for: where it is there, only this event is to blame, not
/// the admin's choice.
fn not_there(
    host: &impl CodeHost,
    code: &'static str,
    answers: &mut Answers<'_, Step>,
) -> Box<Step> {
    match answers.need(host.read_repository()) {
        Ok(_) => Box::new(Verdict::Rejected(code.into()).into()),
        Err(step) => step,
    }
}

/// Comments, unless an earlier attempt did so already; `None` if there is no such thread.
fn comment_once(
    host: &impl CodeHost,
    out: &Outgoing<'_>,
    thread: Thread<'_>,
    news: News,
    answers: &mut Answers<'_, Step>,
) -> Told<Option<Made>> {
    let mark = ticket::comment_mark(out);
    if ticket::may_repeat(out) {
        match look_for(host, &mark, |page| host.comments(out, thread, page), answers)? {
            Looked::Found(made) => return Ok(Some(made)),
            Looked::Nothing => {}
            Looked::NoSuchPlace => return Ok(None),
        }
    }
    let text = comment_body(out, news, &host.hidden(&mark));
    let reply = answers.ask(host.comment(thread, &text).creating())?;
    if is_gone(reply) {
        return Ok(None);
    }
    must(host, reply)?;
    Ok(Some(host.made(&reply.json())))
}

/// What a look-up came to.
enum Looked {
    Found(Made),
    Nothing,
    NoSuchPlace,
}

/// Reads pages, until one has something with this mark. A page that cannot be read is no proof that
/// nothing was made: it is asked for again later.
fn look_for(
    host: &impl CodeHost,
    mark: &str,
    page: impl Fn(u32) -> Call,
    answers: &mut Answers<'_, Step>,
) -> Told<Looked> {
    for number in 1..=LOOK_UP_PAGES_MAX {
        let reply = answers.ask(page(number))?;
        if is_gone(reply) {
            return Ok(Looked::NoSuchPlace);
        }
        must(host, reply)?;
        let json = reply.json();
        let Some(items) = host.items(&json) else {
            return Err(Box::new(Verdict::retry(reply).into()));
        };
        let ours = items.iter().map(|item| host.made(item)).find(|made| made.text.contains(mark));
        match ours {
            Some(made) => return Ok(Looked::Found(made)),
            None if items.len() < LOOK_UP_PAGE => return Ok(Looked::Nothing),
            None => {}
        }
    }
    Ok(Looked::Nothing)
}

/// Ends the story where a reply is no success.
fn must(host: &impl CodeHost, reply: &Reply) -> Told<()> {
    match host.verdict(reply) {
        Verdict::Delivered(_) => Ok(()),
        refusal => Err(Box::new(refusal.into())),
    }
}

/// Whether the issue or pull request is not there: deleted, moved to another repository, or never
/// was. A renamed repository is no reason: calls follow those.
fn is_gone(reply: &Reply) -> bool {
    matches!(reply.status, 404 | 410 | 300..=399)
}

#[cfg(test)]
pub(super) mod fixture;
#[cfg(test)]
mod tests;
