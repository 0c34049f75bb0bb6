//! Issues, comments, steps and searches, for both editions.

use serde_json::{Value, json};

use super::{
    Comment, Edition, Text, field_refused, fields, jql, no_issue, refusal,
    tracker::{shown_comment, shown_status},
};
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

/// `POST …/issue`.
pub(super) fn create<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let body = turn.json()?;
    let tracker = E::enter(turn)?;
    let issue = fields::new_issue::<E>(tracker, &body)?;
    let answer = json!({
        "id": issue.id, "key": issue.key,
        "self": format!("{}/issue/{}", tracker.api_url, issue.id),
    });
    tracker.issues.push(issue);
    Ok(Reply::json(201, &answer))
}

fn list(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(|text| text.split(',')).map(|part| part.trim().to_owned()).collect()
}

/// `GET …/issue/{issue}`.
pub(super) fn get<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (key, fields) = (turn.param("issue").to_owned(), list(turn.request.query("fields")));
    let tracker = E::enter(turn)?;
    let issue = tracker.issue(&key).ok_or_else(no_issue)?;
    Ok(Reply::json(200, &tracker.shown(issue, &fields)))
}

/// `GET …/issue/{issue}/comment`.
pub(super) fn comments<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let key = turn.param("issue").to_owned();
    let newest_first = turn.request.query("orderBy").is_some_and(|by| by.starts_with('-'));
    let (start, most) = (turn.request.number("startAt", 0), turn.request.number("maxResults", 50));
    let issue = E::enter(turn)?.issue(&key).ok_or_else(no_issue)?;
    let mut all: Vec<Value> = issue.comments.iter().map(shown_comment).collect();
    if newest_first {
        all.reverse();
    }
    let page: Vec<&Value> = all.iter().skip(start).take(most.min(100)).collect();
    let body =
        json!({ "startAt": start, "maxResults": most, "total": all.len(), "comments": page });
    Ok(Reply::json(200, &body))
}

/// `POST …/issue/{issue}/comment`.
pub(super) fn comment<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (body, key) = (turn.json()?, turn.param("issue").to_owned());
    let tracker = E::enter(turn)?;
    let number = tracker.issues.iter().map(|issue| issue.comments.len()).sum::<usize>() + 30_001;
    let issue = tracker.issue_mut(&key).ok_or_else(no_issue)?;
    if let Err(why) = E::TEXT.check(&body["body"]) {
        return Err(field_refused("comment", &why).violating(format!("comment: {why}")));
    }
    let comment = Comment { id: number.to_string(), body: body["body"].clone() };
    let answer = shown_comment(&comment);
    issue.comments.push(comment);
    Ok(Reply::json(201, &answer))
}

/// `GET …/issue/{issue}/transitions`.
pub(super) fn transitions<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let key = turn.param("issue").to_owned();
    let with_fields =
        turn.request.query("expand").is_some_and(|e| e.contains("transitions.fields"));
    let tracker = E::enter(turn)?;
    let issue = tracker.issue(&key).ok_or_else(no_issue)?;
    let category = |name: &str| {
        let project = tracker.project(&issue.project);
        let found =
            project.and_then(|p| p.workflow.statuses.iter().find(|(known, _)| known == name));
        found.map_or("new", |(_, category)| category.as_str())
    };
    let shown = tracker.steps(issue).into_iter().map(|step| {
        let mut shown = json!({
            "id": step.id, "name": step.name, "to": shown_status(&step.to, category(&step.to)),
            "hasScreen": step.needs_resolution, "isAvailable": true,
        });
        if with_fields {
            shown["fields"] = if step.needs_resolution { resolution_field() } else { json!({}) };
        }
        shown
    });
    Ok(Reply::json(200, &json!({ "transitions": shown.collect::<Vec<_>>() })))
}

fn resolution_field() -> Value {
    json!({ "resolution": {
        "required": true, "hasDefaultValue": false, "name": "Resolution", "operations": ["set"],
        "schema": { "type": "resolution", "system": "resolution" },
        "allowedValues": [{ "id": "10000", "name": "Done" }, { "id": "10001", "name": "Won't Do" }],
    } })
}

/// `POST …/issue/{issue}/transitions`.
pub(super) fn transition<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (body, key) = (turn.json()?, turn.param("issue").to_owned());
    let tracker = E::enter(turn)?;
    let issue = tracker.issue(&key).ok_or_else(no_issue)?;
    let wanted = body["transition"]["id"].as_str().unwrap_or_default();
    let step =
        tracker.steps(issue).into_iter().find(|step| step.id == wanted).ok_or_else(|| {
            let why = format!("Transition id '{wanted}' is not valid for this issue.");
            refusal(400, &[&why], &json!({}))
        })?;
    let resolution = &body["fields"]["resolution"];
    let named = match (resolution["id"].as_str(), resolution["name"].as_str()) {
        (Some("10000"), _) | (None, Some("Done")) => Some("Done"),
        (Some("10001"), _) | (None, Some("Won't Do")) => Some("Won't Do"),
        _ => None,
    };
    if step.needs_resolution && named.is_none() {
        return Err(field_refused("resolution", "Resolution is required."));
    }
    if !step.needs_resolution && !resolution.is_null() {
        let why =
            "Field 'resolution' cannot be set. It is not on the appropriate screen, or unknown.";
        return Err(field_refused("resolution", why).violating(why));
    }
    tracker.step(&key, &step, named.map(str::to_owned));
    Ok(Reply::empty(204))
}

/// `POST …/search/jql` in the cloud, `GET` and `POST …/search` elsewhere.
pub(super) fn search<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let request = turn.request;
    let body = if request.method == "GET" { Value::Null } else { turn.json()? };
    let query = body["jql"].as_str().or(request.query("jql")).unwrap_or_default().to_owned();
    let mut wanted: Vec<String> = list(request.query("fields"));
    wanted.extend(
        body["fields"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned),
    );
    let most = body["maxResults"]
        .as_u64()
        .map_or_else(|| request.number("maxResults", 50), |n| n as usize);
    let start =
        body["startAt"].as_u64().map_or_else(|| request.number("startAt", 0), |n| n as usize);
    if query.trim().is_empty() {
        return Err(fields::unreadable(
            "The query has no conditions: unbounded queries are refused.",
        ));
    }
    let tracker = E::enter(turn)?;
    if tracker.blind_searches > 0 {
        tracker.blind_searches -= 1;
        return Ok(found::<E>(&[], start, most));
    }
    let issues = jql::find(tracker, &query).map_err(|why| fields::unreadable(&why))?;
    // Ids alone, unless more is asked for: so the cloud has it.
    let shown: Vec<Value> = issues
        .into_iter()
        .map(|issue| match E::TEXT == Text::Document && wanted.is_empty() {
            true => json!({ "id": issue.id }),
            false => tracker.shown(issue, &wanted),
        })
        .collect();
    Ok(found::<E>(&shown, start, most))
}

fn found<E: Edition>(all: &[Value], start: usize, most: usize) -> Reply {
    let page: Vec<&Value> = all.iter().skip(start).take(most).collect();
    let body = match E::TEXT {
        Text::Document => json!({ "issues": page, "isLast": start + page.len() >= all.len() }),
        Text::Wiki => json!({
            "startAt": start, "maxResults": most, "total": all.len(), "issues": page,
        }),
    };
    Reply::json(200, &body)
}

/// `GET …/issue/{issue}/properties/{property}`.
pub(super) fn property<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (key, name) = (turn.param("issue").to_owned(), turn.param("property").to_owned());
    let issue = E::enter(turn)?.issue(&key).ok_or_else(no_issue)?;
    match issue.properties.get(&name) {
        Some(value) => Ok(Reply::json(200, &json!({ "key": name, "value": value }))),
        None => Err(refusal(404, &["The property does not exist."], &json!({}))),
    }
}

/// `PUT …/issue/{issue}/properties/{property}`.
pub(super) fn set_property<E: Edition>(turn: &mut Turn<'_, E>) -> Outcome {
    let (key, name) = (turn.param("issue").to_owned(), turn.param("property").to_owned());
    let value = turn.json()?;
    let issue = E::enter(turn)?.issue_mut(&key).ok_or_else(no_issue)?;
    let status = if issue.properties.insert(name, value).is_some() { 200 } else { 201 };
    Ok(Reply::empty(status))
}
