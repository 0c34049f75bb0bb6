//! Issues, and what people say on them and on merge requests.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    GitLab,
    access::{GUEST, REPORTER, invalid, limited, message, paged, project, unfit},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

const TITLE_CHARS_MAX: usize = 255;
const DESCRIPTION_CHARS_MAX: usize = 1_048_576;
const NOTE_CHARS_MAX: usize = 1_000_000;

/// An issue, or a merge request.
#[derive(Clone, Debug)]
pub struct Issue {
    /// Its number in the project.
    pub iid: u64,
    /// Shown with its references as links.
    pub title: String,
    /// In Markdown.
    pub description: String,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// Whether it is open.
    pub is_open: bool,
    /// What was said, the oldest first.
    pub notes: Vec<Note>,
    pub(super) is_deleted: bool,
    created_at: DateTime<Utc>,
}

/// What somebody said.
#[derive(Clone, Debug)]
pub struct Note {
    /// GitLab's number of it.
    pub id: u64,
    /// In Markdown.
    pub body: String,
    created_at: DateTime<Utc>,
}

impl Issue {
    pub(super) fn new(iid: u64, title: String, created_at: DateTime<Utc>) -> Self {
        Self {
            iid,
            title,
            description: String::new(),
            labels: Vec::new(),
            is_open: true,
            notes: Vec::new(),
            is_deleted: false,
            created_at,
        }
    }
}

fn at(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Lines that GitLab does instead of showing them:
/// <https://docs.gitlab.com/user/project/quick_actions/>. None of ours may be one.
fn without_quick_actions(reply: Reply, text: &str) -> Reply {
    const KNOWN: [&str; 24] = [
        "/approve",
        "/assign",
        "/award",
        "/close",
        "/confidential",
        "/copy_metadata",
        "/done",
        "/draft",
        "/due",
        "/duplicate",
        "/epic",
        "/estimate",
        "/label",
        "/lock",
        "/merge",
        "/milestone",
        "/move",
        "/relabel",
        "/remove_label",
        "/reopen",
        "/severity",
        "/spend",
        "/title",
        "/unlabel",
    ];
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let found = text.lines().filter_map(first).find(|word| KNOWN.contains(&word.as_str()));
    match found {
        Some(action) => reply.violating(format!("a line is the quick action {action}")),
        None => reply,
    }
}

fn shown(turn: &Turn<'_, GitLab>, project: usize, issue: &Issue) -> Value {
    let project = &turn.state.projects[project];
    let page = format!("{}/{}/-/issues/{}", turn.base("web"), project.path, issue.iid);
    json!({
        "id": 100_000 + issue.iid,
        "iid": issue.iid,
        "project_id": project.id,
        "title": issue.title,
        "description": issue.description,
        "labels": issue.labels,
        "state": if issue.is_open { "opened" } else { "closed" },
        "web_url": page,
        "user_notes_count": issue.notes.len(),
        "created_at": at(issue.created_at),
    })
}

/// The place of the path's issue.
fn found(turn: &Turn<'_, GitLab>, project: usize) -> Result<usize, Reply> {
    let iid = turn.param("iid").parse::<u64>().ok();
    let project = &turn.state.projects[project];
    let fits = |issue: &Issue| Some(issue.iid) == iid && !issue.is_deleted;
    let found = project.issues.iter().position(fits).filter(|_| project.has_issues);
    found.ok_or_else(|| message(404, "Issue Not Found"))
}

/// Names in a list, or with commas between them.
fn labels(body: &Value) -> Result<Vec<String>, Reply> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &body["labels"] {
        Value::Null => Ok(Vec::new()),
        Value::String(text) => Ok(text.split(',').map(|label| label.trim().to_owned()).collect()),
        Value::Array(all) => {
            all.iter().map(text).collect::<Option<_>>().ok_or_else(|| invalid("labels is invalid"))
        }
        _ => Err(invalid("labels is invalid")),
    }
}

/// `desc`, unless it is asked for otherwise.
fn is_newest_first(turn: &Turn<'_, GitLab>) -> Result<bool, Reply> {
    if !matches!(turn.request.query("order_by"), None | Some("created_at")) {
        return Err(invalid("order_by does not have a valid value"));
    }
    match turn.request.query("sort") {
        None | Some("desc") => Ok(true),
        Some("asc") => Ok(false),
        Some(_) => Err(invalid("sort does not have a valid value")),
    }
}

pub(super) fn list(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, GUEST)?;
    let newest_first = is_newest_first(turn)?;
    let state = turn.request.query("state").unwrap_or("all");
    if !["all", "opened", "closed"].contains(&state) {
        return Err(invalid("state does not have a valid value"));
    }
    let labels = turn.request.query("labels").unwrap_or_default();
    let search = turn.request.query("search").unwrap_or_default().to_lowercase();
    let wanted = |issue: &&Issue| {
        let mut labels = labels.split(',').filter(|label| !label.is_empty());
        let says = |text: &str| text.to_lowercase().contains(&search);
        !issue.is_deleted
            && (state == "all" || issue.is_open == (state == "opened"))
            && labels.all(|label| issue.labels.iter().any(|known| known == label))
            && (says(&issue.title) || says(&issue.description))
    };
    let issues = &turn.state.projects[at].issues;
    let mut all: Vec<Value> = issues.iter().filter(wanted).map(|i| shown(turn, at, i)).collect();
    if newest_first {
        all.reverse();
    }
    Ok(paged(turn, &all))
}

pub(super) fn create(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, username) = project(turn, GUEST)?;
    let body = turn.json()?;
    if !turn.state.projects[at].has_issues {
        return Err(message(403, "Forbidden"));
    }
    let title = limited(&body, "title", TITLE_CHARS_MAX)?;
    let title = title.ok_or_else(|| invalid("title is missing"))?;
    if title.trim().is_empty() {
        return Err(unfit("title", "can't be blank"));
    }
    let description = limited(&body, "description", DESCRIPTION_CHARS_MAX)?.unwrap_or_default();
    let labels = labels(&body)?;
    let project = &mut turn.state.projects[at];
    let iid = project.issues.iter().map(|issue| issue.iid).max().unwrap_or(0) + 1;
    let mut issue = Issue::new(iid, title, turn.now);
    issue.description = description;
    // Guests' labels are left out without a word.
    if project.level(&username).is_some_and(|level| REPORTER <= level) {
        issue.labels = labels;
    }
    project.issues.push(issue.clone());
    let reply = Reply::json(201, &shown(turn, at, &issue));
    Ok(without_quick_actions(reply, &issue.description))
}

pub(super) fn get(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, GUEST)?;
    let place = found(turn, at)?;
    Ok(Reply::json(200, &shown(turn, at, &turn.state.projects[at].issues[place])))
}

/// Closes an issue or opens it again; what it is already, it stays.
pub(super) fn change(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, REPORTER)?;
    let body = turn.json()?;
    let place = found(turn, at)?;
    let title = limited(&body, "title", TITLE_CHARS_MAX)?;
    let description = limited(&body, "description", DESCRIPTION_CHARS_MAX)?;
    let is_open = match body["state_event"].as_str() {
        Some("close") => Some(false),
        Some("reopen") => Some(true),
        None if body["state_event"].is_null() => None,
        _ => return Err(invalid("state_event does not have a valid value")),
    };
    if title.is_none() && description.is_none() && is_open.is_none() {
        return Err(invalid(
            "title, description, state_event are missing, at least one parameter must be provided",
        ));
    }
    let issue = &mut turn.state.projects[at].issues[place];
    issue.title = title.unwrap_or_else(|| issue.title.clone());
    issue.description = description.unwrap_or_else(|| issue.description.clone());
    issue.is_open = is_open.unwrap_or(issue.is_open);
    let issue = issue.clone();
    Ok(Reply::json(200, &shown(turn, at, &issue)))
}

/// The issue or merge request of the path.
fn thread<'t>(turn: &'t mut Turn<'_, GitLab>, project: usize) -> Result<&'t mut Issue, Reply> {
    if turn.request.path.contains("/merge_requests/") {
        let iid = turn.param("iid").parse::<u64>().ok();
        let mut all = turn.state.projects[project].merge_requests.iter_mut();
        return all.find(|known| Some(known.iid) == iid).ok_or_else(|| message(404, "Not found"));
    }
    let place = found(turn, project)?;
    Ok(&mut turn.state.projects[project].issues[place])
}

fn shown_note(note: &Note, iid: u64) -> Value {
    json!({
        "id": note.id,
        "body": note.body,
        "system": false,
        "noteable_iid": iid,
        "created_at": at(note.created_at),
        "updated_at": at(note.created_at),
    })
}

pub(super) fn notes(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, GUEST)?;
    let newest_first = is_newest_first(turn)?;
    let issue = thread(turn, at)?;
    let mut all: Vec<Value> = issue.notes.iter().map(|n| shown_note(n, issue.iid)).collect();
    if newest_first {
        all.reverse();
    }
    Ok(paged(turn, &all))
}

pub(super) fn note(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, GUEST)?;
    let body = turn.json()?;
    let text = limited(&body, "body", NOTE_CHARS_MAX)?.unwrap_or_default();
    if text.trim().is_empty() {
        return Err(invalid("body is missing"));
    }
    let note = Note { id: turn.state.next_number(), body: text, created_at: turn.now };
    let issue = thread(turn, at)?;
    issue.notes.push(note.clone());
    let reply = Reply::json(201, &shown_note(&note, issue.iid));
    Ok(without_quick_actions(reply, &note.body))
}
