//! Makes one delivery due again because a person asked for it.

use crate::{
    audit,
    connection::{self, Actor, ConnectionError, ConnectionEvent, Status, store},
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, DeliveryId, OrganizationId},
};

/// How often a replay is tried anew when the connection changed meanwhile.
const TRIES_MAX: usize = 5;

/// A replay was not started.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// No such delivery in this organization.
    #[error("delivery not found")]
    NotFound,
    /// Its connection takes nothing now.
    #[error("the connection is not connected")]
    NotConnected,
    /// It is being sent at this moment.
    #[error("the delivery is being sent right now")]
    InFlight,
    /// Its connection wants no such events any more.
    #[error("the connection wants no such events")]
    NotWanted,
    /// Its event is no longer kept, or was erased.
    #[error("the event of this delivery is no longer kept")]
    EventExpired,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for ReplayError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Makes a delivery due now, under its old id. Where an automatic retry is waiting, or the delivery is
/// parked, that one is brought forward: there is never a second. Records who asked and why.
pub async fn replay(
    engine: &Engine,
    organization_id: OrganizationId,
    id: DeliveryId,
    actor: &Actor,
    reason: Option<&str>,
) -> Result<(), ReplayError> {
    for _ in 0..TRIES_MAX {
        match replay_once(engine, organization_id, id, actor, reason).await {
            Err(TryError::Moved) => {}
            Err(TryError::Final(error)) => return Err(error),
            Ok(()) => {
                engine.made_due();
                return Ok(());
            }
        }
    }
    Err(DbError::Unavailable("the connection keeps changing".into()).into())
}

enum TryError {
    Moved,
    Final(ReplayError),
}

impl From<ReplayError> for TryError {
    fn from(error: ReplayError) -> Self {
        Self::Final(error)
    }
}

impl From<sqlx::Error> for TryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Final(error.into())
    }
}

async fn replay_once(
    engine: &Engine,
    organization_id: OrganizationId,
    id: DeliveryId,
    actor: &Actor,
    reason: Option<&str>,
) -> Result<(), TryError> {
    let mut tx = engine.db.api.begin().await?;
    let waiting = sqlx::query!(
        r#"select connection_id, event_id, coalesce(lease_until > now(), false) as "leased!"
           from relay.outbox where organization_id = $1 and delivery_id = $2 for update"#,
        organization_id.0,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let (connection_id, event_id) = match &waiting {
        Some(row) if row.leased => return Err(ReplayError::InFlight.into()),
        Some(row) => (ConnectionId(row.connection_id), row.event_id),
        None => {
            let ended = sqlx::query!(
                "select connection_id, event_id from relay.attempts
                 where organization_id = $1 and delivery_id = $2 order by number desc limit 1",
                organization_id.0,
                id.0,
            )
            .fetch_optional(&mut *tx)
            .await?
            .ok_or(ReplayError::NotFound)?;
            (ended.connection_id.into(), ended.event_id)
        }
    };
    let mut state = store::load(&mut tx, organization_id, connection_id)
        .await?
        .filter(|state| state.status == Status::Connected && !state.paused)
        .ok_or(ReplayError::NotConnected)?;
    // A day that was looked at is not dropped before this commits: the event stays.
    let is_wanted = sqlx::query_scalar!(
        r#"select relay.wants(c, l) as "is_wanted!"
           from relay.organization_integrations c, relay.event_log l
           where c.id = $1 and l.category = 'product' and l.id = $2 and l.erased_at is null"#,
        connection_id.0,
        event_id,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if !is_wanted.ok_or(ReplayError::EventExpired)? {
        return Err(ReplayError::NotWanted.into());
    }
    if waiting.is_some() {
        sqlx::query!(
            "update relay.outbox set due_at = now(), shard = relay.shard_of(connection_id), class = 2,
                    step = 0, lease = null, lease_until = null, waiting_for = null,
                    connection_version = null, replay_id = null, replay_promised = false
             where organization_id = $1 and delivery_id = $2",
            organization_id.0,
            id.0,
        )
        .execute(&mut *tx)
        .await?;
    } else {
        let promised = sqlx::query!(
            r#"insert into relay.outbox (
                   organization_id, delivery_id, connection_id, event_id, shard, class, attempt)
               select a.organization_id, a.delivery_id, a.connection_id, a.event_id,
                      relay.shard_of(a.connection_id), 2, a.number
               from relay.attempts a
               where a.organization_id = $1 and a.delivery_id = $2
               order by a.number desc limit 1
               on conflict do nothing"#,
            organization_id.0,
            id.0,
        )
        .execute(&mut *tx)
        .await?;
        if promised.rows_affected() == 0 {
            // Somebody else's replay came first and serves both: it is no longer taken back when that
            // is called off. Or it is over already, which shows at a second look.
            let shared = sqlx::query!(
                "update relay.outbox set replay_promised = false
                 where organization_id = $1 and delivery_id = $2",
                organization_id.0,
                id.0,
            )
            .execute(&mut *tx)
            .await?;
            if shared.rows_affected() == 0 {
                return Err(TryError::Moved);
            }
            tx.commit().await?;
            return Ok(());
        }
    }
    let event =
        ConnectionEvent::DeliveryReplayed { delivery_id: id, reason: audit::kept_reason(reason) };
    match connection::record(&mut tx, &mut state, &[event], actor).await {
        Ok(()) => {}
        Err(ConnectionError::Db(error)) => return Err(ReplayError::from(error).into()),
        Err(_) => return Err(TryError::Moved),
    }
    tx.commit().await?;
    Ok(())
}
