//! GitHub Apps: a JWT signed with the app's own key mints a token for one installation, and a user's
//! token tells whether an installation is that user's.
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app>

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use url::Url;

use super::ask;
use crate::{
    clock::{self, Timestamp},
    engine::Engine,
    http::SendError,
    provider::{Account, Call, Client, GitHubApp, Hosts, Provider, Reply},
    secret::Secret,
};

/// Installations on one page; GitHub gives no more.
const PAGE: usize = 100;
/// Pages of a user's installations that are looked through.
const PAGES_MAX: usize = 20;
/// How long a rate limit lasts at least where the answer does not say.
const LIMITED: Duration = Duration::from_secs(60);

/// A token for one installation.
#[derive(Clone, Debug)]
pub(crate) struct Minted {
    /// The token.
    pub(crate) token: Secret,
    /// Until when it holds.
    pub(crate) expires_at: Timestamp,
    /// The same from the moment of the answer on.
    pub(crate) good_for: Duration,
}

/// Why GitHub did not do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppFault {
    /// Our own registration or clock is wrong.
    Operator(&'static str),
    /// There is no such installation any more.
    Gone,
    /// Somebody suspended the installation.
    Suspended,
    /// The user's code or token is not taken.
    Refused,
    /// Not now.
    Later(Option<Duration>),
}

impl From<SendError> for AppFault {
    fn from(_: SendError) -> Self {
        Self::Later(None)
    }
}

/// The app, as the operator set it.
#[derive(Debug)]
pub(crate) struct App<'a> {
    engine: &'a Engine,
    provider: &'a Provider,
    settings: &'a GitHubApp,
    hosts: Hosts,
}

impl<'a> App<'a> {
    /// The app of a provider.
    pub(crate) fn of(engine: &'a Engine, provider: &'a Provider, settings: &'a GitHubApp) -> Self {
        Self { engine, provider, settings, hosts: engine.config.providers.hosts(provider) }
    }

    /// Where an admin installs it.
    pub(crate) fn install_url(&self, state: &Secret) -> Url {
        let name = self.engine.config.providers.text(self.settings.app_name).unwrap_or_default();
        let mut url = self.hosts.url("web", &format!("/apps/{name}/installations/new"));
        url.query_pairs_mut().append_pair("state", state.reveal());
        url
    }

    /// Where an admin says who they are, where installing did not tell.
    pub(crate) fn authorize_url(&self, client: &Client, redirect_uri: &str, state: &Secret) -> Url {
        let mut url = self.hosts.url("web", "/login/oauth/authorize");
        url.query_pairs_mut()
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("state", state.reveal())
            // Always a page: who follows somebody else's link is not sent through unasked.
            .append_pair("prompt", "select_account");
        url
    }

    /// A token for one installation. It lives for an hour, and there is nothing to refresh it with.
    pub(crate) async fn mint(&self, installation_id: &str) -> Result<Minted, AppFault> {
        let path = format!("/app/installations/{}/access_tokens", id(installation_id)?);
        let call = api_call(Call::post(self.hosts.url("api", &path)), &self.jwt()?);
        let reply = self.send(call).await?;
        read_minted(&reply)
    }

    /// The account of an installation.
    pub(crate) async fn account(&self, installation_id: &str) -> Result<Account, AppFault> {
        let path = format!("/app/installations/{}", id(installation_id)?);
        let call = api_call(Call::get(self.hosts.url("api", &path)), &self.jwt()?);
        let reply = self.send(call).await?;
        if !reply.is_success() {
            return Err(fault(&reply));
        }
        let answer = reply.json();
        if answer["suspended_at"].is_string() {
            return Err(AppFault::Suspended);
        }
        Ok(read_account(&answer, installation_id))
    }

    /// Whether the user that a code was given to administers an installation's account. To be shown
    /// the installation is not enough: so is everybody who may read one of its repositories.
    /// <https://docs.github.com/en/apps/creating-github-apps/registering-a-github-app/about-the-setup-url>
    pub(crate) async fn is_theirs(
        &self,
        client: &Client,
        redirect_uri: &str,
        code: &Secret,
        installation_id: &str,
    ) -> Result<bool, AppFault> {
        let wanted = id(installation_id)?;
        let token = self.user_token(client, redirect_uri, code).await?;
        for page in 1..=PAGES_MAX {
            let url = self.hosts.url("api", "/user/installations");
            let call = Call::get(url)
                .query("per_page", &PAGE.to_string())
                .query("page", &page.to_string());
            let reply = self.send(api_call(call, &token)).await?;
            if !reply.is_success() {
                return Err(match fault(&reply) {
                    AppFault::Operator(_) | AppFault::Gone => AppFault::Refused,
                    other => other,
                });
            }
            let answer = reply.json();
            let listed = answer["installations"].as_array().map(Vec::as_slice).unwrap_or_default();
            let found = listed.iter().find(|known| known["id"].as_u64() == Some(wanted));
            if let Some(installation) = found {
                return self.administers(&token, &installation["account"]).await;
            }
            if listed.len() < PAGE {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Whether a user is an account's own, or an owner of the organization that it is.
    /// <https://docs.github.com/en/rest/orgs/members#get-an-organization-membership-for-the-authenticated-user>
    async fn administers(&self, token: &Secret, account: &Value) -> Result<bool, AppFault> {
        let is_person = account["type"] == "User";
        let login = account["login"].as_str().unwrap_or_default();
        let is_login = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if login.is_empty() || !login.chars().all(is_login) {
            return Ok(false);
        }
        let path = match is_person {
            true => "/user".to_owned(),
            false => format!("/user/memberships/orgs/{login}"),
        };
        let reply = self.send(api_call(Call::get(self.hosts.url("api", &path)), token)).await?;
        let answer = reply.json();
        Ok(match reply.status {
            200 if is_person => answer["id"].is_u64() && answer["id"] == account["id"],
            200 => answer["state"] == "active" && answer["role"] == "admin",
            403 => {
                tracing::error!(
                    "the GitHub App lacks the permission to read members of organizations"
                );
                false
            }
            404 => false,
            _ => return Err(fault(&reply)),
        })
    }

    async fn user_token(
        &self,
        client: &Client,
        redirect_uri: &str,
        code: &Secret,
    ) -> Result<Secret, AppFault> {
        let call = Call::post(self.hosts.url("web", "/login/oauth/access_token"))
            .header("accept", "application/json")
            .form(&[
                ("client_id", &client.id),
                ("client_secret", client.secret.reveal()),
                ("code", code.reveal()),
                ("redirect_uri", redirect_uri),
            ]);
        read_user_token(&self.send(call).await?)
    }

    fn jwt(&self) -> Result<Secret, AppFault> {
        let set = &self.engine.config.providers;
        let app_id = set.text(self.settings.app_id).ok_or(AppFault::Operator("app_id_missing"))?;
        let key = set.secret(self.settings.private_key);
        let key = key.ok_or(AppFault::Operator("private_key_missing"))?;
        app_jwt(app_id, &key, clock::now())
    }

    async fn send(&self, call: Call) -> Result<Reply, SendError> {
        ask::send(self.engine, self.provider, call).await
    }
}

/// Ids of installations are numbers, and become part of a path: nothing else may.
fn id(installation_id: &str) -> Result<u64, AppFault> {
    installation_id.parse().map_err(|_| AppFault::Gone)
}

fn api_call(call: Call, token: &Secret) -> Call {
    call.header("accept", "application/vnd.github+json")
        .header("x-github-api-version", "2022-11-28")
        .bearer(token)
}

/// What the app itself is known by for nine minutes; a minute back, for clocks that differ.
fn app_jwt(app_id: &str, key: &Secret, now: Timestamp) -> Result<Secret, AppFault> {
    // Where the environment cannot hold lines, they are written with `\n`.
    let pem = Secret::new(key.reveal().replace("\\n", "\n"));
    let key = EncodingKey::from_rsa_pem(pem.reveal().as_bytes())
        .map_err(|_| AppFault::Operator("private_key_unreadable"))?;
    let seconds = now.timestamp();
    let claims = json!({ "iat": seconds - 60, "exp": seconds + 9 * 60, "iss": app_id });
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
        .map(Secret::new)
        .map_err(|_| AppFault::Operator("private_key_unreadable"))
}

fn read_minted(reply: &Reply) -> Result<Minted, AppFault> {
    if !reply.is_success() {
        return Err(fault(reply));
    }
    let answer = reply.json();
    let token = answer["token"].as_str().filter(|token| !token.is_empty());
    let expires_at: Option<Timestamp> =
        answer["expires_at"].as_str().and_then(|at| at.parse().ok());
    match (token, expires_at) {
        (Some(token), Some(expires_at)) => Ok(Minted {
            token: Secret::new(token),
            expires_at,
            good_for: (expires_at - reply.at).to_std().unwrap_or_default(),
        }),
        _ => Err(AppFault::Later(None)),
    }
}

/// The token endpoint answers 200 whatever became of the code.
fn read_user_token(reply: &Reply) -> Result<Secret, AppFault> {
    let answer = reply.json();
    if let Some(token) = answer["access_token"].as_str().filter(|token| !token.is_empty()) {
        return Ok(Secret::new(token));
    }
    Err(match answer["error"].as_str() {
        Some("incorrect_client_credentials") => AppFault::Operator("invalid_client"),
        Some("redirect_uri_mismatch") => AppFault::Operator("redirect_uri_mismatch"),
        Some(_) => AppFault::Refused,
        None => AppFault::Later(reply.retry_after()),
    })
}

fn read_account(answer: &Value, installation_id: &str) -> Account {
    let account = &answer["account"];
    let login = account["login"].as_str().or(account["slug"].as_str());
    Account {
        installation_id: installation_id.to_owned(),
        display_name: login.map_or_else(|| format!("GitHub #{installation_id}"), str::to_owned),
        metadata: json!({
            "account_login": login,
            "account_type": account["type"],
            "account_avatar_url": account["avatar_url"],
        }),
        destination: None,
    }
}

/// What an answer to the app itself means when it is no success.
fn fault(reply: &Reply) -> AppFault {
    let message = reply.json()["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    let limited = reply.header("x-ratelimit-remaining") == Some("0")
        || reply.header("retry-after").is_some()
        || message.contains("rate limit");
    match reply.status {
        401 => AppFault::Operator("app_not_recognised"),
        403 | 429 if limited => AppFault::Later(Some(limited_for(reply))),
        403 if message.contains("suspended") => AppFault::Suspended,
        403 => AppFault::Operator("app_forbidden"),
        404 | 410 => AppFault::Gone,
        _ => AppFault::Later(reply.retry_after()),
    }
}

/// <https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api>
fn limited_for(reply: &Reply) -> Duration {
    // Every answer tells when the hour ends; that counts only where the hour is used up.
    let is_used_up = reply.header("x-ratelimit-remaining") == Some("0");
    let reset = || {
        let at: i64 = reply.header("x-ratelimit-reset")?.parse().ok()?;
        u64::try_from(at.saturating_sub(reply.at.timestamp())).ok().map(Duration::from_secs)
    };
    reply.retry_after().or_else(|| is_used_up.then(reset).flatten()).unwrap_or(LIMITED)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn at() -> Timestamp {
        "2026-02-25T12:00:00Z".parse().expect("a timestamp")
    }

    fn reply(status: u16, headers: &[(&'static str, &str)], body: &str) -> Reply {
        let header = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).expect("a header");
            (HeaderName::from_static(name), value)
        };
        let headers: HeaderMap = headers.iter().map(header).collect();
        Reply { status, headers, body: body.to_owned().into(), at: at() }
    }

    #[test]
    fn each_refusal_of_github_is_told_from_the_others() {
        let suspended = r#"{"message":"This installation has been suspended"}"#;
        let secondary = r#"{"message":"You have exceeded a secondary rate limit"}"#;
        let remaining = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1772020830")];
        let seconds = |s| AppFault::Later(Some(Duration::from_secs(s)));
        for (reply, expected) in [
            (reply(401, &[], "{}"), AppFault::Operator("app_not_recognised")),
            (reply(404, &[], "{}"), AppFault::Gone),
            (reply(403, &[], suspended), AppFault::Suspended),
            (reply(403, &[], secondary), seconds(60)),
            (reply(403, &[("retry-after", "7")], "{}"), seconds(7)),
            (reply(429, &remaining, "{}"), seconds(30)),
            (reply(502, &[], "<html>"), AppFault::Later(None)),
        ] {
            assert_eq!(fault(&reply), expected, "{} {:?}", reply.status, reply.body);
            assert_eq!(read_minted(&reply).expect_err("no token"), expected);
        }
    }

    #[test]
    fn a_minted_token_tells_how_long_it_holds() {
        let body = r#"{"token":"ghs_x","expires_at":"2026-02-25T13:00:00Z"}"#;
        let minted = read_minted(&reply(201, &[], body)).expect("a token");
        assert_eq!(minted.good_for, Duration::from_secs(3_600));
        assert_eq!(minted.token.reveal(), "ghs_x");
        assert_eq!(
            read_minted(&reply(201, &[], r#"{"token":"ghs_x"}"#)).expect_err("no end"),
            AppFault::Later(None)
        );
    }

    #[test]
    fn a_code_that_is_not_taken_is_no_fault_of_ours() {
        let read = |body: &str| read_user_token(&reply(200, &[], body)).expect_err("no token");
        assert_eq!(read(r#"{"error":"bad_verification_code"}"#), AppFault::Refused);
        let ours = read(r#"{"error":"incorrect_client_credentials"}"#);
        assert_eq!(ours, AppFault::Operator("invalid_client"));
        let token = read_user_token(&reply(200, &[], r#"{"access_token":"ghu_x"}"#));
        assert_eq!(token.expect("a token").reveal(), "ghu_x");
    }

    #[test]
    fn an_installation_is_a_number_and_never_a_path() {
        assert_eq!(id("42"), Ok(42));
        for bad in ["../../user", "42/access_tokens", "", "-1", "4 2"] {
            assert_eq!(id(bad), Err(AppFault::Gone), "{bad}");
        }
    }

    #[test]
    fn the_apps_jwt_holds_for_less_than_ten_minutes_and_names_the_app() {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
        let pem = key.serialize_pem();
        let key = Secret::new(pem.as_str());
        let token = app_jwt("1234", &key, at()).expect("a token");
        let claims = token.reveal().split('.').nth(1).expect("three parts");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["iss"], "1234");
        assert_eq!(claims["iat"], at().timestamp() - 60);
        assert!(claims["exp"].as_i64().expect("a number") <= at().timestamp() + 600);
        let in_one_line = Secret::new(pem.replace('\n', "\\n"));
        assert_eq!(app_jwt("1234", &in_one_line, at()).expect("a token").reveal(), token.reveal());
        let nonsense = app_jwt("1234", &Secret::new("nonsense"), at()).expect_err("no key");
        assert_eq!(nonsense, AppFault::Operator("private_key_unreadable"));
    }
}
