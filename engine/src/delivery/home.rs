//! Moves what waits to where its connection's deliveries belong now: into its lane, or out of it.
//!
//! A lane begins with what is promised from then on, and with what was not tried yet. Whatever is
//! passed over, because somebody has it or because there is too much, is sent from where it is.

use sqlx::PgConnection;

use crate::connection::Connection;

/// The most deliveries that are moved by one statement.
const MOVED_MAX: i64 = 20_000;

/// Follows a change of order or digest, in the caller's transaction, after that has written the
/// connection's row. What no digest gathers any more is due at once. Returns how many were moved or
/// brought forward; repeating it is harmless.
pub(crate) async fn move_home(
    tx: &mut PgConnection,
    connection: &Connection,
) -> Result<u64, sqlx::Error> {
    let in_lane = connection.ordering.is_some() || connection.digest_minutes.is_some();
    let done = sqlx::query!(
        r#"
        with waiting as materialized (
            select q.organization_id, q.delivery_id
            from unnest(array[relay.home_shard($1, false), relay.home_shard($1, true)]) as home(shard)
            cross join lateral (
                select o.organization_id, o.delivery_id, o.event_id from relay.outbox o
                where o.shard = home.shard and o.connection_id = $1 and o.lease is null
                  and (o.shard >= 64 or o.class = 0 and o.attempt = 0)
                order by o.event_id limit $4
                for update skip locked
            ) q
            order by q.event_id limit $4
        )
        update relay.outbox o
        set shard = relay.home_shard($1, $2),
            due_at = case when o.attempt = 0
                     then least(o.due_at, coalesce(relay.digest_end($1, $3), now()))
                     else o.due_at end
        from waiting w
        where o.organization_id = w.organization_id and o.delivery_id = w.delivery_id
        "#,
        connection.id.0,
        in_lane,
        connection.digest_minutes.map(i32::from),
        MOVED_MAX,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
