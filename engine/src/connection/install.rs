//! Linking an account: an admin is sent to the provider, comes back once, and what they granted is
//! stored. [`begin`] → the provider's pages → [`consume`] → [`finish`].
//!
//! The caller checks between [`consume`] and [`finish`] that the person may still connect: whose
//! connection it becomes stands in our own row, never in what the browser brings.

mod consented;
mod installed;
mod redirect;

use url::Url;
use uuid::Uuid;

use super::{
    Actor, ConnectionError, Scope,
    linking::{self, Linking},
    secrets::TokenSet,
};
use crate::{
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    metrics,
    oauth::{
        consent::{Consent, consent_url},
        github_app::App,
        states::{self, Traveller},
    },
    provider::{self, Account, Client, ClientSettings, Connect, Provider},
    secret::Secret,
};

pub use crate::oauth::states::StateRefused;

/// An admin wants to link an account.
#[derive(Clone, Debug)]
pub struct Install {
    /// Whose connection it will be.
    pub organization_id: OrganizationId,
    /// Who it is; checked to be allowed.
    pub user_id: Uuid,
    /// Which events it will concern; checked to exist.
    pub scope: Scope,
    /// Where the frontend wants them afterwards.
    pub success_redirect: Option<String>,
    /// What only this browser can show again, as in a cookie. The one who comes back must show it:
    /// otherwise anybody could be talked into linking their account to a stranger's organization.
    pub browser: Option<Secret>,
}

/// Somebody came back whom we had sent.
#[derive(Clone, Debug)]
pub struct Returned {
    provider: &'static Provider,
    traveller: Traveller,
}

impl Returned {
    /// Whose connection it will be.
    #[must_use]
    pub fn organization_id(&self) -> OrganizationId {
        self.traveller.organization_id
    }

    /// Who was sent.
    #[must_use]
    pub fn user_id(&self) -> Uuid {
        self.traveller.user_id
    }

    /// Which events it will concern.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.traveller.scope
    }

    /// Where the frontend wants them afterwards: an address of the frontend's own.
    #[must_use]
    pub fn success_redirect(&self) -> Option<&str> {
        self.traveller.success_redirect.as_deref()
    }
}

/// What the provider's redirect brought, beside the state.
#[derive(Clone, Debug, Default)]
pub struct Callback {
    /// What is exchanged for tokens.
    pub code: Option<Secret>,
    /// The provider's word for a refusal, `access_denied`.
    pub error: Option<String>,
    /// Who says so: <https://www.rfc-editor.org/rfc/rfc9207>.
    pub issuer: Option<String>,
    /// GitHub: the installation.
    pub installation_id: Option<String>,
    /// GitHub: `install`, `update` or `request`.
    pub setup_action: Option<String>,
}

/// How it went on.
#[derive(Debug)]
pub enum Outcome {
    /// These connections are linked.
    Linked(Vec<ConnectionId>),
    /// The provider has one more page for the admin.
    GoOn(Url),
}

/// Nothing was linked.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// No such provider, or none that is linked this way.
    #[error("no such provider")]
    NotFound,
    /// The operator has no registration with it.
    #[error("{0} client ID not configured")]
    NotConfigured(&'static str),
    /// The state is not one that we gave to this person for this.
    #[error("{message}")]
    State {
        /// Why: for the log, not for the person.
        refused: StateRefused,
        /// For the person.
        message: &'static str,
    },
    /// Something about it is not as it must be.
    #[error("{message}")]
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// A sentence for the person.
        message: String,
    },
    /// The connection could not be stored.
    #[error("Failed to save integration")]
    Connection(#[source] ConnectionError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<ConnectionError> for InstallError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Refused { code, message } => Self::Refused { code, message },
            other => Self::Connection(other),
        }
    }
}

impl From<sqlx::Error> for InstallError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl InstallError {
    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }
}

/// Where a provider sends admins back to: exactly this is registered with it.
pub(crate) fn redirect_uri(engine: &Engine, provider: &Provider, callback: &str) -> Option<String> {
    let base = engine.config.backend_url.as_ref()?;
    let path = format!("/api/integrations/{}/{callback}", provider.id);
    Some(provider::under(base, &path).into())
}

fn callback_of(connect: &Connect) -> Option<(&'static str, &ClientSettings)> {
    match connect {
        Connect::OAuth2(oauth) => Some((oauth.callback, &oauth.client)),
        Connect::GitHubApp(app) => Some((app.callback, &app.client)),
        Connect::AccessToken(_) | Connect::Webhook => None,
    }
}

fn configured(engine: &Engine, provider: &Provider) -> Result<Client, InstallError> {
    let (_, settings) = callback_of(&provider.connect).ok_or(InstallError::NotFound)?;
    let set = &engine.config.providers;
    let client = set.client(settings).filter(|_| set.is_configured(provider));
    client.ok_or(InstallError::NotConfigured(provider.label))
}

/// Where the admin is to be sent.
pub async fn begin(
    engine: &Engine,
    provider_id: &str,
    install: Install,
) -> Result<Url, InstallError> {
    let provider = provider::find(provider_id).ok_or(InstallError::NotFound)?;
    let (callback, _) = callback_of(&provider.connect).ok_or(InstallError::NotFound)?;
    let client = configured(engine, provider)?;
    let redirect_uri = redirect_uri(engine, provider, callback)
        .ok_or(InstallError::NotConfigured("BACKEND_URL for the"))?;
    let success_redirect = install
        .success_redirect
        .as_deref()
        .map(|raw| redirect::checked(raw, engine.config.frontend_url.as_ref()))
        .transpose()?;
    let wants_pkce = matches!(&provider.connect, Connect::OAuth2(oauth) if oauth.pkce);
    let traveller = Traveller {
        organization_id: install.organization_id,
        user_id: install.user_id,
        scope: install.scope,
        success_redirect,
        redirect_uri,
        verifier: wants_pkce.then(Secret::random),
        browser: install.browser,
        installation_id: None,
    };
    let state = states::keep(engine, provider, &traveller).await?;
    match &provider.connect {
        Connect::OAuth2(oauth) => Ok(consent_url(
            oauth,
            &Consent {
                client: &client,
                hosts: &engine.config.providers.hosts(provider),
                redirect_uri: &traveller.redirect_uri,
                state: &state,
                verifier: traveller.verifier.as_ref(),
            },
        )),
        Connect::GitHubApp(app) => Ok(App::of(engine, provider, app).install_url(&state)),
        Connect::AccessToken(_) | Connect::Webhook => Err(InstallError::NotFound),
    }
}

/// Takes back who comes with a state; works once for each state. What is refused is told to the log.
pub async fn consume(
    engine: &Engine,
    provider_id: &str,
    state: Option<&Secret>,
    browser: Option<&Secret>,
) -> Result<Returned, InstallError> {
    let provider = provider::find(provider_id).ok_or(InstallError::NotFound)?;
    callback_of(&provider.connect).ok_or(InstallError::NotFound)?;
    let taken = match state.filter(|state| !state.reveal().is_empty()) {
        None => Err(StateRefused::Missing),
        Some(state) => states::take(engine, provider, state, browser).await?,
    };
    taken.map(|traveller| Returned { provider, traveller }).map_err(|refused| {
        audit(provider, refused.as_str());
        let message = match provider.id {
            "github" => "Invalid state parameter",
            _ => "Invalid state",
        };
        InstallError::State { refused, message }
    })
}

fn audit(provider: &Provider, why: &'static str) {
    metrics::callback_refused(provider.id, why);
    tracing::warn!(provider = provider.id, why, "a provider's callback was refused");
}

/// Exchanges what the admin brought, asks whose account it is, and stores the connections.
pub async fn finish(
    engine: &Engine,
    returned: Returned,
    callback: &Callback,
) -> Result<Outcome, InstallError> {
    let provider = returned.provider;
    let done = finish_unaudited(engine, returned, callback).await;
    if let Err(InstallError::Refused { code, .. }) = &done {
        audit(provider, code);
    }
    done
}

async fn finish_unaudited(
    engine: &Engine,
    returned: Returned,
    callback: &Callback,
) -> Result<Outcome, InstallError> {
    let Returned { provider, traveller } = returned;
    check_issuer(engine, provider, callback)?;
    if let Some(error) = &callback.error {
        return Err(InstallError::refused("provider_refused", refusal(provider, error)));
    }
    let client = configured(engine, provider)?;
    match &provider.connect {
        Connect::OAuth2(oauth) => {
            let code = callback.code.as_ref().filter(|code| !code.reveal().is_empty());
            let code =
                code.ok_or_else(|| InstallError::refused("no_code", "No authorization code"))?;
            let linked =
                consented::link(engine, provider, oauth, &client, &traveller, code).await?;
            Ok(Outcome::Linked(linked))
        }
        Connect::GitHubApp(app) => {
            installed::link(engine, provider, app, &client, traveller, callback).await
        }
        Connect::AccessToken(_) | Connect::Webhook => Err(InstallError::NotFound),
    }
}

/// Where the answer says who gave it, it must be who was asked.
fn check_issuer(
    engine: &Engine,
    provider: &Provider,
    callback: &Callback,
) -> Result<(), InstallError> {
    let Some(issuer) = &callback.issuer else { return Ok(()) };
    let hosts = engine.config.providers.hosts(provider);
    let is_one_of_theirs = Url::parse(issuer).is_ok_and(|issuer| {
        provider.hosts.iter().any(|host| hosts.url(host.name, "/").origin() == issuer.origin())
    });
    let refused =
        || InstallError::refused("foreign_issuer", "The answer is not from this provider");
    is_one_of_theirs.then_some(()).ok_or_else(refused)
}

fn refusal(provider: &Provider, error: &str) -> String {
    let label = provider.label;
    if error == "access_denied" {
        return format!("Access was not granted on {label}'s page");
    }
    let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
    let error: String = error.chars().filter(word).take(60).collect();
    format!("{label} refused: {error}")
}

fn not_answering(provider: &Provider) -> InstallError {
    let message = format!("{} is not answering. Please connect again in a moment", provider.label);
    InstallError::refused("provider_unavailable", message)
}

fn operator_fault(provider: &Provider, what: &'static str, detail: &str) -> InstallError {
    metrics::operator_fault(provider.id, what);
    tracing::error!(
        provider = provider.id,
        what,
        detail,
        "our registration with a provider is wrong"
    );
    let label = provider.label;
    InstallError::refused(
        "operator_fault",
        format!("Deptex's registration with {label} is not in order. Please tell its operator"),
    )
}

async fn store(
    engine: &Engine,
    provider: &'static Provider,
    traveller: &Traveller,
    accounts: Vec<Account>,
    tokens: Option<TokenSet>,
) -> Result<Vec<ConnectionId>, InstallError> {
    let linking = Linking {
        organization_id: traveller.organization_id,
        provider,
        stored_as: provider.id,
        scope: traveller.scope,
        accounts,
        tokens,
        actor: &Actor::user(traveller.user_id, None),
    };
    Ok(linking::link(engine, &linking).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_provider_says_reaches_the_admin_as_a_word_and_never_as_markup() {
        let slack = provider::find("slack").expect("a provider");
        assert_eq!(refusal(slack, "access_denied"), "Access was not granted on Slack's page");
        let said = refusal(slack, "<script>alert(1)</script>");
        assert_eq!(said, "Slack refused: scriptalert1script");
        assert!(refusal(slack, &"x".repeat(9_999)).len() < 100);
    }
}
