//! What a new issue must have and may have.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Edition, Issue, IssueType, Project, field_refused, refusal, tracker::Tracker};
use crate::server::reply::Reply;

/// The fields on the usual screen.
const KNOWN: [&str; 10] = [
    "project",
    "issuetype",
    "summary",
    "description",
    "labels",
    "priority",
    "duedate",
    "parent",
    "environment",
    "components",
];
const SUMMARY_CHARS_MAX: usize = 255;
const LABEL_CHARS_MAX: usize = 255;

/// The issue that a request asks for.
pub(super) fn new_issue<E: Edition>(tracker: &Tracker, body: &Value) -> Result<Issue, Reply> {
    let fields = &body["fields"];
    let project = wanted_project(tracker, &fields["project"])?;
    let kind = wanted_type(project, &fields["issuetype"])?;
    check_known(kind, fields)?;
    let summary = fields["summary"].as_str().unwrap_or_default().to_owned();
    check_summary(&summary)?;
    let description = fields["description"].clone();
    if !description.is_null()
        && let Err(why) = E::TEXT.check(&description)
    {
        return Err(field_refused("description", &why).violating(format!("description: {why}")));
    }
    let labels = labels(&fields["labels"])?;
    for (id, name) in &kind.required {
        if fields[id].is_null() {
            return Err(field_refused(id, &format!("{name} is required.")));
        }
    }
    let (id, key, (status, category)) = tracker.next(project);
    let mut properties = BTreeMap::new();
    for property in body["properties"].as_array().into_iter().flatten() {
        let name = property["key"].as_str().unwrap_or_default();
        properties.insert(name.to_owned(), property["value"].clone());
    }
    Ok(Issue {
        id,
        key,
        project: project.key.clone(),
        issue_type: kind.name.clone(),
        summary,
        description,
        labels,
        properties,
        status,
        category,
        resolution: None,
        comments: Vec::new(),
    })
}

fn wanted_project<'t>(tracker: &'t Tracker, project: &Value) -> Result<&'t Project, Reply> {
    let named = project["id"].as_str().or(project["key"].as_str());
    let project = named.and_then(|named| tracker.project(named)).filter(|p| p.may_create);
    project.ok_or_else(|| field_refused("project", "valid project is required"))
}

fn wanted_type<'p>(project: &'p Project, kind: &Value) -> Result<&'p IssueType, Reply> {
    let (id, name) = (kind["id"].as_str(), kind["name"].as_str());
    let found = project
        .issue_types
        .iter()
        .find(|known| id == Some(&known.id) || id.is_none() && name == Some(&known.name));
    let found = found.ok_or_else(|| field_refused("issuetype", "Specify a valid issue type"))?;
    match found.is_subtask {
        true => Err(field_refused(
            "parent",
            "Issue type is a sub-task but parent issue key or id not specified.",
        )),
        false => Ok(found),
    }
}

fn check_known(kind: &IssueType, fields: &Value) -> Result<(), Reply> {
    for name in fields.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if !KNOWN.contains(&name.as_str()) && !kind.required.iter().any(|(id, _)| id == name) {
            let why = format!(
                "Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
            );
            return Err(field_refused(name, &why).violating(why));
        }
    }
    Ok(())
}

fn check_summary(summary: &str) -> Result<(), Reply> {
    let why = if summary.trim().is_empty() {
        "You must specify a summary of the issue."
    } else if summary.chars().count() > SUMMARY_CHARS_MAX {
        "Summary can't exceed 255 characters."
    } else if summary.contains(['\n', '\r']) {
        "The summary is invalid because it contains newline characters."
    } else {
        return Ok(());
    };
    Err(field_refused("summary", why).violating(why))
}

fn labels(labels: &Value) -> Result<Vec<String>, Reply> {
    let mut found = Vec::new();
    for label in labels.as_array().into_iter().flatten() {
        let text = label.as_str().unwrap_or_default();
        let why = if text.contains(char::is_whitespace) || text.is_empty() {
            format!("The label '{text}' contains spaces which is invalid.")
        } else if text.chars().count() > LABEL_CHARS_MAX {
            format!("The label '{text}' exceeds the maximum length for a single label (255).")
        } else {
            found.push(text.to_owned());
            continue;
        };
        return Err(field_refused("labels", &why).violating(why));
    }
    Ok(found)
}

/// The fields that a kind of issue shows when one is made, as the pickers tell them.
pub(super) fn shown(project: &Project, kind: &IssueType) -> Vec<Value> {
    let field = |id: &str, name: &str, required: bool, system: bool| {
        let schema = if system {
            json!({ "type": "string", "system": id })
        } else {
            json!({ "type": "option", "custom": id })
        };
        json!({
            "fieldId": id, "key": id, "name": name, "required": required,
            "hasDefaultValue": false, "operations": ["set"], "schema": schema,
        })
    };
    let mut shown = vec![
        field("project", "Project", true, true),
        field("issuetype", "Issue Type", true, true),
        field("summary", "Summary", true, true),
        field("description", "Description", false, true),
        field("labels", "Labels", false, true),
    ];
    // It has a default where it is required, so nobody needs to fill it.
    let mut priority = field("priority", "Priority", true, true);
    priority["hasDefaultValue"] = true.into();
    shown.push(priority);
    if kind.is_subtask {
        shown.push(field("parent", "Parent", true, true));
    }
    shown.extend(
        kind.required.iter().map(|(id, name)| field(id, name, true, KNOWN.contains(&id.as_str()))),
    );
    for field in &mut shown {
        if field["fieldId"] == "issuetype" {
            field["allowedValues"] = json!([{ "id": kind.id, "name": kind.name }]);
        }
        if field["fieldId"] == "project" {
            field["allowedValues"] = json!([{ "id": project.id, "key": project.key }]);
        }
    }
    shown
}

/// A request that Jira cannot read.
pub(super) fn unreadable(why: &str) -> Reply {
    refusal(400, &[why], &json!({})).violating(why)
}
