//! Who lets us in, and the projects that they see.

use serde_json::{Value, json};

use super::{
    GitLab, Project,
    access::{GUEST, invalid, message, paged, project, user as who},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

pub(super) fn user(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let username = who(turn, &["api", "read_api", "read_user"])?;
    let found = turn.state.users.iter().find(|known| known.username == username);
    let known = found.ok_or_else(|| message(401, "Unauthorized"))?;
    let base = turn.base("web");
    Ok(Reply::json(
        200,
        &json!({
            "id": known.id,
            "username": known.username,
            "name": known.name,
            "state": "active",
            "avatar_url": format!("{base}/uploads/{}.png", known.username),
            "web_url": format!("{base}/{}", known.username),
        }),
    ))
}

/// A project as lists show it when they are asked to be simple.
fn simple(project: &Project, base: &str) -> Value {
    let name = project.path.rsplit('/').next().unwrap_or_default();
    json!({
        "id": project.id,
        "name": name,
        "path": name,
        "path_with_namespace": project.path,
        "name_with_namespace": project.path.replace('/', " / "),
        "default_branch": "main",
        "web_url": format!("{base}/{}", project.path),
    })
}

fn shown(project: &Project, base: &str, level: u64) -> Value {
    let mut shown = simple(project, base);
    shown["archived"] = project.is_archived.into();
    shown["issues_enabled"] = project.has_issues.into();
    shown["visibility"] = "private".into();
    shown["permissions"] =
        json!({ "project_access": { "access_level": level }, "group_access": null });
    shown
}

/// The newest first.
pub(super) fn list(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let username = who(turn, &["api", "read_api"])?;
    let flag = |name: &str| match turn.request.query(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(invalid(&format!("{name} is invalid"))),
    };
    let (_, is_simple, archived) = (flag("membership")?, flag("simple")?, flag("archived")?);
    let least = match turn.request.query("min_access_level") {
        None => 0,
        Some(text) => {
            let level = text.parse::<u64>().ok();
            let known = level.filter(|level| [5, 10, 15, 20, 25, 30, 40, 50].contains(level));
            known.ok_or_else(|| invalid("min_access_level does not have a valid value"))?
        }
    };
    let search = turn.request.query("search").unwrap_or_default().to_lowercase();
    let base = turn.base("web");
    let mut found = Vec::new();
    for project in turn.state.projects.iter().rev() {
        let Some(level) = project.level(&username) else { continue };
        let is_found = project.path.to_lowercase().contains(&search);
        if level < least || !is_found || archived.is_some_and(|a| a != project.is_archived) {
            continue;
        }
        found.push(match is_simple {
            Some(true) => simple(project, &base),
            _ => shown(project, &base, level),
        });
    }
    Ok(paged(turn, &found))
}

pub(super) fn get(turn: &mut Turn<'_, GitLab>) -> Outcome {
    let (at, username) = project(turn, GUEST)?;
    let project = &turn.state.projects[at];
    let level = project.level(&username).unwrap_or_default();
    Ok(Reply::json(200, &shown(project, &turn.base("web"), level)))
}
