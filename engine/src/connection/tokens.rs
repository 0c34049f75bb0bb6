//! Access tokens: kept in memory while they hold, renewed by one caller at a time, everywhere.
//!
//! A refresh spends the refresh token at most providers, so two at one time would end the grant. Who
//! refreshes holds a row of `relay.token_refreshes` for a limited time: no transaction stays open
//! while the provider thinks, so that neither pools nor other writers wait for it, and a process that
//! dies holds nobody up for longer than `LEASE`. Within one process callers queue before that.
//!
//! The new pair is stored, for all connections of the same consent, in one transaction in which the
//! old one is forgotten; see `refresh`. While the database is away this is tried for as long as the
//! lease holds, so that nobody spends the old refresh token meanwhile. Only whoever dies between the
//! provider's answer and that transaction loses the new pair. The next one spends the old refresh
//! token again: Linear then gives the new pair once more, elsewhere it is `invalid_grant`, and the
//! admin is asked to connect again.

mod cache;
mod duty;
mod lease;
mod refresh;
mod stored;

use std::time::{Duration, Instant};

use uuid::Uuid;

use self::{
    cache::Held,
    stored::{Assessed, load},
};
pub use self::{
    cache::TokenCache,
    duty::{Tended, tend},
    lease::{Lease, LeaseError, lease},
};
use super::{Connection, Status, health};
use crate::{
    engine::Engine,
    ids::ConnectionId,
    metrics,
    oauth::github_app::{App, AppFault},
    outbox::interval,
    provider::{self, Connect, CredentialOf, OAuth2, Provider},
    secret::Secret,
};

/// How long one caller may refresh before another may: the provider's answer, and storing it through
/// a bad time of the database.
const LEASE: Duration = Duration::from_secs(150);
/// How long a caller waits for a token.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// How often somebody who waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A token that ends sooner is renewed first: what carries it is still under way for a while.
const MARGIN: Duration = Duration::from_secs(60);
/// A minted token is minted anew this long before its end.
const MINTED_MARGIN: Duration = Duration::from_secs(5 * 60);
/// When to ask again after the provider did not answer.
const LATER: Duration = Duration::from_secs(5);
/// When to ask again after something of the operator's was wrong.
const OPERATOR_LATER: Duration = Duration::from_secs(30);

/// How fresh a token must be.
#[derive(Clone, Debug)]
pub enum Freshness {
    /// As far as is known it holds.
    Valid,
    /// The provider did not take this one: any other that holds.
    Renewed {
        /// What was not taken.
        than: Secret,
    },
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenUnavailable {
    /// The admin must connect again; why, as a stable code. The connection is marked already.
    Reauth(String),
    /// Something of the operator's is wrong; no customer's fault.
    Operator(&'static str),
    /// Asking again after a while may help.
    Later(Duration),
}

impl From<sqlx::Error> for TokenUnavailable {
    fn from(error: sqlx::Error) -> Self {
        tracing::warn!(error = %error, "the database did not give a token");
        Self::Later(Duration::from_secs(2))
    }
}

/// What a connection's requests carry.
pub async fn access(
    engine: &Engine,
    connection: &Connection,
    fresh: Freshness,
) -> Result<Secret, TokenUnavailable> {
    let need = match fresh {
        Freshness::Valid => Need::Valid,
        Freshness::Renewed { than } => Need::OtherThan(than),
    };
    Ok(held(engine, connection, &need).await?.token)
}

/// What a caller needs.
#[derive(Clone, Debug)]
enum Need {
    /// One that holds.
    Valid,
    /// One that holds and is not this one.
    OtherThan(Secret),
    /// One that was renewed because it was time.
    Ahead,
}

async fn held(
    engine: &Engine,
    connection: &Connection,
    need: &Need,
) -> Result<Held, TokenUnavailable> {
    let provider = provider::of(&connection.provider, &connection.metadata)
        .ok_or(TokenUnavailable::Operator("unknown_provider"))?;
    if let CredentialOf::Operator(name) = provider.credential {
        return operators_own(engine, provider, name, need);
    }
    if let Some(held) = engine.tokens.find(connection, need) {
        return Ok(held);
    }
    let turn = engine.tokens.turn(connection.id);
    let waiting = tokio::time::timeout(WAIT_MAX, turn.lock());
    let _turn = waiting.await.map_err(|_| TokenUnavailable::Later(LATER))?;
    if let Some(held) = engine.tokens.find(connection, need) {
        return Ok(held);
    }
    // However many deliveries wait for the token, a provider that is down is asked now and then.
    if let Some(unavailable) = engine.tokens.cooling(connection.id) {
        return Err(unavailable);
    }
    let had = anew(engine, provider, connection, need).await;
    match &had {
        Ok(held) => engine.tokens.keep(connection.id, held.clone()),
        Err(TokenUnavailable::Reauth(_)) => {}
        Err(unavailable) => engine.tokens.cool(connection.id, unavailable.clone()),
    }
    had
}

async fn anew(
    engine: &Engine,
    provider: &'static Provider,
    connection: &Connection,
    need: &Need,
) -> Result<Held, TokenUnavailable> {
    match &provider.connect {
        Connect::GitHubApp(app) => {
            minted(engine, &App::of(engine, provider, app), connection).await
        }
        Connect::OAuth2(oauth) => stored(engine, provider, Some(oauth), connection.id, need).await,
        Connect::AccessToken(_) => stored(engine, provider, None, connection.id, need).await,
        Connect::Webhook => Err(TokenUnavailable::Operator("no_token_of_its_own")),
    }
}

/// One token of the operator's serves all connections; when it is not taken there is no other.
fn operators_own(
    engine: &Engine,
    provider: &Provider,
    name: &'static str,
    need: &Need,
) -> Result<Held, TokenUnavailable> {
    let what = match (engine.config.providers.secret(name), need) {
        (Some(token), Need::Valid | Need::Ahead) => return Ok(Held::lasting(token)),
        (Some(_), Need::OtherThan(_)) => "own_credential_refused",
        (None, _) => "own_credential_missing",
    };
    metrics::operator_fault(provider.id, what);
    Err(TokenUnavailable::Operator(what))
}

async fn minted(
    engine: &Engine,
    app: &App<'_>,
    connection: &Connection,
) -> Result<Held, TokenUnavailable> {
    let fault = match app.mint(&connection.installation_id).await {
        Ok(minted) => {
            metrics::token_refreshed(&connection.provider, "minted");
            return Ok(Held::minted(minted));
        }
        Err(fault) => fault,
    };
    let (organization_id, id) = (connection.organization_id, connection.id);
    match fault {
        AppFault::Operator(what) => {
            metrics::operator_fault(&connection.provider, what);
            tracing::error!(what, "GitHub does not recognise our app");
            Err(TokenUnavailable::Operator(what))
        }
        AppFault::Later(after) => Err(TokenUnavailable::Later(after.unwrap_or(LATER))),
        AppFault::Suspended => {
            let reason = "suspended_at_provider";
            noted(health::suspended(engine, organization_id, id, reason).await);
            Err(TokenUnavailable::Reauth(reason.to_owned()))
        }
        AppFault::Gone | AppFault::Refused => {
            let reason = "disconnected_at_provider";
            noted(health::errored(engine, organization_id, id, reason).await);
            Err(TokenUnavailable::Reauth(reason.to_owned()))
        }
    }
}

fn noted(outcome: Result<(), super::ConnectionError>) {
    if let Err(error) = outcome {
        tracing::warn!(error = %error, "how a connection stands was not recorded");
    }
}

/// The stored token, renewed if it has to be: by us, or by whoever is at it.
async fn stored(
    engine: &Engine,
    provider: &'static Provider,
    oauth: Option<&'static OAuth2>,
    id: ConnectionId,
    need: &Need,
) -> Result<Held, TokenUnavailable> {
    let oauth = oauth.filter(|oauth| oauth.refresh != provider::Refresh::None);
    let began = Instant::now();
    loop {
        let stored = load(engine, id).await?;
        let gone = || TokenUnavailable::Reauth("connection_removed".to_owned());
        let stored = stored.filter(|s| s.status != Status::Disconnected).ok_or_else(gone)?;
        let oauth = match (stored.assess(need, oauth.is_some()), oauth) {
            (Assessed::Renew, Some(oauth)) => oauth,
            (Assessed::Lost(reason), _) => {
                let owner = stored.organization_id;
                noted(health::errored(engine, owner, id, &reason).await);
                return Err(TokenUnavailable::Reauth(reason));
            }
            _ => return stored.into_held().ok_or_else(gone),
        };
        let (holder, taken_at) = (Uuid::new_v4(), Instant::now());
        if take_lease(engine, stored.grant_id, holder).await? {
            let renewing = refresh::Renewing { provider, oauth, id, holder, taken_at };
            if let Some(held) = refresh::renew(engine, renewing, need.clone()).await? {
                return Ok(held);
            }
        }
        if began.elapsed() > WAIT_MAX {
            return Err(TokenUnavailable::Later(Duration::from_secs(2)));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether nobody else is refreshing the tokens of this consent.
async fn take_lease(engine: &Engine, grant_id: Uuid, holder: Uuid) -> Result<bool, sqlx::Error> {
    let taken = sqlx::query!(
        "insert into relay.token_refreshes as r (grant_id, holder, until)
         values ($1, $2, now() + $3)
         on conflict (grant_id) do update set holder = excluded.holder, until = excluded.until
         where r.until < now()",
        grant_id,
        holder,
        interval(LEASE),
    )
    .execute(&engine.db.work)
    .await?;
    Ok(taken.rows_affected() == 1)
}

async fn release(engine: &Engine, holder: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from relay.token_refreshes where holder = $1", holder)
        .execute(&engine.db.api)
        .await?;
    Ok(())
}
