//! GitLab's projects as people see them.

use super::{GitLab, Issue, Project};
use crate::{
    page::{escape, link, mark, page as whole_page, thread},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Where links to an issue or a commit lead: here everything is on one page.
pub(super) fn elsewhere(_turn: &mut Turn<'_, GitLab>) -> Outcome {
    Ok(Reply::redirect("/"))
}

/// Every project with something in it.
pub(super) fn page(gitlab: &GitLab) -> String {
    let shown: String = gitlab.projects.iter().map(shown).collect();
    let nothing = "<p>Nothing was marked yet.</p>".to_owned();
    whole_page("GitLab", if shown.is_empty() { &nothing } else { &shown })
}

fn shown(project: &Project) -> String {
    let mut inside = String::new();
    for status in &project.statuses {
        let name = match &status.target_url {
            Some(url) => link(url, &status.name),
            None => escape(&status.name),
        };
        inside.push_str(&mark(&status.state, &name, &status.description, &status.sha));
    }
    let requests = project.merge_requests.iter().filter(|request| !request.notes.is_empty());
    inside.extend(project.issues.iter().map(|issue| shown_thread(issue, "#")));
    inside.extend(requests.map(|request| shown_thread(request, "!")));
    if inside.is_empty() {
        return String::new();
    }
    format!("<h2>{}</h2>{inside}", escape(&project.path))
}

fn shown_thread(issue: &Issue, sign: &str) -> String {
    let notes = issue.notes.iter().map(|note| &note.body);
    let said = std::iter::once(&issue.description).chain(notes);
    thread(issue.is_open, &format!("{sign}{} {}", issue.iid, issue.title), said)
}
