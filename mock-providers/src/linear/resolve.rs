//! What each root field gives or does, and whom it refuses.

use serde_json::{Map, Value, json};
use uuid::{Uuid, Variant};

use super::{
    errors::{ErrorType, Refusal},
    graphql::Asking,
    syntax::Field,
    workspace::{Comment, Issue, Team, new_id},
};

/// The most characters of a title; longer ones are refused.
const TITLE_CHARS_MAX: usize = 255;
/// The most characters that Deptex promises to send as a description or a comment.
const TEXT_CHARS_MAX: usize = 10_000;

type Resolved = Result<Value, Refusal>;

pub(super) fn viewer(_: &mut Asking<'_>, _: &Field) -> Resolved {
    Ok(json!({
        "id": "0b3c1b3e-6d1f-4d0e-9a9f-6f6a2c7c5d11", "name": "Deptex", "displayName": "deptex",
        "email": "deptex@oauthapp.linear.app",
    }))
}

pub(super) fn organization(asking: &mut Asking<'_>, _: &Field) -> Resolved {
    let workspace = &asking.workspace;
    Ok(json!({ "id": workspace.id, "name": workspace.name, "urlKey": workspace.url_key }))
}

pub(super) fn teams(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    let archived_too = field.arguments.get("includeArchived") == Some(&Value::Bool(true));
    let known = asking.workspace.teams.iter().filter(|team| !team.is_private);
    let known: Vec<_> = known.filter(|team| archived_too || !team.is_archived).collect();
    if let Some(after) = field.text("after")
        && !known.iter().any(|team| team.id == after)
    {
        return Err(Refusal::new(ErrorType::InvalidInput, "after is not a cursor of this list"));
    }
    let mut found = Vec::new();
    for team in known {
        let team = team.shown();
        if fits(field.arguments.get("filter").unwrap_or(&Value::Null), &team)? {
            found.push(team);
        }
    }
    Ok(found.into())
}

/// Whether a team passes a filter: by its id, key or name, combined by `and` and `or`.
fn fits(filter: &Value, team: &Value) -> Result<bool, Refusal> {
    let Some(filter) = filter.as_object() else { return Ok(true) };
    for (name, test) in filter {
        let parts = || test.as_array().into_iter().flatten();
        let fit = match name.as_str() {
            "and" => parts()
                .map(|part| fits(part, team))
                .collect::<Result<Vec<_>, _>>()?
                .iter()
                .all(|f| *f),
            "or" => parts()
                .map(|part| fits(part, team))
                .collect::<Result<Vec<_>, _>>()?
                .iter()
                .any(|f| *f),
            "id" | "key" | "name" => passes(test, team[name].as_str().unwrap_or_default())?,
            other => return Err(not_read("TeamFilter", other)),
        };
        if !fit {
            return Ok(false);
        }
    }
    Ok(true)
}

fn passes(test: &Value, text: &str) -> Result<bool, Refusal> {
    for (name, wanted) in test.as_object().into_iter().flatten() {
        let wanted = wanted.as_str().unwrap_or_default();
        let fit = match name.as_str() {
            "eq" => text == wanted,
            "contains" => text.contains(wanted),
            "containsIgnoreCase" => text.to_lowercase().contains(&wanted.to_lowercase()),
            other => return Err(not_read("StringComparator", other)),
        };
        if !fit {
            return Ok(false);
        }
    }
    Ok(true)
}

fn not_read(of: &str, name: &str) -> Refusal {
    let message = format!("Field \"{name}\" is not defined by type \"{of}\".");
    Refusal::mistake(ErrorType::GraphqlError, message)
}

pub(super) fn team(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    let team = field.text("id").and_then(|id| asking.workspace.team(id));
    team.map(Team::shown).ok_or_else(|| Refusal::not_found("Team"))
}

pub(super) fn issue(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    let issue = field.text("id").and_then(|id| asking.workspace.issue(id));
    let issue = issue.ok_or_else(|| Refusal::not_found("Issue"))?;
    Ok(asking.workspace.shown(issue))
}

pub(super) fn comment(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    let id = field.text("id").unwrap_or_default();
    let shown = |issue: &Issue| {
        issue.comments.iter().find(|comment| comment.id == id).map(|comment| comment.shown(issue))
    };
    asking.workspace.issues.iter().find_map(shown).ok_or_else(|| Refusal::not_found("Comment"))
}

/// `write` is the wider scope of all.
fn may(asking: &Asking<'_>, scope: &str) -> Result<(), Refusal> {
    match asking.access.has(scope) || asking.access.has("write") {
        true => Ok(()),
        false => {
            let message = format!("Invalid scope: `{scope}` required");
            Err(Refusal::new(ErrorType::Forbidden, message))
        }
    }
}

/// `input`, in which nothing but these may be.
fn input<'f>(
    field: &'f Field,
    of: &str,
    known: &[&str],
) -> Result<&'f Map<String, Value>, Refusal> {
    let input = field.arguments.get("input").and_then(Value::as_object);
    let wrong = || Refusal::mistake(ErrorType::GraphqlError, format!("Expected type \"{of}!\"."));
    let input = input.ok_or_else(wrong)?;
    match input.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(not_read(of, name)),
        None => Ok(input),
    }
}

fn text<'i>(input: &'i Map<String, Value>, name: &str) -> Result<Option<&'i str>, Refusal> {
    match input.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => {
            let message = format!("Variable \"$input\" got invalid value at \"input.{name}\"");
            Err(Refusal::mistake(ErrorType::GraphqlError, message))
        }
    }
}

fn invalid(why: &str) -> Refusal {
    Refusal::mistake(ErrorType::InvalidInput, format!("Argument Validation Error - {why}"))
}

/// The id that the caller chose, if it did: a random UUID by its looks.
fn chosen_id(input: &Map<String, Value>) -> Result<Option<&str>, Refusal> {
    let Some(id) = text(input, "id")? else { return Ok(None) };
    let uuid = Uuid::try_parse(id).ok();
    let is_v4 = uuid.is_some_and(|uuid| {
        uuid.get_version_num() == 4
            && uuid.get_variant() == Variant::RFC4122
            && uuid.hyphenated().to_string() == id
    });
    if is_v4 { Ok(Some(id)) } else { Err(invalid("id must be a UUID")) }
}

fn at_most(name: &str, text: &str, most: usize) -> Result<(), Refusal> {
    match text.chars().count() > most {
        true => Err(invalid(&format!("{name} must be shorter than or equal to {most} characters"))),
        false => Ok(()),
    }
}

fn twin(asking: &Asking<'_>, entity: &str) -> Refusal {
    Refusal::new(asking.twin_error, format!("{entity} with this id already exists"))
}

pub(super) fn issue_create(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    may(asking, "issues:create")?;
    let known = [
        "id",
        "teamId",
        "title",
        "description",
        "priority",
        "stateId",
        "createAsUser",
        "displayIconUrl",
    ];
    let input = input(field, "IssueCreateInput", &known)?;
    let team = text(input, "teamId")?;
    let team =
        team.ok_or_else(|| not_read("IssueCreateInput", "teamId of required type String!"))?;
    let id = chosen_id(input)?.map_or_else(new_id, str::to_owned);
    let title = text(input, "title")?.unwrap_or_default();
    if title.trim().is_empty() || title.contains('\n') {
        return Err(invalid("title must be one line of text"));
    }
    at_most("title", title, TITLE_CHARS_MAX)?;
    let description = text(input, "description")?.unwrap_or_default();
    at_most("description", description, TEXT_CHARS_MAX)?;
    let priority = input.get("priority").map_or(Some(0), Value::as_i64);
    let priority = priority.filter(|priority| (0..=4).contains(priority));
    let priority = priority.ok_or_else(|| invalid("priority must be from 0 to 4"))?;
    let workspace = &mut *asking.workspace;
    if workspace.issues.iter().any(|issue| issue.id == id) {
        return Err(twin(asking, "Issue"));
    }
    let team = workspace.team(team).filter(|team| !team.is_archived);
    let missing = || Refusal::not_found("Team - Could not find referenced Team.");
    let team = team.ok_or_else(missing)?.clone();
    if !team.may_write {
        return Err(Refusal::new(ErrorType::Forbidden, "You don't have access to this team"));
    }
    if workspace.is_plan_used_up {
        let message = "usage limit exceeded: the workspace's plan has no room for more issues";
        return Err(Refusal::new(ErrorType::UsageLimitExceeded, message));
    }
    let state = match text(input, "stateId")? {
        Some(state) => team.states.iter().find(|known| known.id == state),
        None => team.states.first(),
    };
    let state = state.ok_or_else(|| Refusal::not_found("WorkflowState"))?.clone();
    let number = workspace.issues.iter().filter(|issue| issue.team == team.key).count() + 1;
    let identifier = format!("{}-{number}", team.key);
    let url = format!("{}/issue/{identifier}/{}", workspace.site_url, slug(title));
    workspace.issues.push(Issue {
        id: id.clone(),
        identifier,
        number,
        team: team.key,
        title: title.to_owned(),
        description: description.to_owned(),
        priority,
        state,
        trashed: false,
        url,
        comments: Vec::new(),
    });
    Ok(payload(asking, &id))
}

pub(super) fn issue_update(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    may(asking, "write")?;
    let input = input(field, "IssueUpdateInput", &["stateId", "title", "description"])?;
    let id = field.text("id").unwrap_or_default();
    let issue = asking.workspace.issue(id).filter(|issue| !issue.trashed);
    let issue = issue.ok_or_else(|| Refusal::not_found("Issue"))?;
    let (id, team) = (issue.id.clone(), asking.workspace.team_of(issue).clone());
    if !team.may_write {
        return Err(Refusal::new(ErrorType::Forbidden, "You don't have access to this team"));
    }
    let (title, description) = (text(input, "title")?, text(input, "description")?);
    at_most("title", title.unwrap_or_default(), TITLE_CHARS_MAX)?;
    at_most("description", description.unwrap_or_default(), TEXT_CHARS_MAX)?;
    let state = text(input, "stateId")?;
    let state = state.map(|state| team.states.iter().find(|known| known.id == state));
    if matches!(state, Some(None)) {
        let message = "Entity not found: WorkflowState - Could not find referenced WorkflowState.";
        return Err(Refusal::new(ErrorType::InvalidInput, message));
    }
    if let Some(issue) = asking.workspace.issue_mut(&id) {
        issue.title = title.map_or_else(|| issue.title.clone(), str::to_owned);
        issue.description = description.map_or_else(|| issue.description.clone(), str::to_owned);
        issue.state = state.flatten().unwrap_or(&issue.state).clone();
    }
    Ok(payload(asking, &id))
}

fn payload(asking: &Asking<'_>, id: &str) -> Value {
    let issue = asking.workspace.issue(id).map(|issue| asking.workspace.shown(issue));
    json!({ "success": true, "lastSyncId": asking.sync_id, "issue": issue })
}

pub(super) fn comment_create(asking: &mut Asking<'_>, field: &Field) -> Resolved {
    may(asking, "comments:create")?;
    let known =
        ["id", "issueId", "body", "createAsUser", "displayIconUrl", "doNotSubscribeToIssue"];
    let input = input(field, "CommentCreateInput", &known)?;
    let id = chosen_id(input)?.map_or_else(new_id, str::to_owned);
    let body = text(input, "body")?.unwrap_or_default();
    if body.trim().is_empty() {
        return Err(invalid("body should not be empty"));
    }
    at_most("body", body, TEXT_CHARS_MAX)?;
    let on = text(input, "issueId")?.ok_or_else(|| invalid("issueId should not be empty"))?;
    let mut comments = asking.workspace.issues.iter().flat_map(|issue| &issue.comments);
    if comments.any(|comment| comment.id == id) {
        return Err(twin(asking, "Comment"));
    }
    let missing = || Refusal::not_found("Issue - Could not find referenced Issue.");
    let issue = asking.workspace.issue(on).filter(|issue| !issue.trashed).ok_or_else(missing)?;
    if !asking.workspace.team_of(issue).may_write {
        return Err(Refusal::new(ErrorType::Forbidden, "You don't have access to this team"));
    }
    let url = format!("{}#comment-{}", issue.url, &id[..8]);
    let comment = Comment { id, body: body.to_owned(), url };
    let shown = comment.shown(issue);
    if let Some(issue) = asking.workspace.issue_mut(on) {
        issue.comments.push(comment);
    }
    Ok(json!({ "success": true, "lastSyncId": asking.sync_id, "comment": shown }))
}

/// A title as addresses write it.
fn slug(title: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let dashed: String = title.chars().map(letter).collect();
    let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
    let slug = words.join("-");
    if slug.is_empty() { "issue".to_owned() } else { slug[..slug.len().min(50)].to_owned() }
}
