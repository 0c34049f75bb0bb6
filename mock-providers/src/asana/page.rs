//! Tasks as people see them.

use super::{Asana, Story, Task, rich_text};
use crate::{
    page::{escape, link, page as whole_page, refusal},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Every task, project by project, the newest first.
pub(super) fn page(asana: &Asana) -> String {
    let mut body = String::new();
    for workspace in &asana.workspaces {
        for project in &workspace.projects {
            let mut tasks =
                asana.tasks.iter().filter(|t| t.projects.contains(&project.gid)).peekable();
            if tasks.peek().is_some() {
                let (workspace, project) = (escape(&workspace.name), escape(&project.name));
                body.push_str(&format!("<h2>{workspace}, {project}</h2>"));
            }
            tasks.rev().for_each(|task| body.push_str(&shown(task)));
        }
    }
    let homeless = asana.tasks.iter().filter(|task| task.projects.is_empty());
    homeless.for_each(|task| body.push_str(&shown(task)));
    if body.is_empty() {
        body.push_str("<p>No tasks yet.</p>");
    }
    whole_page("Asana", &body)
}

/// What people see behind a link to a task.
pub(super) fn task(turn: &mut Turn<'_, Asana>) -> Outcome {
    let gid = turn.param("task");
    match turn.state.tasks.iter().find(|task| task.gid == gid) {
        Some(task) => Ok(Reply::html(200, whole_page(&task.name, &shown(task)))),
        None => Err(refusal(404, "There is no such task.")),
    }
}

fn shown(task: &Task) -> String {
    let (class, state) = if task.completed { ("state done", "Done") } else { ("state", "Open") };
    let comments: String = task.stories.iter().map(shown_story).collect();
    format!(
        "<article><span class=\"{class}\">{state}</span><b>{}</b><pre>{}</pre>{comments}</article>",
        link(&task.permalink_url, &task.name),
        shown_text(&task.notes, &task.html_notes),
    )
}

fn shown_story(story: &Story) -> String {
    let text = shown_text(&story.text, &story.html_text);
    format!("<article><small>Comment</small><pre>{text}</pre></article>")
}

fn shown_text(plain: &str, rich: &str) -> String {
    if rich.is_empty() { escape(plain) } else { rich_text::html(rich) }
}
