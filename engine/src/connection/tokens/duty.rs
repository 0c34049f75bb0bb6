//! What is done about consents and tokens from time to time, whether or not anybody asks.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Need, TokenUnavailable, held};
use crate::{
    connection::store,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    oauth::states,
    outbox::interval,
};

/// Tokens renewed in one round.
const ROUND: i64 = 256;
/// Tokens renewed at once.
const AT_ONCE: usize = 16;
/// When a token that could not be renewed comes up again.
const AGAIN: Duration = Duration::from_secs(2 * 60);

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tended {
    /// Tokens renewed before they ended.
    pub renewed: u64,
    /// Tokens that could not be renewed now.
    pub failed: u64,
    /// States of consents forgotten.
    pub purged: u64,
}

/// Renews the tokens that are near their end, or whose refresh token would lapse unused, and forgets
/// old states. Several processes may do it at once.
pub async fn tend(engine: &Engine) -> Result<Tended, DbError> {
    let purged = states::purge(engine).await?;
    let due = sqlx::query!(
        "select id, organization_id from relay.organization_integrations
         where refresh_after <= now() and status = 'connected'
         order by refresh_after limit $1",
        ROUND
    )
    .fetch_all(&engine.db.api)
    .await?;
    let renewed = stream::iter(due)
        .map(|row| renew_ahead(engine, row.organization_id.into(), row.id.into()))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<bool>>()
        .await;
    let good = renewed.iter().filter(|&&renewed| renewed).count() as u64;
    Ok(Tended { renewed: good, failed: renewed.len() as u64 - good, purged })
}

async fn renew_ahead(engine: &Engine, owner: OrganizationId, id: ConnectionId) -> bool {
    let done = renewed(engine, owner, id).await;
    if let Err(why) = &done {
        tracing::warn!(connection.id = %id, ?why, "a token was not renewed ahead of its end");
    }
    // Whatever could not be renewed lets the others go first.
    let later = sqlx::query!(
        "update relay.organization_integrations set refresh_after = now() + $2
         where id = $1 and refresh_after <= now()",
        id.0,
        interval(AGAIN),
    )
    .execute(&engine.db.api)
    .await;
    if let Err(error) = later {
        tracing::warn!(error = %error, "a token comes up again at once");
    }
    done.is_ok()
}

async fn renewed(
    engine: &Engine,
    owner: OrganizationId,
    id: ConnectionId,
) -> Result<(), TokenUnavailable> {
    let mut database = engine.db.api.acquire().await?;
    let state = store::load(&mut database, owner, id).await?;
    drop(database);
    let Some(state) = state else { return Ok(()) };
    held(engine, &state, &Need::Ahead).await.map(drop)
}
