//! Linear: findings become issues of the team that the admin chose.

mod graphql;
mod life;
mod markdown;
mod verdict;

use std::time::Duration;

use chrono::SecondsFormat;
use serde_json::{Value, json};

use self::verdict::{budget, verdict};
use super::{
    Account, AccountAccess, AccountStep, Call, Category, CheckStep, Choosing, ClientAuth,
    ClientSettings, Connect, CredentialOf, Destination, Destinations, Host, Hosts, Newcomer,
    OAuth2, Pace, PickStep, Picking, Provider, Refresh, Reply, Revocation, Revoke, SharedBy,
    TokenBody, Tokens,
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
        revoke: Some(Revoke { call: revoke, is_done: is_revoked }),
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
    call.bearer(credential).json(&body).heeding(budget)
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

/// Ends the refresh token and what came of it; the access token, where there is no other. The token
/// speaks for itself: a bearer beside it may have expired, and would be refused.
///
/// <https://linear.app/developers/oauth-2-0-authentication>
fn revoke(revocation: &Revocation<'_>) -> Option<Call> {
    let (token, kind) = revocation.token()?;
    let call = Call::post(revocation.hosts.url("api", "/oauth/revoke"));
    Some(call.form(&[("token", token.reveal()), ("token_type_hint", kind)]))
}

/// Linear says 400 of a token that it does not know, or no longer.
fn is_revoked(reply: &Reply) -> bool {
    reply.is_success() || reply.status == 400
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
    let live = nodes.filter(|team| is_live(team));
    let next = teams["pageInfo"]["endCursor"].as_str().map(str::to_owned);
    let more = teams["pageInfo"]["hasNextPage"] == true;
    Ok(PickStep::Page(live.filter_map(team).collect(), next.filter(|_| more)))
}

fn is_live(team: &Value) -> bool {
    team["archivedAt"].is_null()
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
    let found = found.map(|reply| reply.json()["data"]["team"].clone()).unwrap_or_default();
    let unusable = |why: &str| CheckStep::Unusable(why.to_owned());
    Ok(match team(&found) {
        None => unusable("Linear does not show this team to the app."),
        Some(_) if !is_live(&found) => unusable("This team is archived. Choose another one."),
        Some(team) => CheckStep::Fine(team),
    })
}

#[cfg(test)]
mod tests;
