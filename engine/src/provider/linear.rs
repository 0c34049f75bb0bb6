//! Linear: findings become issues of the team that the admin chose.

mod graphql;
mod life;
mod markdown;
mod verdict;

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use self::verdict::verdict;
use super::{
    Account, AccountAccess, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth,
    ClientSettings, Connect, CredentialOf, Destination, Destinations, Host, Hosts, Newcomer,
    OAuth2, Pace, PickStep, Picking, Provider, Refresh, Reply, Revocation, SharedBy, TokenBody,
    Tokens,
    fold::{Answers, told},
    ticket,
};
use crate::secret::Secret;

/// Linear.
pub(super) const LINEAR: Provider = Provider {
    id: "linear",
    label: "Linear",
    category: Category::Ticketing,
    hosts: &[
        Host { name: "web", url: "https://linear.app", setting: "RELAY_LINEAR_URL" },
        Host { name: "api", url: "https://api.linear.app", setting: "RELAY_LINEAR_API_URL" },
    ],
    connect: Connect::OAuth2(OAuth2 {
        client: ClientSettings { id: "LINEAR_CLIENT_ID", secret: "LINEAR_CLIENT_SECRET" },
        callback: "org-callback",
        authorize: ("web", "/oauth/authorize"),
        token: ("api", "/oauth/token"),
        // To close an issue is to change it, which needs `write`.
        scopes: &["read", "write", "issues:create", "comments:create"],
        scope_separator: ",",
        // Issues are the app's, not those of the admin who happened to connect it.
        extra: &[("prompt", "consent"), ("actor", "app")],
        pkce: true,
        token_body: TokenBody::Form,
        refresh_wants_redirect: false,
        client_auth: ClientAuth::Parameters,
        refresh: Refresh::Rotates,
        tokens: Tokens::standard,
        account,
        revoke: Some(revoke),
        revoke_url: |_, _| None,
    }),
    credential: CredentialOf::Connection,
    destinations: Some(Destinations { noun: "team", list, check }),
    // Linear's pages name several hourly limits, of which 1,200 requests is the lowest; the answers
    // tell which one holds.
    pace: Pace {
        burst: 100,
        count: 1_200,
        per: Duration::from_secs(3_600),
        shared_by: SharedBy::Installation,
    },
    event_types: ticket::EVENT_TYPES,
    advance: life::advance,
    limits: "title 255 characters, description and comments 10,000",
};

/// A question in GraphQL.
fn ask(hosts: &Hosts, credential: &Secret, query: &str, variables: &Value) -> Call {
    let body = json!({ "query": query, "variables": variables });
    let call = Call::post(hosts.url("api", "/graphql")).header("accept", "application/json");
    call.bearer(credential).json(&body)
}

fn ask_for(account: &AccountAccess<'_>, query: &str, variables: &Value) -> Call {
    ask(account.hosts, account.credential, query, variables)
}

fn account(newcomer: &Newcomer<'_>, replies: &[Reply]) -> AccountStep {
    told(workspace(newcomer, &mut Answers::new(replies, verdict)))
}

fn workspace(
    newcomer: &Newcomer<'_>,
    answers: &mut Answers<'_, AccountStep>,
) -> Result<AccountStep, Box<AccountStep>> {
    let tokens = newcomer.tokens;
    let call = ask(newcomer.hosts, &tokens.access_token, graphql::IDENTITY, &json!({}));
    let reply = answers.ask(call)?;
    let body = reply.json();
    let organization = &body["data"]["organization"];
    let Some(id) = organization["id"].as_str() else {
        return Ok(AccountStep::Unreadable("Linear did not say which workspace was granted."));
    };
    let name = organization["name"].as_str().filter(|name| !name.is_empty());
    let name = name.unwrap_or("Linear Workspace");
    let expires_at = tokens.expires_in.map(|left| reply.at + left);
    Ok(AccountStep::Accounts(vec![Account {
        installation_id: id.to_owned(),
        display_name: name.to_owned(),
        metadata: json!({
            "linear_org_id": id,
            "scope": scope(&tokens.answer),
            "expires_at": expires_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        }),
        destination: None,
    }]))
}

/// Older apps are answered with a list.
fn scope(answer: &Value) -> Value {
    match &answer["scope"] {
        Value::Array(scopes) => {
            let scopes: Vec<_> = scopes.iter().filter_map(Value::as_str).collect();
            Value::from(scopes.join(","))
        }
        scope => scope.clone(),
    }
}

/// Ends the refresh token and what came of it; the access token, where there is no other.
///
/// <https://linear.app/developers/oauth-2-0-authentication>
fn revoke(revocation: &Revocation<'_>) -> Call {
    let (token, kind) = match (revocation.refresh_token, revocation.access_token) {
        (Some(token), _) => (token.reveal(), "refresh_token"),
        (None, Some(token)) => (token.reveal(), "access_token"),
        (None, None) => ("", "access_token"),
    };
    let call = Call::post(revocation.hosts.url("api", "/oauth/revoke"))
        .form(&[("token", token), ("token_type_hint", kind)]);
    match revocation.access_token {
        Some(access_token) => call.bearer(access_token),
        None => call,
    }
}

fn list(picking: &Picking<'_>, replies: &[Reply]) -> PickStep {
    told(teams(picking, &mut Answers::new(replies, verdict)))
}

fn teams(
    picking: &Picking<'_>,
    answers: &mut Answers<'_, PickStep>,
) -> Result<PickStep, Box<PickStep>> {
    let filter = picking.search.filter(|search| !search.is_empty()).map(|search| {
        let contains = json!({ "containsIgnoreCase": search });
        json!({ "or": [{ "name": contains }, { "key": contains }] })
    });
    let variables = json!({ "after": picking.page, "filter": filter });
    let body = answers.need(ask_for(&picking.account, graphql::TEAMS, &variables))?.json();
    let teams = &body["data"]["teams"];
    let nodes = teams["nodes"].as_array().into_iter().flatten();
    let live = nodes.filter(|team| team["archivedAt"].is_null());
    let next = teams["pageInfo"]["endCursor"].as_str().map(str::to_owned);
    let more = teams["pageInfo"]["hasNextPage"] == true;
    Ok(PickStep::Page(live.filter_map(team).collect(), next.filter(|_| more)))
}

fn team(team: &Value) -> Option<Destination> {
    let (id, name) = (team["id"].as_str()?, team["name"].as_str()?);
    let name = match team["key"].as_str() {
        Some(key) => format!("{key} — {name}"),
        None => name.to_owned(),
    };
    Some(Destination { id: id.to_owned(), name, settings: Value::Null })
}

fn check(choosing: &Choosing<'_>, replies: &[Reply]) -> CheckStep {
    told(chosen(choosing, &mut Answers::new(replies, verdict)))
}

fn chosen(
    choosing: &Choosing<'_>,
    answers: &mut Answers<'_, CheckStep>,
) -> Result<CheckStep, Box<CheckStep>> {
    let variables = json!({ "id": choosing.id });
    let found = answers.find(ask_for(&choosing.account, graphql::TEAM, &variables))?;
    let found = found.and_then(|reply| team(&reply.json()["data"]["team"]));
    Ok(match found {
        Some(team) => CheckStep::Fine(team),
        None => CheckStep::Unusable("Linear does not show this team to the app.".to_owned()),
    })
}

#[cfg(test)]
mod tests;
