//! Sees to what a change of a connection left undone: one transaction lets go on, or cancels, only so
//! many deliveries. Also finds what was parked by a worker that died before it could tell why.

use sqlx::PgConnection;

use super::{
    parking::{RESUMED_MAX, resume},
    state::DeliveryReason,
    store::{CANCELLED_MAX, cancel},
};
use crate::{
    connection::Status,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Parked deliveries made due, of connections that stand well.
    pub resumed: u64,
    /// Deliveries cancelled, of connections that were removed.
    pub cancelled: u64,
}

/// A connection with something to be seen to.
#[derive(Clone, Copy, Debug)]
struct Unfinished {
    organization_id: OrganizationId,
    id: ConnectionId,
}

/// Finishes what is unfinished, a batch of each connection in turn. Repeating it is harmless, and
/// several processes may do it at once. Where nothing is unfinished it costs a look for each
/// connection with something promised.
pub async fn sweep(engine: &Engine) -> Result<Swept, sqlx::Error> {
    let mut swept = Swept::default();
    let mut unfinished = find(engine).await?;
    while !unfinished.is_empty() {
        let mut going_on = Vec::new();
        for one in unfinished {
            match batch(engine, one).await {
                Ok(Batch { swept: Swept { resumed, cancelled }, is_last }) => {
                    swept.resumed += resumed;
                    swept.cancelled += cancelled;
                    going_on.extend((!is_last).then_some(one));
                }
                Err(error) => {
                    tracing::warn!(connection.id = %one.id, error = %error, "what was promised to a connection was not seen to yet");
                }
            }
        }
        unfinished = going_on;
    }
    Ok(swept)
}

/// What one transaction did.
struct Batch {
    swept: Swept,
    is_last: bool,
}

async fn batch(engine: &Engine, one: Unfinished) -> Result<Batch, sqlx::Error> {
    let mut tx = engine.db.work.begin().await?;
    let (mut swept, mut is_last) = (Swept::default(), true);
    match hold(&mut tx, one.id).await? {
        Some(Status::Connected) => {
            swept.resumed = resume(&mut tx, one.id).await?;
            is_last = swept.resumed < RESUMED_MAX;
        }
        Some(Status::Disconnected) => {
            let reason = DeliveryReason::ConnectionRemoved;
            swept.cancelled = cancel(&mut tx, one.organization_id, one.id, reason).await?;
            is_last = swept.cancelled < CANCELLED_MAX;
        }
        _ => {}
    }
    tx.commit().await?;
    if swept.resumed > 0 {
        engine.made_due();
    }
    Ok(Batch { swept, is_last })
}

/// How the connection stands, and will until the end of the transaction; of two sweeps one has it, so
/// that the order of what goes on is kept. `None` where somebody else is at it.
async fn hold(tx: &mut PgConnection, id: ConnectionId) -> Result<Option<Status>, sqlx::Error> {
    let status = sqlx::query_scalar!(
        "select status from relay.organization_integrations where id = $1
         for no key update skip locked",
        id.0,
    )
    .fetch_optional(tx)
    .await?;
    Ok(status.map(|status| Status::from_stored(&status)))
}

/// Hops from connection to connection along the indexes, as a claim does.
async fn find(engine: &Engine) -> Result<Vec<Unfinished>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with recursive parked as (
            (
                select o.connection_id, coalesce(o.waiting_for, '') as reason from relay.outbox o
                where o.shard < 0
                order by o.connection_id, coalesce(o.waiting_for, '') limit 1
            )
            union all
            select n.connection_id, n.reason
            from parked p
            cross join lateral (
                select o.connection_id, coalesce(o.waiting_for, '') as reason from relay.outbox o
                where o.shard < 0
                  and (o.connection_id, coalesce(o.waiting_for, '')) > (p.connection_id, p.reason)
                order by o.connection_id, coalesce(o.waiting_for, '') limit 1
            ) n
        ),
        queued as (
            (
                select o.shard, o.connection_id from relay.outbox o
                where o.shard >= 0
                order by o.shard, o.connection_id limit 1
            )
            union all
            select n.shard, n.connection_id
            from queued q
            cross join lateral (
                select o.shard, o.connection_id from relay.outbox o
                where (o.shard, o.connection_id) > (q.shard, q.connection_id)
                order by o.shard, o.connection_id limit 1
            ) n
        )
        select distinct c.organization_id, c.id
        from (
            select connection_id, reason from parked
            union all
            select connection_id, null from queued
        ) promised
        join relay.organization_integrations c on c.id = promised.connection_id
        where c.status = 'disconnected'
           or (c.status = 'connected' and not c.paused and promised.reason is not null
               and not relay.stays_parked(promised.reason, c.metadata))
        "#,
    )
    .fetch_all(&engine.db.work)
    .await?;
    let unfinished = |organization_id, id| Unfinished { organization_id, id };
    Ok(rows
        .into_iter()
        .map(|row| unfinished(OrganizationId(row.organization_id), ConnectionId(row.id)))
        .collect())
}
