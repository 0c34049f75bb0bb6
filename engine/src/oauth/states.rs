//! Remembers who was sent to a provider, until they come back: once, within ten minutes.

use std::time::Duration;

use uuid::Uuid;

use crate::{
    connection::Scope,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    outbox::interval,
    provider::Provider,
    secret::{Place, Purpose, Secret},
    signing,
};

/// How long an admin may take on the provider's pages.
const STATE_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long a used or expired state is kept, so that a second use can be told from an invention.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// An admin who is on the way.
#[derive(Clone, Debug)]
pub(crate) struct Traveller {
    /// Whose connection it will be.
    pub(crate) organization_id: OrganizationId,
    /// Who it is.
    pub(crate) user_id: Uuid,
    /// Which events it will concern.
    pub(crate) scope: Scope,
    /// Where the frontend wants them afterwards; checked.
    pub(crate) success_redirect: Option<String>,
    /// The address that the provider sends them back to.
    pub(crate) redirect_uri: String,
    /// What proves that the consent which ends is the one that began.
    pub(crate) verifier: Option<Secret>,
    /// What only the browser that began can show again.
    pub(crate) browser: Option<Secret>,
    /// The GitHub installation that was named, not yet proven to be theirs.
    pub(crate) installation_id: Option<String>,
}

/// Why a state is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateRefused {
    /// None was sent.
    Missing,
    /// We never gave it out, or it is long past.
    Unknown,
    /// It was used before.
    Replayed,
    /// It came too late.
    Expired,
    /// It was given out for another provider.
    ForeignProvider,
    /// It came from another browser than it was given to.
    ForeignBrowser,
}

impl StateRefused {
    /// For the log and the metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Replayed => "replayed",
            Self::Expired => "expired",
            Self::ForeignProvider => "foreign_provider",
            Self::ForeignBrowser => "foreign_browser",
        }
    }
}

/// The verifier is sealed for its row: the beginning of the hash stands in for a connection.
fn place(organization_id: OrganizationId, hash: &[u8; 32]) -> Place {
    let (row, _) = hash.split_first_chunk::<16>().expect("32 bytes begin with 16");
    let connection_id = ConnectionId(Uuid::from_bytes(*row));
    Place { organization_id, connection_id, purpose: Purpose::PkceVerifier }
}

fn hashed(secret: &Secret) -> [u8; 32] {
    signing::digest(secret.reveal().as_bytes())
}

/// Remembers a traveller under a new state, which is returned and kept nowhere.
pub(crate) async fn keep(
    engine: &Engine,
    provider: &Provider,
    traveller: &Traveller,
) -> Result<Secret, sqlx::Error> {
    let state = Secret::random();
    let hash = hashed(&state);
    let place = place(traveller.organization_id, &hash);
    let verifier = traveller.verifier.as_ref().map(|verifier| engine.keys.seal(verifier, &place));
    let browser = traveller.browser.as_ref().map(|browser| hashed(browser).to_vec());
    sqlx::query!(
        "insert into relay.oauth_states (
             state_hash, organization_id, user_id, provider, team_id, project_id, success_redirect,
             redirect_uri, pkce_verifier, browser_hash, installation_id, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now() + $12)",
        &hash[..],
        traveller.organization_id.0,
        traveller.user_id,
        provider.id,
        traveller.scope.team_id().map(|id| id.0),
        traveller.scope.project_id().map(|id| id.0),
        traveller.success_redirect,
        traveller.redirect_uri,
        verifier,
        browser,
        traveller.installation_id,
        interval(STATE_LIFE),
    )
    .execute(&engine.db.api)
    .await?;
    Ok(state)
}

/// Takes back who comes with a state. Works once for each; of two at one time, one is refused.
pub(crate) async fn take(
    engine: &Engine,
    provider: &Provider,
    state: &Secret,
    browser: Option<&Secret>,
) -> Result<Result<Traveller, StateRefused>, sqlx::Error> {
    let hash = hashed(state);
    let browser_hash = browser.map(|browser| hashed(browser).to_vec());
    let row = sqlx::query!(
        r#"update relay.oauth_states set used_at = now()
           where state_hash = $1 and provider = $2 and used_at is null and expires_at > now()
             and (browser_hash is null or browser_hash = $3)
           returning organization_id, user_id, team_id, project_id, success_redirect, redirect_uri,
                     pkce_verifier, installation_id"#,
        &hash[..],
        provider.id,
        browser_hash,
    )
    .fetch_optional(&engine.db.api)
    .await?;
    let Some(row) = row else { return Ok(Err(why_not(engine, provider, &hash).await?)) };
    let organization_id = OrganizationId(row.organization_id);
    let verifier = row
        .pkce_verifier
        .map(|sealed| engine.keys.open(&sealed, &place(organization_id, &hash)))
        .transpose();
    let Ok(verifier) = verifier else {
        tracing::warn!("a consent began under an encryption key that is gone");
        return Ok(Err(StateRefused::Expired));
    };
    Ok(Ok(Traveller {
        organization_id,
        user_id: row.user_id,
        scope: Scope::from_columns(row.team_id, row.project_id),
        success_redirect: row.success_redirect,
        redirect_uri: row.redirect_uri,
        verifier,
        // Where there is one more page to go to, the same browser must come back from that too.
        browser: browser.cloned(),
        installation_id: row.installation_id,
    }))
}

async fn why_not(
    engine: &Engine,
    provider: &Provider,
    hash: &[u8; 32],
) -> Result<StateRefused, sqlx::Error> {
    let row = sqlx::query!(
        r#"select provider, used_at is not null as "used!", expires_at <= now() as "expired!"
           from relay.oauth_states where state_hash = $1"#,
        &hash[..],
    )
    .fetch_optional(&engine.db.api)
    .await?;
    Ok(match row {
        None => StateRefused::Unknown,
        Some(row) if row.provider != provider.id => StateRefused::ForeignProvider,
        Some(row) if row.used => StateRefused::Replayed,
        Some(row) if row.expired => StateRefused::Expired,
        Some(_) => StateRefused::ForeignBrowser,
    })
}

/// Forgets states that were used or ran out a day ago, and refreshes whose process died as long ago.
/// Returns how many states.
pub(crate) async fn purge(engine: &Engine) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "delete from relay.oauth_states where expires_at < now() - $1::interval",
        interval(KEPT),
    )
    .execute(&engine.db.api)
    .await?;
    sqlx::query!(
        "delete from relay.token_refreshes where until < now() - $1::interval",
        interval(KEPT),
    )
    .execute(&engine.db.api)
    .await?;
    Ok(done.rows_affected())
}
