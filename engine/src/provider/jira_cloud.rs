//! Jira Cloud: findings become issues of the project that the admin chose.

mod adf;

use std::time::Duration;

use chrono::{DateTime, DurationRound, TimeDelta};
use serde_json::json;

use super::{
    Account, AccountStep, Call, Category, ClientAuth, ClientSettings, Connect, CredentialOf,
    Destination, Destinations, Hold, Host, Newcomer, OAuth2, Pace, PickStep, Picking, Provider,
    Refresh, Reply, SharedBy, TokenBody, Tokens, Verdict,
    fold::{Answers, told},
    jira::{self, Api, Edition},
    ticket,
};

/// Jira Cloud, through Atlassian's OAuth 2.0 (3LO).
pub(super) const JIRA_CLOUD: Provider = Provider {
    id: "jira",
    label: "Jira Cloud",
    category: Category::Ticketing,
    hosts: &[
        Host { name: "auth", url: "https://auth.atlassian.com", setting: "RELAY_JIRA_AUTH_URL" },
        Host { name: "api", url: "https://api.atlassian.com", setting: "RELAY_JIRA_API_URL" },
    ],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "JIRA_CLIENT_ID", secret: "JIRA_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("auth", "/authorize"),
        token: ("auth", "/oauth/token"),
        scopes: &["read:jira-work", "write:jira-work", "read:jira-user", "offline_access"],
        scope_separator: " ",
        extra: &[("audience", "api.atlassian.com"), ("prompt", "consent")],
        pkce: false,
        token_body: TokenBody::Json,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Parameters,
        refresh: Refresh::Rotates,
        tokens: Tokens::standard,
        account,
        revoke: None,
        revoke_url: |_, _| None,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations {
        noun: "project",
        list,
        check: |choosing, replies| jira::check(&EDITION, choosing, replies),
    }),
    // All customers share 65,000 points an hour, and an event costs one to five of them.
    // https://developer.atlassian.com/cloud/jira/platform/rate-limiting
    pace: Pace { burst: 50, count: 16, per: Duration::from_secs(1), shared_by: SharedBy::Provider },
    event_types: ticket::EVENT_TYPES,
    advance: |out, replies| jira::advance(&EDITION, out, replies),
    limits: "summary 255 characters, description and comments 32,767",
};

static EDITION: Edition = Edition {
    api: |account| {
        let cloud_id = account.metadata["cloud_id"].as_str().unwrap_or(account.installation_id);
        let path = format!("/ex/jira/{cloud_id}/rest/api/3");
        jira::is_id(cloud_id).then(|| account.hosts.url("api", &path))
    },
    site: "site_url",
    search: "/search/jql",
    document: adf::document,
    properties: true,
    project: |api, id| {
        let is_number = id.bytes().all(|b| b.is_ascii_digit());
        api.get("/project/search").query(if is_number { "id" } else { "keys" }, id)
    },
    verdict,
    budget,
};

/// What a token without scopes for Jira says of its sites.
const NO_SITE: &str =
    "Atlassian granted no Jira site. Connect again and choose a site that has Jira.";

/// One account for each site that was granted.
fn account(newcomer: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    told(sites(newcomer, &mut Answers::new(replies, verdict)))
}

fn sites(
    newcomer: &Newcomer<'_>,
    answers: &mut Answers<'_, AccountStep>,
) -> Result<AccountStep, Box<AccountStep>> {
    let url = newcomer.hosts.url("api", "/oauth/token/accessible-resources");
    let call = Call::get(url).header("accept", "application/json");
    let reply = answers.ask(call.bearer(&newcomer.tokens.access_token))?;
    if !reply.is_success() {
        return Ok(AccountStep::Unreadable("Atlassian did not say which sites were granted."));
    }
    let body = reply.json();
    let mut accounts: Vec<Account> = Vec::new();
    for site in body.as_array().into_iter().flatten() {
        let scopes: Vec<_> =
            site["scopes"].as_array().into_iter().flatten().filter_map(|s| s.as_str()).collect();
        let Some(id) = site["id"].as_str().filter(|id| jira::is_id(id)) else { continue };
        // A site with several products is listed once for each.
        if !scopes.contains(&"write:jira-work") || accounts.iter().any(|a| a.installation_id == id)
        {
            continue;
        }
        let name = site["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("Jira Cloud");
        accounts.push(Account {
            installation_id: id.to_owned(),
            display_name: name.to_owned(),
            metadata: json!({
                "cloud_id": id, "site_name": name, "site_url": site["url"], "scope": scopes.join(" "),
            }),
            destination: None,
        });
    }
    match accounts.is_empty() {
        true => Ok(AccountStep::Unreadable(NO_SITE)),
        false => Ok(AccountStep::Accounts(accounts)),
    }
}

/// How many projects a page has.
const PAGE: usize = 50;
/// What an event costs at most.
const POINTS_A_DELIVERY: f64 = 5.0;

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let Some(api) = Api::of(&EDITION, picking.account) else {
        return PickStep::Refused(jira::unknown_place());
    };
    told(projects(&api, picking, &mut Answers::new(replies, verdict)))
}

fn projects(
    api: &Api<'_>,
    picking: &Picking<'_>,
    answers: &mut Answers<'_, PickStep>,
) -> Result<PickStep, Box<PickStep>> {
    let start: u64 = picking.page.and_then(|page| page.parse().ok()).unwrap_or(0);
    let mut call = api
        .get("/project/search")
        .query("startAt", &start.to_string())
        .query("maxResults", &PAGE.to_string())
        .query("orderBy", "name")
        .query("action", "create");
    if let Some(search) = picking.search.filter(|search| !search.is_empty()) {
        call = call.query("query", search);
    }
    let body = answers.need(call)?.json();
    let values = body["values"].as_array().map_or(&[][..], Vec::as_slice);
    let choices = values.iter().filter_map(|project| {
        let (id, key, name) = jira::project_name(project)?;
        Some(Destination { id: id.to_owned(), name, settings: json!({ "project_key": key }) })
    });
    let more = body["isLast"] == false && !values.is_empty();
    let next = more.then(|| (start + values.len() as u64).to_string());
    Ok(PickStep::Page(choices.collect(), next))
}

/// What an answer means.
fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        400 => jira::named_field(reply),
        401 if String::from_utf8_lossy(&reply.body).contains("scope does not match") => {
            Verdict::Reauth("missing_scope".into())
        }
        409 => Verdict::retry(reply),
        413 => Verdict::Rejected("too_large".into()),
        422 => Verdict::WrongDestination("unprocessable".into()),
        429 => limited(reply),
        _ => Verdict::from_status(reply),
    }
}

/// Three limits may say 429; the reason tells who else has to wait.
///
/// <https://developer.atlassian.com/cloud/jira/platform/rate-limiting>
fn limited(reply: &Reply) -> Verdict {
    let asked = reply.retry_after().max(until_reset(reply));
    match reply.header("ratelimit-reason").unwrap_or_default() {
        // The hour's points are spent, those of all customers or those of this site.
        reason if reason.starts_with("jira-quota-") => {
            let is_everybodys = reason == "jira-quota-global-based";
            let shared_by = if is_everybodys { SharedBy::Provider } else { SharedBy::Installation };
            Verdict::hold(asked.unwrap_or_else(|| until_full_hour(reply)), shared_by)
        }
        "jira-per-issue-on-write" => Verdict::Retry { after: asked, hold: None },
        _ => Verdict::hold(asked.unwrap_or(Duration::from_secs(30)), SharedBy::Installation),
    }
}

fn until_reset(reply: &Reply) -> Option<Duration> {
    let at = DateTime::parse_from_rfc3339(reply.header("x-ratelimit-reset")?).ok()?;
    (at.to_utc() - reply.at).to_std().ok()
}

/// The headers do not say whose budget they tell of, so it is taken for this site's alone. Once less
/// than a fifth of it is left, what is left is spread over the time until the next:
/// whoever shares it comes one by one, and nobody is shut out for the rest of the hour.
fn budget(reply: &Reply) -> Option<Hold> {
    let left = reply.number("x-ratelimit-remaining")?;
    let is_near = left < 1.0 || reply.header("x-ratelimit-nearlimit") == Some("true");
    let share = POINTS_A_DELIVERY / left.max(POINTS_A_DELIVERY);
    let wait = until_reset(reply).filter(|_| is_near)?.mul_f64(share);
    Some(Hold { wait, shared_by: SharedBy::Installation })
}

fn until_full_hour(reply: &Reply) -> Duration {
    let hour = TimeDelta::hours(1);
    let next = reply.at.duration_trunc(hour).map(|hour_begun| hour_begun + hour);
    let left = next.ok().and_then(|next| (next - reply.at).to_std().ok());
    left.unwrap_or(Duration::from_secs(3_600))
}

#[cfg(test)]
mod tests;
