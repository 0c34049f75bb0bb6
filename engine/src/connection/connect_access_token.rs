//! Linking a customer's own server by its address and a personal token: Jira Data Center.

use serde_json::{Value, json};
use url::Url;

use super::{
    Actor, ConnectionError, Scope,
    linking::{self, Linking},
    secrets::TokenSet,
};
use crate::{
    engine::Engine,
    http::{Failure, PAGE_BYTES_MAX, Route},
    ids::{ConnectionId, OrganizationId},
    oauth::ask::CALLS_MAX,
    provider::{self, AccessToken, Account, AccountStep, Connect, NewAccess, Provider, Reply},
    secret::Secret,
    signing,
};

/// A server to be linked.
#[derive(Clone, Debug)]
pub struct NewServer {
    /// Its address, as the admin typed it.
    pub base_url: String,
    /// A personal token of somebody there.
    pub token: Secret,
    /// Which events concern it.
    pub scope: Scope,
}

/// Checks address and token by asking who the token belongs to, and stores the connection. The same
/// server connects again as the same connection.
pub async fn connect_access_token(
    engine: &Engine,
    organization_id: OrganizationId,
    new: NewServer,
    actor: &Actor,
) -> Result<ConnectionId, ConnectionError> {
    let provider = provider::find("jira_data_center").ok_or(ConnectionError::NotFound)?;
    let Connect::AccessToken(access) = &provider.connect else {
        return Err(ConnectionError::NotFound);
    };
    if new.token.reveal().trim().is_empty() {
        return Err(ConnectionError::refused("missing_token", "token is required"));
    }
    let base_url = checked_base(engine, &new.base_url)?;
    let token = Secret::new(new.token.reveal().trim());
    let account = whose(engine, provider, access, &base_url, &token).await?;
    let linking = Linking {
        organization_id,
        provider,
        stored_as: "jira",
        scope: new.scope,
        accounts: vec![identified(account, &base_url)],
        tokens: Some(TokenSet {
            access_token: token,
            refresh_token: None,
            expires_in: None,
            is_renewed: false,
        }),
        actor,
    };
    let linked = linking::link(engine, &linking).await?;
    linked.first().copied().ok_or(ConnectionError::NotFound)
}

/// The address in its normal form, if a request may be sent there.
fn checked_base(engine: &Engine, raw: &str) -> Result<Url, ConnectionError> {
    let refused = |message: String| ConnectionError::refused("invalid_base_url", message);
    let url = engine.http.policy().check_url(raw.trim()).map_err(|error| {
        // The sentences are those of a webhook's address; only the name of the field differs.
        refused(error.to_string().replace("webhook_url", "base_url"))
    })?;
    normalised(&url).ok_or_else(|| refused("base_url must not have a query or a fragment".into()))
}

/// One spelling for each server: the parser has brought the host to lower case and dropped the default
/// port; the context path stays, without a slash at its end. `None` where there is more to it.
fn normalised(url: &Url) -> Option<Url> {
    if url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    let mut url = url.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    if let Some(name) = url.domain().and_then(|name| name.strip_suffix('.')) {
        let name = name.to_owned();
        url.set_host(Some(&name)).ok()?;
    }
    Some(url)
}

/// The address as text, without the slash that a bare host is printed with.
fn text(base_url: &Url) -> &str {
    base_url.as_str().trim_end_matches('/')
}

/// Known by its whole address: two servers whose addresses begin alike are two.
fn identified(mut account: Account, base_url: &Url) -> Account {
    account.installation_id = format!("dc:{}", signing::fingerprint(text(base_url).as_bytes()));
    if !account.metadata.is_object() {
        account.metadata = Value::Object(serde_json::Map::new());
    }
    account.metadata["type"] = json!("data_center");
    account.metadata["base_url"] = json!(text(base_url));
    account
}

async fn whose(
    engine: &Engine,
    provider: &Provider,
    access: &AccessToken,
    base_url: &Url,
    token: &Secret,
) -> Result<Account, ConnectionError> {
    let label = provider.label;
    let new = NewAccess { base_url, token };
    let mut replies: Vec<Reply> = Vec::new();
    loop {
        match (access.account)(&new, &replies) {
            AccountStep::Accounts(accounts) => {
                let first = accounts.into_iter().next();
                return first.ok_or_else(|| unreadable(label));
            }
            AccountStep::Unreadable(message) => {
                return Err(ConnectionError::refused("account_unreadable", message));
            }
            AccountStep::Call(_) if replies.len() == CALLS_MAX => return Err(unreadable(label)),
            AccountStep::Call(call) => {
                // Never the operator's route: the address is the customer's.
                let sent = engine.http.send(&call, Route::Customer, PAGE_BYTES_MAX).await;
                replies.push(sent.map_err(|error| {
                    // Not what a name inside the operator's network stands for.
                    let why = match error.failure {
                        Failure::Blocked | Failure::Dns => {
                            "we do not send to its address".to_owned()
                        }
                        _ => error.to_string(),
                    };
                    let message = format!("The server could not be reached: {why}");
                    ConnectionError::refused("server_unreachable", message)
                })?);
            }
        }
    }
}

fn unreadable(label: &str) -> ConnectionError {
    let message = format!("The server did not answer as {label} does");
    ConnectionError::refused("account_unreadable", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(raw: &str) -> Option<String> {
        normalised(&Url::parse(raw).expect("a URL")).map(|url| text(&url).to_owned())
    }

    #[test]
    fn one_server_has_one_spelling() {
        for raw in [
            "https://jira.example.com",
            "https://jira.example.com/",
            "https://JIRA.Example.COM:443//",
            "https://jira.example.com./",
        ] {
            assert_eq!(normal(raw).as_deref(), Some("https://jira.example.com"), "{raw}");
        }
        for raw in ["https://example.com/jira", "https://example.com/jira/"] {
            assert_eq!(normal(raw).as_deref(), Some("https://example.com/jira"), "{raw}");
        }
        assert_eq!(normal("https://x:8443/a").as_deref(), Some("https://x:8443/a"));
        assert_eq!(normal("https://example.com/JIRA").as_deref(), Some("https://example.com/JIRA"));
        for raw in ["https://example.com/?a=b", "https://example.com/#x"] {
            assert_eq!(normal(raw), None, "{raw}");
        }
    }

    #[test]
    fn servers_whose_addresses_begin_alike_are_told_apart() {
        let id = |raw: &str| {
            let account = Account {
                installation_id: "whatever".into(),
                display_name: "Ada".into(),
                metadata: json!({ "username": "ada" }),
                destination: None,
            };
            let url = normalised(&Url::parse(raw).expect("a URL")).expect("a plain one");
            identified(account, &url)
        };
        let one = id("https://jira.customer-one.example.com/jira/");
        let other = id("https://jira.customer-one.example.com/jira2");
        assert_ne!(one.installation_id, other.installation_id);
        assert_eq!(one.installation_id.len(), 3 + 64);
        assert_eq!(one.metadata["type"], "data_center");
        assert_eq!(one.metadata["base_url"], "https://jira.customer-one.example.com/jira");
        assert_eq!(one.metadata["username"], "ada");
    }
}
