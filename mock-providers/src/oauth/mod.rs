//! An authorization server as each provider runs one: the same flow, each with rules of its own.

mod authorize;
mod grants;
mod token;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use self::grants::{Code, Grant};
pub(crate) use self::{
    authorize::{Choice, authorize, code_for, consent, home, sent_back},
    grants::{Access, BearerProblem, Granted},
    token::{form_shows_client, is_client, token},
};
use crate::server::reply::Reply;

/// How one provider runs its authorization server.
pub(crate) struct Rules {
    /// What people call the provider.
    pub(crate) provider: &'static str,
    /// The registered path that codes are sent to, on whatever host Relay is.
    pub(crate) callback: &'static str,
    /// Whether the address may be left out, at the consent page and after it.
    pub(crate) redirect_uri_is_optional: bool,
    /// What the consent page must be asked with.
    pub(crate) fixed: &'static [(&'static str, &'static str)],
    /// What stands between scopes; `None` where the consent page does not look at them.
    pub(crate) separator: Option<char>,
    /// The scopes that the app is registered for.
    pub(crate) scopes: &'static [&'static str],
    pub(crate) pkce: Pkce,
    pub(crate) bodies: Bodies,
    pub(crate) client_auth: ClientAuth,
    pub(crate) refresh: Refresh,
    /// Whether a refresh must name the address again.
    pub(crate) refresh_wants_redirect: bool,
    /// Whether a refresh ends the access token of before.
    pub(crate) refresh_ends_access: bool,
    /// How long an access token holds; `None` for ever.
    pub(crate) lifetime: Option<TimeDelta>,
    /// What access and refresh tokens begin with.
    pub(crate) prefixes: (&'static str, &'static str),
    /// How it words a refusal at the token endpoint.
    pub(crate) refuse: fn(Refusal) -> Reply,
}

/// Proof keys for code exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pkce {
    /// Switched off for the app: asking for it is refused.
    Off,
    /// Not documented: ignored.
    Ignored,
    /// Demanded, with S256.
    S256,
}

/// What the token endpoint reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    Form,
    Json,
}

/// How the client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Parameters,
    Basic,
    Either,
}

/// What refreshing does to the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// There are none.
    None,
    /// It stays, and is told only once.
    Keeps,
    /// It is spent.
    Rotates,
    /// It is spent, but the same request gets the same answer for a while.
    RotatesWithReplay(TimeDelta),
}

/// Why the token endpoint grants nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Client,
    Code,
    RedirectUri,
    Verifier,
    RefreshToken,
    ContentType,
    GrantType,
    /// A parameter is missing.
    Parameter(&'static str),
}

/// Whom the next person at the consent page is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consent {
    /// What they choose; the first choice if they were not told.
    pub(crate) choice: Option<String>,
    pub(crate) denies: bool,
}

/// One provider's authorization server.
#[derive(Debug)]
pub(crate) struct OAuth {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    pub(crate) consent: Consent,
    pub(crate) place: Place,
    /// Instead of the rules' own.
    refresh: Option<Refresh>,
    codes: BTreeMap<String, Code>,
    grants: Vec<Grant>,
    secrets: Vec<String>,
    reuses: usize,
}

/// Where Relay is, and who uses it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// Relay's address as registered with the providers; any, until it is told.
    pub(crate) relay_url: Option<String>,
    /// Whether people look at consent pages, and tests do not.
    pub(crate) is_interactive: bool,
}

impl OAuth {
    pub(crate) fn new(provider: &str) -> Self {
        let client_secret = random(&format!("{provider}-secret-"));
        Self {
            client_id: random(&format!("{provider}-client-")),
            secrets: vec![client_secret.clone()],
            client_secret,
            consent: Consent::default(),
            place: Place::default(),
            refresh: None,
            codes: BTreeMap::new(),
            grants: Vec::new(),
            reuses: 0,
        }
    }

    /// From now on the registration is another one: what Relay was given is wrong.
    pub(crate) fn change_client_secret(&mut self) {
        self.client_secret = random("changed-secret-");
        self.secrets.push(self.client_secret.clone());
    }

    /// Switches rotation on or off for the app.
    pub(crate) fn set_refresh(&mut self, refresh: Refresh) {
        self.refresh = Some(refresh);
    }

    pub(crate) fn refresh(&self, rules: &Rules) -> Refresh {
        self.refresh.unwrap_or(rules.refresh)
    }

    /// Everything that must not appear in a log.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    /// A token that no consent page led to.
    pub(crate) fn mint(
        &mut self,
        account: &str,
        scopes: Vec<String>,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Granted {
        let code = Code {
            account: account.to_owned(),
            scopes,
            redirect_uri: None,
            challenge: None,
            expires_at: now,
        };
        self.grant(code, rules, now)
    }

    /// How often a spent refresh token was shown again.
    pub(crate) fn reuses(&self) -> usize {
        self.reuses
    }

    /// Whose access token a request carries.
    pub(crate) fn bearer(
        &self,
        credential: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Access, BearerProblem> {
        let credential = credential.ok_or(BearerProblem::Missing)?;
        let found = self.grants.iter().find_map(|grant| grant.access(credential, now));
        found.unwrap_or(Err(BearerProblem::Unknown))
    }

    /// Ends every access token; refresh tokens stay.
    pub(crate) fn expire_tokens(&mut self) {
        self.grants.iter_mut().for_each(Grant::expire);
    }

    /// Ends every authorization.
    pub(crate) fn revoke_grants(&mut self) {
        self.grants.iter_mut().for_each(Grant::revoke);
    }

    /// Ends the authorization that a token belongs to. `false` if there is none, or it had ended.
    pub(crate) fn revoke(&mut self, token: &str, kind: TokenKind) -> bool {
        let holds = |grant: &&mut Grant| grant.holds(token, kind);
        self.grants.iter_mut().find(holds).is_some_and(|grant| {
            grant.revoke();
            true
        })
    }

    /// Ends every authorization of these accounts.
    pub(crate) fn revoke_where(&mut self, is_meant: impl Fn(&str) -> bool) {
        self.grants.iter_mut().filter(|g| is_meant(&g.account)).for_each(Grant::revoke);
    }

    /// How many authorizations hold.
    pub(crate) fn live_grants(&self) -> usize {
        self.grants.iter().filter(|grant| !grant.is_revoked).count()
    }
}

/// Which tokens a revocation may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Any,
    Access,
    Refresh,
}

/// A random text that nobody guesses.
pub(crate) fn random(prefix: &str) -> String {
    format!("{prefix}{}", hex::encode(rand::random::<[u8; 20]>()))
}
