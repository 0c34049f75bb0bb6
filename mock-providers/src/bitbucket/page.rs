//! Bitbucket's repositories as people see them.

use super::{Bitbucket, Repository};
use crate::{
    page::{escape, link, mark, page as whole_page, thread},
    server::{
        reply::{Outcome, Reply},
        route::Turn,
    },
};

/// Where links to a commit or a pull request lead: here everything is on one page.
pub(super) fn elsewhere(_turn: &mut Turn<'_, Bitbucket>) -> Outcome {
    Ok(Reply::redirect("/"))
}

/// Every repository with something in it.
pub(super) fn page(bitbucket: &Bitbucket) -> String {
    let shown: String = bitbucket.repositories.iter().map(|r| shown(bitbucket, r)).collect();
    let nothing = "<p>Nothing was marked yet.</p>".to_owned();
    whole_page("Bitbucket", if shown.is_empty() { &nothing } else { &shown })
}

fn shown(bitbucket: &Bitbucket, repository: &Repository) -> String {
    let mut inside = String::new();
    for status in &repository.statuses {
        let name = link(&status.url, &status.name);
        inside.push_str(&mark(&status.state, &name, &status.description, &status.sha));
    }
    for request in repository.pull_requests.iter().filter(|known| !known.comments.is_empty()) {
        let title = format!("#{} {}", request.id, request.title);
        inside.push_str(&thread(true, &title, request.comments.iter().map(|comment| &comment.raw)));
    }
    if inside.is_empty() {
        return String::new();
    }
    format!("<h2>{}</h2>{inside}", escape(&bitbucket.full_name(repository)))
}
