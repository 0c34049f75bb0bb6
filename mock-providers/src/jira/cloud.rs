//! Jira Cloud: Atlassian's consent page and tokens, and sites that one token may open several of.

use std::time::Duration;

use chrono::{DateTime, DurationRound as _, SecondsFormat, TimeDelta, Utc};
use serde_json::json;

use super::{
    Edition, Issue, Project, Text, issues, page as issue_page, projects, tracker::Tracker,
};
use crate::{
    breakage::Answer,
    mock::Mock,
    oauth::{
        self, Access, BearerProblem, Bodies, Choice, ClientAuth, Pkce, Refresh, Refusal, Rules,
    },
    page,
    server::{
        reply::{Outcome, Reply},
        request::Request,
        route::{Route, Service, Turn, Urls},
    },
};

/// What Atlassian knows: sites, each with its projects and issues.
#[derive(Debug)]
pub struct JiraCloud {
    sites: Vec<Site>,
}

#[derive(Debug)]
struct Site {
    cloud_id: String,
    /// As in its address.
    slug: String,
    name: String,
    tracker: Tracker,
}

/// The choice at the consent page that stands for every site.
const ALL_SITES: &str = "all";

const RULES: Rules = Rules {
    provider: "Jira",
    callback: "/api/integrations/jira/org-callback",
    redirect_uri_is_optional: false,
    fixed: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
    separator: Some(' '),
    scopes: &["read:jira-work", "write:jira-work", "read:jira-user", "offline_access"],
    pkce: Pkce::Ignored,
    bodies: Bodies::Json,
    client_auth: ClientAuth::Parameters,
    refresh: Refresh::Rotates,
    refresh_wants_redirect: false,
    refresh_ends_access: false,
    lifetime: Some(TimeDelta::hours(1)),
    prefixes: ("atl-access-", "atl-refresh-"),
    refuse,
};

fn refuse(refusal: Refusal) -> Reply {
    let (status, error, why) = match refusal {
        Refusal::Client => (401, "access_denied", "Unauthorized"),
        Refusal::Code => (403, "invalid_grant", "Invalid authorization code"),
        Refusal::RedirectUri => (403, "invalid_grant", "redirect_uri does not match"),
        Refusal::Verifier => (403, "invalid_grant", "code_verifier does not match"),
        Refusal::RefreshToken => (403, "invalid_grant", "Unknown or invalid refresh token."),
        Refusal::ContentType => (400, "invalid_request", "the body must be JSON"),
        Refusal::GrantType => (400, "unsupported_grant_type", "unknown grant type"),
        Refusal::Parameter(name) => (400, "invalid_request", name),
    };
    Reply::json(status, &json!({ "error": error, "error_description": why }))
}

impl Service for JiraCloud {
    const ID: &'static str = "jira_cloud";
    const HOSTS: &'static [&'static str] = &["auth", "api"];
    const ROUTES: &'static [Route<Self>] = &[
        Route::new("auth", "GET", "/authorize", authorize),
        Route::new("auth", "POST", "/oauth/token", token),
        Route::new("api", "GET", "/oauth/token/accessible-resources", resources),
        Route::new("api", "GET", "/site/{site}/browse/{issue}", browse),
        Route::new("api", "GET", "/ex/jira/{cloud}/rest/api/3/myself", myself),
        Route::new("api", "GET", "/ex/jira/{cloud}/rest/api/3/serverInfo", server_info),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/project/search",
            projects::search::<Self>,
        ),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/issue/createmeta/{project}/issuetypes",
            projects::issue_types::<Self>,
        ),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/issue/createmeta/{project}/issuetypes/{type}",
            projects::fields::<Self>,
        ),
        Route::new("api", "POST", "/ex/jira/{cloud}/rest/api/3/issue", issues::create::<Self>),
        Route::new("api", "GET", "/ex/jira/{cloud}/rest/api/3/issue/{issue}", issues::get::<Self>),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/comment",
            issues::comments::<Self>,
        ),
        Route::new(
            "api",
            "POST",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/comment",
            issues::comment::<Self>,
        ),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/transitions",
            issues::transitions::<Self>,
        ),
        Route::new(
            "api",
            "POST",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/transitions",
            issues::transition::<Self>,
        ),
        Route::new(
            "api",
            "GET",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/properties/{property}",
            issues::property::<Self>,
        ),
        Route::new(
            "api",
            "PUT",
            "/ex/jira/{cloud}/rest/api/3/issue/{issue}/properties/{property}",
            issues::set_property::<Self>,
        ),
        Route::new("api", "POST", "/ex/jira/{cloud}/rest/api/3/search/jql", issues::search::<Self>),
    ];

    /// Two sites, Acme and Globex, each with the projects SEC and WEB.
    fn new(urls: &Urls) -> Self {
        let api = urls.get("api").map_or("", String::as_str);
        let site = |cloud_id: &str, slug: &str, name: &str| Site {
            cloud_id: cloud_id.to_owned(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            tracker: Tracker::new(
                format!("{api}/site/{slug}"),
                format!("{api}/ex/jira/{cloud_id}/rest/api/3"),
            ),
        };
        let sites = vec![
            site("1324a887-45db-1bf4-1e99-ef0ff456d421", "acme", "Acme"),
            site("2324a887-45db-1bf4-1e99-ef0ff456d422", "globex", "Globex"),
        ];
        Self { sites }
    }

    fn dress(&self, reply: Reply, request: &Request, now: DateTime<Utc>) -> Reply {
        match request.host {
            "api" => reply
                .header("x-ratelimit-limit", 65_000)
                .header("x-ratelimit-remaining", 60_000)
                .header("x-ratelimit-nearlimit", false)
                .header(
                    "x-ratelimit-reset",
                    full_hour(now).to_rfc3339_opts(SecondsFormat::Secs, true),
                ),
            _ => reply,
        }
    }

    fn nothing(status: u16) -> Reply {
        Reply::json(
            status,
            &json!({ "status": status, "error": "Not Found", "message": "null for uri" }),
        )
    }

    fn page(&self, _urls: &Urls) -> String {
        let mut body = String::new();
        for site in &self.sites {
            body.push_str(&format!("<h2>{}</h2>", page::escape(&site.name)));
            body.push_str(&issue_page::site(&site.tracker));
        }
        page::page("Jira", &body)
    }
}

/// The end of the hour, when points are renewed.
fn full_hour(now: DateTime<Utc>) -> DateTime<Utc> {
    let hour = TimeDelta::hours(1);
    now.duration_trunc(hour).map_or(now, |begun| begun + hour)
}

impl JiraCloud {
    fn named(&mut self, slug: &str) -> &mut Site {
        let found = self.sites.iter_mut().find(|site| site.slug == slug);
        found.expect("the test named a site that is there")
    }
}

fn authorize(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    let one = |site: &Site| (site.cloud_id.clone(), site.name.clone());
    let mut choices: Vec<Choice> = turn.state.sites.iter().map(one).collect();
    choices.push((ALL_SITES.to_owned(), "all sites".to_owned()));
    oauth::authorize(turn, &RULES, &choices, |_| Vec::new())
}

fn token(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    let granted = oauth::token(turn, &RULES)?;
    let mut body = json!({
        "access_token": granted.access_token, "token_type": "Bearer",
        "expires_in": granted.expires_in, "scope": granted.scopes.join(" "),
    });
    let may_refresh = granted.scopes.iter().any(|scope| scope == "offline_access");
    if let Some(refresh_token) = granted.refresh_token.filter(|_| may_refresh) {
        body["refresh_token"] = refresh_token.into();
    }
    Ok(Reply::json(200, &body))
}

fn access<S>(turn: &Turn<'_, S>) -> Result<Access, Reply> {
    turn.oauth.bearer(turn.request.authorization("Bearer"), turn.now).map_err(|problem| {
        let why = match problem {
            BearerProblem::Missing => "Unauthorized; no token",
            BearerProblem::Expired => "Unauthorized; token expired",
            BearerProblem::Unknown | BearerProblem::Revoked => "Unauthorized",
        };
        Reply::json(401, &json!({ "code": 401, "message": why }))
    })
}

fn resources(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    let access = access(turn)?;
    let scopes: Vec<&String> = access
        .scopes
        .iter()
        .filter(|s| s.ends_with("jira-work") || s.ends_with("jira-user"))
        .collect();
    let granted = |site: &&Site| access.account == ALL_SITES || access.account == site.cloud_id;
    let sites = turn.state.sites.iter().filter(granted).map(|site| {
        json!({
            "id": site.cloud_id, "name": site.name, "url": site.tracker.site_url, "scopes": scopes,
            "avatarUrl": "https://site-admin-avatars-cdn.prod.public.atl-paas.net/avatars/240/flag.png",
        })
    });
    Ok(Reply::json(200, &sites.collect::<Vec<_>>().into()))
}

impl Edition for JiraCloud {
    const TEXT: Text = Text::Document;

    fn enter<'t>(turn: &'t mut Turn<'_, Self>) -> Result<&'t mut Tracker, Reply> {
        let access = access(turn)?;
        let asks = turn.request.method == "GET" || turn.request.path.ends_with("/search/jql");
        let scope = if asks { "read:jira-work" } else { "write:jira-work" };
        if !access.has(scope) {
            let why = json!({ "code": 401, "message": "Unauthorized; scope does not match" });
            return Err(Reply::json(401, &why));
        }
        let cloud_id = turn.param("cloud").to_owned();
        let is_granted = access.account == ALL_SITES || access.account == cloud_id;
        let site = turn.state.sites.iter_mut().find(|site| is_granted && site.cloud_id == cloud_id);
        site.map(|site| &mut site.tracker).ok_or_else(|| Self::nothing(404))
    }
}

fn myself(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    JiraCloud::enter(turn)?;
    let body = json!({ "accountId": "5b10a2844c20165700ede21g", "displayName": "Ada Admin", "active": true });
    Ok(Reply::json(200, &body))
}

fn server_info(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    let site_url = JiraCloud::enter(turn)?.site_url.clone();
    Ok(Reply::json(
        200,
        &json!({ "baseUrl": site_url, "deploymentType": "Cloud", "version": "1001.0.0" }),
    ))
}

/// What people see behind a link to an issue.
fn browse(turn: &mut Turn<'_, JiraCloud>) -> Outcome {
    let (slug, key) = (turn.param("site").to_owned(), turn.param("issue").to_owned());
    let site = turn.state.sites.iter().find(|site| site.slug == slug);
    let shown =
        site.and_then(|site| Some(issue_page::shown(&site.tracker, site.tracker.issue(&key)?)));
    match shown {
        Some(shown) => Ok(Reply::html(200, page::page(&key, &shown))),
        None => Err(page::refusal(404, "There is no such issue.")),
    }
}

impl Mock<JiraCloud> {
    /// Every issue of a site, `acme` or `globex`, in the order of their creation.
    #[must_use]
    pub fn issues_of(&self, site: &str) -> Vec<Issue> {
        self.inner().state.named(site).tracker.issues.clone()
    }

    /// Every issue of the first site, Acme.
    #[must_use]
    pub fn issues(&self) -> Vec<Issue> {
        self.issues_of("acme")
    }

    /// The id of a site, `acme` or `globex`.
    #[must_use]
    pub fn cloud_id(&self, site: &str) -> String {
        self.inner().state.named(site).cloud_id.clone()
    }

    /// The next people at the consent page grant every site.
    pub fn choose_all_sites(&self) {
        self.choose(ALL_SITES);
    }

    /// Changes a project of Acme: its kinds of issues, its workflow, who may create.
    pub fn project(&self, key: &str, change: impl FnOnce(&mut Project)) {
        change(self.inner().state.named("acme").tracker.project_mut(key));
    }

    /// Adds a project to Acme.
    pub fn add_project(&self, project: Project) {
        self.inner().state.named("acme").tracker.projects.push(project);
    }

    /// Deletes an issue of Acme, by its key.
    pub fn delete_issue(&self, key: &str) {
        self.inner().state.named("acme").tracker.issues.retain(|issue| issue.key != key);
    }

    /// A person takes a step with an issue of Acme, by the step's name.
    pub fn transition(&self, key: &str, step: &str) {
        let mut inner = self.inner();
        let tracker = &mut inner.state.named("acme").tracker;
        let issue = tracker.issue(key).expect("the test named an issue that is there");
        let step = tracker.steps(issue).into_iter().find(|known| known.name == step);
        tracker.step(key, &step.expect("the test named a step that can be taken"), None);
    }

    /// The next so many searches in Acme find nothing: the index lags.
    pub fn search_blindly(&self, count: usize) {
        self.inner().state.named("acme").tracker.blind_searches = count;
    }

    /// 429: the hour's points are spent, those of all customers.
    #[must_use]
    pub fn quota_spent(&self) -> Answer {
        let (now, reset) = (self.now(), full_hour(self.now()));
        let wait = (reset - now).num_seconds().max(1);
        Answer::status(429)
            .header("retry-after", wait)
            .header("x-ratelimit-limit", 65_000)
            .header("x-ratelimit-remaining", 0)
            .header("x-ratelimit-reset", reset.to_rfc3339_opts(SecondsFormat::Secs, true))
            .header("ratelimit-reason", "jira-quota-global-based")
    }

    /// 429: too many calls of one endpoint in a second.
    #[must_use]
    pub fn burst_limited(&self, wait: Duration) -> Answer {
        self.limited("jira-burst-based", wait)
    }

    /// 429: too many writes to one issue.
    #[must_use]
    pub fn issue_limited(&self, wait: Duration) -> Answer {
        self.limited("jira-per-issue-on-write", wait)
    }

    fn limited(&self, reason: &str, wait: Duration) -> Answer {
        let wait = TimeDelta::from_std(wait).expect("no wait is that long");
        Answer::status(429)
            .header("retry-after", wait.num_seconds())
            .header("x-ratelimit-remaining", 0)
            .header(
                "x-ratelimit-reset",
                (self.now() + wait).to_rfc3339_opts(SecondsFormat::Secs, true),
            )
            .header("ratelimit-reason", reason)
    }

    /// A refusal in Jira's envelope, about fields.
    #[must_use]
    pub fn field_error(&self, status: u16, field: &str, why: &str) -> Answer {
        let mut errors = json!({});
        errors[field] = why.into();
        Answer::json(status, &json!({ "errorMessages": [], "errors": errors }))
    }
}
