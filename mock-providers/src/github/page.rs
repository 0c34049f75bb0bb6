//! GitHub's repositories as people see them.

use super::{GitHub, Repository};
use crate::{
    page::{escape, link, mark, page as whole_page, thread},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Where links to an issue or a check lead: here everything is on one page.
pub(super) fn elsewhere(_turn: &mut Turn<'_, GitHub>) -> Outcome {
    Ok(Reply::redirect("/"))
}

/// Every repository with something in it.
pub(super) fn page(github: &GitHub) -> String {
    let shown: String = github.repositories.iter().map(shown).collect();
    let nothing = "<p>Nothing was marked yet.</p>".to_owned();
    whole_page("GitHub", if shown.is_empty() { &nothing } else { &shown })
}

fn shown(repository: &Repository) -> String {
    let mut inside = String::new();
    for status in &repository.statuses {
        let name = match &status.target_url {
            Some(url) => link(url, &status.context),
            None => escape(&status.context),
        };
        inside.push_str(&mark(&status.state, &name, &status.description, &status.sha));
    }
    for issue in repository.issues.iter().filter(|i| !i.is_pull_request || !i.comments.is_empty()) {
        let said = issue.comments.iter().map(|comment| &comment.body);
        let title = format!("#{} {}", issue.number, issue.title);
        let said = std::iter::once(&issue.body).chain(said);
        inside.push_str(&thread(issue.is_open, &title, said));
    }
    if inside.is_empty() {
        return String::new();
    }
    format!("<h2>{}</h2>{inside}", escape(&repository.full_name()))
}
