//! Stores the accounts that a consent or a token gave access to, each as one connection.
//!
//! An account that was connected before, in the same scope, keeps its connection: the same id, the
//! same history, its subscription and destination, also after it was removed. The same account in
//! another scope is another connection. Where one consent gives several accounts, each becomes a
//! connection, and they share the tokens: `grant_id` says so.

use uuid::Uuid;

use super::{
    Actor, Connection, ConnectionError, ConnectionEvent, Scope, Status, TRIES_MAX, moment, record,
    room,
    secrets::{self, TokenSet},
    store,
};
use crate::{
    db::{self, DbError},
    delivery,
    engine::Engine,
    event_log,
    ids::{ConnectionId, OrganizationId},
    provider::{Account, Provider},
};

/// Accounts to be stored.
#[derive(Debug)]
pub(super) struct Linking<'a> {
    /// Whose they become.
    pub(super) organization_id: OrganizationId,
    /// The service.
    pub(super) provider: &'static Provider,
    /// What is stored as the provider: both kinds of Jira are `jira`.
    pub(super) stored_as: &'static str,
    /// Which events concern them.
    pub(super) scope: Scope,
    /// The accounts.
    pub(super) accounts: Vec<Account>,
    /// What requests for them carry, unless it is minted for each.
    pub(super) tokens: Option<TokenSet>,
    /// Who connects them.
    pub(super) actor: &'a Actor,
}

/// Stores all of them or none. Returns their connections, in the same order.
pub(super) async fn link(
    engine: &Engine,
    linking: &Linking<'_>,
) -> Result<Vec<ConnectionId>, ConnectionError> {
    for _ in 0..TRIES_MAX {
        match link_once(engine, linking).await {
            Ok(ids) => {
                for id in &ids {
                    engine.tokens.forget(*id);
                }
                engine.made_due();
                return Ok(ids);
            }
            Err(ConnectionError::VersionConflict) => {}
            // Somebody connected the same account at the same time: now it is there.
            Err(ConnectionError::Db(DbError::Database(error))) if db::is_duplicate(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(ConnectionError::VersionConflict)
}

async fn link_once(
    engine: &Engine,
    linking: &Linking<'_>,
) -> Result<Vec<ConnectionId>, ConnectionError> {
    let mut tx = engine.db.api.begin().await?;
    let installations: Vec<String> =
        linking.accounts.iter().map(|account| account.installation_id.clone()).collect();
    let known = sqlx::query!(
        "select id, installation_id, status from relay.organization_integrations
         where organization_id = $1 and provider = $2 and installation_id = any($3)
           and team_id is not distinct from $4 and project_id is not distinct from $5",
        linking.organization_id.0,
        linking.stored_as,
        &installations,
        linking.scope.team_id().map(|id| id.0),
        linking.scope.project_id().map(|id| id.0),
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = known.iter().map(|row| row.id).collect();
    event_log::hold(&mut tx, &ids).await?;
    let there = known.iter().filter(|row| row.status != Status::Disconnected.as_str()).count();
    room::check(&mut tx, linking.organization_id, installations.len().saturating_sub(there))
        .await?;
    let grant_id = Uuid::now_v7();
    let mut linked = Vec::with_capacity(linking.accounts.len());
    for account in &linking.accounts {
        let known = known.iter().find(|row| row.installation_id == account.installation_id);
        let id = match known {
            Some(row) => reconnect(&mut tx, linking, row.id.into(), account).await?,
            None => connect(&mut tx, linking, account).await?,
        };
        if let Some(tokens) = &linking.tokens {
            let (keys, owner) = (&engine.keys, linking.organization_id);
            secrets::keep_tokens(&mut tx, keys, owner, id, grant_id, tokens).await?;
        }
        linked.push(id);
    }
    tx.commit().await?;
    Ok(linked)
}

async fn reconnect(
    tx: &mut sqlx::PgConnection,
    linking: &Linking<'_>,
    id: ConnectionId,
    account: &Account,
) -> Result<ConnectionId, ConnectionError> {
    let state = store::load(tx, linking.organization_id, id).await?;
    let mut state = state.ok_or(ConnectionError::VersionConflict)?;
    let event = state.reconnect(account.clone());
    record(tx, &mut state, &[event], linking.actor).await?;
    delivery::resume(tx, id).await?;
    Ok(id)
}

async fn connect(
    tx: &mut sqlx::PgConnection,
    linking: &Linking<'_>,
    account: &Account,
) -> Result<ConnectionId, ConnectionError> {
    let id = ConnectionId::new();
    let mut metadata = account.metadata.clone();
    if let (Some(metadata), Some(destination)) = (metadata.as_object_mut(), &account.destination) {
        metadata.insert("destination".to_owned(), serde_json::json!(destination));
    }
    let event = ConnectionEvent::Connected {
        provider: linking.stored_as.to_owned(),
        installation_id: account.installation_id.clone(),
        display_name: account.display_name.clone(),
        metadata,
        team_id: linking.scope.team_id(),
        project_id: linking.scope.project_id(),
        event_types: linking.provider.event_types.iter().map(|&kind| kind.to_owned()).collect(),
        conditions: None,
    };
    let at = moment(tx).await?;
    let state = Connection::begin(id, linking.organization_id, &event, at)
        .expect("a stream begins with `connected`");
    event_log::append(tx, linking.organization_id, id, 0, &[event], linking.actor, at).await?;
    store::save(tx, &state).await?;
    Ok(id)
}
