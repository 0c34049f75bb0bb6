//! Projects, their workflows, and the issues in them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Text, adf};

/// Everything of one site.
#[derive(Debug)]
pub(super) struct Tracker {
    /// Where people look, without a slash at the end.
    pub(super) site_url: String,
    /// What `self` links begin with.
    pub(super) api_url: String,
    pub(super) projects: Vec<Project>,
    pub(super) issues: Vec<Issue>,
    /// How many searches will still find nothing: the index lags.
    pub(super) blind_searches: usize,
}

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// A number.
    pub id: String,
    /// As in `SEC-1`.
    pub key: String,
    /// As people call it.
    pub name: String,
    /// The kinds of issues that it takes.
    pub issue_types: Vec<IssueType>,
    /// The life of its issues.
    pub workflow: Workflow,
    /// Whether our user may create issues in it.
    pub may_create: bool,
}

/// A kind of issue.
#[derive(Clone, Debug)]
pub struct IssueType {
    /// A number.
    pub id: String,
    /// `Bug`.
    pub name: String,
    /// Whether it needs a parent.
    pub is_subtask: bool,
    /// Fields beside summary, project and type that it wants: id and name.
    pub required: Vec<(String, String)>,
}

/// The life of a project's issues. They begin in the first status.
#[derive(Clone, Debug)]
pub struct Workflow {
    /// Name and category: `new`, `indeterminate` or `done`.
    pub statuses: Vec<(String, String)>,
    /// The steps.
    pub transitions: Vec<Transition>,
}

/// A step.
#[derive(Clone, Debug)]
pub struct Transition {
    /// A number.
    pub id: String,
    /// `Start progress`.
    pub name: String,
    /// The statuses that it starts from; all if there is none.
    pub from: Vec<String>,
    /// The status that it leads to.
    pub to: String,
    /// Whether its screen demands a resolution.
    pub needs_resolution: bool,
}

/// An issue.
#[derive(Clone, Debug)]
pub struct Issue {
    /// A number.
    pub id: String,
    /// `SEC-1`.
    pub key: String,
    /// The project's key.
    pub project: String,
    /// The name of its kind.
    pub issue_type: String,
    /// Its title.
    pub summary: String,
    /// As it was sent: a document in the cloud, wiki markup elsewhere.
    pub description: Value,
    /// Its labels.
    pub labels: Vec<String>,
    /// Its entity properties.
    pub properties: BTreeMap<String, Value>,
    /// The name of its status.
    pub status: String,
    /// The category of its status: `new`, `indeterminate` or `done`.
    pub category: String,
    /// What was given when it was done.
    pub resolution: Option<String>,
    /// What was said about it, in order.
    pub comments: Vec<Comment>,
}

/// Something said about an issue.
#[derive(Clone, Debug)]
pub struct Comment {
    /// A number.
    pub id: String,
    /// As it was sent.
    pub body: Value,
}

impl Issue {
    /// The description as a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        adf::text(&self.description)
    }

    /// Whether its status says that the work is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.category == "done"
    }

    /// Whether a text of it notifies somebody by name.
    #[must_use]
    pub fn pings(&self) -> bool {
        adf::pings(&self.description) || self.comments.iter().any(|c| adf::pings(&c.body))
    }
}

impl Comment {
    /// As a person reads it.
    #[must_use]
    pub fn text(&self) -> String {
        adf::text(&self.body)
    }
}

impl IssueType {
    /// A kind that wants nothing but the usual.
    #[must_use]
    pub fn plain(id: &str, name: &str) -> Self {
        Self { id: id.to_owned(), name: name.to_owned(), is_subtask: false, required: Vec::new() }
    }

    /// The same with a field that must be filled.
    #[must_use]
    pub fn requiring(mut self, id: &str, name: &str) -> Self {
        self.required.push((id.to_owned(), name.to_owned()));
        self
    }
}

impl Workflow {
    /// To Do, In Progress, Done; every step from everywhere.
    #[must_use]
    pub fn usual() -> Self {
        let status = |name: &str, category: &str| (name.to_owned(), category.to_owned());
        Self {
            statuses: vec![
                status("To Do", "new"),
                status("In Progress", "indeterminate"),
                status("Done", "done"),
            ],
            transitions: vec![
                Transition::to("11", "To Do", "To Do"),
                Transition::to("21", "In Progress", "In Progress"),
                Transition::to("31", "Done", "Done"),
            ],
        }
    }

    fn category(&self, status: &str) -> String {
        let found = self.statuses.iter().find(|(name, _)| name == status);
        found.map_or("new", |(_, category)| category).to_owned()
    }
}

impl Transition {
    /// A step from everywhere.
    #[must_use]
    pub fn to(id: &str, name: &str, to: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            from: Vec::new(),
            to: to.to_owned(),
            needs_resolution: false,
        }
    }
}

impl Project {
    /// A project with bugs and tasks and the usual workflow.
    #[must_use]
    pub fn usual(id: &str, key: &str, name: &str) -> Self {
        let subtask = IssueType { is_subtask: true, ..IssueType::plain("10003", "Subtask") };
        Self {
            id: id.to_owned(),
            key: key.to_owned(),
            name: name.to_owned(),
            issue_types: vec![
                IssueType::plain("10001", "Task"),
                IssueType::plain("10002", "Bug"),
                subtask,
            ],
            workflow: Workflow::usual(),
            may_create: true,
        }
    }
}

impl Tracker {
    pub(super) fn new(site_url: String, api_url: String) -> Self {
        let projects = vec![
            Project::usual("10000", "SEC", "Security"),
            Project::usual("10100", "WEB", "Web shop"),
        ];
        Self { site_url, api_url, projects, issues: Vec::new(), blind_searches: 0 }
    }

    pub(super) fn project(&self, id_or_key: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == id_or_key || project.key == id_or_key)
    }

    pub(super) fn project_mut(&mut self, key: &str) -> &mut Project {
        let found = self.projects.iter_mut().find(|project| project.key == key);
        found.expect("the test named a project that is there")
    }

    pub(super) fn issue(&self, id_or_key: &str) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.id == id_or_key || issue.key == id_or_key)
    }

    pub(super) fn issue_mut(&mut self, id_or_key: &str) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.id == id_or_key || issue.key == id_or_key)
    }

    /// The steps that an issue can take now.
    pub(super) fn steps(&self, issue: &Issue) -> Vec<Transition> {
        let possible = |t: &&Transition| t.from.is_empty() || t.from.contains(&issue.status);
        let project = self.project(&issue.project);
        project
            .into_iter()
            .flat_map(|p| &p.workflow.transitions)
            .filter(possible)
            .cloned()
            .collect()
    }

    /// Takes a step; what is not there is left alone.
    pub(super) fn step(&mut self, id_or_key: &str, step: &Transition, resolution: Option<String>) {
        let Some(issue) = self.issue(id_or_key) else { return };
        let category = self
            .project(&issue.project)
            .map_or_else(String::new, |p| p.workflow.category(&step.to));
        if let Some(issue) = self.issue_mut(id_or_key) {
            issue.resolution = resolution.filter(|_| category == "done");
            issue.status.clone_from(&step.to);
            issue.category = category;
        }
    }

    /// The number and key of the next issue, and the status that it begins in.
    pub(super) fn next(&self, project: &Project) -> (String, String, (String, String)) {
        let number = self.issues.iter().filter(|issue| issue.project == project.key).count() + 1;
        let id = (20_001 + self.issues.len()).to_string();
        let first = project.workflow.statuses.first().cloned();
        (id, format!("{}-{number}", project.key), first.unwrap_or_default())
    }

    /// An issue as the API tells it, with the fields that were asked for; all if there are none.
    pub(super) fn shown(&self, issue: &Issue, fields: &[String]) -> Value {
        let project = self.project(&issue.project);
        let kind = project.and_then(|p| p.issue_types.iter().find(|t| t.name == issue.issue_type));
        let resolution = issue.resolution.as_ref().map(|name| json!({ "name": name }));
        let comments: Vec<Value> = issue.comments.iter().map(shown_comment).collect();
        let all = json!({
            "summary": issue.summary,
            "description": issue.description,
            "labels": issue.labels,
            "status": shown_status(&issue.status, &issue.category),
            "resolution": resolution,
            "project": project.map(|p| json!({ "id": p.id, "key": p.key, "name": p.name })),
            "issuetype": kind.map(|t| json!({ "id": t.id, "name": t.name, "subtask": t.is_subtask })),
            "comment": { "comments": comments, "total": comments.len() },
        });
        let wants = |name: &String| {
            fields.is_empty()
                || fields.iter().any(|f| f == name || f == "*all" || f == "*navigable")
        };
        let shown: serde_json::Map<String, Value> = all
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .filter(|(n, _)| wants(n))
            .collect();
        json!({
            "id": issue.id, "key": issue.key,
            "self": format!("{}/issue/{}", self.api_url, issue.id),
            "fields": shown,
        })
    }
}

pub(super) fn shown_comment(comment: &Comment) -> Value {
    json!({ "id": comment.id, "body": comment.body })
}

pub(super) fn shown_status(name: &str, category: &str) -> Value {
    let (id, label) = match category {
        "done" => (3, "Done"),
        "indeterminate" => (4, "In Progress"),
        _ => (2, "To Do"),
    };
    json!({
        "id": format!("1000{id}"), "name": name,
        "statusCategory": { "id": id, "key": category, "name": label },
    })
}

impl Text {
    /// What Jira says of a text that is not written as it wants it, or is too long.
    pub(super) fn check(self, value: &Value) -> Result<(), String> {
        match (self, value) {
            (Self::Document, value) => adf::check(value)?,
            (Self::Wiki, Value::String(_)) => {}
            (Self::Wiki, _) => return Err("Operation value must be a string".to_owned()),
        }
        match adf::text(value).chars().count() {
            length if length > 32_767 => {
                Err("The entered text is too long. It exceeds the allowed \
                 limit of 32,767 characters."
                    .to_owned())
            }
            _ => Ok(()),
        }
    }
}
