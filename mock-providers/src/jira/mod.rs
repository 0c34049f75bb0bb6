//! Jira, in the cloud and on a server of the customer's own: two ways in, one kind of tracker.

mod adf;
mod cloud;
mod data_center;
mod fields;
mod issues;
mod jql;
mod page;
mod projects;
#[cfg(test)]
mod tests;
mod tracker;

pub use self::{
    cloud::JiraCloud,
    data_center::JiraDataCenter,
    tracker::{Comment, Issue, IssueType, Project, Transition, Workflow},
};

use serde_json::{Value, json};

use self::tracker::Tracker;
use crate::server::{
    reply::Reply,
    route::{Service, Turn},
};

/// What differs between the cloud and a server of one's own.
trait Edition: Service {
    /// How long texts are written.
    const TEXT: Text;

    /// The tracker that a request may look into.
    fn enter<'t>(turn: &'t mut Turn<'_, Self>) -> Result<&'t mut Tracker, Reply>;
}

/// How long texts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// Atlassian Document Format.
    Document,
    /// Wiki markup, a string.
    Wiki,
}

/// Jira's envelope for refusals.
fn refusal(status: u16, messages: &[&str], errors: &Value) -> Reply {
    Reply::json(status, &json!({ "errorMessages": messages, "errors": errors }))
}

/// 400 about one field.
fn field_refused(field: &str, why: &str) -> Reply {
    let mut errors = json!({});
    errors[field] = why.into();
    refusal(400, &[], &errors)
}

fn no_issue() -> Reply {
    refusal(404, &["Issue does not exist or you do not have permission to see it."], &json!({}))
}
