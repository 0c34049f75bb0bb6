//! What pickers ask for: projects, kinds of issues, and the fields that they want.

use serde_json::{Value, json};

use super::{Edition, Project, fields, refusal};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

fn shown(project: &Project, api_url: &str) -> Value {
    json!({
        "id": project.id, "key": project.key, "name": project.name,
        "projectTypeKey": "software", "self": format!("{api_url}/project/{}", project.id),
    })
}

fn no_project() -> Reply {
    refusal(404, &["No project could be found with that key or id."], &json!({}))
}

/// `GET …/project/search`, in the cloud.
pub(super) fn search<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let request = turn.request;
    let (start, most) = (request.number("startAt", 0), request.number("maxResults", 50).min(100));
    let all_of = |name: &str| -> Vec<String> {
        request.query.iter().filter(|(n, _)| n == name).map(|(_, value)| value.clone()).collect()
    };
    let (ids, keys) = (all_of("id"), all_of("keys"));
    let text = request.query("query").unwrap_or_default().to_lowercase();
    let may_create = request.query("action") == Some("create");
    let tracker = E::enter(turn)?;
    let fits = |project: &&Project| {
        (ids.is_empty() || ids.contains(&project.id))
            && (keys.is_empty() || keys.contains(&project.key))
            && (project.name.to_lowercase().contains(&text)
                || project.key.to_lowercase().contains(&text))
            && (project.may_create || !may_create)
    };
    let all: Vec<Value> =
        tracker.projects.iter().filter(fits).map(|p| shown(p, &tracker.api_url)).collect();
    let page: Vec<&Value> = all.iter().skip(start).take(most).collect();
    let body = json!({
        "startAt": start, "maxResults": most, "total": all.len(),
        "isLast": start + page.len() >= all.len(), "values": page,
    });
    Ok(Reply::json(200, &body))
}

/// `GET …/project`, on a server of one's own.
pub(super) fn list<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let tracker = E::enter(turn)?;
    let all = tracker.projects.iter().map(|project| shown(project, &tracker.api_url));
    Ok(Reply::json(200, &all.collect::<Vec<_>>().into()))
}

/// `GET …/project/{project}`.
pub(super) fn get<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let key = turn.param("project").to_owned();
    let tracker = E::enter(turn)?;
    let project = tracker.project(&key).ok_or_else(no_project)?;
    let mut body = shown(project, &tracker.api_url);
    let kinds = project.issue_types.iter();
    let kinds = kinds.map(|t| json!({ "id": t.id, "name": t.name, "subtask": t.is_subtask }));
    body["issueTypes"] = kinds.collect::<Vec<_>>().into();
    Ok(Reply::json(200, &body))
}

/// `GET …/issue/createmeta/{project}/issuetypes`.
pub(super) fn issue_types<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let key = turn.param("project").to_owned();
    let request = turn.request;
    let tracker = E::enter(turn)?;
    let project = tracker.project(&key).filter(|p| p.may_create).ok_or_else(no_project)?;
    let kinds = project.issue_types.iter();
    let all: Vec<Value> =
        kinds.map(|t| json!({ "id": t.id, "name": t.name, "subtask": t.is_subtask })).collect();
    Ok(page::<E>(
        &all,
        "issueTypes",
        request.number("startAt", 0),
        request.number("maxResults", 50),
    ))
}

/// `GET …/issue/createmeta/{project}/issuetypes/{type}`.
pub(super) fn fields<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (key, kind) = (turn.param("project").to_owned(), turn.param("type").to_owned());
    let request = turn.request;
    let tracker = E::enter(turn)?;
    let project = tracker.project(&key).filter(|p| p.may_create).ok_or_else(no_project)?;
    let kind = project.issue_types.iter().find(|known| known.id == kind);
    let kind = kind.ok_or_else(|| refusal(404, &["The issue type does not exist."], &json!({})))?;
    let all = fields::shown(project, kind);
    Ok(page::<E>(&all, "fields", request.number("startAt", 0), request.number("maxResults", 50)))
}

/// A page of choices. The cloud names them; a server of one's own has `values`.
fn page<E: Edition>(all: &[Value], name: &str, start: usize, most: usize) -> Reply {
    let page: Vec<&Value> = all.iter().skip(start).take(most).collect();
    let is_last = start + page.len() >= all.len();
    let mut body = json!({ "startAt": start, "maxResults": most, "total": all.len() });
    match E::TEXT {
        super::Text::Document => body[name] = json!(page),
        super::Text::Wiki => {
            body["isLast"] = is_last.into();
            body["values"] = json!(page);
        }
    }
    Reply::json(200, &body)
}
