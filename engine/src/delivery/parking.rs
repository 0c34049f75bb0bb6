//! Deliveries that wait, never due, until somebody sets their connection right. They keep their row in
//! the outbox, in a shard where no claim looks, so that any number of them costs the others nothing.
//!
//! Parking many at once only spares the claims: whatever it passes over is parked by its own attempt.
//! Resuming must miss none. A settlement that parks holds its connection's row shared until it is
//! committed, and parks only what the connection's newest version was used for; so [`resume`] comes
//! after the connection's row was written, in the same transaction: what was parked before is seen
//! then, and what would be parked after is made due instead.

use std::time::Duration;

use sqlx::PgConnection;

use super::state::DeliveryReason;
use crate::{connection::Connection, engine::Engine, ids::ConnectionId, outbox::interval};

/// The most deliveries that are parked by one statement.
const PARKED_MAX: i64 = 20_000;
/// The most that expire by one statement.
const EXPIRED_MAX: i64 = 5_000;

/// Parks what a connection was promised and nobody works on, in the caller's transaction. Returns how
/// many. No attempt is recorded of those: the one that found out has its own.
pub(crate) async fn park(
    tx: &mut PgConnection,
    connection: &Connection,
) -> Result<u64, sqlx::Error> {
    // Nothing is waited for here, since a settlement may wait for the connection's row.
    let done = sqlx::query!(
        r#"
        with queued as materialized (
            select o.organization_id, o.delivery_id from relay.outbox o
            where o.shard = relay.shard_of($1) and o.connection_id = $1
              and (o.lease_until is null or o.lease_until < now())
            order by o.due_at limit $2
            for update skip locked
        )
        update relay.outbox o
        set shard = relay.parked_shard_of($1), due_at = 'infinity',
            crashes = o.crashes + (o.lease is not null)::integer, lease = null, lease_until = null
        from queued
        where o.organization_id = queued.organization_id and o.delivery_id = queued.delivery_id
        "#,
        connection.id.0,
        PARKED_MAX,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Makes everything due that a connection has parked, in the caller's transaction, after that has
/// written the connection's row. Returns how many. Repeating it is harmless.
pub(crate) async fn resume(tx: &mut PgConnection, id: ConnectionId) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        // In the order of their promises: what resolves a finding stays behind it.
        "update relay.outbox o
         set shard = relay.shard_of($1), due_at = now() - parked.place * interval '1 microsecond'
         from (
             select organization_id, delivery_id, row_number() over (order by delivery_id desc) as place
             from relay.outbox
             where shard = relay.parked_shard_of($1) and connection_id = $1
         ) parked
         where o.organization_id = parked.organization_id and o.delivery_id = parked.delivery_id
           and o.shard = relay.parked_shard_of($1)",
        id.0,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Gives up on what was parked for longer than events are kept: nobody set the connection right, and
/// one such delivery would keep all events of its day. Returns how many.
pub async fn expire_parked(engine: &Engine, retention: Duration) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        with gone as (
            delete from relay.outbox o using (
                select organization_id, delivery_id from relay.outbox
                where shard < 0 and event_id < relay.uuid7_floor(now() - $1::interval) limit $2
                for update skip locked
            ) old
            where o.organization_id = old.organization_id and o.delivery_id = old.delivery_id
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, o.attempt
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, number, settlement, reason)
        select organization_id, delivery_id, connection_id, event_id, class, attempt, 'expired', $3
        from gone
        "#,
        interval(retention),
        EXPIRED_MAX,
        DeliveryReason::ParkedTooLong.as_str(),
    )
    .execute(&engine.db.work)
    .await?;
    Ok(done.rows_affected())
}
