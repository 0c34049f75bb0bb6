//! Taking access back at the provider, once a connection is removed: best effort, bounded, recorded.
//!
//! Nothing is taken back that somebody else still uses: a bot token belongs to a workspace and not to
//! a connection, and one consent may serve several sites. A GitHub installation is never removed: the
//! core reads the same one. What cannot be taken back by a call can be by hand: [`revoke_url`].

use std::time::Duration;

use serde_json::Value;
use sqlx::PgConnection;

use super::{
    Actor, Connection, ConnectionEvent,
    health::{Promised, transition},
    secrets,
};
use crate::{
    engine::Engine,
    oauth::ask,
    provider::{self, Connect, OAuth2, Provider, Revocation},
    secret::Secret,
};

/// How long the provider may take: an admin waits.
const REVOKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where an admin can remove the app by hand; `None` where the frontend knows better, or nobody does.
#[must_use]
pub fn revoke_url(engine: &Engine, provider_id: &str, metadata: &Value) -> Option<String> {
    let provider = provider::of(provider_id, metadata)?;
    match &provider.connect {
        Connect::OAuth2(oauth) => {
            (oauth.revoke_url)(&engine.config.providers.hosts(provider), metadata)
        }
        _ => None,
    }
}

/// What it takes to take access back; read before it is forgotten.
#[derive(Debug)]
pub(super) struct Revocable {
    provider: &'static Provider,
    oauth: &'static OAuth2,
    access_token: Option<Secret>,
    refresh_token: Option<Secret>,
    is_shared: bool,
}

/// `None` where there is nothing to take back, or no way.
pub(super) async fn prepare(
    engine: &Engine,
    tx: &mut PgConnection,
    state: &Connection,
) -> Result<Option<Revocable>, sqlx::Error> {
    let Some(provider) = provider::of(&state.provider, &state.metadata) else { return Ok(None) };
    let Connect::OAuth2(oauth) = &provider.connect else { return Ok(None) };
    if oauth.revoke.is_none() {
        return Ok(None);
    }
    let (access_token, refresh_token) =
        secrets::tokens_of(tx, &engine.keys, state.organization_id, state.id).await?;
    if access_token.is_none() && refresh_token.is_none() {
        return Ok(None);
    }
    let is_shared =
        sqlx::query_scalar!(r#"select relay.is_shared($1) as "is_shared!""#, state.id.0)
            .fetch_one(tx)
            .await?;
    Ok(Some(Revocable { provider, oauth, access_token, refresh_token, is_shared }))
}

/// Takes access back and records what came of it. Goes on when the caller does not wait.
pub(super) async fn revoke(engine: &Engine, state: &Connection, revocable: Option<Revocable>) {
    let Some(revocable) = revocable else { return };
    let (engine, state) = (engine.clone(), state.clone());
    let task = tokio::spawn(async move {
        let outcome = outcome(&engine, &state, &revocable).await;
        let decide = |_: &Connection| Some(ConnectionEvent::Revoked { outcome: outcome.into() });
        let (owner, id) = (state.organization_id, state.id);
        let recorded =
            transition(&engine, owner, id, &Actor::system(), decide, Promised::Untouched).await;
        if let Err(error) = recorded {
            tracing::warn!(connection.id = %id, outcome, error = %error, "a revocation was not recorded");
        }
    });
    if task.await.is_err() {
        tracing::error!("a revocation ended in a panic");
    }
}

async fn outcome(engine: &Engine, state: &Connection, revocable: &Revocable) -> &'static str {
    if revocable.is_shared {
        return "kept_shared";
    }
    let set = &engine.config.providers;
    let (Some(revoke), Some(client)) =
        (revocable.oauth.revoke.as_ref(), set.client(&revocable.oauth.client))
    else {
        return "refused";
    };
    let call = (revoke.call)(&Revocation {
        access_token: revocable.access_token.as_ref(),
        refresh_token: revocable.refresh_token.as_ref(),
        client: &client,
        metadata: &state.metadata,
        hosts: &set.hosts(revocable.provider),
    });
    let Some(call) = call else { return "refused" };
    let asking = ask::send(engine, revocable.provider, call);
    match tokio::time::timeout(REVOKE_TIMEOUT, asking).await {
        Ok(Ok(reply)) if (revoke.is_done)(&reply) => "revoked",
        Ok(Ok(_)) => "refused",
        Ok(Err(_)) | Err(_) => "unreachable",
    }
}
