//! GitLab: projects of groups, their commits, issues and merge requests, for users who let us in.

mod access;
mod commits;
mod consent;
mod handle;
mod issues;
mod page;
mod projects;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

pub use self::{
    commits::CommitStatus,
    issues::{Issue, Note},
};
use crate::server::{
    reply::Reply,
    request::Request,
    route::{Route, Service, Urls},
};

/// What GitLab knows.
#[derive(Debug)]
pub struct GitLab {
    users: Vec<User>,
    projects: Vec<Project>,
    numbers: u64,
}

/// A person.
#[derive(Debug)]
struct User {
    id: u64,
    username: &'static str,
    name: &'static str,
}

/// A project.
#[derive(Debug)]
struct Project {
    id: u64,
    /// With its group, `acme/shop`.
    path: String,
    is_archived: bool,
    has_issues: bool,
    /// Who may how much: <https://docs.gitlab.com/api/access_requests/#valid-access-levels>.
    members: Vec<(String, u64)>,
    missing_commits: BTreeSet<String>,
    statuses: Vec<CommitStatus>,
    issues: Vec<Issue>,
    merge_requests: Vec<Issue>,
}

impl Default for GitLab {
    /// `ada` maintains `acme/shop`, which has the merge request 7, and `acme/platform/website`, and
    /// only reads `acme/handbook`. `grace` has `grace/lab`.
    fn default() -> Self {
        let mut gitlab = Self {
            users: vec![
                User { id: 11, username: "ada", name: "Ada Admin" },
                User { id: 12, username: "grace", name: "Grace" },
            ],
            projects: Vec::new(),
            numbers: 500,
        };
        gitlab.add_project("acme/shop", "ada", 40);
        gitlab.add_project("acme/platform/website", "ada", 40);
        gitlab.add_project("acme/handbook", "ada", 20);
        gitlab.add_project("grace/lab", "grace", 50);
        let shop = gitlab.named_mut("acme/shop");
        shop.merge_requests.push(Issue::new(7, "Bump lodash".to_owned(), DateTime::UNIX_EPOCH));
        gitlab
    }
}

impl Service for GitLab {
    const ID: &'static str = "gitlab";
    const HOSTS: &'static [&'static str] = &["web"];
    // Where a self-managed server may lie as well.
    const BELOW: Option<&'static str> = Some("gitlab");
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/oauth/authorize", consent::authorize),
        Route::new("web", "POST", "/oauth/token", consent::token),
        Route::new("web", "POST", "/oauth/revoke", consent::revoke),
        Route::new("web", "GET", "/oauth/token/info", consent::info),
        Route::new("web", "GET", "/-/user_settings/applications", page::elsewhere),
        Route::new("web", "GET", "/{group}/{project}/-/issues/{iid}", page::elsewhere),
        Route::new("web", "GET", "/{group}/{project}/-/merge_requests/{iid}", page::elsewhere),
        Route::new("web", "GET", "/{group}/{project}/-/commit/{sha}", page::elsewhere),
        Route::new("web", "GET", "/api/v4/user", projects::user),
        Route::new("web", "GET", "/api/v4/projects", projects::list),
        Route::new("web", "GET", "/api/v4/projects/{id}", projects::get),
        Route::new("web", "POST", "/api/v4/projects/{id}/statuses/{sha}", commits::status),
        Route::new("web", "GET", "/api/v4/projects/{id}/issues", issues::list),
        Route::new("web", "POST", "/api/v4/projects/{id}/issues", issues::create),
        Route::new("web", "GET", "/api/v4/projects/{id}/issues/{iid}", issues::get),
        Route::new("web", "PUT", "/api/v4/projects/{id}/issues/{iid}", issues::change),
        Route::new("web", "GET", "/api/v4/projects/{id}/issues/{iid}/notes", issues::notes),
        Route::new("web", "POST", "/api/v4/projects/{id}/issues/{iid}/notes", issues::note),
        Route::new("web", "GET", "/api/v4/projects/{id}/merge_requests/{iid}/notes", issues::notes),
        Route::new("web", "POST", "/api/v4/projects/{id}/merge_requests/{iid}/notes", issues::note),
    ];

    fn new(_urls: &Urls) -> Self {
        Self::default()
    }

    fn admit(request: &Request) -> Result<(), Reply> {
        access::admit(request)
    }

    fn dress(&self, reply: Reply, request: &Request, now: DateTime<Utc>) -> Reply {
        match request.path.contains("/api/v4/") {
            true => access::with_limits(reply, now),
            false => reply,
        }
    }

    fn nothing(status: u16) -> Reply {
        match status {
            405 => Reply::json(405, &json!({ "error": "405 Not Allowed" })),
            _ => Reply::json(404, &json!({ "error": "404 Not Found" })),
        }
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl GitLab {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn named_mut(&mut self, path: &str) -> &mut Project {
        let found = self.projects.iter_mut().find(|known| known.path == path);
        found.expect("the test named a project that is there")
    }

    fn named(&self, path: &str) -> &Project {
        let found = self.projects.iter().find(|known| known.path == path);
        found.expect("the test named a project that is there")
    }

    fn add_project(&mut self, path: &str, member: &str, level: u64) -> u64 {
        let id = self.next_number();
        self.projects.push(Project {
            id,
            path: path.to_owned(),
            is_archived: false,
            has_issues: true,
            members: vec![(member.to_owned(), level)],
            missing_commits: BTreeSet::new(),
            statuses: Vec::new(),
            issues: Vec::new(),
            merge_requests: Vec::new(),
        });
        id
    }
}

impl Project {
    /// What somebody may do in it; `None` if they do not see it.
    fn level(&self, username: &str) -> Option<u64> {
        let found = self.members.iter().find(|(known, _)| known == username);
        found.map(|(_, level)| *level)
    }
}
