//! Bitbucket Cloud: workspaces, their repositories, and what stands beside commits and pull requests.

mod access;
mod consent;
mod handle;
mod marks;
mod page;
mod repositories;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

pub use self::marks::{BuildStatus, Comment};
use crate::{
    oauth::random,
    server::{
        reply::Reply,
        request::Request,
        route::{Route, Service, Urls},
    },
};

/// What the consumer is registered for; consent pages do not ask again.
const SCOPES: &[&str] = &["account", "repository", "pullrequest:write"];

/// What Bitbucket knows.
#[derive(Debug)]
pub struct Bitbucket {
    users: Vec<User>,
    workspaces: Vec<Workspace>,
    repositories: Vec<Repository>,
    numbers: u64,
    /// What the consumer may, by what its owner ticked.
    scopes: Vec<String>,
    /// Whether the token answer still calls its scopes by the name of before May 2026.
    names_scopes_as_before: bool,
}

/// A person.
#[derive(Debug)]
struct User {
    uuid: String,
    username: &'static str,
    display_name: &'static str,
}

/// A workspace.
#[derive(Debug)]
struct Workspace {
    uuid: String,
    slug: String,
    /// Who is in it, and whether they administer it.
    members: Vec<(String, bool)>,
}

/// A repository.
#[derive(Debug)]
struct Repository {
    uuid: String,
    /// Of its workspace.
    workspace: String,
    slug: String,
    /// Who sees it.
    readers: Vec<String>,
    missing_commits: BTreeSet<String>,
    statuses: Vec<BuildStatus>,
    pull_requests: Vec<PullRequest>,
}

/// A pull request.
#[derive(Debug)]
struct PullRequest {
    id: u64,
    title: String,
    comments: Vec<Comment>,
}

/// A UUID in braces, as Bitbucket writes them.
fn uuid() -> String {
    format!("{{{}}}", uuid::Uuid::new_v4())
}

impl Default for Bitbucket {
    /// `blair` administers `acme` and is a member of `globex`; `casey` has `initech`. `acme/shop` has
    /// the pull request 7.
    fn default() -> Self {
        let user = |username, display_name| User { uuid: uuid(), username, display_name };
        let mut bitbucket = Self {
            users: vec![user("blair", "Blair"), user("casey", "Casey")],
            workspaces: Vec::new(),
            repositories: Vec::new(),
            numbers: 100,
            scopes: SCOPES.iter().map(|&scope| scope.to_owned()).collect(),
            names_scopes_as_before: false,
        };
        bitbucket.add_workspace("globex", "blair", false);
        bitbucket.add_workspace("acme", "blair", true);
        bitbucket.add_workspace("initech", "casey", true);
        for full_name in ["acme/shop", "acme/website", "globex/api", "initech/tps"] {
            bitbucket.add_repository(full_name);
        }
        let title = "Bump lodash".to_owned();
        let request = PullRequest { id: 7, title, comments: Vec::new() };
        bitbucket.named_mut("acme/shop").pull_requests.push(request);
        bitbucket
    }
}

impl Service for Bitbucket {
    const ID: &'static str = "bitbucket";
    const HOSTS: &'static [&'static str] = &["web", "api"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/site/oauth2/authorize", consent::authorize),
        Route::new("web", "POST", "/site/oauth2/access_token", consent::access_token),
        Route::new("web", "GET", "/account/settings/applications", page::elsewhere),
        Route::new("web", "GET", "/{workspace}/{repo}/commits/{sha}", page::elsewhere),
        Route::new("web", "GET", "/{workspace}/{repo}/pull-requests/{id}", page::elsewhere),
        Route::new("api", "GET", "/2.0/user", repositories::user),
        Route::new("api", "GET", "/2.0/user/workspaces", repositories::workspaces),
        Route::new("api", "GET", "/2.0/repositories/{workspace}", repositories::list),
        Route::new("api", "GET", "/2.0/repositories/{workspace}/{repo}", repositories::get),
        Route::new(
            "api",
            "POST",
            "/2.0/repositories/{workspace}/{repo}/commit/{sha}/statuses/build",
            marks::status,
        ),
        Route::new(
            "api",
            "GET",
            "/2.0/repositories/{workspace}/{repo}/pullrequests/{id}/comments",
            marks::comments,
        ),
        Route::new(
            "api",
            "POST",
            "/2.0/repositories/{workspace}/{repo}/pullrequests/{id}/comments",
            marks::comment,
        ),
    ];

    fn new(_urls: &Urls) -> Self {
        Self::default()
    }

    fn admit(request: &Request) -> Result<(), Reply> {
        access::admit(request)
    }

    fn dress(&self, reply: Reply, request: &Request, _now: DateTime<Utc>) -> Reply {
        match request.host {
            "api" => reply.header("x-request-id", random("")),
            _ => reply,
        }
    }

    fn nothing(status: u16) -> Reply {
        let message = if status == 405 { "Method not allowed" } else { "Resource not found" };
        Reply::json(status, &json!({ "type": "error", "error": { "message": message } }))
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl Bitbucket {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// A workspace by its slug or its uuid.
    fn workspace(&self, wanted: &str) -> Option<&Workspace> {
        self.workspaces.iter().find(|known| known.slug == wanted || known.uuid == wanted)
    }

    fn full_name(&self, repository: &Repository) -> String {
        let slug = self.workspace(&repository.workspace).map(|known| known.slug.as_str());
        format!("{}/{}", slug.unwrap_or_default(), repository.slug)
    }

    fn place(&self, full_name: &str) -> usize {
        let found = self.repositories.iter().position(|r| self.full_name(r) == full_name);
        found.expect("the test named a repository that is there")
    }

    fn named_mut(&mut self, full_name: &str) -> &mut Repository {
        let place = self.place(full_name);
        &mut self.repositories[place]
    }

    fn add_workspace(&mut self, slug: &str, member: &str, is_admin: bool) -> String {
        let (uuid, members) = (uuid(), vec![(member.to_owned(), is_admin)]);
        self.workspaces.push(Workspace { uuid: uuid.clone(), slug: slug.to_owned(), members });
        uuid
    }

    fn add_repository(&mut self, full_name: &str) -> String {
        let (workspace, slug) = full_name.split_once('/').expect("a workspace and a slug");
        let known = self.workspace(workspace).expect("the test named a workspace that is there");
        let readers = known.members.iter().map(|(member, _)| member.clone()).collect();
        let uuid = uuid();
        self.repositories.push(Repository {
            uuid: uuid.clone(),
            workspace: known.uuid.clone(),
            slug: slug.to_owned(),
            readers,
            missing_commits: BTreeSet::new(),
            statuses: Vec::new(),
            pull_requests: Vec::new(),
        });
        uuid
    }
}
