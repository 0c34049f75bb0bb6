//! Reads deliveries as they stand, by their ids.

use chrono::TimeDelta;
use uuid::Uuid;

use super::DeliveryView;
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    id_time,
    ids::{DeliveryId, OrganizationId},
    outbox::Class,
};

/// How long before its delivery's id an attempt may have been written down: as long as a caller's own
/// transaction was open before it emitted. Days before that are not searched.
pub(super) const WRITTEN_BEFORE_MAX: TimeDelta = TimeDelta::days(1);

struct Row {
    delivery_id: Uuid,
    connection_id: Uuid,
    provider: Option<String>,
    display_name: Option<String>,
    event_id: Uuid,
    kind: Option<String>,
    subject: Option<String>,
    status: String,
    attempts: i32,
    next_due_at: Option<Timestamp>,
    status_code: Option<i16>,
    error_class: Option<String>,
    error: Option<String>,
    reason: Option<String>,
    external_id: Option<String>,
    external_url: Option<String>,
    class: i16,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

impl From<Row> for DeliveryView {
    fn from(row: Row) -> Self {
        Self {
            id: row.delivery_id.into(),
            connection_id: row.connection_id.into(),
            provider: row.provider.unwrap_or_default(),
            connection_name: row.display_name.unwrap_or_default(),
            event_id: row.event_id.into(),
            event: row.kind,
            subject: row.subject,
            status: row.status,
            attempts: row.attempts,
            next_due_at: row.next_due_at,
            status_code: row.status_code,
            error_class: row.error_class,
            error: row.error,
            reason: row.reason,
            external_id: row.external_id,
            external_url: row.external_url,
            class: Class::from_number(row.class).as_str().to_owned(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Those of these deliveries that are the organization's, the newest first.
pub(super) async fn by_id(
    engine: &Engine,
    organization_id: OrganizationId,
    ids: &[DeliveryId],
) -> Result<Vec<DeliveryView>, DbError> {
    let Some(oldest) = ids.iter().min() else { return Ok(Vec::new()) };
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    // What is promised, and the last word on what is not.
    let rows = sqlx::query_as!(
        Row,
        r#"
        with queued as (
            select o.delivery_id, o.connection_id, o.event_id, e.kind, e.subject,
                   case when o.shard < 0 then 'parked' else 'pending' end as status,
                   o.attempt as attempts, nullif(o.due_at, 'infinity') as next_due_at, a.status_code,
                   a.error_class, a.error,
                   case when o.shard >= 0 then (
                            -- That it is sent, or has its time, is said by other columns.
                            select w.reason from relay.waiting_because(
                                o.waiting_for, o.due_at, o.lease_until,
                                o.shard >= 64 and s.digest_minutes is not null,
                                o.shard >= 64 and exists (
                                    select from relay.outbox f where f.connection_id = o.connection_id
                                      and f.shard >= 64 and f.event_id < o.event_id),
                                s.rate_limit_count is not null, h.held_until, h.breaker_open_until
                            ) as w(reason)
                            where w.reason not in ('sending', 'scheduled', 'due'))
                        when o.waiting_for is not null then o.waiting_for
                        when a.settlement = 'parked' then a.reason
                        -- Those that were parked with others have no attempt that says why.
                        else 'connection_error' end as reason,
                   a.external_id, a.external_url, o.class, a.recorded_at as updated_at
            from relay.outbox o
            left join lateral (
                select l.kind, l.subject from relay.event_log l
                where l.category = 'product' and l.id = o.event_id limit 1
            ) e on true
            left join lateral (
                select * from relay.attempts a
                where a.organization_id = o.organization_id and a.delivery_id = o.delivery_id
                  and a.recorded_at >= $3
                order by a.number desc, a.recorded_at desc limit 1
            ) a on true
            left join relay.organization_integrations s on s.id = o.connection_id
            left join relay.connection_health h on h.connection_id = o.connection_id
            where o.organization_id = $1 and o.delivery_id = any($2)
        ),
        ended as (
            select a.delivery_id, a.connection_id, a.event_id, e.kind, e.subject, a.settlement as status,
                   a.number as attempts, null::timestamptz as next_due_at, a.status_code,
                   a.error_class, a.error, a.reason, a.external_id, a.external_url, a.class,
                   a.recorded_at as updated_at
            from (
                select distinct on (a.delivery_id) a.*
                from relay.attempts a
                where a.organization_id = $1 and a.delivery_id = any($2) and a.recorded_at >= $3
                order by a.delivery_id desc, a.number desc, a.recorded_at desc
            ) a
            left join lateral (
                select l.kind, l.subject from relay.event_log l
                where l.category = 'product' and l.id = a.event_id limit 1
            ) e on true
            where a.settlement not in ('retrying', 'parked')
              and not exists (
                  select from relay.outbox o
                  where o.organization_id = $1 and o.delivery_id = a.delivery_id)
        )
        select d.delivery_id as "delivery_id!", d.connection_id as "connection_id!",
               c.provider as "provider?", c.display_name as "display_name?",
               d.event_id as "event_id!", d.kind, d.subject, d.status as "status!",
               d.attempts as "attempts!", d.next_due_at, d.status_code, d.error_class, d.error,
               d.reason, d.external_id, d.external_url, d.class as "class!", relay.uuid7_time(d.delivery_id) as "created_at!",
               d.updated_at
        from (select * from queued union all select * from ended) d
        left join relay.organization_integrations c on c.id = d.connection_id
        order by d.delivery_id desc
        "#,
        organization_id.0,
        &ids,
        id_time::made_at(oldest.0) - WRITTEN_BEFORE_MAX,
    )
    .fetch_all(&engine.db.api)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}
