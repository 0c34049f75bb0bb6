//! Bitbucket Cloud: marks commits and comments on pull requests. It opens no tickets.

mod send;

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use super::{
    contract::{
        Account, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth, ClientSettings,
        Connect, CredentialOf, Destination, Destinations, Host, Hosts, Newcomer, OAuth2, Pace,
        PickStep, Picking, Provider, Refresh, Reply, SharedBy, TokenBody, Tokens, Verdict,
    },
    fold::{Answers, told},
    ticket,
};

/// Bitbucket Cloud.
pub(super) const BITBUCKET: Provider = Provider {
    id: "bitbucket",
    label: "Bitbucket",
    category: Category::CiCd,
    hosts: &[
        Host { name: "web", url: "https://bitbucket.org", setting: "RELAY_BITBUCKET_URL" },
        Host { name: "api", url: "https://api.bitbucket.org", setting: "RELAY_BITBUCKET_API_URL" },
    ],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "BITBUCKET_CLIENT_ID", secret: "BITBUCKET_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/site/oauth2/authorize"),
        token: ("web", "/site/oauth2/access_token"),
        // They are set where the operator registers the app.
        scopes: &[],
        scope_separator: " ",
        extra: &[],
        pkce: false,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Basic,
        refresh: Refresh::Rotates,
        tokens: Tokens::standard,
        account,
        revoke: None,
        revoke_url,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "repository", list, check }),
    // All customers share 1,000 requests an hour; some are left to the rest of Deptex:
    // https://support.atlassian.com/bitbucket-cloud/docs/api-request-limits/
    pace: Pace {
        burst: 10,
        count: 800,
        per: Duration::from_secs(60 * 60),
        shared_by: SharedBy::Provider,
    },
    event_types: ticket::EVENT_TYPES,
    advance: send::advance,
    limits: "comment 32,768, build status 255 characters",
};

/// How long a limit lasts where the answer does not say: its window is an hour and moves along.
const LIMITED: Duration = Duration::from_secs(5 * 60);
/// Repositories on one page.
const PAGE: &str = "50";

/// <https://developer.atlassian.com/cloud/bitbucket/rest/intro/#standardized-error-responses>
fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        403 if lacks_scope(&reply.json()["error"]) => Verdict::Reauth("insufficient_scope".into()),
        429 => Verdict::hold(reply.retry_after().unwrap_or(LIMITED), SharedBy::Provider),
        _ => Verdict::from_status(reply),
    }
}

/// "Your credentials lack one or more required privilege scopes", with those that it would take.
fn lacks_scope(error: &Value) -> bool {
    let message = error["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    message.contains("scope") || error["detail"]["required"].is_array()
}

/// Each workspace is an account of its own. Those that the user administers come first.
fn account(newcomer: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    let ask = |path: &str| {
        Call::get(newcomer.hosts.url("api", path)).bearer(&newcomer.tokens.access_token)
    };
    let (user, listed) = match replies {
        [] => return AccountStep::Call(ask("/2.0/user")),
        [user, ..] if !user.is_success() => {
            return AccountStep::Unreadable("Bitbucket did not say whose account this is.");
        }
        [_] => {
            return AccountStep::Call(ask("/2.0/user/workspaces").query("pagelen", "100"));
        }
        [user, listed, ..] => (user.json(), listed),
    };
    let answer = listed.json();
    let Some(entries) = answer["values"].as_array().filter(|_| listed.is_success()) else {
        return AccountStep::Unreadable("Bitbucket did not list the workspaces of this account.");
    };
    let mut entries: Vec<&Value> = entries.iter().collect();
    entries.sort_by_key(|entry| entry["administrator"] != true);
    let scope = &newcomer.tokens.answer;
    let scope = [&scope["scope"], &scope["scopes"]].into_iter().find(|scope| scope.is_string());
    let accounts: Vec<Account> = entries
        .into_iter()
        .filter_map(|entry| of_workspace(&entry["workspace"], &user, scope))
        .collect();
    if accounts.is_empty() {
        return AccountStep::Unreadable("This Bitbucket account is in no workspace.");
    }
    AccountStep::Accounts(accounts)
}

fn of_workspace(workspace: &Value, user: &Value, scope: Option<&Value>) -> Option<Account> {
    let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
    let uuid = text(&workspace["uuid"]).filter(|uuid| is_uuid(uuid))?;
    let slug = text(&workspace["slug"]);
    let username = text(&user["username"]).or(text(&user["nickname"]));
    let names = [slug.clone(), text(&user["display_name"]), username.clone()];
    let name = names.into_iter().flatten().next();
    Some(Account {
        installation_id: uuid,
        display_name: name.unwrap_or_else(|| "Bitbucket".to_owned()),
        metadata: json!({
            "username": username,
            "display_name": user["display_name"],
            "avatar_url": user["links"]["avatar"]["href"],
            "workspace": slug,
            "uuid": user["uuid"],
            "scope": scope,
        }),
        destination: None,
    })
}

/// A UUID in braces, as Bitbucket writes them.
fn is_uuid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    inner.is_some_and(|inner| uuid::Uuid::parse_str(inner).is_ok())
}

fn revoke_url(hosts: &Hosts, _metadata: &Value) -> Option<String> {
    Some(hosts.url("web", "/account/settings/applications/").into())
}

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    let path = format!("/2.0/repositories/{}", picking.account.installation_id);
    let mut call = Call::get(picking.account.hosts.url("api", &path))
        .bearer(picking.account.credential)
        .query("role", "member")
        .query("pagelen", PAGE);
    // What would end the quoted text is left out: it is in no repository's name.
    let search = picking.search.unwrap_or_default().replace(['"', '\\'], "");
    if !search.trim().is_empty() {
        call = call.query("q", &format!("name ~ \"{}\"", search.trim()));
    }
    if let Some(page) = picking.page {
        call = call.query("page", page);
    }
    let story = || {
        let reply = Answers::new(replies, verdict).need(call)?;
        let answer = reply.json();
        Ok(match answer["values"].as_array() {
            None => Verdict::retry(reply).into(),
            Some(repositories) => {
                let found = repositories.iter().filter_map(destination).collect();
                PickStep::Page(found, next_page(&answer))
            }
        })
    };
    told(story())
}

/// Only the page is taken from the address: whoever wrote it does not choose where we call.
fn next_page(answer: &Value) -> Option<String> {
    let next = Url::parse(answer["next"].as_str()?).ok()?;
    let (_, page) = next.query_pairs().find(|(name, _)| name == "page")?;
    Some(page.into_owned()).filter(|page| !page.is_empty())
}

fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    if !is_uuid(choosing.id) && !is_slug(choosing.id) {
        return CheckStep::Unusable("Choose a repository from the list.".to_owned());
    }
    let path = format!("/2.0/repositories/{}/{}", choosing.account.installation_id, choosing.id);
    let call =
        Call::get(choosing.account.hosts.url("api", &path)).bearer(choosing.account.credential);
    let story = || {
        let Some(reply) = Answers::new(replies, verdict).find(call)? else {
            return Ok(CheckStep::Unusable(
                "Bitbucket does not show this repository to the account that was connected."
                    .to_owned(),
            ));
        };
        Ok(match destination(&reply.json()) {
            Some(found) => CheckStep::Fine(found),
            None => Verdict::retry(reply).into(),
        })
    };
    told(story())
}

fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && !matches!(text, "." | "..")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn destination(repository: &Value) -> Option<Destination> {
    let full_name = repository["full_name"].as_str().filter(|name| !name.is_empty())?;
    Some(Destination {
        id: repository["uuid"].as_str().filter(|uuid| is_uuid(uuid))?.to_owned(),
        name: full_name.to_owned(),
        settings: json!({ "full_name": full_name }),
    })
}

#[cfg(test)]
mod tests;
