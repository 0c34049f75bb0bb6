//! A workspace: teams, their workflows, and the issues in them.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::markdown;

/// Everything of one workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) id: String,
    pub(super) name: String,
    /// As in its address.
    pub(super) url_key: String,
    /// Where people look, without a slash at the end.
    pub(super) site_url: String,
    pub(super) teams: Vec<Team>,
    pub(super) issues: Vec<Issue>,
    /// Whether its plan has no room for another issue.
    pub(super) is_plan_used_up: bool,
}

/// A team.
#[derive(Clone, Debug)]
pub struct Team {
    /// A UUID.
    pub id: String,
    /// As in `SEC-1`.
    pub key: String,
    /// As people call it.
    pub name: String,
    /// Whether only its members know of it. Our app is none.
    pub is_private: bool,
    /// Whether it is put away.
    pub is_archived: bool,
    /// Whether our app may write there.
    pub may_write: bool,
    /// The life of its issues. They begin in the first one.
    pub states: Vec<WorkflowState>,
}

/// A step in the life of an issue.
#[derive(Clone, Debug)]
pub struct WorkflowState {
    /// A UUID.
    pub id: String,
    /// `In Progress`.
    pub name: String,
    /// `triage`, `backlog`, `unstarted`, `started`, `completed`, `canceled` or `duplicate`.
    pub kind: String,
    /// Its place among those of its kind.
    pub position: f64,
}

/// An issue.
#[derive(Clone, Debug)]
pub struct Issue {
    /// A UUID, chosen by who made it.
    pub id: String,
    /// `SEC-1`.
    pub identifier: String,
    /// The number in it.
    pub number: usize,
    /// The team's key.
    pub team: String,
    /// Its title.
    pub title: String,
    /// Markdown.
    pub description: String,
    /// 1 is urgent, 4 is low, 0 is none.
    pub priority: i64,
    /// Where it is in its team's workflow.
    pub state: WorkflowState,
    /// Whether it was thrown away, and can still be looked at.
    pub trashed: bool,
    /// Its page.
    pub url: String,
    /// What was said about it, in order.
    pub comments: Vec<Comment>,
}

/// Something said about an issue.
#[derive(Clone, Debug)]
pub struct Comment {
    /// A UUID, chosen by who made it.
    pub id: String,
    /// Markdown.
    pub body: String,
    /// Where it is on the issue's page.
    pub url: String,
}

impl WorkflowState {
    /// A state of a kind.
    #[must_use]
    pub fn new(name: &str, kind: &str, position: f64) -> Self {
        Self { id: new_id(), name: name.to_owned(), kind: kind.to_owned(), position }
    }

    pub(super) fn shown(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "type": self.kind, "position": self.position })
    }
}

impl Team {
    /// A team with the workflow that Linear gives to new ones.
    #[must_use]
    pub fn usual(key: &str, name: &str) -> Self {
        Self {
            id: new_id(),
            key: key.to_owned(),
            name: name.to_owned(),
            is_private: false,
            is_archived: false,
            may_write: true,
            states: vec![
                WorkflowState::new("Backlog", "backlog", 0.0),
                WorkflowState::new("Todo", "unstarted", 1.0),
                WorkflowState::new("In Progress", "started", 2.0),
                WorkflowState::new("In Review", "started", 1002.0),
                WorkflowState::new("Done", "completed", 3.0),
                WorkflowState::new("Canceled", "canceled", 4.0),
                WorkflowState::new("Duplicate", "duplicate", 5.0),
            ],
        }
    }

    pub(super) fn shown(&self) -> Value {
        let states: Vec<Value> = self.states.iter().map(WorkflowState::shown).collect();
        let archived_at = self.is_archived.then_some("2026-01-01T00:00:00.000Z");
        json!({
            "id": self.id, "key": self.key, "name": self.name, "private": self.is_private,
            "archivedAt": archived_at, "states": states,
        })
    }
}

impl Issue {
    /// The description as a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        markdown::text(&self.description)
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state.kind.as_str(), "completed" | "canceled" | "duplicate")
    }

    /// Whether a text of it notifies somebody by name.
    #[must_use]
    pub fn pings(&self) -> bool {
        markdown::pings(&self.description) || self.comments.iter().any(|c| markdown::pings(&c.body))
    }
}

impl Comment {
    /// As a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        markdown::text(&self.body)
    }

    pub(super) fn shown(&self, issue: &Issue) -> Value {
        json!({
            "id": self.id, "url": self.url, "body": self.body, "issueId": issue.id,
            "issue": {
                "id": issue.id, "identifier": issue.identifier, "url": issue.url, "title": issue.title,
            },
        })
    }
}

impl Workspace {
    pub(super) fn usual(web: &str, name: &str, url_key: &str) -> Self {
        Self {
            id: new_id(),
            name: name.to_owned(),
            url_key: url_key.to_owned(),
            site_url: format!("{web}/{url_key}"),
            teams: vec![Team::usual("SEC", "Security"), Team::usual("ENG", "Engineering")],
            issues: Vec::new(),
            is_plan_used_up: false,
        }
    }

    /// A team that our app knows of.
    pub(super) fn team(&self, id: &str) -> Option<&Team> {
        self.teams.iter().find(|team| team.id == id && !team.is_private)
    }

    pub(super) fn team_mut(&mut self, key: &str) -> &mut Team {
        let found = self.teams.iter_mut().find(|team| team.key == key);
        found.expect("the test named a team that is there")
    }

    /// By id or identifier.
    pub(super) fn issue(&self, id: &str) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.id == id || issue.identifier == id)
    }

    pub(super) fn issue_mut(&mut self, id: &str) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.id == id || issue.identifier == id)
    }

    /// The team that an issue is in.
    pub(super) fn team_of(&self, issue: &Issue) -> &Team {
        let found = self.teams.iter().find(|team| team.key == issue.team);
        found.expect("teams go with their issues")
    }

    pub(super) fn shown(&self, issue: &Issue) -> Value {
        let comments: Vec<Value> = issue.comments.iter().map(|c| c.shown(issue)).collect();
        json!({
            "id": issue.id, "identifier": issue.identifier, "number": issue.number,
            "url": issue.url, "title": issue.title, "description": issue.description,
            "priority": issue.priority, "trashed": issue.trashed.then_some(true),
            "archivedAt": null, "state": issue.state.shown(),
            "team": self.team_of(issue).shown(), "comments": comments,
        })
    }
}

/// An id as Linear makes them.
pub(super) fn new_id() -> String {
    Uuid::new_v4().to_string()
}
