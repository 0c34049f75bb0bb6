//! GitHub: an app, its installations, and the repositories that they were given.

mod access;
mod app;
mod commits;
mod consent;
mod handle;
mod issues;
mod key;
mod page;
mod repositories;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use self::access::{Limit, error};
pub use self::{
    commits::{CheckRun, Status},
    issues::{Comment, Issue},
};
use crate::{
    oauth::random,
    server::{
        reply::Reply,
        request::Request,
        route::{Route, Service, Urls},
    },
};

/// What the app is registered to ask installations for.
const PERMISSIONS: &[(&str, &str)] =
    &[("checks", "write"), ("issues", "write"), ("metadata", "read"), ("statuses", "write")];

/// What GitHub knows.
#[derive(Debug)]
pub struct GitHub {
    app: App,
    /// Who is signed in.
    user: String,
    installations: Vec<Installation>,
    repositories: Vec<Repository>,
    numbers: u64,
}

/// Our app.
#[derive(Debug)]
struct App {
    id: u64,
    slug: &'static str,
    /// Whether its owner made another key.
    is_key_replaced: bool,
    /// Whether whoever installs it is asked who they are on the way.
    asks_user: bool,
    /// Whether the next person may only ask an owner to install it.
    only_requests: bool,
}

/// The app at one account. The account is there before the app is installed.
#[derive(Debug)]
struct Installation {
    id: u64,
    account_id: u64,
    login: String,
    /// `Organization` or `User`.
    kind: &'static str,
    members: Vec<String>,
    /// Those who may read a repository of it, and own nothing.
    readers: Vec<String>,
    is_installed: bool,
    suspended_at: Option<DateTime<Utc>>,
    permissions: BTreeMap<String, String>,
    limit: Limit,
}

/// A repository.
#[derive(Debug)]
struct Repository {
    id: u64,
    owner: String,
    name: String,
    /// The full names that it had before.
    former: Vec<String>,
    is_archived: bool,
    has_issues: bool,
    /// Whether the installation was given it.
    is_given: bool,
    missing_commits: BTreeSet<String>,
    statuses: Vec<Status>,
    runs: Vec<CheckRun>,
    issues: Vec<Issue>,
}

impl Repository {
    fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

impl Default for GitHub {
    /// `octo-admin` has the organizations `acme` and `globex`, with the app installed; `mallory` has
    /// `evil-corp` only. `acme/shop` has the pull request 7.
    fn default() -> Self {
        let mut github = Self {
            app: App {
                id: 314_159,
                slug: "deptex",
                is_key_replaced: false,
                asks_user: true,
                only_requests: false,
            },
            user: "octo-admin".to_owned(),
            installations: Vec::new(),
            repositories: Vec::new(),
            numbers: 1_000,
        };
        github.add_account("acme", "octo-admin");
        github.add_account("globex", "octo-admin");
        github.add_account("evil-corp", "mallory");
        for full_name in ["acme/shop", "acme/website", "globex/api", "evil-corp/trap"] {
            github.add_repository(full_name);
        }
        github.named_mut("acme/shop").issues.push(Issue::pull_request(7, "Bump lodash"));
        github
    }
}

impl Service for GitHub {
    const ID: &'static str = "github";
    const HOSTS: &'static [&'static str] = &["web", "api"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/apps/{slug}/installations/new", consent::install),
        Route::new("web", "GET", "/login/oauth/authorize", consent::authorize),
        Route::new("web", "POST", "/login/oauth/access_token", consent::access_token),
        Route::new("web", "GET", "/{owner}/{repo}/issues/{number}", page::elsewhere),
        Route::new("web", "GET", "/{owner}/{repo}/pull/{number}", page::elsewhere),
        Route::new("web", "GET", "/{owner}/{repo}/runs/{id}", page::elsewhere),
        Route::new("api", "GET", "/app", app::app),
        Route::new("api", "GET", "/app/installations/{installation_id}", app::installation),
        Route::new("api", "DELETE", "/app/installations/{installation_id}", app::delete),
        Route::new(
            "api",
            "POST",
            "/app/installations/{installation_id}/access_tokens",
            app::access_tokens,
        ),
        Route::new("api", "DELETE", "/installation/token", app::revoke_token),
        Route::new("api", "GET", "/user", app::me),
        Route::new("api", "GET", "/user/memberships/orgs/{org}", app::membership),
        Route::new("api", "GET", "/user/installations", app::of_user),
        Route::new("api", "GET", "/installation/repositories", app::repositories),
        // Whatever a repository has is found by its name, and where redirects of a renamed one lead.
        Route::new("api", "GET", "/repos/{owner}/{repo}", repositories::get),
        Route::new("api", "GET", "/repositories/{id}", repositories::get),
        Route::new("api", "POST", "/repos/{owner}/{repo}/statuses/{sha}", commits::status),
        Route::new("api", "POST", "/repositories/{id}/statuses/{sha}", commits::status),
        Route::new("api", "GET", "/repos/{owner}/{repo}/commits/{sha}/check-runs", commits::runs),
        Route::new("api", "GET", "/repositories/{id}/commits/{sha}/check-runs", commits::runs),
        Route::new("api", "POST", "/repos/{owner}/{repo}/check-runs", commits::new_run),
        Route::new("api", "POST", "/repositories/{id}/check-runs", commits::new_run),
        Route::new("api", "PATCH", "/repos/{owner}/{repo}/check-runs/{run}", commits::change_run),
        Route::new("api", "PATCH", "/repositories/{id}/check-runs/{run}", commits::change_run),
        Route::new("api", "GET", "/repos/{owner}/{repo}/issues", issues::list),
        Route::new("api", "GET", "/repositories/{id}/issues", issues::list),
        Route::new("api", "POST", "/repos/{owner}/{repo}/issues", issues::create),
        Route::new("api", "POST", "/repositories/{id}/issues", issues::create),
        Route::new("api", "GET", "/repos/{owner}/{repo}/issues/{number}", issues::get),
        Route::new("api", "GET", "/repositories/{id}/issues/{number}", issues::get),
        Route::new("api", "PATCH", "/repos/{owner}/{repo}/issues/{number}", issues::change),
        Route::new("api", "PATCH", "/repositories/{id}/issues/{number}", issues::change),
        Route::new(
            "api",
            "GET",
            "/repos/{owner}/{repo}/issues/{number}/comments",
            issues::comments,
        ),
        Route::new("api", "GET", "/repositories/{id}/issues/{number}/comments", issues::comments),
        Route::new(
            "api",
            "POST",
            "/repos/{owner}/{repo}/issues/{number}/comments",
            issues::comment,
        ),
        Route::new("api", "POST", "/repositories/{id}/issues/{number}/comments", issues::comment),
    ];

    fn new(_urls: &Urls) -> Self {
        Self::default()
    }

    fn admit(request: &Request) -> Result<(), Reply> {
        access::admit(request)
    }

    fn dress(&self, reply: Reply, request: &Request, now: DateTime<Utc>) -> Reply {
        match request.host {
            "api" => reply
                .header("x-github-request-id", random("").to_uppercase())
                .header("x-github-api-version-selected", "2022-11-28")
                .header("x-ratelimit-limit", 5_000)
                .header("x-ratelimit-remaining", 4_999)
                .header("x-ratelimit-used", 1)
                .header("x-ratelimit-resource", "core")
                .header("x-ratelimit-reset", (now + TimeDelta::hours(1)).timestamp()),
            _ => reply,
        }
    }

    fn nothing(_status: u16) -> Reply {
        // The interface knows no 405.
        error(404, "Not Found")
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl GitHub {
    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn installation(&self, id: u64) -> Option<&Installation> {
        self.installations.iter().find(|known| known.id == id)
    }

    fn installation_mut(&mut self, id: u64) -> Option<&mut Installation> {
        self.installations.iter_mut().find(|known| known.id == id)
    }

    /// The accounts that a user may install the app for.
    fn of_user(&self, user: &str) -> impl Iterator<Item = &Installation> {
        let sees = move |known: &&Installation| {
            known.members.iter().chain(&known.readers).any(|name| name == user)
        };
        self.installations.iter().filter(sees)
    }

    /// The repositories that an installation was given.
    fn given_to(&self, installation: u64) -> impl Iterator<Item = &Repository> {
        let login = self.installation(installation).map(|known| known.login.as_str());
        self.repositories.iter().filter(move |r| r.is_given && Some(r.owner.as_str()) == login)
    }

    /// Installs the app for an account, or saves it again: the installation, and GitHub's word for it.
    fn install(&mut self, login: &str) -> Option<(u64, &'static str)> {
        let number = self.next_number();
        let known = self.installations.iter_mut().find(|known| known.login == login)?;
        if known.is_installed {
            return Some((known.id, "update"));
        }
        // It is another installation than the one before.
        known.id = number;
        known.is_installed = true;
        known.suspended_at = None;
        Some((number, "install"))
    }

    fn uninstall(&mut self, login: &str) {
        self.account_mut(login).is_installed = false;
    }

    fn account_mut(&mut self, login: &str) -> &mut Installation {
        let found = self.installations.iter_mut().find(|known| known.login == login);
        found.expect("the test named an account that is there")
    }

    fn named_mut(&mut self, full_name: &str) -> &mut Repository {
        let found = self.repositories.iter_mut().find(|known| known.full_name() == full_name);
        found.expect("the test named a repository that is there")
    }

    fn named(&self, full_name: &str) -> &Repository {
        let found = self.repositories.iter().find(|known| known.full_name() == full_name);
        found.expect("the test named a repository that is there")
    }

    fn add_account(&mut self, login: &str, member: &str) -> u64 {
        let (id, account_id) = (self.next_number(), self.next_number());
        let text = |&(name, level): &(&str, &str)| (name.to_owned(), level.to_owned());
        self.installations.push(Installation {
            id,
            account_id,
            login: login.to_owned(),
            kind: "Organization",
            members: vec![member.to_owned()],
            readers: Vec::new(),
            is_installed: true,
            suspended_at: None,
            permissions: PERMISSIONS.iter().map(text).collect(),
            limit: Limit::default(),
        });
        id
    }

    fn add_repository(&mut self, full_name: &str) -> u64 {
        let (owner, name) = full_name.split_once('/').expect("an owner and a name");
        let id = self.next_number();
        self.repositories.push(Repository {
            id,
            owner: owner.to_owned(),
            name: name.to_owned(),
            former: Vec::new(),
            is_archived: false,
            has_issues: true,
            is_given: true,
            missing_commits: BTreeSet::new(),
            statuses: Vec::new(),
            runs: Vec::new(),
            issues: Vec::new(),
        });
        id
    }
}
