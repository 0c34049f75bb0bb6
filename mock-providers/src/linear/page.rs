//! Issues as people see them.

use super::{Linear, workspace::Issue};
use crate::{
    markdown,
    page::{escape, link, page as whole_page, refusal},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Every issue, workspace by workspace, the newest first.
pub(super) fn page(linear: &Linear) -> String {
    let mut body = String::new();
    for workspace in linear.workspaces.iter().filter(|known| !known.issues.is_empty()) {
        body.push_str(&format!("<h2>{}</h2>", escape(&workspace.name)));
        workspace.issues.iter().rev().for_each(|issue| body.push_str(&shown(issue)));
    }
    if body.is_empty() {
        body.push_str("<p>No issues yet.</p>");
    }
    whole_page("Linear", &body)
}

/// What people see behind a link to an issue.
pub(super) fn issue(turn: &mut Turn<'_, Linear>) -> Outcome {
    let (url_key, id) = (turn.param("workspace"), turn.param("issue"));
    let workspace = turn.state.workspaces.iter().find(|known| known.url_key == url_key);
    match workspace.and_then(|workspace| workspace.issue(id)) {
        Some(issue) => Ok(Reply::html(200, whole_page(id, &shown(issue)))),
        None => Err(refusal(404, "There is no such issue.")),
    }
}

fn shown(issue: &Issue) -> String {
    let class = if issue.is_done() { "state done" } else { "state" };
    let state = if issue.trashed { "Trash" } else { &issue.state.name };
    let priority = match issue.priority {
        1 => "Urgent",
        2 => "High",
        3 => "Medium",
        4 => "Low",
        _ => "No priority",
    };
    let comments: String = issue
        .comments
        .iter()
        .map(|comment| {
            let body = markdown::html(&comment.body);
            format!("<article><small>Comment</small><pre>{body}</pre></article>")
        })
        .collect();
    format!(
        "<article><span class=\"{class}\">{}</span><b>{} {}</b><br><small>{priority}</small>\
         <pre>{}</pre>{comments}</article>",
        escape(state),
        link(&issue.url, &issue.identifier),
        escape(&issue.title),
        markdown::html(&issue.description),
    )
}
