//! How an account is linked: consent and tokens, an app, or a token that the admin gives.

use std::{fmt, time::Duration};

use serde_json::Value;
use url::Url;

use super::{Call, Destination, Hosts, Reply};
use crate::secret::Secret;

/// Settings that hold the operator's registration with a provider.
#[derive(Clone, Copy, Debug)]
pub struct ClientSettings {
    /// The setting with the client id.
    pub id: &'static str,
    /// The setting with the client secret.
    pub secret: &'static str,
}

/// The operator's registration, as set.
#[derive(Clone, Debug)]
pub struct Client {
    /// Public.
    pub id: String,
    /// Not.
    pub secret: Secret,
}

/// OAuth 2.0 with an authorization code.
#[derive(Debug)]
pub struct OAuth2 {
    /// The operator's registration.
    pub client: ClientSettings,
    /// Where the provider sends the admin back to, under `/api/integrations/<provider>/`.
    pub callback: &'static str,
    /// Host name and path of the consent page.
    pub authorize: (&'static str, &'static str),
    /// Host name and path where codes and refresh tokens become tokens.
    pub token: (&'static str, &'static str),
    /// What is asked for.
    pub scopes: &'static [&'static str],
    /// What stands between two scopes.
    pub scope_separator: &'static str,
    /// Fixed parameters of the consent page.
    pub extra: &'static [(&'static str, &'static str)],
    /// Whether it takes PKCE with S256.
    pub pkce: bool,
    /// How the token endpoint wants its parameters.
    pub token_body: TokenBody,
    /// Whether a refresh wants the redirect address again.
    pub refresh_wants_redirect: bool,
    /// How the client names itself to the token endpoint.
    pub client_auth: ClientAuth,
    /// What refreshing does to the refresh token.
    pub refresh: Refresh,
    /// Reads the token endpoint's answer; Slack and Discord answer in their own ways.
    pub tokens: fn(&Reply) -> Result<Tokens, TokenRefused>,
    /// What to ask with a new token until the account is known. Pure, like [`Provider::advance`](super::Provider::advance).
    pub account: fn(&Newcomer<'_>, &[Reply]) -> AccountStep,
    /// How the authorization is taken back when an admin disconnects; `None` where there is no way.
    pub revoke: Option<Revoke>,
    /// Where an admin can remove the app by hand.
    pub revoke_url: fn(hosts: &Hosts, metadata: &Value) -> Option<String>,
}

/// The shape of a token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenBody {
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `application/json`.
    Json,
}

/// How the client names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// `client_id` and `client_secret` among the parameters.
    Parameters,
    /// HTTP Basic.
    Basic,
}

/// What refreshing does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Tokens do not expire, or the connection's own token is not what we send with.
    None,
    /// The refresh token stays.
    Keeps,
    /// Each use returns a new one and spends the old.
    Rotates,
}

/// What a token endpoint granted.
#[derive(Clone)]
pub struct Tokens {
    /// What requests carry.
    pub access_token: Secret,
    /// What makes a new one.
    pub refresh_token: Option<Secret>,
    /// For how long the access token holds, from the answer on.
    pub expires_in: Option<Duration>,
    /// The whole answer, for the account: never stored, never shown.
    pub answer: Value,
}

/// Why a token endpoint granted nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenRefused {
    /// The grant is over: the admin must connect again. The code is the provider's own.
    Grant(String),
    /// The operator's registration is wrong; no customer's fault.
    Client(String),
    /// Not now: asking again later may help.
    Later(String),
}

/// A new token on its way to becoming a connection.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// The token.
    pub tokens: &'a Tokens,
    /// The credential of ours that the provider's calls need instead, where there is one.
    pub own: Option<&'a Secret>,
    /// Where the provider is.
    pub hosts: &'a Hosts,
}

/// What to do to learn whose token it is.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart in the same breath")]
pub enum AccountStep {
    /// Ask this.
    Call(Call),
    /// These accounts; several where one token serves several sites. Never empty.
    Accounts(Vec<Account>),
    /// It cannot be told; the text is for the admin.
    Unreadable(&'static str),
}

/// An account, ready to be stored as a connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The provider's own id, which survives renames.
    pub installation_id: String,
    /// What people call it.
    pub display_name: String,
    /// What later requests and the frontend need; no secrets.
    pub metadata: Value,
    /// Where events go, if the admin chose it while consenting.
    pub destination: Option<Destination>,
}

/// A GitHub App.
#[derive(Debug)]
pub struct GitHubApp {
    /// The setting with the app's id.
    pub app_id: &'static str,
    /// The setting with the app's name in addresses.
    pub app_name: &'static str,
    /// The setting with the app's private key, PEM.
    pub private_key: &'static str,
    /// The registration by which a user proves that an installation is theirs.
    pub client: ClientSettings,
    /// Where GitHub sends the admin back to.
    pub callback: &'static str,
}

/// A personal token for a server of the customer's own.
#[derive(Debug)]
pub struct AccessToken {
    /// What to ask until the account is known.
    pub account: fn(&NewAccess<'_>, &[Reply]) -> AccountStep,
}

/// An address and a token that an admin gave.
#[derive(Debug)]
pub struct NewAccess<'a> {
    /// Checked, without a slash at the end.
    pub base_url: &'a Url,
    /// The token.
    pub token: &'a Secret,
}

/// How an authorization is taken back.
#[derive(Debug)]
pub struct Revoke {
    /// The call that does it; `None` where no token is left that it would take.
    pub call: fn(&Revocation<'_>) -> Option<Call>,
    /// Whether the answer says that nothing of the authorization is left.
    pub is_done: fn(&Reply) -> bool,
}

impl Revoke {
    /// By a call that succeeds, or does not.
    #[must_use]
    pub const fn by(call: fn(&Revocation<'_>) -> Option<Call>) -> Self {
        Self { call, is_done: Reply::is_success }
    }
}

/// What there is to take an authorization back with.
#[derive(Debug)]
pub struct Revocation<'a> {
    /// The access token, if it still opens.
    pub access_token: Option<&'a Secret>,
    /// The refresh token, if there is one.
    pub refresh_token: Option<&'a Secret>,
    /// The operator's registration.
    pub client: &'a Client,
    /// The connection's metadata.
    pub metadata: &'a Value,
    /// Where the provider is.
    pub hosts: &'a Hosts,
}

impl<'a> Revocation<'a> {
    /// The token that all others came of, with its kind in the words of RFC 7009: the refresh token,
    /// or the access token where there is no other.
    #[must_use]
    pub fn token(&self) -> Option<(&'a Secret, &'static str)> {
        let refresh = self.refresh_token.map(|token| (token, "refresh_token"));
        refresh.or_else(|| Some((self.access_token?, "access_token")))
    }
}

impl fmt::Debug for Tokens {
    /// Not the answer: it holds the tokens in clear.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// No token is taken to hold for longer, whatever its provider says: ten years.
const LIFE_SECONDS_MAX: u64 = 10 * 365 * 24 * 3_600;

impl Tokens {
    /// Reads the answer that RFC 6749 describes.
    ///
    /// # Errors
    /// `invalid_grant` ends the grant; a busy or broken endpoint is asked again later; every other
    /// refusal is about our own registration or request.
    pub fn standard(reply: &Reply) -> Result<Self, TokenRefused> {
        let answer = reply.json();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        if let (true, Some(token)) = (reply.is_success(), text("access_token")) {
            let expires_in = answer.get("expires_in");
            let seconds = expires_in.and_then(|v| v.as_u64().or_else(|| v.as_str()?.parse().ok()));
            return Ok(Self {
                access_token: Secret::new(token),
                refresh_token: text("refresh_token").map(Secret::new),
                expires_in: seconds
                    .map(|seconds| Duration::from_secs(seconds.min(LIFE_SECONDS_MAX))),
                answer,
            });
        }
        let code = text("error").map_or_else(|| format!("http_{}", reply.status), str::to_owned);
        Err(match (code.as_str(), reply.status) {
            ("invalid_grant", _) => TokenRefused::Grant(code),
            ("temporarily_unavailable" | "server_error" | "slow_down", _) => {
                TokenRefused::Later(code)
            }
            (_, 400..=407 | 409..=424 | 426..=428 | 430..=499) => TokenRefused::Client(code),
            _ => TokenRefused::Later(code),
        })
    }
}
