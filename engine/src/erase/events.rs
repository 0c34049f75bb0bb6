//! What was reported, and what is promised of it.

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Asking, Batch, Counts, rest};
use crate::{
    delivery::{self, DeliveryReason},
    engine::Engine,
    id_time,
    ids::OrganizationId,
};

/// The events of one batch.
const EVENTS: i64 = 1_000;
/// Where payloads are read: each may have 256 KiB.
const EVENTS_READ: i64 = 200;
/// The promises that one batch cancels.
const PROMISES: i64 = 1_000;
/// An event's deliveries are made by the statement that records it: their ids lie near its own.
const MADE_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// Blanks events; of a subject's, what is promised is cancelled and what was tried is blanked along.
pub(super) async fn blank(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    let limit = if asking.subject.is_some() { EVENTS_READ } else { EVENTS };
    let page = sqlx::query!(
        r#"select (array_agg(p.id order by p.id desc))[1] as last, count(*) as "count!"
           from (select id from relay.event_log_product
                 where organization_id = $1 and id > $2 order by id limit $3) p"#,
        asking.organization_id.0,
        asking.after,
        limit,
    )
    .fetch_one(&mut *tx)
    .await?;
    let Some(last) = page.last else { return Ok(Batch::default()) };
    let mut ids = sqlx::query_scalar!(
        "update relay.event_log l
         set payload = '{}', subject = null, source = null, actor = null, traceparent = null,
             erased_at = clock_timestamp()
         where l.category = 'product' and l.organization_id = $1 and l.id > $2 and l.id <= $3
           and l.erased_at is null
           and ($4::text is null or l.payload::jsonb::text ~* relay.standing_alone($4)
                or l.subject ~* relay.standing_alone($4) or l.source ~* relay.standing_alone($4))
         returning l.id",
        asking.organization_id.0,
        asking.after,
        last,
        asking.subject,
    )
    .fetch_all(&mut *tx)
    .await?;
    ids.sort_unstable();
    let mut counts = Counts { events: ids.len() as u64, ..Counts::default() };
    if let (Some(_), Some(oldest), Some(newest)) = (asking.subject, ids.first(), ids.last()) {
        counts.deliveries = cancel(tx, asking).await?;
        let from = id_time::floor(id_time::made_at(*oldest) - MADE_WITHIN);
        let until = id_time::floor(id_time::made_at(*newest) + MADE_WITHIN);
        counts.attempts = rest::blank_attempts_of(tx, asking, &ids, from, until).await?;
    }
    let next = (page.count >= limit).then_some(last);
    Ok(Batch { looked: u64::try_from(page.count).unwrap_or(0), counts, next, ..Batch::default() })
}

/// Cancels what is promised of what was erased. What is being sent at this moment ends by itself.
pub(super) async fn cancel_promises(
    tx: &mut PgConnection,
    asking: &Asking<'_>,
) -> Result<Batch, sqlx::Error> {
    if asking.is_rehearsal {
        let deliveries = promised(tx, asking).await?;
        return Ok(Batch {
            counts: Counts { deliveries, ..Counts::default() },
            ..Batch::default()
        });
    }
    let deliveries = cancel(tx, asking).await?;
    let is_more = deliveries >= u64::try_from(PROMISES).unwrap_or(0);
    let under_way = if is_more { 0 } else { promised(tx, asking).await? };
    Ok(Batch {
        counts: Counts { deliveries, ..Counts::default() },
        next: is_more.then_some(Uuid::nil()),
        under_way,
        ..Batch::default()
    })
}

/// How many deliveries an organization is promised.
pub(super) async fn promised_to(
    engine: &Engine,
    organization_id: OrganizationId,
) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.outbox where organization_id = $1"#,
        organization_id.0,
    )
    .fetch_one(&engine.db.api)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// How many of what was erased are left, be it because somebody sends them.
async fn promised(tx: &mut PgConnection, asking: &Asking<'_>) -> Result<u64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.outbox o
           where o.organization_id = $1
             and ($2 or exists (select from relay.event_log l
                                where l.category = 'product' and l.id = o.event_id
                                  and l.erased_at is not null))"#,
        asking.organization_id.0,
        asking.subject.is_none(),
    )
    .fetch_one(tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

async fn cancel(tx: &mut PgConnection, asking: &Asking<'_>) -> Result<u64, sqlx::Error> {
    let reason = match asking.subject {
        None => DeliveryReason::ConnectionRemoved,
        Some(_) => DeliveryReason::EventMissing,
    };
    let promised = sqlx::query_scalar!(
        "select o.delivery_id from relay.outbox o
         where o.organization_id = $1 and (o.lease_until is null or o.lease_until < now())
           and ($2 or exists (select from relay.event_log l
                              where l.category = 'product' and l.id = o.event_id
                                and l.erased_at is not null))
         limit $3
         for update of o skip locked",
        asking.organization_id.0,
        asking.subject.is_none(),
        PROMISES,
    )
    .fetch_all(&mut *tx)
    .await?;
    delivery::cancel_these(tx, asking.organization_id, &promised, reason).await
}
