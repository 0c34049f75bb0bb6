//! GitHub's repositories as people see them.

use super::{GitHub, Repository};
use crate::{
    page::{escape, link, page as whole_page},
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
        inside.push_str(&format!(
            "<article><span class=\"state\">{}</span><b>{name}</b> {} <small>{}</small></article>",
            escape(&status.state),
            escape(&status.description),
            escape(status.sha.get(..7).unwrap_or_default())
        ));
    }
    for issue in repository.issues.iter().filter(|i| !i.is_pull_request || !i.comments.is_empty()) {
        let (class, state) = if issue.is_open { ("", "open") } else { ("done", "closed") };
        let said = issue.comments.iter().map(|comment| &comment.body);
        let said: String = std::iter::once(&issue.body)
            .chain(said)
            .filter(|text| !text.is_empty())
            .map(|text| format!("<pre>{}</pre><hr>", escape(text)))
            .collect();
        inside.push_str(&format!(
            "<article><span class=\"state {class}\">{state}</span><b>#{} {}</b>{said}</article>",
            issue.number,
            escape(&issue.title)
        ));
    }
    if inside.is_empty() {
        return String::new();
    }
    format!("<h2>{}</h2>{inside}", escape(&repository.full_name()))
}
