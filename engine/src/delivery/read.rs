//! Shows deliveries and their attempts to the people of one organization.

mod filter;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
    outbox::Class,
};

pub use filter::{DeliveryFilter, DeliveryStatus, PAGE_MAX};

/// A delivery as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    /// Its id, the same that the receiver sees.
    pub id: DeliveryId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// The connection's service.
    pub provider: String,
    /// The connection's name.
    pub connection_name: String,
    /// What.
    pub event_id: EventId,
    /// The kind of event; `None` once the event is no longer kept.
    pub event: Option<String>,
    /// The event's subject.
    pub subject: Option<String>,
    /// Where it stands.
    pub status: String,
    /// Requests made so far.
    pub attempts: i32,
    /// When it is due next.
    pub next_due_at: Option<Timestamp>,
    /// The last answer's status.
    pub status_code: Option<i16>,
    /// The last failure's class, or the provider's own code for it.
    pub error_class: Option<String>,
    /// The last failure in words.
    pub error: Option<String>,
    /// Why it ended as it did, or what it waits for.
    pub reason: Option<String>,
    /// The provider's id of what was made of it, `SEC-12`.
    pub external_id: Option<String>,
    /// Where to look at that.
    pub external_url: Option<String>,
    /// `live`, `retry` or `replay`.
    pub class: String,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// One request, or one settlement without a request.
#[derive(Clone, Debug, Serialize)]
pub struct AttemptView {
    /// From 1; a settlement without a request keeps the number before it.
    pub number: i32,
    /// When the request began.
    pub started_at: Option<Timestamp>,
    /// How long it took.
    pub duration_ms: Option<f64>,
    /// The answer's status.
    pub status_code: Option<i16>,
    /// The failure's class, or the provider's own code for it.
    pub error_class: Option<String>,
    /// The failure in words.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response_head: Option<String>,
    /// The provider's id of what was made, `SEC-12`.
    pub external_id: Option<String>,
    /// Where to look at that.
    pub external_url: Option<String>,
    /// What followed.
    pub settlement: String,
    /// Why.
    pub reason: Option<String>,
    /// When the next attempt was due.
    pub next_due_at: Option<Timestamp>,
    /// The version of the connection that was used.
    pub connection_version: Option<i64>,
    /// When it was written down.
    pub recorded_at: Timestamp,
}

/// A delivery with its history.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryDetail {
    /// The delivery as it stands.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Its attempts, the first one first.
    #[serde(rename = "attempt_list")]
    pub attempts: Vec<AttemptView>,
    /// The event's data, byte for byte; `None` once the event is no longer kept.
    pub data: Option<Box<RawValue>>,
}

/// Some deliveries, and where the next page begins.
#[derive(Clone, Debug, Serialize)]
pub struct Page {
    /// The newest first.
    pub items: Vec<DeliveryView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<DeliveryId>,
}

struct Row {
    delivery_id: uuid::Uuid,
    connection_id: uuid::Uuid,
    provider: Option<String>,
    display_name: Option<String>,
    event_id: uuid::Uuid,
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

/// A page of an organization's deliveries, the newest first. Pages stay apart under inserts: the
/// cursor is an id, and ids grow with time.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
) -> Result<Page, DbError> {
    let limit = match filter.limit {
        0 => 50,
        limit => limit.min(PAGE_MAX),
    };
    let items = select(engine, organization_id, filter, None, i64::from(limit)).await?;
    let next =
        (items.len() >= usize::from(limit)).then(|| items.last().map(|item| item.id)).flatten();
    Ok(Page { items, next })
}

async fn select(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
    only: Option<DeliveryId>,
    limit: i64,
) -> Result<Vec<DeliveryView>, DbError> {
    // Two ordered sources, each stopped at the limit: what is promised, and the last word on what
    // is not. The kind is looked up row by row, so that no filter turns into a scan of the log.
    let rows = sqlx::query_as!(
        Row,
        r#"
        with queued as (
            select o.delivery_id, o.connection_id, o.event_id, e.kind, e.subject,
                   case when o.shard < 0 then 'parked' else 'pending' end as status,
                   o.attempt as attempts, nullif(o.due_at, 'infinity') as next_due_at, a.status_code,
                   a.error_class, a.error,
                   case when o.lease_until > now() then null
                        when o.waiting_for is not null then o.waiting_for
                        -- Those that were parked with others have no attempt that says why.
                        when o.shard < 0 and a.settlement is distinct from 'parked' then 'connection_error'
                        when o.shard < 0 then a.reason
                        when o.shard >= 64 and s.digest_minutes is not null then 'collected'
                        when o.due_at > now() then null
                        when h.breaker_open_until > now() then 'breaker_open'
                        when h.held_until > now() then 'held'
                        when o.shard >= 64 and exists (
                            select from relay.outbox f where f.connection_id = o.connection_id
                              and f.shard >= 64 and f.event_id < o.event_id
                        ) then 'behind_another'
                        when s.rate_limit_count is not null and o.due_at < now() - interval '1 second'
                        then 'rate_limited' end as reason,
                   a.external_id, a.external_url, o.class, a.recorded_at as updated_at
            from relay.outbox o
            left join lateral (
                select l.kind, l.subject from relay.event_log l
                where l.category = 'product' and l.id = o.event_id limit 1
            ) e on true
            left join lateral (
                select * from relay.attempts a
                where a.organization_id = o.organization_id and a.delivery_id = o.delivery_id
                order by a.number desc, a.recorded_at desc limit 1
            ) a on true
            left join relay.organization_integrations s on s.id = o.connection_id
            left join relay.connection_health h on h.connection_id = o.connection_id
            where o.organization_id = $1
              and ($2::uuid is null or o.delivery_id < $2)
              and ($3::uuid is null or o.delivery_id = $3)
              and ($4::text is null or $4 = case when o.shard < 0 then 'parked' else 'pending' end)
              and ($5::uuid is null or o.connection_id = $5)
              and ($6::uuid is null or o.event_id = $6)
              and ($7::text is null or e.kind = $7)
              and ($8::timestamptz is null or o.delivery_id >= relay.uuid7_floor($8))
              and ($9::timestamptz is null or o.delivery_id < relay.uuid7_floor($9))
            order by o.delivery_id desc limit $10
        ),
        last_words as (
            select distinct on (a.delivery_id) a.*
            from relay.attempts a
            where a.organization_id = $1
              and ($2::uuid is null or a.delivery_id < $2)
              and ($3::uuid is null or a.delivery_id = $3)
              and ($8::timestamptz is null or a.delivery_id >= relay.uuid7_floor($8))
              and ($9::timestamptz is null or a.delivery_id < relay.uuid7_floor($9))
            order by a.delivery_id desc, a.number desc, a.recorded_at desc
        ),
        ended as (
            select a.delivery_id, a.connection_id, a.event_id, e.kind, e.subject, a.settlement as status,
                   a.number as attempts, null::timestamptz as next_due_at, a.status_code,
                   a.error_class, a.error, a.reason, a.external_id, a.external_url, a.class,
                   a.recorded_at as updated_at
            from last_words a
            left join lateral (
                select l.kind, l.subject from relay.event_log l
                where l.category = 'product' and l.id = a.event_id limit 1
            ) e on true
            where a.settlement not in ('retrying', 'parked')
              and ($4::text is null or a.settlement = $4)
              and ($5::uuid is null or a.connection_id = $5)
              and ($6::uuid is null or a.event_id = $6)
              and ($7::text is null or e.kind = $7)
              and not exists (
                  select from relay.outbox o
                  where o.organization_id = $1 and o.delivery_id = a.delivery_id)
            order by a.delivery_id desc limit $10
        )
        select d.delivery_id as "delivery_id!", d.connection_id as "connection_id!",
               c.provider as "provider?", c.display_name as "display_name?",
               d.event_id as "event_id!", d.kind, d.subject, d.status as "status!",
               d.attempts as "attempts!", d.next_due_at, d.status_code, d.error_class, d.error,
               d.reason, d.external_id, d.external_url, d.class as "class!", relay.uuid7_time(d.delivery_id) as "created_at!",
               d.updated_at
        from (select * from queued union all select * from ended) d
        left join relay.organization_integrations c on c.id = d.connection_id
        order by d.delivery_id desc limit $10
        "#,
        organization_id.0,
        filter.before.map(|id| id.0),
        only.map(|id| id.0),
        filter.status.map(DeliveryStatus::as_str),
        filter.connection_id.map(|id| id.0),
        filter.event_id.map(|id| id.0),
        filter.kind,
        filter.since,
        filter.until,
        limit,
    )
    .fetch_all(&engine.db.api)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// One delivery with its attempts. `None` where it belongs to another organization.
pub async fn find(
    engine: &Engine,
    organization_id: OrganizationId,
    id: DeliveryId,
) -> Result<Option<DeliveryDetail>, DbError> {
    let all = DeliveryFilter::default();
    let Some(delivery) = select(engine, organization_id, &all, Some(id), 1).await?.pop() else {
        return Ok(None);
    };
    let attempts = sqlx::query_as!(
        AttemptView,
        r#"select number, started_at, duration_us::float8 / 1000 as duration_ms, status_code,
                  error_class, error, response_head, external_id, external_url, settlement, reason,
                  next_due_at, connection_version, recorded_at
           from relay.attempts where organization_id = $1 and delivery_id = $2
           order by number, recorded_at"#,
        organization_id.0,
        id.0,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let data = sqlx::query_scalar!(
        r#"select payload::text as "payload!" from relay.event_log
           where category = 'product' and id = $1 and organization_id = $2"#,
        delivery.event_id.0,
        organization_id.0,
    )
    .fetch_optional(&engine.db.api)
    .await?
    .and_then(|payload| RawValue::from_string(payload).ok());
    Ok(Some(DeliveryDetail { delivery, attempts, data }))
}
