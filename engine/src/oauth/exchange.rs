//! Codes and refresh tokens become tokens: the request in each provider's own shape, and its answer.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::ask;
use crate::{
    engine::Engine,
    provider::{
        Call, Client, ClientAuth, Hosts, OAuth2, Provider, TokenBody, TokenRefused, Tokens,
    },
    secret::Secret,
};

/// How long a token endpoint may take: somebody waits, an admin or a delivery.
pub(crate) const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is exchanged for tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Grant<'a> {
    /// A code that a consent page gave.
    Code {
        /// The code.
        code: &'a Secret,
        /// What was kept when the consent began.
        verifier: Option<&'a Secret>,
    },
    /// A refresh token.
    Refresh(&'a Secret),
}

/// The request that exchanges a grant. `redirect_uri` is the one that the consent began with.
pub(crate) fn token_call(
    oauth: &OAuth2,
    hosts: &Hosts,
    client: &Client,
    redirect_uri: &str,
    grant: Grant<'_>,
) -> Call {
    let mut fields: Vec<(&str, &str)> = Vec::new();
    match grant {
        Grant::Code { code, verifier } => {
            fields.push(("grant_type", "authorization_code"));
            fields.push(("code", code.reveal()));
            fields.push(("redirect_uri", redirect_uri));
            fields.extend(verifier.map(|verifier| ("code_verifier", verifier.reveal())));
        }
        Grant::Refresh(token) => {
            fields.push(("grant_type", "refresh_token"));
            fields.push(("refresh_token", token.reveal()));
            if oauth.refresh_wants_redirect {
                fields.push(("redirect_uri", redirect_uri));
            }
        }
    }
    let (host, path) = oauth.token;
    let mut call = Call::post(hosts.url(host, path)).header("accept", "application/json");
    match oauth.client_auth {
        ClientAuth::Parameters => {
            fields.push(("client_id", &client.id));
            fields.push(("client_secret", client.secret.reveal()));
        }
        ClientAuth::Basic => {
            let pair = format!("{}:{}", client.id, client.secret.reveal());
            call = call.authorization("Basic", &Secret::new(STANDARD.encode(pair)));
        }
    }
    match oauth.token_body {
        TokenBody::Form => call.form(&fields),
        TokenBody::Json => {
            let object: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect();
            call.json(&Value::Object(object))
        }
    }
}

/// Exchanges a grant. Where no answer comes, it is [`TokenRefused::Later`]: what became of the grant
/// is then unknown.
pub(crate) async fn exchange(
    engine: &Engine,
    provider: &Provider,
    oauth: &OAuth2,
    call: Call,
) -> Result<Tokens, TokenRefused> {
    let asking = ask::send(engine, provider, call);
    match tokio::time::timeout(EXCHANGE_TIMEOUT, asking).await {
        Ok(Ok(reply)) => (oauth.tokens)(&reply),
        Ok(Err(error)) => Err(TokenRefused::Later(error.failure.as_str().to_owned())),
        Err(_) => Err(TokenRefused::Later("timeout".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::provider::{Connect, PROVIDERS, Reply};

    fn each() -> impl Iterator<Item = (&'static Provider, &'static OAuth2)> {
        PROVIDERS.iter().filter_map(|provider| match &provider.connect {
            Connect::OAuth2(oauth) => Some((*provider, oauth)),
            _ => None,
        })
    }

    fn fields(oauth: &OAuth2, call: &Call) -> Vec<(String, String)> {
        match oauth.token_body {
            TokenBody::Form => url::form_urlencoded::parse(&call.body).into_owned().collect(),
            TokenBody::Json => {
                let body: Map<String, Value> = serde_json::from_slice(&call.body).expect("JSON");
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                body.iter().map(|(name, value)| (name.clone(), text(value))).collect()
            }
        }
    }

    fn call(provider: &Provider, oauth: &OAuth2, grant: Grant<'_>) -> Call {
        let client = Client { id: "our-id".into(), secret: Secret::new("our-secret") };
        let hosts = Hosts::of(provider, |_| None);
        token_call(oauth, &hosts, &client, "https://relay.example.com/back", grant)
    }

    #[test]
    fn a_code_is_exchanged_with_the_very_redirect_and_verifier_it_began_with() {
        let (code, verifier) = (Secret::new("the-code"), Secret::new("the-verifier"));
        for (provider, oauth) in each() {
            let verifier = oauth.pkce.then_some(&verifier);
            let call = call(provider, oauth, Grant::Code { code: &code, verifier });
            let fields = fields(oauth, &call);
            let get = |name: &str| {
                let mut found = fields.iter().filter(|(known, _)| known == name);
                let value = found.next().map(|(_, value)| value.as_str());
                assert!(found.next().is_none(), "{}: {name} is given twice", provider.id);
                value
            };
            assert_eq!(get("grant_type"), Some("authorization_code"), "{}", provider.id);
            assert_eq!(get("code"), Some("the-code"), "{}", provider.id);
            assert_eq!(get("redirect_uri"), Some("https://relay.example.com/back"));
            assert_eq!(get("code_verifier").is_some(), oauth.pkce, "{}", provider.id);
            let basic = call.headers.get("authorization");
            match oauth.client_auth {
                ClientAuth::Parameters => {
                    assert_eq!(get("client_secret"), Some("our-secret"), "{}", provider.id);
                    assert!(basic.is_none(), "{}", provider.id);
                }
                ClientAuth::Basic => {
                    let basic = basic.expect("a header");
                    assert_eq!(basic.to_str().expect("text"), "Basic b3VyLWlkOm91ci1zZWNyZXQ=");
                    assert!(basic.is_sensitive() && get("client_secret").is_none());
                }
            }
            assert!(!format!("{call:?}").contains("the-code"), "{call:?}");
        }
    }

    #[test]
    fn a_refresh_repeats_the_redirect_only_where_it_is_wanted() {
        let token = Secret::new("the-refresh-token");
        for (provider, oauth) in each() {
            let call = call(provider, oauth, Grant::Refresh(&token));
            let fields = fields(oauth, &call);
            let has = |name: &str| fields.iter().any(|(known, _)| known == name);
            assert!(has("refresh_token") && !has("code"), "{}", provider.id);
            assert_eq!(has("redirect_uri"), oauth.refresh_wants_redirect, "{}", provider.id);
        }
    }

    fn reply(status: u16, body: &str) -> Reply {
        let at = "2026-02-25T12:00:00Z".parse().expect("a timestamp");
        Reply { status, headers: HeaderMap::new(), body: body.to_owned().into(), at }
    }

    #[test]
    fn every_provider_tells_a_lost_grant_from_our_own_mistake_and_from_a_bad_hour() {
        for (provider, oauth) in each() {
            let read = |status: u16, body: &str| (oauth.tokens)(&reply(status, body));
            for status in [500, 502, 503, 504, 429] {
                let answer = read(status, "<html>later</html>");
                assert!(matches!(answer, Err(TokenRefused::Later(_))), "{} {status}", provider.id);
            }
            let (ended, ours) = match provider.id {
                "slack" => (
                    read(200, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
                    read(200, r#"{"ok":false,"error":"bad_client_secret"}"#),
                ),
                _ => (
                    read(400, r#"{"error":"invalid_grant"}"#),
                    read(401, r#"{"error":"invalid_client"}"#),
                ),
            };
            assert!(matches!(ended, Err(TokenRefused::Grant(_))), "{}: {ended:?}", provider.id);
            assert!(matches!(ours, Err(TokenRefused::Client(_))), "{}: {ours:?}", provider.id);
            let nothing = read(200, "{}");
            assert!(nothing.is_err(), "{}: an answer without a token is none", provider.id);
        }
    }

    #[test]
    fn every_provider_reads_the_tokens_of_its_own_answer() {
        for (provider, oauth) in each() {
            let extra = match provider.id {
                "slack" => r#""ok":true,"token_type":"bot","team":{"id":"T1","name":"Ops"}"#,
                _ => r#""token_type":"bearer","scope":"a b""#,
            };
            let body = format!(
                r#"{{"access_token":"at","refresh_token":"rt","expires_in":3600,{extra}}}"#
            );
            let tokens = (oauth.tokens)(&reply(200, &body));
            let tokens = tokens.unwrap_or_else(|error| panic!("{}: {error:?}", provider.id));
            assert_eq!(tokens.access_token.reveal(), "at", "{}", provider.id);
            assert_eq!(tokens.expires_in, Some(Duration::from_secs(3600)), "{}", provider.id);
            let refresh = tokens.refresh_token.as_ref().map(Secret::reveal);
            assert_eq!(refresh, Some("rt"), "{}", provider.id);
        }
    }
}
