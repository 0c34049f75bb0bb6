//! Deliveries that wait, never due, until somebody sets their connection right. They keep their row in
//! the outbox, in a shard where no claim looks, so that any number of them costs the others nothing.
//!
//! Parking many at once only spares the claims: whatever it passes over is parked by its own attempt.
//! Resuming must miss none. A settlement that parks holds its connection's row shared until it is
//! committed, and parks only what the connection's newest version was used for; so [`resume`] comes
//! after the connection's row was written, in the same transaction: what was parked before is seen
//! then, and what would be parked after is made due instead. What is too much for one transaction, or
//! was locked at that moment, is let go on by `sweep`.

use std::time::Duration;

use sqlx::PgConnection;

use super::state::DeliveryReason;
use crate::{connection::Connection, engine::Engine, ids::ConnectionId, outbox::interval};

/// The most deliveries that are parked by one statement.
const PARKED_MAX: i64 = 20_000;
/// The most that go on by one statement.
pub(super) const RESUMED_MAX: u64 = 5_000;
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
            select q.organization_id, q.delivery_id
            from unnest(array[relay.home_shard($1, false), relay.home_shard($1, true)]) as home(shard)
            cross join lateral (
                select o.organization_id, o.delivery_id from relay.outbox o
                where o.shard = home.shard and o.connection_id = $1
                  and (o.lease_until is null or o.lease_until < now())
                order by o.due_at limit $2
                for update skip locked
            ) q
            limit $2
        )
        update relay.outbox o
        set shard = relay.parked_shard_of($1), due_at = 'infinity', waiting_for = $3,
            crashes = o.crashes + (o.lease is not null)::integer, lease = null, lease_until = null
        from queued
        where o.organization_id = queued.organization_id and o.delivery_id = queued.delivery_id
        "#,
        connection.id.0,
        PARKED_MAX,
        connection.silent_because(),
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Makes due what a connection has parked and may be sent now, the oldest events first, in the
/// caller's transaction, after that has written the connection's row. Returns how many: at most
/// [`RESUMED_MAX`], and `sweep` sees to the rest. Repeating it is harmless.
pub(crate) async fn resume(tx: &mut PgConnection, id: ConnectionId) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        // In the order of their events: what resolves a finding stays behind it.
        r#"
        with recursive reason as (
            (
                select coalesce(o.waiting_for, '') as code from relay.outbox o
                where o.shard < 0 and o.connection_id = $1
                order by coalesce(o.waiting_for, '') limit 1
            )
            union all
            select n.code from reason r
            cross join lateral (
                select coalesce(o.waiting_for, '') as code from relay.outbox o
                where o.shard < 0 and o.connection_id = $1 and coalesce(o.waiting_for, '') > r.code
                order by coalesce(o.waiting_for, '') limit 1
            ) n
        ),
        oldest as materialized (
            select w.organization_id, w.delivery_id, w.event_id,
                   relay.home_shard(c.id, c.ordering is not null or c.digest_minutes is not null) as home
            from relay.organization_integrations c
            join reason r on not relay.stays_parked(r.code, c.metadata)
            cross join lateral (
                select o.organization_id, o.delivery_id, o.event_id from relay.outbox o
                where o.shard < 0 and o.connection_id = $1 and coalesce(o.waiting_for, '') = r.code
                order by o.event_id limit $2
                for update skip locked
            ) w
            where c.id = $1 and c.status = 'connected' and not c.paused
            order by w.event_id limit $2
        ),
        placed as (
            select *, row_number() over (order by event_id desc) as place from oldest
        )
        update relay.outbox o
        set shard = p.home, due_at = now() - p.place * interval '1 microsecond', waiting_for = null
        from placed p
        where o.organization_id = p.organization_id and o.delivery_id = p.delivery_id and o.shard < 0
        "#,
        id.0,
        i64::try_from(RESUMED_MAX).unwrap_or(i64::MAX),
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
