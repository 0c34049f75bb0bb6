//! Issues, pull requests, which are issues to this interface, and what people say on them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    GitHub, Repository,
    access::{error, invalid, paged},
    repositories::inside,
};
use crate::server::{
    reply::{Outcome, Reply},
    route::{Turn, Urls},
};

/// How long the body of an issue or a comment may be.
const BODY_CHARS_MAX: usize = 65_536;
/// How long a title may be.
const TITLE_CHARS_MAX: usize = 256;

/// An issue, or a pull request.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Its number in the repository.
    pub number: u64,
    /// Shown as it is.
    pub title: String,
    /// In Markdown.
    pub body: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Whether it is open.
    pub is_open: bool,
    /// Why it was closed, or `reopened`.
    pub state_reason: Option<String>,
    /// Whether it is a pull request.
    pub is_pull_request: bool,
    /// What was said, the oldest first.
    pub comments: Vec<Comment>,
    pub(super) is_deleted: bool,
    pub(super) is_locked: bool,
    created_at: DateTime<Utc>,
}

/// What somebody said on an issue.
#[derive(Clone, Debug)]
pub struct Comment {
    /// GitHub's number of it.
    pub id: u64,
    /// In Markdown.
    pub body: String,
    created_at: DateTime<Utc>,
}

impl Issue {
    pub(super) fn pull_request(number: u64, title: &str) -> Self {
        let at = DateTime::UNIX_EPOCH;
        Self { is_pull_request: true, ..Self::new(number, title.to_owned(), String::new(), at) }
    }

    fn new(number: u64, title: String, body: String, created_at: DateTime<Utc>) -> Self {
        Self {
            number,
            title,
            body,
            labels: Vec::new(),
            is_open: true,
            state_reason: None,
            is_pull_request: false,
            comments: Vec::new(),
            is_deleted: false,
            is_locked: false,
            created_at,
        }
    }
}

fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn page_of(issue: &Issue, full_name: &str, urls: &Urls) -> String {
    let kind = if issue.is_pull_request { "pull" } else { "issues" };
    format!("{}/{full_name}/{kind}/{}", urls["web"], issue.number)
}

fn shown(issue: &Issue, full_name: &str, urls: &Urls) -> Value {
    let api = format!("{}/repos/{full_name}/issues/{}", urls["api"], issue.number);
    let mut shown = json!({
        "id": 9_000_000 + issue.number,
        "number": issue.number,
        "title": issue.title,
        "body": issue.body,
        "state": if issue.is_open { "open" } else { "closed" },
        "state_reason": issue.state_reason,
        "labels": issue.labels.iter().map(|name| json!({ "name": name })).collect::<Value>(),
        "comments": issue.comments.len(),
        "comments_url": format!("{api}/comments"),
        "url": api,
        "html_url": page_of(issue, full_name, urls),
        "locked": issue.is_locked,
        "created_at": at(issue.created_at),
        "user": { "login": "deptex[bot]", "type": "Bot" },
    });
    if issue.is_pull_request {
        shown["pull_request"] = json!({ "html_url": page_of(issue, full_name, urls) });
    }
    shown
}

fn shown_comment(comment: &Comment, issue: &Issue, full_name: &str, urls: &Urls) -> Value {
    let page = page_of(issue, full_name, urls);
    json!({
        "id": comment.id,
        "body": comment.body,
        "html_url": format!("{page}#issuecomment-{}", comment.id),
        "created_at": at(comment.created_at),
        "updated_at": at(comment.created_at),
        "user": { "login": "deptex[bot]", "type": "Bot" },
    })
}

/// A text of a body within its limit.
fn limited(body: &Value, of: &str, name: &str, most: usize) -> Result<Option<String>, Reply> {
    let text = match &body[name] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        _ => return Err(invalid(of, name, "invalid", "is no text")),
    };
    if text.chars().count() > most {
        let why = format!("{name} is too long (maximum is {most} characters)");
        return Err(invalid(of, name, "custom", &why));
    }
    Ok(Some(text.clone()))
}

/// The issue of the path, by its place.
fn found(turn: &Turn<'_, GitHub>, at: usize) -> Result<usize, Reply> {
    let number = turn.param("number").parse::<u64>().ok();
    let repository = &turn.state.repositories[at];
    let place = repository.issues.iter().position(|issue| Some(issue.number) == number);
    let place = place.ok_or_else(|| error(404, "Not Found"))?;
    let issue = &repository.issues[place];
    if issue.is_deleted {
        return Err(error(410, "This issue was deleted"));
    }
    if !issue.is_pull_request {
        has_issues(repository)?;
    }
    Ok(place)
}

fn has_issues(repository: &Repository) -> Result<(), Reply> {
    match repository.has_issues {
        true => Ok(()),
        false => Err(error(410, "Issues are disabled for this repo")),
    }
}

/// The newest first, as asked for here; pull requests are among them.
pub(super) fn list(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "read"), |turn, at| {
        let repository = &turn.state.repositories[at];
        has_issues(repository)?;
        let state = turn.request.query("state").unwrap_or("open");
        let sort = turn.request.query("sort").unwrap_or("created");
        let direction = turn.request.query("direction").unwrap_or("desc");
        if !["open", "closed", "all"].contains(&state) {
            return Err(invalid("Issue", "state", "invalid", "open, closed or all"));
        }
        if sort != "created" || !["asc", "desc"].contains(&direction) {
            return Err(invalid("Issue", "sort", "invalid", "only the time of creation is known"));
        }
        let labels = turn.request.query("labels").unwrap_or_default();
        let wanted = |issue: &&Issue| {
            let labelled = labels.split(',').filter(|label| !label.is_empty());
            let mut labelled = labelled.map(|label| issue.labels.iter().any(|l| l == label));
            let in_state = state == "all" || issue.is_open == (state == "open");
            !issue.is_deleted && in_state && labelled.all(|has| has)
        };
        let mut all: Vec<&Issue> = repository.issues.iter().filter(wanted).collect();
        all.sort_by_key(|issue| (issue.created_at, issue.number));
        if direction == "desc" {
            all.reverse();
        }
        let full_name = repository.full_name();
        let all: Vec<Value> = all.iter().map(|i| shown(i, &full_name, turn.urls)).collect();
        Ok(paged(turn, &all, None))
    })
}

pub(super) fn create(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "write"), |turn, at| {
        let body = turn.json()?;
        has_issues(&turn.state.repositories[at])?;
        let title = limited(&body, "Issue", "title", TITLE_CHARS_MAX)?.unwrap_or_default();
        if title.trim().is_empty() {
            return Err(invalid("Issue", "title", "missing_field", "title can't be blank"));
        }
        let text = limited(&body, "Issue", "body", BODY_CHARS_MAX)?.unwrap_or_default();
        let labels = body["labels"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = labels.iter().map(|l| l.as_str().or(l["name"].as_str()).map(str::to_owned));
        let repository = &mut turn.state.repositories[at];
        let number = repository.issues.iter().map(|issue| issue.number).max().unwrap_or(0) + 1;
        let mut issue = Issue::new(number, title, text, turn.now);
        issue.labels = names
            .collect::<Option<_>>()
            .ok_or_else(|| invalid("Issue", "labels", "invalid", "a label has no name"))?;
        let full_name = repository.full_name();
        let answer = shown(&issue, &full_name, turn.urls);
        repository.issues.push(issue);
        Ok(Reply::json(201, &answer))
    })
}

pub(super) fn get(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "read"), |turn, at| {
        let place = found(turn, at)?;
        let repository = &turn.state.repositories[at];
        let shown = shown(&repository.issues[place], &repository.full_name(), turn.urls);
        Ok(Reply::json(200, &shown))
    })
}

/// Closes an issue or opens it again; what it is already, it stays.
pub(super) fn change(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "write"), |turn, at| {
        let body = turn.json()?;
        let place = found(turn, at)?;
        let title = limited(&body, "Issue", "title", TITLE_CHARS_MAX)?;
        let text = limited(&body, "Issue", "body", BODY_CHARS_MAX)?;
        let repository = &mut turn.state.repositories[at];
        let full_name = repository.full_name();
        let issue = &mut repository.issues[place];
        let is_open = match body["state"].as_str() {
            None if body["state"].is_null() => issue.is_open,
            Some("open") => true,
            Some("closed") => false,
            _ => return Err(invalid("Issue", "state", "invalid", "open or closed")),
        };
        let reason = match (&body["state_reason"], is_open) {
            (Value::Null, false) if issue.is_open => Some("completed".to_owned()),
            (Value::Null, true) if !issue.is_open => Some("reopened".to_owned()),
            (Value::Null, _) => issue.state_reason.clone(),
            (Value::String(reason), false)
                if ["completed", "not_planned", "duplicate"].contains(&reason.as_str()) =>
            {
                Some(reason.clone())
            }
            (Value::String(reason), true) if reason == "reopened" => Some(reason.clone()),
            _ => return Err(invalid("Issue", "state_reason", "invalid", "does not fit the state")),
        };
        issue.is_open = is_open;
        issue.state_reason = reason;
        issue.title = title.unwrap_or_else(|| issue.title.clone());
        issue.body = text.unwrap_or_else(|| issue.body.clone());
        Ok(Reply::json(200, &shown(issue, &full_name, turn.urls)))
    })
}

/// The oldest first, and in no other order: <https://docs.github.com/en/rest/issues/comments>.
pub(super) fn comments(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "read"), |turn, at| {
        let place = found(turn, at)?;
        let since = match turn.request.query("since") {
            None => DateTime::UNIX_EPOCH,
            Some(text) => DateTime::parse_from_rfc3339(text)
                .map_err(|_| invalid("IssueComment", "since", "invalid", "is no ISO 8601 time"))?
                .to_utc(),
        };
        let repository = &turn.state.repositories[at];
        let (issue, full_name) = (&repository.issues[place], repository.full_name());
        let newer = issue.comments.iter().filter(|comment| since <= comment.created_at);
        let all: Vec<Value> =
            newer.map(|comment| shown_comment(comment, issue, &full_name, turn.urls)).collect();
        Ok(paged(turn, &all, None))
    })
}

pub(super) fn comment(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("issues", "write"), |turn, at| {
        let body = turn.json()?;
        let place = found(turn, at)?;
        let text = limited(&body, "IssueComment", "body", BODY_CHARS_MAX)?.unwrap_or_default();
        if text.trim().is_empty() {
            return Err(invalid("IssueComment", "body", "missing_field", "body can't be blank"));
        }
        let comment = Comment { id: turn.state.next_number(), body: text, created_at: turn.now };
        let repository = &mut turn.state.repositories[at];
        let full_name = repository.full_name();
        let issue = &mut repository.issues[place];
        if issue.is_locked {
            let why = "Unable to create comment because issue is locked.";
            return Err(error(403, why));
        }
        let answer = shown_comment(&comment, issue, &full_name, turn.urls);
        issue.comments.push(comment);
        Ok(Reply::json(201, &answer))
    })
}
