//! Who lets us in, their workspaces, and the repositories there.

use serde_json::{Value, json};

use super::{
    Bitbucket, Repository,
    access::{error, invalid, paged, user as who},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::{Turn, Urls},
};

pub(super) fn user(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let username = who(turn, "account")?;
    let found = turn.state.users.iter().find(|known| known.username == username);
    let known = found.ok_or_else(|| error(401, "Token is invalid"))?;
    let avatar = format!("{}/account/{}/avatar/", turn.urls["web"], known.username);
    Ok(Reply::json(
        200,
        &json!({
            "type": "user",
            "uuid": known.uuid,
            "account_id": format!("557058:{}", known.username),
            "username": known.username,
            "nickname": known.username,
            "display_name": known.display_name,
            "links": { "avatar": { "href": avatar } },
        }),
    ))
}

pub(super) fn workspaces(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let username = who(turn, "account")?;
    let mut all = Vec::new();
    for workspace in &turn.state.workspaces {
        let member = workspace.members.iter().find(|(member, _)| *member == username);
        let Some((_, is_admin)) = member else { continue };
        all.push(json!({
            "type": "workspace_access",
            "administrator": is_admin,
            "workspace": {
                "type": "workspace_base",
                "uuid": workspace.uuid,
                "slug": workspace.slug,
                "links": { "html": { "href": format!("{}/{}/", turn.urls["web"], workspace.slug) } },
            },
        }));
    }
    paged(turn, &all)
}

fn shown(bitbucket: &Bitbucket, repository: &Repository, urls: &Urls) -> Value {
    let full_name = bitbucket.full_name(repository);
    json!({
        "type": "repository",
        "uuid": repository.uuid,
        "full_name": full_name,
        "name": repository.slug,
        "slug": repository.slug,
        "is_private": true,
        "scm": "git",
        "mainbranch": { "type": "branch", "name": "main" },
        "links": { "html": { "href": format!("{}/{full_name}", urls["web"]) } },
    })
}

/// The repositories of a workspace that who asks is a member of.
pub(super) fn list(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let username = who(turn, "repository")?;
    let workspace = turn.state.workspace(turn.param("workspace"));
    let workspace = workspace.ok_or_else(|| {
        error(404, &format!("No workspace with identifier '{}'.", turn.param("workspace")))
    })?;
    let role = turn.request.query("role").unwrap_or("member");
    if !["admin", "contributor", "member", "owner"].contains(&role) {
        return Err(invalid("role", "Invalid role"));
    }
    let searched = match turn.request.query("q") {
        None => String::new(),
        Some(text) => name_contains(text).ok_or_else(|| invalid("q", "Invalid query"))?,
    };
    let all: Vec<Value> = turn
        .state
        .repositories
        .iter()
        .filter(|known| known.workspace == workspace.uuid && known.readers.contains(&username))
        .filter(|known| known.slug.to_lowercase().contains(&searched.to_lowercase()))
        .map(|known| shown(turn.state, known, turn.urls))
        .collect();
    paged(turn, &all)
}

/// The text of `name ~ "text"`, the one query that is understood here:
/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#filtering>.
fn name_contains(query: &str) -> Option<String> {
    let rest = query.trim().strip_prefix("name")?.trim_start().strip_prefix('~')?.trim();
    let text = rest.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('"')).then(|| text.to_owned())
}

/// The place of the path's repository, if who asks sees it.
pub(super) fn found(turn: &Turn<'_, Bitbucket>, scope: &str) -> Result<usize, Reply> {
    let username = who(turn, scope)?;
    let (workspace, repo) = (turn.param("workspace"), turn.param("repo"));
    let workspace = turn.state.workspace(workspace).map(|known| known.uuid.as_str());
    let fits = |known: &Repository| {
        Some(known.workspace.as_str()) == workspace
            && (known.slug == repo || known.uuid == repo)
            && known.readers.contains(&username)
    };
    turn.state.repositories.iter().position(fits).ok_or_else(|| {
        error(404, "You may not have access to this repository or it no longer exists.")
    })
}

pub(super) fn get(turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    let at = found(turn, "repository")?;
    Ok(Reply::json(200, &shown(turn.state, &turn.state.repositories[at], turn.urls)))
}

#[cfg(test)]
mod query {
    use super::name_contains;

    #[test]
    fn only_the_query_that_is_documented_is_understood() {
        assert_eq!(name_contains("name ~ \"shop\"").as_deref(), Some("shop"));
        for bad in ["name = \"shop\"", "name ~ shop", "name ~ \"a\" OR name ~ \"b\"", ""] {
            assert_eq!(name_contains(bad), None, "{bad}");
        }
    }
}
