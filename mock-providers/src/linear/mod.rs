//! Linear: workspaces, their teams, and the issues in them, behind one GraphQL endpoint.

mod consent;
mod errors;
mod graphql;
mod page;
mod resolve;
mod schema;
mod syntax;
mod workspace;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use self::workspace::Workspace;
pub use self::{
    errors::ErrorType,
    workspace::{Comment, Issue, Team, WorkflowState},
};
use crate::{
    breakage::Answer,
    mock::Mock,
    oauth::random,
    server::{
        reply::Reply,
        request::Request,
        route::{Route, Service, Urls},
    },
};

/// What Linear knows.
#[derive(Debug)]
pub struct Linear {
    workspaces: Vec<Workspace>,
    /// What an id that is taken is refused as.
    twin_error: ErrorType,
    /// The number of the latest change.
    sync_id: u64,
}

/// Requests of an app user in an hour.
const REQUESTS_MAX: u32 = 5_000;
/// Complexity points of an app user in an hour.
const COMPLEXITY_MAX: u32 = 2_000_000;

impl Service for Linear {
    const ID: &'static str = "linear";
    const HOSTS: &'static [&'static str] = &["web", "api"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/oauth/authorize", consent::authorize),
        Route::new("web", "GET", "/{workspace}/issue/{issue}/{slug}", page::issue),
        Route::new("api", "POST", "/oauth/token", consent::token),
        Route::new("api", "POST", "/oauth/revoke", consent::revoke),
        Route::new("api", "POST", "/graphql", graphql::answer),
    ];

    /// Two workspaces, Acme and Globex, each with the teams SEC and ENG.
    fn new(urls: &Urls) -> Self {
        let web = urls.get("web").map_or("", String::as_str);
        let workspaces =
            vec![Workspace::usual(web, "Acme", "acme"), Workspace::usual(web, "Globex", "globex")];
        Self { workspaces, twin_error: ErrorType::InvalidInput, sync_id: 1 }
    }

    fn dress(&self, reply: Reply, request: &Request, now: DateTime<Utc>) -> Reply {
        if request.path != "/graphql" {
            return reply;
        }
        let reset = (now + TimeDelta::hours(1)).timestamp_millis();
        reply
            .header("x-request-id", random(""))
            .header("x-complexity", 12)
            .header("x-ratelimit-requests-limit", REQUESTS_MAX)
            .header("x-ratelimit-requests-remaining", REQUESTS_MAX - 10)
            .header("x-ratelimit-requests-reset", reset)
            .header("x-ratelimit-complexity-limit", COMPLEXITY_MAX)
            .header("x-ratelimit-complexity-remaining", COMPLEXITY_MAX - 120)
            .header("x-ratelimit-complexity-reset", reset)
    }

    fn nothing(status: u16) -> Reply {
        Reply::text(status, if status == 405 { "Method Not Allowed" } else { "Not Found" })
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page(self)
    }
}

impl Linear {
    fn named(&mut self, url_key: &str) -> &mut Workspace {
        let found = self.workspaces.iter_mut().find(|known| known.url_key == url_key);
        found.expect("the test named a workspace that is there")
    }
}

/// What an app may spend of within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Requests.
    Requests,
    /// Complexity points.
    Complexity,
    /// Requests of one mutation.
    Endpoint,
}

impl Mock<Linear> {
    /// Every issue of the first workspace, Acme, in the order of their creation.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.issues_of("acme")
    }

    /// Every issue of a workspace, `acme` or `globex`.
    #[must_use]
    pub fn issues_of(&self, workspace: &str) -> Vec<Issue> {
        self.inner().state.named(workspace).issues.clone()
    }

    /// Everything that was said about Acme's issues, issue by issue.
    #[must_use]
    pub fn comments(&self) -> Vec<Comment> {
        self.issues().into_iter().flat_map(|issue| issue.comments).collect()
    }

    /// Acme's teams.
    #[must_use]
    pub fn teams(&self) -> Vec<Team> {
        self.inner().state.named("acme").teams.clone()
    }

    /// The id of a team of Acme, by its key.
    #[must_use]
    pub fn team_id(&self, key: &str) -> String {
        self.inner().state.named("acme").team_mut(key).id.clone()
    }

    /// The id of a workspace, `acme` or `globex`.
    #[must_use]
    pub fn organization_id(&self, workspace: &str) -> String {
        self.inner().state.named(workspace).id.clone()
    }

    /// Changes a team of Acme, by its key: its workflow, who may write, whether it is archived.
    pub fn change_team(&self, key: &str, change: impl FnOnce(&mut Team)) {
        change(self.inner().state.named("acme").team_mut(key));
    }

    /// Adds a team with the usual workflow to Acme; its id.
    pub fn add_team(&self, key: &str, name: &str) -> String {
        let team = Team::usual(key, name);
        let id = team.id.clone();
        self.inner().state.named("acme").teams.push(team);
        id
    }

    /// Deletes a team of Acme, with its issues.
    pub fn delete_team(&self, key: &str) {
        let mut inner = self.inner();
        let acme = inner.state.named("acme");
        acme.teams.retain(|team| team.key != key);
        acme.issues.retain(|issue| issue.team != key);
    }

    /// A person moves an issue of Acme, `SEC-1`, to a state of its team.
    pub fn set_state(&self, identifier: &str, state: &str) {
        let mut inner = self.inner();
        let acme = inner.state.named("acme");
        let issue = acme.issue(identifier).expect("the test named an issue that is there");
        let states = &acme.team_of(issue).states;
        let state = states.iter().find(|known| known.name == state).cloned();
        if let Some(issue) = acme.issue_mut(identifier) {
            issue.state = state.expect("the test named a state that is there");
        }
    }

    /// A person throws an issue of Acme away: for some weeks it can still be looked at.
    pub fn trash_issue(&self, identifier: &str) {
        let mut inner = self.inner();
        let issue = inner.state.named("acme").issue_mut(identifier);
        issue.expect("the test named an issue that is there").trashed = true;
    }

    /// An issue of Acme is gone for good.
    pub fn delete_issue(&self, identifier: &str) {
        let mut inner = self.inner();
        inner.state.named("acme").issues.retain(|issue| issue.identifier != identifier);
    }

    /// Whether Acme's plan has no room for another issue.
    pub fn set_plan_used_up(&self, is_used_up: bool) {
        self.inner().state.named("acme").is_plan_used_up = is_used_up;
    }

    /// How an id that is taken is refused from now on; how Linear does it is not written anywhere.
    pub fn refuse_twins_as(&self, kind: ErrorType) {
        self.inner().state.twin_error = kind;
    }

    /// A refusal as Linear words it. The status is often 200.
    #[must_use]
    pub fn error(&self, status: u16, kind: ErrorType, message: &str) -> Answer {
        let mut body = errors::envelope(kind, message);
        body["data"] = json!(null);
        Answer::json(status, &body)
    }

    /// Success, but the part that was asked for broke: data and errors at once. With
    /// [`Answer::but_done`] what was asked is done nevertheless.
    #[must_use]
    pub fn partial(&self, field: &str, part: &str) -> Answer {
        let mut body = errors::envelope(ErrorType::InternalError, "Internal server error");
        body["errors"][0]["path"] = json!([field, part]);
        body["data"] = json!({ field: { "success": true, part: null } });
        Answer::json(200, &body)
    }

    /// 400, and the moment in milliseconds at which the spent budget is filled again.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration, budget: Budget) -> Answer {
        let wait = TimeDelta::from_std(wait).expect("no wait is that long");
        let reset = (self.now() + wait).timestamp_millis();
        let later = (self.now() + TimeDelta::hours(1)).timestamp_millis();
        let body = errors::envelope(ErrorType::Ratelimited, "Rate limit exceeded.");
        let of = |spent: Budget| if budget == spent { (0, reset) } else { (1_000, later) };
        let (requests, complexity) = (of(Budget::Requests), of(Budget::Complexity));
        let answer = Answer::json(400, &body)
            .header("x-ratelimit-requests-limit", REQUESTS_MAX)
            .header("x-ratelimit-requests-remaining", requests.0)
            .header("x-ratelimit-requests-reset", requests.1)
            .header("x-ratelimit-complexity-limit", COMPLEXITY_MAX)
            .header("x-ratelimit-complexity-remaining", complexity.0)
            .header("x-ratelimit-complexity-reset", complexity.1);
        match budget {
            Budget::Endpoint => answer
                .header("x-ratelimit-endpoint-name", "issueCreate")
                .header("x-ratelimit-endpoint-requests-limit", 100)
                .header("x-ratelimit-endpoint-requests-remaining", 0)
                .header("x-ratelimit-endpoint-requests-reset", reset),
            _ => answer,
        }
    }
}

#[cfg(test)]
mod tests;
