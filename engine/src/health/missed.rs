//! What a connection missed while it was off: what an admin is offered to have sent again.

use serde::Serialize;

use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// How many deliveries are counted; of more it is only said that there are more.
pub const MISSED_MAX: i64 = 10_000;

/// Deliveries that were not sent because the connection was off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// How many, up to [`MISSED_MAX`].
    pub count: i64,
    /// Whether there are more.
    pub is_more: bool,
    /// When it went off.
    pub since: Timestamp,
}

/// What a connection missed in the last time that it was off, which may still go on; `None` where it
/// missed nothing. What is parked is not missed: it goes out by itself.
pub async fn missed(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
) -> Result<Option<Missed>, DbError> {
    let row = sqlx::query!(
        r#"
        with turned as materialized (
            select version, occurred_at,
                   kind in ('connection.paused', 'connection.disabled', 'connection.suspended',
                            'connection.errored') as is_off
            from relay.event_log
            where category = 'connection' and organization_id = $1 and stream_id = $2
              and kind in ('connection.paused', 'connection.disabled', 'connection.suspended',
                           'connection.errored', 'connection.connected', 'connection.reconnected',
                           'connection.resumed', 'connection.recovered')
        ),
        last as materialized (select max(version) as version from turned where is_off),
        -- It may have gone off for several reasons, one after the other.
        off as materialized (
            select min(t.occurred_at) as since from turned t
            where t.is_off and t.version > coalesce((
                select max(o.version) from turned o, last
                where not o.is_off and o.version < last.version), 0)
        )
        select off.since, (
            select count(distinct s.delivery_id) from (
                select a.delivery_id from relay.attempts a
                where a.connection_id = $2 and a.settlement = 'skipped'
                  and a.reason in ('connection_paused', 'connection_suspended', 'connection_error')
                  and a.recorded_at >= off.since
                limit $3
            ) s
        ) as "count!"
        from off
        "#,
        organization_id.0,
        id.0,
        MISSED_MAX + 1,
    )
    .fetch_one(&engine.db.api)
    .await?;
    Ok(row.since.filter(|_| row.count > 0).map(|since| Missed {
        count: row.count.min(MISSED_MAX),
        is_more: row.count > MISSED_MAX,
        since,
    }))
}
