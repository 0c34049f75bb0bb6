//! Lends access tokens to the core, which reads repositories by itself.

use super::{Need, TokenUnavailable, held};
use crate::{
    clock::Timestamp,
    connection::{Status, store},
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    provider::{self, Connect, CredentialOf},
    secret::Secret,
};

/// A token, lent to somebody who calls the provider by themselves.
#[derive(Debug)]
pub struct Lease {
    /// The token.
    pub access_token: Secret,
    /// Until when it holds, if that is known.
    pub expires_at: Option<Timestamp>,
    /// The service.
    pub provider: String,
}

/// Nothing was lent.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// No such connection, or none with a token of its own.
    #[error("connection not found")]
    NotFound,
    /// It does not stand well; why, as a stable code.
    #[error("the connection is not connected: {0}")]
    NotConnected(String),
    /// There is no token now.
    #[error("no access token is to be had")]
    Unavailable(TokenUnavailable),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Lends the token of a connection, for at least a minute. Never lends a credential of the operator's.
pub async fn lease(engine: &Engine, id: ConnectionId) -> Result<Lease, LeaseError> {
    let owner = sqlx::query_scalar!(
        "select organization_id from relay.organization_integrations where id = $1",
        id.0
    )
    .fetch_optional(&engine.db.api)
    .await
    .map_err(DbError::from)?;
    let owner = OrganizationId(owner.ok_or(LeaseError::NotFound)?);
    let mut database = engine.db.api.acquire().await.map_err(DbError::from)?;
    let state = store::load(&mut database, owner, id).await.map_err(DbError::from)?;
    drop(database);
    let state = state.filter(|c| c.status != Status::Disconnected).ok_or(LeaseError::NotFound)?;
    let provider = provider::of(&state.provider, &state.metadata).ok_or(LeaseError::NotFound)?;
    let is_own = provider.credential == CredentialOf::Connection;
    if !is_own || matches!(provider.connect, Connect::Webhook) {
        return Err(LeaseError::NotFound);
    }
    if state.status != Status::Connected {
        let reason = state.status_reason.unwrap_or_else(|| state.status.as_str().to_owned());
        return Err(LeaseError::NotConnected(reason));
    }
    let held = held(engine, &state, &Need::Valid).await.map_err(LeaseError::Unavailable)?;
    Ok(Lease { access_token: held.token, expires_at: held.expires_at, provider: state.provider })
}
