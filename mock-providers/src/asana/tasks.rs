//! Tasks: made, found by our own ids, completed.

use serde_json::{Map, Value, json};

use super::{
    Asana, Story,
    api::{access, may_see, unknown, wanted},
    fields::{error, mistake, record, sent},
    rich_text::{self, Place},
};
use crate::{
    oauth::Access,
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// A number.
    pub gid: String,
    /// The projects that it is in.
    pub projects: Vec<String>,
    /// The workspace that it is in.
    pub workspace: String,
    /// Its title.
    pub name: String,
    /// Plain text; empty where only rich text was sent.
    pub notes: String,
    /// Rich text, as sent.
    pub html_notes: String,
    /// The caller's own id.
    pub external: Option<String>,
    /// What the caller put beside it.
    pub external_data: Option<String>,
    /// Whether the work is done.
    pub completed: bool,
    /// What was said about it, in order.
    pub stories: Vec<Story>,
    /// Its page.
    pub permalink_url: String,
}

impl Task {
    /// What is written about it, as a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        if self.html_notes.is_empty() {
            self.notes.clone()
        } else {
            rich_text::text(&self.html_notes)
        }
    }

    /// Whether a text of it notifies somebody by name.
    #[must_use]
    pub fn pings(&self) -> bool {
        rich_text::pings(&self.html_notes) || self.stories.iter().any(Story::pings)
    }
}

/// The most characters that Deptex promises to send as a name.
const NAME_CHARS_MAX: usize = 255;
/// The most characters that Deptex promises to send as a text.
pub(super) const TEXT_CHARS_MAX: usize = 65_535;
/// <https://developers.asana.com/docs/custom-external-data>
const EXTERNAL_GID_CHARS_MAX: usize = 1_024;
const EXTERNAL_DATA_CHARS_MAX: usize = 32_768;

fn shown(task: &Task) -> Value {
    let projects: Vec<Value> =
        task.projects.iter().map(|gid| json!({ "gid": gid, "resource_type": "project" })).collect();
    let external =
        task.external.as_ref().map(|gid| json!({ "gid": gid, "data": task.external_data }));
    let html_notes = match task.html_notes.is_empty() {
        true => rich_text::of(&task.notes),
        false => task.html_notes.clone(),
    };
    json!({
        "gid": task.gid, "resource_type": "task", "name": task.name, "notes": task.text(),
        "html_notes": html_notes, "completed": task.completed, "projects": projects,
        "workspace": { "gid": task.workspace, "resource_type": "workspace" },
        "external": external, "permalink_url": task.permalink_url,
    })
}

/// A text; empty if it was not sent.
pub(super) fn text<'d>(
    data: &'d Map<String, Value>,
    name: &str,
    most: usize,
) -> Result<&'d str, Reply> {
    match data.get(name) {
        None | Some(Value::Null) => Ok(""),
        Some(Value::String(text)) if text.chars().count() <= most => Ok(text),
        Some(Value::String(_)) => Err(mistake(&format!("{name}: longer than {most} characters"))),
        Some(_) => Err(mistake(&format!("{name}: Value is not a string"))),
    }
}

/// A text that was sent plain or rich, not both: `(plain, rich)`.
pub(super) fn plain_or_rich(
    data: &Map<String, Value>,
    name: &str,
    place: Place,
) -> Result<(String, String), Reply> {
    let html_name = format!("html_{name}");
    let plain = text(data, name, TEXT_CHARS_MAX)?;
    let rich = text(data, &html_name, TEXT_CHARS_MAX)?;
    if !plain.is_empty() && !rich.is_empty() {
        return Err(mistake(&format!("{name}: cannot be used with {html_name}")));
    }
    if data.contains_key(&html_name) {
        rich_text::check(rich, place).map_err(|why| mistake(&format!("{html_name}: {why}")))?;
    }
    Ok((plain.to_owned(), rich.to_owned()))
}

fn completed(data: &Map<String, Value>) -> Result<Option<bool>, Reply> {
    match data.get("completed") {
        None => Ok(None),
        Some(Value::Bool(completed)) => Ok(Some(*completed)),
        Some(_) => Err(mistake("completed: Value is not a boolean")),
    }
}

pub(super) fn create(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "tasks:write")?;
    let known =
        ["name", "notes", "html_notes", "projects", "workspace", "parent", "external", "completed"];
    let data = sent(turn, &known)?;
    let name = text(&data, "name", NAME_CHARS_MAX)?.to_owned();
    if name.trim().is_empty() || name.contains(['\n', '\r']) {
        return Err(mistake("name: is empty or has several lines"));
    }
    let (notes, html_notes) = plain_or_rich(&data, "notes", Place::Notes)?;
    let completed = completed(&data)?.unwrap_or_default();
    let (projects, workspace) = home(turn, &access, &data)?;
    let (external, external_data) = external(turn, &data)?;
    let gid = (1_500_000_000_000_001 + (turn.state.tasks.len() + turn.state.trashed.len()) as u64)
        .to_string();
    let project = projects.first().map_or("0", String::as_str);
    let permalink_url = format!("{}/0/{project}/{gid}", turn.state.web);
    let task = Task {
        gid,
        projects,
        workspace,
        name,
        notes,
        html_notes,
        external,
        external_data,
        completed,
        stories: Vec::new(),
        permalink_url,
    };
    let shown = shown(&task);
    turn.state.tasks.push(task);
    record(turn, 201, &shown)
}

/// The projects and the workspace of a new task, which must be told one way or another.
fn home(
    turn: &Turn<'_, Asana>,
    access: &Access,
    data: &Map<String, Value>,
) -> Result<(Vec<String>, String), Reply> {
    let mut projects = Vec::new();
    let mut workspace = Some(text(data, "workspace", 64)?.to_owned()).filter(|gid| !gid.is_empty());
    if let Some(gid) = workspace.as_ref().filter(|gid| !may_see(access, gid)) {
        return Err(error(400, &format!("workspace: Unknown object: {gid}")));
    }
    let listed = data.get("projects").map(|listed| listed.as_array().ok_or(listed));
    let listed = match listed {
        None => &Vec::new(),
        Some(Ok(listed)) => listed,
        Some(Err(_)) => return Err(mistake("projects: Value is not an array")),
    };
    for (at, project) in listed.iter().enumerate() {
        let gid = project.as_str().filter(|gid| gid.bytes().all(|byte| byte.is_ascii_digit()));
        let gid = gid.ok_or_else(|| {
            error(400, &format!("projects: [{at}]: Not a recognized ID: {project}"))
        })?;
        let missing = || error(400, &format!("projects: [{at}]: Unknown object: {gid}"));
        let (project, its) = wanted(turn, access, gid).ok_or_else(missing)?;
        if !project.may_write {
            return Err(error(403, "You do not have access to add a task to this project."));
        }
        if *workspace.get_or_insert_with(|| its.gid.clone()) != its.gid {
            return Err(mistake(&format!("projects: [{at}]: is not in the task's workspace")));
        }
        projects.push(gid.to_owned());
    }
    if let Some(parent) = data.get("parent").and_then(Value::as_str) {
        let parent = &turn.state.tasks[place(turn, access, parent)?];
        workspace.get_or_insert_with(|| parent.workspace.clone());
    }
    let missing = "You should specify one of workspace, parent, projects";
    Ok((projects, workspace.ok_or_else(|| mistake(missing))?))
}

/// The caller's own id of a new task, which no other may have, and what is kept beside it.
fn external(
    turn: &Turn<'_, Asana>,
    data: &Map<String, Value>,
) -> Result<(Option<String>, Option<String>), Reply> {
    let external = match data.get("external") {
        None => return Ok((None, None)),
        Some(Value::Object(external)) => external,
        Some(_) => return Err(mistake("external: Value is not an object")),
    };
    if external.keys().any(|name| name != "gid" && name != "data") {
        return Err(mistake("external: has gid and data only"));
    }
    let gid = text(external, "gid", EXTERNAL_GID_CHARS_MAX)?;
    let beside = text(external, "data", EXTERNAL_DATA_CHARS_MAX)?;
    let taken = turn.state.tasks.iter().filter_map(|task| task.external.as_ref());
    if taken.chain(&turn.state.trashed).any(|taken| taken == gid) {
        // That it is refused is not written anywhere; callers look before they create.
        return Err(error(400, "external: gid: A task with this gid exists already"));
    }
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok((some(gid), some(beside)))
}

/// Where a task that the token may see lies: by its gid, or by `external:` and the caller's own.
pub(super) fn place(turn: &Turn<'_, Asana>, access: &Access, gid: &str) -> Result<usize, Reply> {
    let external = gid.strip_prefix("external:");
    let is_it = |task: &Task| {
        let named = match external {
            Some(external) => task.external.as_deref() == Some(external),
            None => task.gid == gid,
        };
        named && may_see(access, &task.workspace)
    };
    turn.state.tasks.iter().position(is_it).ok_or_else(|| unknown("task", gid))
}

pub(super) fn get(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "tasks:read")?;
    let place = place(turn, &access, turn.param("task"))?;
    record(turn, 200, &shown(&turn.state.tasks[place]))
}

/// Whether a task is in a project that our user may only look at.
pub(super) fn check_write(turn: &Turn<'_, Asana>, task: &Task) -> Result<(), Reply> {
    let all = turn.state.workspaces.iter().flat_map(|workspace| &workspace.projects);
    let mut its = all.filter(|project| task.projects.contains(&project.gid));
    match its.any(|project| !project.may_write) {
        true => Err(error(403, "You do not have access to change this task.")),
        false => Ok(()),
    }
}

pub(super) fn update(turn: &mut Turn<'_, Asana>) -> Outcome {
    let access = access(turn, "tasks:write")?;
    let data = sent(turn, &["name", "notes", "html_notes", "completed"])?;
    let place = place(turn, &access, turn.param("task"))?;
    check_write(turn, &turn.state.tasks[place])?;
    let name = text(&data, "name", NAME_CHARS_MAX)?;
    let (notes, html_notes) = plain_or_rich(&data, "notes", Place::Notes)?;
    let completed = completed(&data)?;
    let task = &mut turn.state.tasks[place];
    task.completed = completed.unwrap_or(task.completed);
    if !name.is_empty() {
        name.clone_into(&mut task.name);
    }
    if data.contains_key("notes") || data.contains_key("html_notes") {
        (task.notes, task.html_notes) = (notes, html_notes);
    }
    record(turn, 200, &shown(&turn.state.tasks[place]))
}
