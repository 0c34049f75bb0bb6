//! GitLab, gitlab.com or the operator's own: marks commits and merge requests, keeps findings as
//! issues.

mod send;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    contract::{
        Account, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth, ClientSettings,
        Connect, CredentialOf, Destination, Destinations, Hold, Host, Hosts, Newcomer, OAuth2,
        Pace, PickStep, Picking, Provider, Refresh, Reply, Revocation, Revoke, SharedBy, TokenBody,
        Tokens, Verdict,
    },
    fold::{Answers, told},
    ticket,
};

/// GitLab. One setting moves all of it to a server of the operator's.
pub(super) const GITLAB: Provider = Provider {
    id: "gitlab",
    label: "GitLab",
    category: Category::CiCd,
    hosts: &[Host { name: "web", url: "https://gitlab.com", setting: "RELAY_GITLAB_URL" }],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "GITLAB_CLIENT_ID", secret: "GITLAB_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/oauth/authorize"),
        token: ("web", "/oauth/token"),
        scopes: &["api", "read_user", "read_repository"],
        scope_separator: " ",
        extra: &[],
        pkce: true,
        token_body: TokenBody::Form,
        refresh_wants_redirect: true,
        client_auth: ClientAuth::Parameters,
        refresh: Refresh::Rotates,
        tokens: Tokens::standard,
        account,
        revoke: Some(Revoke::by(revoke)),
        revoke_url,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "project", list, check }),
    // 60 comments a minute is the narrowest limit of gitlab.com, counted for each user:
    // https://docs.gitlab.com/user/gitlab_com/#rate-limits-on-gitlabcom
    pace: Pace {
        burst: 5,
        count: 1,
        per: Duration::from_secs(1),
        shared_by: SharedBy::Installation,
    },
    event_types: ticket::EVENT_TYPES,
    advance: send::advance,
    limits: "title 255, issue and comment 1,000,000, commit status 255 characters",
};

/// How long a limit lasts where the answer does not say.
const LIMITED: Duration = Duration::from_secs(60);
/// How long an address that was shut out waits.
const SHUT_OUT: Duration = Duration::from_secs(10 * 60);
/// Projects on one page.
const PAGE: &str = "50";
/// What a role is at least that may write: Developer.
const DEVELOPER: u64 = 30;

/// <https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/>
fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        403 if reply.json()["error"] == "insufficient_scope" => {
            Verdict::Reauth("insufficient_scope".into())
        }
        // Not an answer of the API: gitlab.com shuts out an address for a while. No project's fault.
        403 if reply.body.trim_ascii() == b"Forbidden" => {
            Verdict::hold(reply.retry_after().unwrap_or(SHUT_OUT), SharedBy::Provider)
        }
        409 => Verdict::retry(reply),
        429 => Verdict::hold(reply.retry_after().unwrap_or(LIMITED), SharedBy::Installation),
        // The address that the operator set is not where GitLab is.
        300..=399 => Verdict::OperatorFault("redirected"),
        _ => Verdict::from_status(reply),
    }
}

/// The last request that a user had in this minute says so itself.
fn budget(reply: &Reply) -> Option<Hold> {
    let is_spent = reply.number("ratelimit-remaining")? < 1.0;
    let wait = reply.until_epoch("ratelimit-reset").filter(|_| is_spent)?;
    Some(Hold { wait, shared_by: SharedBy::Installation })
}

fn account(newcomer: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    let Some(reply) = replies.first() else {
        let url = newcomer.hosts.url("web", "/api/v4/user");
        return AccountStep::Call(Call::get(url).bearer(&newcomer.tokens.access_token));
    };
    let user = reply.json();
    let (true, Some(id)) = (reply.is_success(), user["id"].as_u64()) else {
        return AccountStep::Unreadable("GitLab did not say whose account this is.");
    };
    let text = |name: &str| user[name].as_str().filter(|text| !text.is_empty());
    let name = text("username").or(text("name")).unwrap_or("GitLab");
    AccountStep::Accounts(vec![Account {
        installation_id: installation_id(newcomer.hosts, id),
        display_name: name.to_owned(),
        metadata: json!({
            "gitlab_url": base(newcomer.hosts),
            "username": text("username"),
            "name": text("name"),
            "avatar_url": text("avatar_url"),
            "scope": newcomer.tokens.answer["scope"],
        }),
        destination: None,
    }])
}

/// Users of different servers have the same numbers. Those of gitlab.com stay as they are stored.
fn installation_id(hosts: &Hosts, user: u64) -> String {
    let base = base(hosts);
    match base.split_once("://") {
        Some((_, "gitlab.com")) | None => user.to_string(),
        Some((_, server)) => format!("{server}:{user}"),
    }
}

/// The server's address without a slash at the end.
fn base(hosts: &Hosts) -> String {
    hosts.url("web", "").as_str().trim_end_matches('/').to_owned()
}

fn revoke(revocation: &Revocation<'_>) -> Option<Call> {
    let (client, (token, _)) = (revocation.client, revocation.token()?);
    Some(Call::post(revocation.hosts.url("web", "/oauth/revoke")).form(&[
        ("client_id", &client.id),
        ("client_secret", client.secret.reveal()),
        ("token", token.reveal()),
    ]))
}

fn revoke_url(hosts: &Hosts, _metadata: &Value) -> Option<String> {
    Some(hosts.url("web", "/-/user_settings/applications").into())
}

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let mut call = Call::get(picking.account.hosts.url("web", "/api/v4/projects"))
        .bearer(picking.account.credential)
        .query("membership", "true")
        .query("min_access_level", &DEVELOPER.to_string())
        .query("simple", "true")
        .query("archived", "false")
        .query("per_page", PAGE);
    if let Some(search) = picking.search.map(str::trim).filter(|search| !search.is_empty()) {
        call = call.query("search", search);
    }
    if let Some(page) = picking.page {
        call = call.query("page", page);
    }
    let story = || {
        let reply = Answers::new(replies, verdict).need(call)?;
        let answer = reply.json();
        Ok(match answer.as_array() {
            None => Verdict::retry(reply).into(),
            Some(projects) => {
                PickStep::Page(projects.iter().filter_map(destination).collect(), next_page(reply))
            }
        })
    };
    told(story())
}

/// Only a number is taken from an answer: whoever wrote it does not choose where we call.
fn next_page(reply: &Reply) -> Option<String> {
    let number = |text: &str| text.trim().parse::<u64>().ok().map(|page| page.to_string());
    if let Some(page) = reply.header("x-next-page") {
        return number(page);
    }
    let next = reply.header("link")?.split(',').find(|link| link.contains("rel=\"next\""))?;
    let url = Url::parse(next.split(['<', '>']).nth(1)?).ok()?;
    url.query_pairs().find(|(name, _)| name == "page").and_then(|(_, page)| number(&page))
}

fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    let Ok(id) = choosing.id.parse::<u64>() else {
        return CheckStep::Unusable("Choose a project from the list.".to_owned());
    };
    let url = choosing.account.hosts.url("web", &format!("/api/v4/projects/{id}"));
    let call = Call::get(url).bearer(choosing.account.credential);
    let story = || {
        let Some(reply) = Answers::new(replies, verdict).find(call)? else {
            return Ok(CheckStep::Unusable(
                "GitLab does not show this project to the account that was connected.".to_owned(),
            ));
        };
        let project = reply.json();
        Ok(match destination(&project) {
            None => Verdict::retry(reply).into(),
            Some(found) => match problem(&project) {
                Some(problem) => CheckStep::Unusable(format!("{} {problem}", found.name)),
                None => CheckStep::Fine(found),
            },
        })
    };
    told(story())
}

/// Why nothing can be written to a project. A role that is not told may come from elsewhere.
fn problem(project: &Value) -> Option<&'static str> {
    let permissions = &project["permissions"];
    let level = ["project_access", "group_access"]
        .iter()
        .filter_map(|access| permissions[*access]["access_level"].as_u64())
        .max();
    if project["archived"] == true {
        return Some("is archived: nothing can be written to it.");
    }
    level.filter(|level| *level < DEVELOPER).map(
        |_| "needs the connected account to be a Developer at least: it could not write there.",
    )
}

fn destination(project: &Value) -> Option<Destination> {
    let full_name = project["path_with_namespace"].as_str().filter(|name| !name.is_empty())?;
    Some(Destination {
        id: project["id"].as_u64()?.to_string(),
        name: full_name.to_owned(),
        settings: json!({ "full_name": full_name }),
    })
}

#[cfg(test)]
mod tests;
