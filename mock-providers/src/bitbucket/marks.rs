//! Build statuses of commits, and comments on pull requests.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{
    Bitbucket, PullRequest,
    access::{error, invalid, paged},
    repositories::found,
};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

/// How long the key of a status may be.
const KEY_CHARS_MAX: usize = 40;
/// How long the other texts of a status may be.
const TEXT_CHARS_MAX: usize = 255;
/// How long a comment may be.
const COMMENT_CHARS_MAX: usize = 32_768;

/// A build status of a commit.
#[derive(Clone, Debug)]
pub struct BuildStatus {
    /// The commit.
    pub sha: String,
    /// What tells it from the others of the commit.
    pub key: String,
    /// `SUCCESSFUL`, `FAILED`, `INPROGRESS` or `STOPPED`.
    pub state: String,
    /// What people call it.
    pub name: String,
    /// The line beside it.
    pub description: String,
    /// Where it leads.
    pub url: String,
}

/// A comment on a pull request.
#[derive(Clone, Debug)]
pub struct Comment {
    /// Bitbucket's number of it.
    pub id: u64,
    /// In Markdown.
    pub raw: String,
    created_at: DateTime<Utc>,
}

fn text(body: &Value, name: &str, most: usize) -> Result<Option<String>, Reply> {
    let text = match &body[name] {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        _ => return Err(invalid(name, "expected a string")),
    };
    if text.chars().count() > most {
        return Err(invalid(name, &format!("Ensure this value has at most {most} characters.")));
    }
    Ok(Some(text.clone()).filter(|text| !text.is_empty()))
}

/// Sets a status; one with the same key takes the place of the one before.
pub(super) fn status(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let at = found(turn, "repository")?;
    let body = turn.json()?;
    let sha = turn.param("sha").to_owned();
    let is_hash = sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash || turn.state.repositories[at].missing_commits.contains(&sha) {
        return Err(error(404, "Commit not found"));
    }
    let needed = |name: &str| invalid(name, "This field is required.");
    let key = text(&body, "key", KEY_CHARS_MAX)?.ok_or_else(|| needed("key"))?;
    let state = text(&body, "state", TEXT_CHARS_MAX)?.ok_or_else(|| needed("state"))?;
    if !["SUCCESSFUL", "FAILED", "INPROGRESS", "STOPPED"].contains(&state.as_str()) {
        return Err(invalid("state", "is not a valid choice"));
    }
    let url = text(&body, "url", 2_048)?.ok_or_else(|| needed("url"))?;
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(invalid("url", "Enter a valid URL."));
    }
    let status = BuildStatus {
        sha,
        name: text(&body, "name", TEXT_CHARS_MAX)?.unwrap_or_else(|| key.clone()),
        description: text(&body, "description", TEXT_CHARS_MAX)?.unwrap_or_default(),
        key,
        state,
        url,
    };
    let answer = json!({
        "type": "build",
        "key": status.key,
        "state": status.state,
        "name": status.name,
        "description": status.description,
        "url": status.url,
        "created_on": moment(turn.now),
        "updated_on": moment(turn.now),
    });
    let statuses = &mut turn.state.repositories[at].statuses;
    let same = |known: &&mut BuildStatus| known.sha == status.sha && known.key == status.key;
    match statuses.iter_mut().find(same) {
        Some(known) => *known = status,
        None => statuses.push(status),
    }
    Ok(Reply::json(201, &answer))
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, false)
}

fn request<'t>(turn: &'t mut Turn<'_, Bitbucket>, at: usize) -> Result<&'t mut PullRequest, Reply> {
    let id = turn.param("id").parse::<u64>().ok();
    let mut all = turn.state.repositories[at].pull_requests.iter_mut();
    all.find(|known| Some(known.id) == id).ok_or_else(|| error(404, "Pull request not found"))
}

fn shown(turn: &Turn<'_, Bitbucket>, at: usize, request: u64, comment: &Comment) -> Value {
    let full_name = turn.state.full_name(&turn.state.repositories[at]);
    let page = format!("{}/{full_name}/pull-requests/{request}", turn.urls["web"]);
    json!({
        "type": "pullrequest_comment",
        "id": comment.id,
        "content": { "type": "rendered", "raw": comment.raw, "markup": "markdown", "html": "" },
        "created_on": moment(comment.created_at),
        "deleted": false,
        "links": { "html": { "href": format!("{page}/_/diff#comment-{}", comment.id) } },
    })
}

/// The oldest first, unless they are asked for by `sort=-created_on`.
pub(super) fn comments(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let at = found(turn, "pullrequest")?;
    let newest_first = match turn.request.query("sort") {
        None | Some("created_on") => false,
        Some("-created_on") => true,
        Some(_) => return Err(invalid("sort", "Invalid field name")),
    };
    let request = request(turn, at)?;
    let (id, mut comments) = (request.id, request.comments.clone());
    if newest_first {
        comments.reverse();
    }
    let all: Vec<Value> = comments.iter().map(|c| shown(turn, at, id, c)).collect();
    paged(turn, &all)
}

pub(super) fn comment(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let at = found(turn, "pullrequest:write")?;
    let body = turn.json()?;
    let raw = text(&body["content"], "raw", COMMENT_CHARS_MAX)?;
    let raw = raw.ok_or_else(|| invalid("content.raw", "This field is required."))?;
    let comment = Comment { id: turn.state.next_number(), raw, created_at: turn.now };
    let request = request(turn, at)?;
    let id = request.id;
    request.comments.push(comment.clone());
    Ok(Reply::json(201, &shown(turn, at, id, &comment)))
}
