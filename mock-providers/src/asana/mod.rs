//! Asana: workspaces, projects and tasks.

mod api;
mod consent;
mod fields;
mod page;
mod rich_text;
mod stories;
mod tasks;

use std::time::Duration;

use serde_json::json;

pub use self::{stories::Story, tasks::Task};
use crate::{
    breakage::Answer,
    mock::Mock,
    server::{
        reply::Reply,
        route::{Route, Service, Urls},
    },
};

/// What Asana knows.
#[derive(Debug)]
pub struct Asana {
    /// Where people look, without a slash at the end.
    web: String,
    workspaces: Vec<Workspace>,
    tasks: Vec<Task>,
    /// Ids of callers' own whose tasks people threw away: they stay taken.
    trashed: Vec<String>,
}

#[derive(Debug)]
struct Workspace {
    gid: String,
    name: String,
    projects: Vec<Project>,
}

/// A project.
#[derive(Clone, Debug)]
pub struct Project {
    /// A number.
    pub gid: String,
    /// As people call it.
    pub name: String,
    /// Whether it is put away.
    pub is_archived: bool,
    /// Whether our user may change it.
    pub may_write: bool,
}

impl Project {
    fn new(gid: &str, name: &str) -> Self {
        Self { gid: gid.to_owned(), name: name.to_owned(), is_archived: false, may_write: true }
    }
}

impl Service for Asana {
    const ID: &'static str = "asana";
    const HOSTS: &'static [&'static str] = &["web"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/-/oauth_authorize", consent::authorize),
        Route::new("web", "POST", "/-/oauth_token", consent::token),
        Route::new("web", "POST", "/-/oauth_revoke", consent::revoke),
        Route::new("web", "GET", "/0/{project}/{task}", page::task),
        Route::new("web", "GET", "/api/1.0/users/{user}", api::user),
        Route::new("web", "GET", "/api/1.0/workspaces", api::workspaces),
        Route::new("web", "GET", "/api/1.0/workspaces/{workspace}/projects", api::projects),
        Route::new("web", "GET", "/api/1.0/projects/{project}", api::project),
        Route::new("web", "POST", "/api/1.0/tasks", tasks::create),
        Route::new("web", "GET", "/api/1.0/tasks/{task}", tasks::get),
        Route::new("web", "PUT", "/api/1.0/tasks/{task}", tasks::update),
        Route::new("web", "GET", "/api/1.0/tasks/{task}/stories", stories::list),
        Route::new("web", "POST", "/api/1.0/tasks/{task}/stories", stories::create),
    ];

    /// Acme has the projects Security and Web shop, Globex has Alerts.
    fn new(urls: &Urls) -> Self {
        let workspace = |gid: &str, name: &str, projects| Workspace {
            gid: gid.to_owned(),
            name: name.to_owned(),
            projects,
        };
        let acme = vec![
            Project::new("1200000000000001", "Security"),
            Project::new("1200000000000002", "Web shop"),
        ];
        let globex = vec![Project::new("1300000000000001", "Alerts")];
        Self {
            web: urls.get("web").cloned().unwrap_or_default(),
            workspaces: vec![
                workspace("1100000000000001", "Acme", acme),
                workspace("1100000000000002", "Globex", globex),
            ],
            tasks: Vec::new(),
            trashed: Vec::new(),
        }
    }

    fn nothing(status: u16) -> Reply {
        fields::error(status, "No matching route for request")
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl Asana {
    fn named(&mut self, name: &str) -> &mut Project {
        let mut all = self.workspaces.iter_mut().flat_map(|workspace| &mut workspace.projects);
        all.find(|project| project.name == name).expect("the test named a project that is there")
    }
}

impl Mock<Asana> {
    /// Every task, in the order of their creation.
    #[must_use]
    pub fn tasks(&self) -> Vec<Task> {
        self.inner().state.tasks.clone()
    }

    /// Everything that was said about tasks, task by task.
    #[must_use]
    pub fn stories(&self) -> Vec<Story> {
        self.tasks().into_iter().flat_map(|task| task.stories).collect()
    }

    /// Every project of every workspace.
    #[must_use]
    pub fn projects(&self) -> Vec<Project> {
        let inner = self.inner();
        inner.state.workspaces.iter().flat_map(|workspace| workspace.projects.clone()).collect()
    }

    /// A project, by its name.
    #[must_use]
    pub fn project(&self, name: &str) -> Project {
        self.inner().state.named(name).clone()
    }

    /// The gid of a workspace, `Acme` or `Globex`.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn workspace_gid(&self, name: &str) -> String {
        let inner = self.inner();
        let found = inner.state.workspaces.iter().find(|workspace| workspace.name == name);
        found.expect("the test named a workspace that is there").gid.clone()
    }

    /// Adds a project to Acme; its gid.
    pub fn add_project(&self, name: &str) -> String {
        let projects = &mut self.inner().state.workspaces[0].projects;
        let gid = (1_210_000_000_000_001 + projects.len() as u64).to_string();
        projects.push(Project::new(&gid, name));
        gid
    }

    /// Changes a project: whether it is archived, or may be written to.
    pub fn change_project(&self, name: &str, change: impl FnOnce(&mut Project)) {
        change(self.inner().state.named(name));
    }

    /// Deletes a project. Its tasks stay, in no project.
    pub fn delete_project(&self, name: &str) {
        let mut inner = self.inner();
        let gid = inner.state.named(name).gid.clone();
        for workspace in &mut inner.state.workspaces {
            workspace.projects.retain(|project| project.gid != gid);
        }
        for task in &mut inner.state.tasks {
            task.projects.retain(|project| *project != gid);
        }
    }

    /// A person throws a task away. Its caller's own id stays taken.
    pub fn delete_task(&self, gid: &str) {
        let state = &mut self.inner().state;
        let is_it = |task: &&Task| task.gid == gid;
        let external = state.tasks.iter().find(is_it).and_then(|task| task.external.clone());
        state.trashed.extend(external);
        state.tasks.retain(|task| task.gid != gid);
    }

    /// A person completes a task, or opens it again.
    pub fn set_completed(&self, gid: &str, completed: bool) {
        let state = &mut self.inner().state;
        let task = state.tasks.iter_mut().find(|task| task.gid == gid);
        task.expect("the test named a task that is there").completed = completed;
    }

    /// The next people at the consent page are in both workspaces, not in Acme alone.
    pub fn choose_both_workspaces(&self) {
        self.choose(consent::BOTH);
    }

    /// A refusal as Asana words it.
    #[must_use]
    pub fn error(&self, status: u16, message: &str) -> Answer {
        Answer::json(status, &fields::errors(message))
    }

    /// 500, with words that people tell to Asana.
    #[must_use]
    pub fn server_error(&self) -> Answer {
        let mut body = fields::errors("Server Error");
        body["errors"][0]["phrase"] = json!("6 sad squid snuggle softly");
        Answer::json(500, &body)
    }

    /// 429 with whole seconds.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration) -> Answer {
        let message = "You have made too many requests recently. Please, be chill.";
        self.error(429, message).header("retry-after", wait.as_secs())
    }
}

#[cfg(test)]
mod tests;
