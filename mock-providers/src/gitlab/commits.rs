//! Statuses of commits.

use serde_json::json;

use super::{
    GitLab,
    access::{DEVELOPER, invalid, limited, message, project, unfit},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

/// A status of a commit.
#[derive(Clone, Debug)]
pub struct CommitStatus {
    /// GitLab's number of it.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// `pending`, `running`, `success`, `failed`, `canceled` or `skipped`.
    pub state: String,
    /// Its name.
    pub name: String,
    /// The line beside it.
    pub description: String,
    /// Where it leads.
    pub target_url: Option<String>,
}

const STATES: [&str; 6] = ["pending", "running", "success", "failed", "canceled", "skipped"];

/// Sets a status; one of the same name takes the place of the one before.
pub(super) fn status(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, _) = project(turn, DEVELOPER)?;
    let body = turn.json()?;
    let sha = turn.param("sha").to_owned();
    let is_hash = matches!(sha.len(), 40 | 64) && sha.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash || turn.state.projects[at].missing_commits.contains(&sha) {
        return Err(message(404, "Commit Not Found"));
    }
    let state = body["state"].as_str().ok_or_else(|| invalid("state is missing"))?.to_owned();
    if !STATES.contains(&state.as_str()) {
        return Err(invalid("state does not have a valid value"));
    }
    let name = limited(&body, "name", 255)?.or(limited(&body, "context", 255)?);
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    let description = limited(&body, "description", 255)?.unwrap_or_default();
    let target_url = limited(&body, "target_url", 255)?;
    let is_web = |url: &String| url.starts_with("https://") || url.starts_with("http://");
    if target_url.as_ref().is_some_and(|url| !is_web(url)) {
        return Err(unfit("target_url", "is blocked: Only allowed schemes are http, https"));
    }
    let id = turn.state.next_number();
    let statuses = &mut turn.state.projects[at].statuses;
    let same = statuses.iter().position(|known| known.sha == sha && known.name == name);
    let before = same.map(|place| statuses[place].state.clone());
    let step = match state.as_str() {
        "pending" => "enqueue",
        _ => "run",
    };
    if ["pending", "running"].contains(&state.as_str()) && before.as_deref() == Some(&state) {
        let why = format!(
            "Cannot transition status via :{step} from :{state} (Reason(s): Status cannot transition \
             via \"{step}\")"
        );
        return Err(Reply::json(400, &json!({ "message": why })));
    }
    let answer = json!({
        "id": id,
        "sha": sha,
        "ref": "main",
        "status": state,
        "name": name,
        "description": description,
        "target_url": target_url,
        "allow_failure": false,
    });
    let status = CommitStatus { id, sha, state, name, description, target_url };
    match same {
        Some(place) => statuses[place] = status,
        None => statuses.push(status),
    }
    Ok(Reply::json(201, &answer))
}
