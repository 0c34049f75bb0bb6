//! Issues as people see them.

use super::{Issue, adf, tracker::Tracker};
use crate::page::{escape, link};

/// Every issue of a site, the newest first.
pub(super) fn site(tracker: &Tracker) -> String {
    match tracker.issues.is_empty() {
        true => "<p>No issues yet.</p>".to_owned(),
        false => tracker.issues.iter().rev().map(|issue| shown(tracker, issue)).collect(),
    }
}

/// One issue.
pub(super) fn shown(tracker: &Tracker, issue: &Issue) -> String {
    let address = format!("{}/browse/{}", tracker.site_url, issue.key);
    let labels = issue.labels.iter().map(|label| escape(label)).collect::<Vec<_>>().join(", ");
    let class = if issue.is_done() { "state done" } else { "state" };
    let comments: String = issue
        .comments
        .iter()
        .map(|comment| {
            format!("<article><small>Comment</small>{}</article>", adf::html(&comment.body))
        })
        .collect();
    format!(
        "<article><span class=\"{class}\">{}</span><b>{} {}</b><br><small>{} {labels}</small>{}{comments}</article>",
        escape(&issue.status),
        link(&address, &issue.key),
        escape(&issue.summary),
        escape(&issue.issue_type),
        adf::html(&issue.description),
    )
}
