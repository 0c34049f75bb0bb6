//! Who asks, and the places that they may see: workspaces and projects.

use serde_json::{Value, json};

use super::{
    Asana, Project, Workspace, consent,
    fields::{error, list, record},
};
use crate::{
    oauth::{Access, BearerProblem},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

const EXPIRED: &str = "The bearer token has expired. If you have a refresh token, please use it to \
                       request a new bearer token, otherwise allow the user to re-authenticate.";

/// Whose token it is, if it may do this.
pub(super) fn access(turn: &Turn<'_, Asana>, scope: &str) -> Result<Access, Reply> {
    let access = turn.oauth.bearer(turn.request.authorization("Bearer"), turn.now);
    let access = access.map_err(|problem| {
        error(401, if problem == BearerProblem::Expired { EXPIRED } else { "Not Authorized" })
    })?;
    match access.has(scope) {
        true => Ok(access),
        false => Err(error(403, &format!("Your app is missing the required scope: {scope}"))),
    }
}

pub(super) fn may_see(access: &Access, workspace: &str) -> bool {
    access.account == consent::BOTH || access.account == workspace
}

/// 404 about one thing.
pub(super) fn unknown(what: &str, gid: &str) -> Reply {
    error(404, &format!("{what}: Unknown object: {gid}"))
}

fn shown_workspace(workspace: &Workspace) -> Value {
    json!({ "gid": workspace.gid, "resource_type": "workspace", "name": workspace.name })
}

fn seen(turn: &Turn<'_, Asana>, access: &Access) -> Vec<Value> {
    let seen = turn.state.workspaces.iter().filter(|known| may_see(access, &known.gid));
    seen.map(shown_workspace).collect()
}

pub(super) fn user(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "users:read")?;
    let gid = turn.param("user");
    if gid != "me" && gid != "9001" {
        return Err(unknown("user", gid));
    }
    let whole = json!({
        "gid": "9001", "resource_type": "user", "name": "Ada Admin", "email": "ada@example.com",
        "photo": null, "workspaces": seen(turn, &access),
    });
    record(turn, 200, &whole)
}

pub(super) fn workspaces(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "workspaces:read")?;
    list(turn, &seen(turn, &access), "resource_type,name")
}

fn shown_project(project: &Project, workspace: &Workspace) -> Value {
    json!({
        "gid": project.gid, "resource_type": "project", "name": project.name,
        "archived": project.is_archived, "workspace": shown_workspace(workspace),
    })
}

pub(super) fn projects(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "projects:read")?;
    let gid = turn.param("workspace");
    let workspace = turn.state.workspaces.iter().find(|known| known.gid == gid);
    let workspace = workspace.ok_or_else(|| unknown("workspace", gid))?;
    if !may_see(&access, gid) {
        return Err(error(403, "Forbidden"));
    }
    let archived = turn.request.query("archived").map(|wanted| wanted == "true");
    let fits = |p: &&Project| archived.is_none_or(|wanted| p.is_archived == wanted);
    let all = workspace.projects.iter().filter(fits);
    let all: Vec<Value> = all.map(|project| shown_project(project, workspace)).collect();
    list(turn, &all, "resource_type,name")
}

/// A project that the token may see, with its workspace.
pub(super) fn wanted<'t>(
    turn: &'t Turn<'_, Asana>,
    access: &Access,
    gid: &str,
) -> Option<(&'t Project, &'t Workspace)> {
    let mut all = turn.state.workspaces.iter().filter(|known| may_see(access, &known.gid));
    all.find_map(|w| Some((w.projects.iter().find(|project| project.gid == gid)?, w)))
}

pub(super) fn project(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "projects:read")?;
    let gid = turn.param("project");
    let found = wanted(turn, &access, gid);
    let (project, workspace) = found.ok_or_else(|| unknown("project", gid))?;
    record(turn, 200, &shown_project(project, workspace))
}
