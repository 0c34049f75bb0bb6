//! Asana: findings become tasks of the project that the admin chose.

mod html;
mod life;
mod verdict;

use std::time::Duration;

use serde_json::{Value, json};

use self::verdict::verdict;
use super::{
    Account, AccountAccess, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth,
    ClientSettings, Connect, CredentialOf, Destination, Destinations, Host, Newcomer, OAuth2, Pace,
    PickStep, Picking, Provider, Refresh, Reply, Revocation, Revoke, SharedBy, TokenBody, Tokens,
    fold::{Answers, told},
    ticket,
};

/// Asana.
pub(super) const ASANA: Provider = Provider {
    id: "asana",
    label: "Asana",
    category: Category::Ticketing,
    hosts: &[Host { name: "web", url: "https://app.asana.com", setting: "RELAY_ASANA_URL" }],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "ASANA_CLIENT_ID", secret: "ASANA_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/-/oauth_authorize"),
        token: ("web", "/-/oauth_token"),
        // To write is not to read there, and our own comments are looked for.
        scopes: &[
            "tasks:write",
            "tasks:read",
            "stories:write",
            "stories:read",
            "projects:read",
            "workspaces:read",
            "users:read",
        ],
        scope_separator: " ",
        extra: &[],
        pkce: true,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Parameters,
        refresh: Refresh::Keeps,
        tokens: Tokens::standard,
        account,
        revoke: Some(Revoke::by(revoke)),
        revoke_url: |_, _| None,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "project", list, check }),
    // A token may make 150 requests a minute where nobody pays.
    // https://developers.asana.com/docs/rate-limits
    pace: Pace {
        burst: 15,
        count: 120,
        per: Duration::from_secs(60),
        shared_by: SharedBy::Installation,
    },
    event_types: ticket::EVENT_TYPES,
    advance: life::advance,
    limits: "name 255 characters, notes and comments 65,535",
};

/// Where the API lies.
const API: &str = "/api/1.0";

/// Whether a text can be one of Asana's ids, and so part of a path.
fn is_gid(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

fn get(account: &AccountAccess<'_>, path: &str) -> Call {
    let call = Call::get(account.hosts.url("web", &format!("{API}{path}")));
    call.header("accept", "application/json").bearer(account.credential)
}

fn account(newcomer: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    told(workspaces(newcomer, &mut Answers::new(replies, verdict)))
}

/// One account for each workspace of the user.
fn workspaces(
    newcomer: &Newcomer<'_>,
    answers: &mut Answers<'_, AccountStep>,
) -> Result<AccountStep, Box<AccountStep>> {
    let call = Call::get(newcomer.hosts.url("web", &format!("{API}/users/me")))
        .query("opt_fields", "name,email,workspaces.name")
        .header("accept", "application/json");
    let reply = answers.ask(call.bearer(&newcomer.tokens.access_token))?;
    if !reply.is_success() {
        return Ok(AccountStep::Unreadable("Asana did not say whose account was granted."));
    }
    let body = reply.json();
    let workspaces = body["data"]["workspaces"].as_array().into_iter().flatten();
    let accounts = workspaces.filter_map(|workspace| {
        let gid = workspace["gid"].as_str().filter(|gid| is_gid(gid))?;
        let name = workspace["name"].as_str().filter(|name| !name.is_empty());
        let name = name.unwrap_or("Asana Workspace");
        Some(Account {
            installation_id: gid.to_owned(),
            display_name: name.to_owned(),
            metadata: json!({ "workspace_gid": gid, "workspace_name": name }),
            destination: None,
        })
    });
    let accounts: Vec<_> = accounts.collect();
    match accounts.is_empty() {
        true => Ok(AccountStep::Unreadable("This Asana account is in no workspace.")),
        false => Ok(AccountStep::Accounts(accounts)),
    }
}

/// Ends the authorization. Asana takes nothing but the refresh token; an access token ends by itself
/// within the hour.
///
/// <https://developers.asana.com/docs/oauth>
fn revoke(revocation: &Revocation<'_>) -> Option<Call> {
    let token = revocation.refresh_token?;
    Some(Call::post(revocation.hosts.url("web", "/-/oauth_revoke")).form(&[
        ("client_id", &revocation.client.id),
        ("client_secret", revocation.client.secret.reveal()),
        ("token", token.reveal()),
    ]))
}

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    told(projects(picking, &mut Answers::new(replies, verdict)))
}

fn projects(
    picking: &Picking<'_>,
    answers: &mut Answers<'_, PickStep>,
) -> Result<PickStep, Box<PickStep>> {
    let workspace = workspace_of(&picking.account);
    let mut call = get(&picking.account, &format!("/workspaces/{workspace}/projects"))
        .query("archived", "false")
        .query("limit", "100")
        .query("opt_fields", "name");
    if let Some(page) = picking.page {
        call = call.query("offset", page);
    }
    let body = answers.need(call)?.json();
    let projects = body["data"].as_array().into_iter().flatten();
    let next = body["next_page"]["offset"].as_str().map(str::to_owned);
    Ok(PickStep::Page(projects.filter_map(destination).collect(), next))
}

fn destination(project: &Value) -> Option<Destination> {
    let (id, name) = (project["gid"].as_str()?, project["name"].as_str()?);
    Some(Destination { id: id.to_owned(), name: name.to_owned(), settings: Value::Null })
}

fn workspace_of<'a>(account: &AccountAccess<'a>) -> &'a str {
    account.metadata["workspace_gid"].as_str().unwrap_or(account.installation_id)
}

fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    told(chosen(choosing, &mut Answers::new(replies, verdict)))
}

fn chosen(
    choosing: &Choosing<'_>,
    answers: &mut Answers<'_, CheckStep>,
) -> Result<CheckStep, Box<CheckStep>> {
    let unusable = |why: &str| Ok(CheckStep::Unusable(why.to_owned()));
    if !is_gid(choosing.id) {
        return unusable("This is not the id of an Asana project.");
    }
    let call = get(&choosing.account, &format!("/projects/{}", choosing.id))
        .query("opt_fields", "name,archived,workspace.name");
    let body = answers.find(call)?.map(Reply::json).unwrap_or_default();
    let project = &body["data"];
    let Some(destination) = destination(project) else {
        return unusable("Asana does not show this project to the connected account.");
    };
    // Ids are global, so a project of another of the user's workspaces would be found as well.
    if project["workspace"]["gid"].as_str().is_some_and(|g| g != workspace_of(&choosing.account)) {
        return unusable("This project belongs to another workspace.");
    }
    if project["archived"] == true {
        return unusable("This project is archived.");
    }
    Ok(CheckStep::Fine(destination))
}

#[cfg(test)]
mod tests;
