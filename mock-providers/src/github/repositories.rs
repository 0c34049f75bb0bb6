//! Repositories: found by name or by id, moved when they are renamed.

use serde_json::{Value, json};

use super::{
    GitHub, Repository,
    access::{Caller, as_installation, error},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::{Turn, Urls},
};

/// A repository as the interface shows it.
pub(super) fn shown(repository: &Repository, urls: &Urls) -> Value {
    let full_name = repository.full_name();
    json!({
        "id": repository.id,
        "node_id": format!("R_{}", repository.id),
        "name": repository.name,
        "full_name": full_name,
        "private": true,
        "owner": { "login": repository.owner, "type": "Organization" },
        "html_url": format!("{}/{full_name}", urls["web"]),
        "url": format!("{}/repos/{full_name}", urls["api"]),
        "archived": repository.is_archived,
        "disabled": false,
        "has_issues": repository.has_issues,
        "default_branch": "main",
    })
}

pub(super) fn get(turn: &mut Turn<'_, GitHub>) -> Outcome {
    inside(turn, ("metadata", "read"), |turn, at| {
        Ok(Reply::json(200, &shown(&turn.state.repositories[at], turn.urls)))
    })
}

/// Answers about a repository that the caller was given, if it may do what it wants there. `then`
/// gets the repository's place.
pub(super) fn inside(
    turn: &mut Turn<'_, GitHub>,
    (what, level): (&str, &str),
    then: impl FnOnce(&mut Turn<'_, GitHub>, usize) -> Outcome,
) -> Outcome {
    as_installation(turn, |turn, caller| {
        let at = found(turn, caller)?;
        caller.may(turn.state, what, level)?;
        if level == "write" && turn.state.repositories[at].is_archived {
            return Err(error(403, "Repository was archived so is read-only."));
        }
        then(turn, at)
    })
}

fn found(turn: &Turn<'_, GitHub>, caller: &Caller) -> Result<usize, Reply> {
    let parts = turn.request.segments();
    let given: Vec<u64> = turn.state.given_to(caller.installation).map(|known| known.id).collect();
    let mut all = turn.state.repositories.iter().enumerate();
    let mut found = |fits: &dyn Fn(&Repository) -> bool| {
        let found = all.find(|(_, known)| given.contains(&known.id) && fits(known));
        found.map(|(at, known)| (at, known.id))
    };
    // What the app may not see is not there.
    let missing = || error(404, "Not Found");
    if parts[0] == "repositories" {
        let id = parts[1].parse::<u64>().ok();
        return found(&|known| Some(known.id) == id).map(|(at, _)| at).ok_or_else(missing);
    }
    let full_name = format!("{}/{}", parts[1], parts[2]);
    if let Some((at, _)) = found(&|known| known.full_name().eq_ignore_ascii_case(&full_name)) {
        return Ok(at);
    }
    let mut all = turn.state.repositories.iter();
    let moved = all.find(|known| given.contains(&known.id) && known.former.contains(&full_name));
    Err(moved.map_or_else(missing, |known| elsewhere(turn, known.id, &parts[3..])))
}

/// Where a renamed repository is. The method must stay the same, so what is no GET gets a 307:
/// <https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects>.
fn elsewhere(turn: &Turn<'_, GitHub>, id: u64, below: &[String]) -> Reply {
    let mut url = format!("{}/repositories/{id}", turn.urls["api"]);
    for part in below {
        url.push('/');
        url.push_str(part);
    }
    if !turn.request.query.is_empty() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&turn.request.query);
        url = format!("{url}?{}", query.finish());
    }
    let (status, message) = match turn.request.method.as_str() {
        "GET" => (301, "Moved Permanently"),
        _ => (307, "Temporary Redirect"),
    };
    let body = json!({
        "message": message,
        "url": url,
        "documentation_url": "https://docs.github.com/rest/guides/best-practices-for-using-the-rest-api#follow-redirects",
    });
    Reply::json(status, &body).header("location", &url)
}
