//! What stands beside a commit: statuses, of which the latest of each context counts, and check runs.

use serde_json::{Value, json};

use super::{
    GitHub,
    access::{error, invalid, paged},
    repositories::inside,
};
use crate::server::{
    reply::{Outcome, Reply},
    route::{Turn, Urls},
};

/// How many statuses a commit may have of one context.
const STATUSES_MAX: usize = 1_000;
/// How long a check run's summary and text may be.
const OUTPUT_CHARS_MAX: usize = 65_535;

/// A status of a commit.
#[derive(Clone, Debug)]
pub struct Status {
    /// The commit.
    pub sha: String,
    /// `success`, `failure`, `error` or `pending`.
    pub state: String,
    /// Its name.
    pub context: String,
    /// The line beside it.
    pub description: String,
    /// Where it leads.
    pub target_url: Option<String>,
}

/// A check run of a commit.
#[derive(Clone, Debug)]
pub struct CheckRun {
    /// GitHub's number of it.
    pub id: u64,
    /// The commit.
    pub head_sha: String,
    /// Its name.
    pub name: String,
    /// Ours.
    pub external_id: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// `success`, `failure`, `neutral` and so on, once it is completed.
    pub conclusion: Option<String>,
    /// The heading of what it says.
    pub title: String,
    /// What it says, in Markdown.
    pub summary: String,
}

/// A commit that is there, by the whole hash in the path or the body.
fn commit(turn: &Turn<'_, GitHub>, at: usize, sha: &str) -> Result<String, Reply> {
    let is_hash = matches!(sha.len(), 40 | 64) && sha.bytes().all(|b| b.is_ascii_hexdigit());
    let repository = &turn.state.repositories[at];
    if !is_hash || repository.missing_commits.contains(sha) {
        return Err(error(422, &format!("No commit found for SHA: {sha}")));
    }
    Ok(sha.to_owned())
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The same within a limit of characters.
fn limited(body: &Value, of: &str, name: &str, most: usize) -> Result<String, Reply> {
    let text = text(body, name).unwrap_or_default();
    if text.chars().count() > most {
        let why = format!("{name} is too long (maximum is {most} characters)");
        return Err(invalid(of, name, "custom", &why));
    }
    Ok(text)
}

fn one_of(body: &Value, of: &str, name: &str, known: &[&str]) -> Result<String, Reply> {
    match text(body, name) {
        Some(word) if known.contains(&word.as_str()) => Ok(word),
        _ => Err(invalid(of, name, "invalid", &format!("{name} is not one of {known:?}"))),
    }
}

pub(super) fn status(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("statuses", "write"), |turn, at| {
        let sha = commit(turn, at, turn.param("sha"))?;
        let body = turn.json()?;
        let state = one_of(&body, "Status", "state", &["error", "failure", "pending", "success"])?;
        let context = limited(&body, "Status", "context", 255)?;
        let context = if context.is_empty() { "default".to_owned() } else { context };
        let description = limited(&body, "Status", "description", 140)?;
        let target_url = text(&body, "target_url");
        if target_url.as_deref().is_some_and(|url| !is_web_address(url)) {
            let why = "target_url must use http(s) scheme";
            return Err(invalid("Status", "target_url", "custom", why));
        }
        let statuses = &mut turn.state.repositories[at].statuses;
        let same = statuses.iter().filter(|known| known.sha == sha && known.context == context);
        if STATUSES_MAX <= same.count() {
            let why = "This SHA and context has reached the maximum number of statuses.";
            return Err(error(422, why));
        }
        let status = Status { sha, state, context, description, target_url };
        let number = statuses.len() + 1;
        let answer = json!({
            "id": number,
            "url": format!("{}{}", turn.urls["api"], turn.request.path),
            "state": status.state,
            "context": status.context,
            "description": status.description,
            "target_url": status.target_url,
        });
        statuses.push(status);
        Ok(Reply::json(201, &answer))
    })
}

fn is_web_address(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

fn shown(run: &CheckRun, full_name: &str, urls: &Urls) -> Value {
    json!({
        "id": run.id,
        "head_sha": run.head_sha,
        "name": run.name,
        "external_id": run.external_id,
        "status": run.status,
        "conclusion": run.conclusion,
        "output": { "title": run.title, "summary": run.summary, "text": null, "annotations_count": 0 },
        "html_url": format!("{}/{full_name}/runs/{}", urls["web"], run.id),
        "app": { "slug": "deptex" },
        "pull_requests": [],
    })
}

/// Puts what a body says into a run.
fn read_run(run: &mut CheckRun, body: &Value) -> Result<(), Reply> {
    const OF: &str = "CheckRun";
    if !body["name"].is_null() {
        run.name = text(body, "name").ok_or_else(|| invalid(OF, "name", "invalid", "no text"))?;
    }
    if !body["external_id"].is_null() {
        run.external_id = text(body, "external_id").unwrap_or_default();
    }
    let address = text(body, "details_url");
    if address.is_some_and(|url| !is_web_address(&url)) {
        return Err(invalid(OF, "details_url", "invalid", "is not a URL"));
    }
    if !body["status"].is_null() {
        run.status = one_of(body, OF, "status", &["queued", "in_progress", "completed"])?;
    }
    if !body["conclusion"].is_null() {
        let known = [
            "action_required",
            "cancelled",
            "failure",
            "neutral",
            "success",
            "skipped",
            "timed_out",
        ];
        run.conclusion = Some(one_of(body, OF, "conclusion", &known)?);
        run.status = "completed".to_owned();
    }
    if run.status == "completed" && run.conclusion.is_none() {
        let why = "a completed run has a conclusion";
        return Err(invalid(OF, "conclusion", "missing_field", why));
    }
    let output = &body["output"];
    if !output.is_null() {
        run.title = text(output, "title")
            .ok_or_else(|| invalid(OF, "output.title", "missing_field", "no title"))?;
        run.summary = limited(output, OF, "summary", OUTPUT_CHARS_MAX)?;
        if run.summary.is_empty() {
            return Err(invalid(OF, "output.summary", "missing_field", "no summary"));
        }
        limited(output, OF, "text", OUTPUT_CHARS_MAX)?;
        if output["annotations"].as_array().is_some_and(|all| all.len() > 50) {
            let why = "no more than 50 annotations in a call";
            return Err(invalid(OF, "output.annotations", "invalid", why));
        }
    }
    Ok(())
}

pub(super) fn new_run(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("checks", "write"), |turn, at| {
        let body = turn.json()?;
        let missing = |name: &str| invalid("CheckRun", name, "missing_field", "wasn't supplied");
        text(&body, "name").ok_or_else(|| missing("name"))?;
        let sha = text(&body, "head_sha").ok_or_else(|| missing("head_sha"))?;
        let mut run = CheckRun {
            id: turn.state.next_number(),
            head_sha: commit(turn, at, &sha)?,
            name: String::new(),
            external_id: String::new(),
            status: "queued".to_owned(),
            conclusion: None,
            title: String::new(),
            summary: String::new(),
        };
        read_run(&mut run, &body)?;
        let repository = &mut turn.state.repositories[at];
        let answer = shown(&run, &repository.full_name(), turn.urls);
        repository.runs.push(run);
        Ok(Reply::json(201, &answer))
    })
}

pub(super) fn change_run(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("checks", "write"), |turn, at| {
        let body = turn.json()?;
        let id = turn.param("run").parse::<u64>().ok();
        let repository = &mut turn.state.repositories[at];
        let full_name = repository.full_name();
        let run = repository.runs.iter_mut().find(|run| Some(run.id) == id);
        let run = run.ok_or_else(|| error(404, "Not Found"))?;
        let mut changed = run.clone();
        read_run(&mut changed, &body)?;
        *run = changed;
        Ok(Reply::json(200, &shown(run, &full_name, turn.urls)))
    })
}

/// The check runs of a commit, the newest first; the latest of each name, unless all are wanted.
pub(super) fn runs(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("checks", "read"), |turn, at| {
        let sha = commit(turn, at, turn.param("sha"))?;
        let all = match turn.request.query("filter") {
            None | Some("latest") => false,
            Some("all") => true,
            Some(_) => return Err(invalid("CheckRun", "filter", "invalid", "latest or all")),
        };
        let repository = &turn.state.repositories[at];
        let name = turn.request.query("check_name");
        let mut seen: Vec<&str> = Vec::new();
        let mut found = Vec::new();
        for run in repository.runs.iter().rev().filter(|run| run.head_sha == sha) {
            let is_wanted = name.is_none_or(|name| name == run.name);
            if is_wanted && (all || !seen.contains(&run.name.as_str())) {
                seen.push(&run.name);
                found.push(shown(run, &repository.full_name(), turn.urls));
            }
        }
        Ok(paged(turn, &found, Some("check_runs")))
    })
}
