//! Jira Data Center: a server of the customer's own, below a path, opened by a personal access token.

use std::time::Duration;

use serde_json::json;

use super::{
    Edition, Issue, Project, Text, issues, page as issue_page, projects, tracker::Tracker,
};
use crate::{
    breakage::Answer,
    mock::Mock,
    oauth::random,
    page,
    server::{
        reply::{Outcome, Reply},
        route::{Route, Service, Turn, Urls},
    },
};

/// What one server knows.
#[derive(Debug)]
pub struct JiraDataCenter {
    tracker: Tracker,
    tokens: Vec<String>,
    secrets: Vec<String>,
}

/// Below which path the server lies, as many do.
const CONTEXT_PATH: &str = "/jira";

impl Service for JiraDataCenter {
    const ID: &'static str = "jira_data_center";
    const HOSTS: &'static [&'static str] = &["web"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("web", "GET", "/jira/browse/{issue}", browse),
        Route::new("web", "GET", "/jira/rest/api/2/myself", myself),
        Route::new("web", "GET", "/jira/rest/api/2/serverInfo", server_info),
        Route::new("web", "GET", "/jira/rest/api/2/project", projects::list::<Self>),
        Route::new("web", "GET", "/jira/rest/api/2/project/{project}", projects::get::<Self>),
        Route::new(
            "web",
            "GET",
            "/jira/rest/api/2/issue/createmeta/{project}/issuetypes",
            projects::issue_types::<Self>,
        ),
        Route::new(
            "web",
            "GET",
            "/jira/rest/api/2/issue/createmeta/{project}/issuetypes/{type}",
            projects::fields::<Self>,
        ),
        Route::new("web", "POST", "/jira/rest/api/2/issue", issues::create::<Self>),
        Route::new("web", "GET", "/jira/rest/api/2/issue/{issue}", issues::get::<Self>),
        Route::new(
            "web",
            "GET",
            "/jira/rest/api/2/issue/{issue}/comment",
            issues::comments::<Self>,
        ),
        Route::new(
            "web",
            "POST",
            "/jira/rest/api/2/issue/{issue}/comment",
            issues::comment::<Self>,
        ),
        Route::new(
            "web",
            "GET",
            "/jira/rest/api/2/issue/{issue}/transitions",
            issues::transitions::<Self>,
        ),
        Route::new(
            "web",
            "POST",
            "/jira/rest/api/2/issue/{issue}/transitions",
            issues::transition::<Self>,
        ),
        Route::new("web", "GET", "/jira/rest/api/2/search", issues::search::<Self>),
        Route::new("web", "POST", "/jira/rest/api/2/search", issues::search::<Self>),
    ];

    /// The projects SEC and WEB, and one token.
    fn new(urls: &Urls) -> Self {
        let web = urls.get("web").map_or("", String::as_str);
        let base = format!("{web}{CONTEXT_PATH}");
        let token = random("pat-");
        Self {
            tracker: Tracker::new(base.clone(), format!("{base}/rest/api/2")),
            tokens: vec![token.clone()],
            secrets: vec![token],
        }
    }

    fn nothing(status: u16) -> Reply {
        Reply::html(status, page::page("Oops", "<p>You have found a dead link.</p>"))
    }

    fn page(&self, _urls: &Urls) -> String {
        page::page("Jira Data Center", &issue_page::site(&self.tracker))
    }
}

impl JiraDataCenter {
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }
}

impl Edition for JiraDataCenter {
    const TEXT: Text = Text::Wiki;

    fn enter<'t>(turn: &'t mut Turn<'_, Self>) -> Result<&'t mut Tracker, Reply> {
        let token = turn.request.authorization("Bearer").unwrap_or_default();
        match turn.state.tokens.iter().any(|known| known == token) {
            true => Ok(&mut turn.state.tracker),
            false => {
                Err(Reply::text(401, "").header("x-seraph-loginreason", "AUTHENTICATED_FAILED"))
            }
        }
    }
}

fn myself(turn: &mut Turn<'_, JiraDataCenter>) -> Outcome {
    JiraDataCenter::enter(turn)?;
    let body = json!({ "name": "ada", "key": "JIRAUSER10000", "displayName": "Ada Admin", "active": true });
    Ok(Reply::json(200, &body))
}

fn server_info(turn: &mut Turn<'_, JiraDataCenter>) -> Outcome {
    let base_url = JiraDataCenter::enter(turn)?.site_url.clone();
    let body = json!({
        "baseUrl": base_url, "version": "10.3.24", "versionNumbers": [10, 3, 24],
        "deploymentType": "Server", "serverTitle": "Acme Jira",
    });
    Ok(Reply::json(200, &body))
}

/// What people see behind a link to an issue.
fn browse(turn: &mut Turn<'_, JiraDataCenter>) -> Outcome {
    let tracker = &turn.state.tracker;
    match tracker.issue(turn.param("issue")) {
        Some(issue) => {
            Ok(Reply::html(200, page::page(&issue.key, &issue_page::shown(tracker, issue))))
        }
        None => Err(page::refusal(404, "There is no such issue.")),
    }
}

impl Mock<JiraDataCenter> {
    /// What an admin gives as its address; it has a path.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}{CONTEXT_PATH}", self.url("web"))
    }

    /// A personal access token.
    ///
    /// # Panics
    /// When all were revoked.
    #[must_use]
    pub fn token(&self) -> String {
        self.inner().state.tokens.first().cloned().expect("a token is left")
    }

    /// Ends every personal access token, and makes a new one.
    pub fn replace_token(&self) -> String {
        let mut inner = self.inner();
        let token = random("pat-");
        inner.state.tokens = vec![token.clone()];
        inner.state.secrets.push(token.clone());
        token
    }

    /// Every issue, in the order of their creation.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.inner().state.tracker.issues.clone()
    }

    /// Changes a project: its kinds of issues, its workflow, who may create.
    pub fn project(&self, key: &str, change: impl FnOnce(&mut Project)) {
        change(self.inner().state.tracker.project_mut(key));
    }

    /// Deletes an issue, by its key.
    pub fn delete_issue(&self, key: &str) {
        self.inner().state.tracker.issues.retain(|issue| issue.key != key);
    }

    /// 429 of the token bucket, which an admin has switched on.
    #[must_use]
    pub fn rate_limited(&self, wait: Duration) -> Answer {
        Answer::json(429, &json!({ "message": "Rate limit exceeded." }))
            .header("x-ratelimit-limit", 10)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-interval-seconds", 60)
            .header("x-ratelimit-fillrate", 10)
            .header("retry-after", wait.as_secs())
    }

    /// The login page of a proxy that stands before it.
    #[must_use]
    pub fn login_page(&self) -> Answer {
        Answer::status(200).body("<html>Log in</html>").header("content-type", "text/html")
    }
}
