//! Whether a project can take our issues: it needs an issue type, and one whose screen has the
//! fields that we fill and demands no others.

use serde_json::{Value, json};

use super::{Api, Edition, is_id, project_name, unknown_place};
use crate::provider::{
    CheckStep, Choosing, Destination, Reply, Verdict,
    fold::{Answers, told},
};

/// How many pages of issue types, and of fields, are looked through.
const PAGES_MAX: usize = 3;
/// How many entries a page has.
const PAGE: u64 = 200;
/// What an admin gets who does not say which issue type; else it is the first one.
const USUAL_TYPES: &[&str] = &["Bug", "Task"];
/// What we cannot do without: the label lets a repeat find the issue that was made before.
const OURS: &[&str] = &["summary", "description", "labels"];
/// What Jira fills by itself, or we do.
const FILLED: &[&str] = &["project", "issuetype", "reporter", "summary", "description", "labels"];

/// Makes sure that a project can take our issues, and picks the issue type.
pub(in crate::provider) fn check(
    edition: &'static Edition,
    choosing: &Choosing<'_>,
    replies: &[Reply],
) -> CheckStep {
    let Some(api) = Api::of(edition, choosing.account) else {
        return CheckStep::Refused(unknown_place());
    };
    told(choose(&api, choosing, &mut Answers::new(replies, edition.verdict)))
}

type Answered<T> = Result<T, Box<CheckStep>>;

fn choose(
    api: &Api<'_>,
    choosing: &Choosing<'_>,
    answers: &mut Answers<'_, CheckStep>,
) -> Answered<CheckStep> {
    let unusable = |why: String| Ok(CheckStep::Unusable(why));
    if !is_id(choosing.id) {
        return unusable("This is neither the id nor the key of a Jira project.".to_owned());
    }
    let found = answers.find((api.edition.project)(api, choosing.id))?.map(Reply::json);
    let found =
        found.map(|body| if body["values"].is_array() { body["values"][0].clone() } else { body });
    let Some((id, key, name)) = found.as_ref().and_then(project_name) else {
        return unusable("Jira does not show this project to the connected account.".to_owned());
    };
    let types =
        pages(answers, api, &format!("/issue/createmeta/{id}/issuetypes"), &["issueTypes"])?;
    let issue_type = match pick_type(&types, choosing.issue_type) {
        Ok(issue_type) => issue_type,
        Err(why) => return unusable(format!("{key}: {why}")),
    };
    let (type_id, type_name) = (text(issue_type, "id"), text(issue_type, "name"));
    if !is_id(type_id) {
        return Ok(CheckStep::Refused(Verdict::Retry { after: None, hold: None }));
    }
    let path = format!("/issue/createmeta/{id}/issuetypes/{type_id}");
    let fields = pages(answers, api, &path, &["fields", "results"])?;
    if let Some(why) = what_hinders(&fields) {
        return unusable(format!("{key}: the issue type {type_name} {why}"));
    }
    Ok(CheckStep::Fine(Destination {
        id: id.to_owned(),
        name,
        settings: json!({
            "project_key": key, "issue_type": type_id, "issue_type_name": type_name,
        }),
    }))
}

/// The entries of all pages; none where the account may not create anything. Cloud names the list,
/// Data Center calls it `values`.
fn pages(
    answers: &mut Answers<'_, CheckStep>,
    api: &Api<'_>,
    path: &str,
    names: &[&str],
) -> Answered<Vec<Value>> {
    let mut entries = Vec::new();
    for _ in 0..PAGES_MAX {
        let page = api.get(path).query("startAt", &entries.len().to_string());
        let page = answers.find(page.query("maxResults", &PAGE.to_string()))?;
        let Some(body) = page.map(Reply::json) else { break };
        let list = names.iter().chain(&["values"]).find_map(|name| body[*name].as_array());
        let list = list.map_or(&[][..], Vec::as_slice);
        entries.extend_from_slice(list);
        let is_last = match body["total"].as_u64() {
            Some(total) => total <= entries.len() as u64,
            None => body["isLast"] != false,
        };
        if list.is_empty() || is_last {
            break;
        }
    }
    Ok(entries)
}

/// The issue type that was asked for, by name or id; else the one that fits findings best.
fn pick_type<'a>(types: &'a [Value], asked: Option<&str>) -> Result<&'a Value, String> {
    let usable: Vec<_> = types.iter().filter(|kind| kind["subtask"] != true).collect();
    let named = |name: &str| {
        let is = |kind: &&&Value| {
            kind["id"] == name || text(kind, "name").to_lowercase() == name.to_lowercase()
        };
        usable.iter().find(is).copied()
    };
    let picked = match asked.map(str::trim).filter(|asked| !asked.is_empty()) {
        Some(asked) => named(asked),
        None => USUAL_TYPES.iter().find_map(|name| named(name)).or(usable.first().copied()),
    };
    picked.ok_or_else(|| {
        let names: Vec<_> = usable.iter().map(|kind| text(kind, "name")).collect();
        match names.is_empty() {
            true => "the connected account may not create issues here.".to_owned(),
            false => format!("there is no such issue type; choose one of {}.", names.join(", ")),
        }
    })
}

/// Why issues of a type with these fields could not be made.
fn what_hinders(fields: &[Value]) -> Option<String> {
    let id = |field: &'_ Value| match text(field, "fieldId") {
        "" => text(field, "key").to_owned(),
        id => id.to_owned(),
    };
    let demanded = fields.iter().filter(|field| {
        field["required"] == true
            && field["hasDefaultValue"] != true
            && !FILLED.contains(&id(field).as_str())
    });
    let demanded: Vec<_> = demanded.map(|field| text(field, "name")).collect();
    if !demanded.is_empty() {
        return Some(format!("requires fields that Deptex cannot fill: {}.", demanded.join(", ")));
    }
    let lacks = |ours: &&&str| !fields.iter().any(|field| id(field) == **ours);
    let lacking: Vec<_> = OURS.iter().filter(lacks).copied().collect();
    (!lacking.is_empty())
        .then(|| format!("lacks fields on its create screen: {}.", lacking.join(", ")))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}
