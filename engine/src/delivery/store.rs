//! Writes what became of deliveries: many at once, each fenced by its lease.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    attempt::Settled,
    digest,
    state::{DeliveryReason, Settlement},
    tickets,
};
use crate::{
    ids::{ConnectionId, DeliveryId, OrganizationId},
    outbox::Claimed,
};

/// The most deliveries that are cancelled by one statement.
pub(super) const CANCELLED_MAX: u64 = 5_000;

/// Writes settlements in one commit: final ones leave the outbox, others become due again or are
/// parked, and each that tells something leaves its attempt row. Tickets are written and given back
/// with the settlements of their deliveries. Returns those whose lease still held; the others touched
/// nothing. Writing the same settlement twice is harmless: the second finds no lease.
pub async fn settle(
    pool: &PgPool,
    settled: &[Settled],
) -> Result<Vec<(DeliveryId, i64)>, sqlx::Error> {
    let (ended, withheld): (Vec<&Settled>, Vec<&Settled>) =
        settled.iter().partition(|one| !is_withheld(one.settlement));
    if withheld.is_empty() && ended.iter().all(|one| one.ticket.is_none() && one.others.is_empty())
    {
        // Nearly always: one statement, which commits by itself.
        return write_ended(&mut *pool.acquire().await?, &ended).await;
    }
    let mut tx = pool.begin().await?;
    let mut written = Vec::with_capacity(settled.len());
    // Parking takes connections' rows first of all.
    if !withheld.is_empty() {
        written.extend(write_withheld(&mut tx, &withheld).await?);
    }
    if !ended.is_empty() {
        written.extend(write_ended(&mut tx, &ended).await?);
    }
    let ours: Vec<&Settled> = settled
        .iter()
        .filter(|one| one.ticket.is_some() || !one.others.is_empty())
        .filter(|one| written.contains(&(one.claimed.delivery_id, one.claimed.lease)))
        .collect();
    digest::settle_others(&mut tx, &ours).await?;
    tickets::give_back(&mut tx, &ours).await?;
    tx.commit().await?;
    Ok(written)
}

fn is_withheld(settlement: Settlement) -> bool {
    matches!(settlement, Settlement::Deferred(..) | Settlement::Parked(_))
}

fn all<'a, T>(settled: &[&'a Settled], of: impl Fn(&'a Settled) -> T) -> Vec<T> {
    settled.iter().map(|one| of(one)).collect()
}

pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// What both statements write of each settlement.
struct Columns<'a> {
    organization_ids: Vec<Uuid>,
    delivery_ids: Vec<Uuid>,
    leases: Vec<i64>,
    reasons: Vec<Option<&'static str>>,
    waits: Vec<Option<i64>>,
    ages: Vec<Option<i64>>,
    durations: Vec<Option<i64>>,
    statuses: Vec<Option<i16>>,
    classes: Vec<Option<&'a str>>,
    errors: Vec<Option<&'a str>>,
    heads: Vec<Option<&'a str>>,
    versions: Vec<i64>,
    details: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn of(settled: &[&'a Settled]) -> Self {
        let wait = |settlement| match settlement {
            Settlement::Retrying(wait) | Settlement::Deferred(wait, _) => Some(micros(wait)),
            _ => None,
        };
        Self {
            organization_ids: all(settled, |s| s.claimed.organization_id.0),
            delivery_ids: all(settled, |s| s.claimed.delivery_id.0),
            leases: all(settled, |s| s.claimed.lease),
            reasons: all(settled, |s| s.settlement.reason().map(DeliveryReason::as_str)),
            waits: all(settled, |s| wait(s.settlement)),
            ages: all(settled, |s| s.exchange.as_ref().map(|e| micros(e.began.elapsed()))),
            durations: all(settled, |s| s.exchange.as_ref().map(|e| micros(e.took))),
            statuses: all(settled, |s| {
                let status = s.exchange.as_ref().and_then(|e| e.status);
                status.and_then(|status| i16::try_from(status).ok())
            }),
            classes: all(settled, |s| {
                s.code.as_deref().or_else(|| s.exchange.as_ref()?.error_class)
            }),
            errors: all(settled, |s| s.exchange.as_ref()?.error.as_deref()),
            heads: all(settled, |s| s.exchange.as_ref()?.response_head.as_deref()),
            versions: all(settled, |s| s.connection_version),
            details: all(settled, |s| s.details.as_deref()),
        }
    }
}

/// Writes those that are over, and those that failed and are tried again.
async fn write_ended(
    tx: &mut PgConnection,
    settled: &[&Settled],
) -> Result<Vec<(DeliveryId, i64)>, sqlx::Error> {
    let columns = Columns::of(settled);
    let settlements: Vec<&str> = all(settled, |s| s.settlement.as_str());
    let external_ids: Vec<Option<&str>> = all(settled, |s| s.external_id.as_deref());
    let external_urls: Vec<Option<&str>> = all(settled, |s| s.external_url.as_deref());
    let leave_lane: Vec<bool> = all(settled, |s| s.leaves_lane);
    // The fence is a join column on purpose: as a constant it would turn the plan into a scan.
    let rows = sqlx::query!(
        r#"
        with v as materialized (
            select * from unnest(
                $1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                $7::bigint[], $8::bigint[], $9::smallint[], $10::text[], $11::text[], $12::text[],
                $13::bigint[], $14::text[], $15::text[], $16::boolean[], $17::text[]
            ) as v(organization_id, delivery_id, lease, settlement, reason, wait_us, age_us,
                   duration_us, status_code, error_class, error, response_head, connection_version,
                   external_id, external_url, leaves_lane, details)
        ),
        ended as (
            delete from relay.outbox o using v
            where o.organization_id = v.organization_id and o.delivery_id = v.delivery_id
              and o.lease = v.lease and v.settlement <> 'retrying'
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, v.lease,
                      o.attempt + o.crashes + (v.age_us is not null)::integer as number, v.settlement, v.reason,
                      null::timestamptz as next_due_at, v.age_us, v.duration_us, v.status_code,
                      v.error_class, v.error, v.response_head,
                      coalesce(o.connection_version, v.connection_version) as connection_version,
                      v.external_id, v.external_url, v.details, o.replay_id
        ),
        -- What arrived of a replay is counted where it ends.
        counted as (
            insert into relay.replay_arrivals (replay_id, deliveries)
            select e.replay_id, count(*) from ended e
            where e.replay_id is not null and e.settlement = 'delivered' group by e.replay_id
        ),
        kept as (
            update relay.outbox o
            set lease = null, lease_until = null, crashes = 0, attempt = o.attempt + o.crashes + 1,
                step = o.step + 1, class = greatest(o.class, 1::smallint), waiting_for = null,
                shard = case when v.leaves_lane then relay.shard_of(o.connection_id) else o.shard end,
                due_at = now() + v.wait_us * interval '1 microsecond'
            from v
            where o.organization_id = v.organization_id and o.delivery_id = v.delivery_id
              and o.lease = v.lease and v.settlement = 'retrying'
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, v.lease,
                      o.attempt as number, v.settlement, v.reason, o.due_at as next_due_at,
                      v.age_us, v.duration_us, v.status_code, v.error_class, v.error,
                      v.response_head,
                      coalesce(o.connection_version, v.connection_version) as connection_version,
                      v.external_id, v.external_url, v.details, o.replay_id
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, lease, number, settlement,
            reason, next_due_at, started_at, duration_us, status_code, error_class, error,
            response_head, connection_version, external_id, external_url, details
        )
        select organization_id, delivery_id, connection_id, event_id, class, lease, number, settlement,
               reason, next_due_at, now() - age_us * interval '1 microsecond', duration_us, status_code,
               error_class, error, response_head, connection_version, external_id, external_url,
               details
        from (select * from ended union all select * from kept) s
        returning delivery_id, lease as "lease!"
        "#,
        &columns.organization_ids,
        &columns.delivery_ids,
        &columns.leases,
        &settlements as &[&str],
        &columns.reasons as &[Option<&str>],
        &columns.waits as &[Option<i64>],
        &columns.ages as &[Option<i64>],
        &columns.durations as &[Option<i64>],
        &columns.statuses as &[Option<i16>],
        &columns.classes as &[Option<&str>],
        &columns.errors as &[Option<&str>],
        &columns.heads as &[Option<&str>],
        &columns.versions,
        &external_ids as &[Option<&str>],
        &external_urls as &[Option<&str>],
        &leave_lane,
        &columns.details as &[Option<&str>],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.delivery_id.into(), row.lease)).collect())
}

/// Writes those that wait without being charged, and those that are parked. A request that was made
/// for one is counted and recorded, and so is parking; a mere wait leaves no trace.
async fn write_withheld(
    tx: &mut PgConnection,
    settled: &[&Settled],
) -> Result<Vec<(DeliveryId, i64)>, sqlx::Error> {
    let columns = Columns::of(settled);
    let connection_ids: Vec<Uuid> = all(settled, |s| s.claimed.connection_id.0);
    let parks: Vec<bool> = all(settled, |s| matches!(s.settlement, Settlement::Parked(_)));
    let rows = sqlx::query!(
        r#"
        with v as materialized (
            select * from unnest(
                $1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[], $5::boolean[], $6::text[],
                $7::bigint[], $8::bigint[], $9::bigint[], $10::smallint[], $11::text[], $12::text[],
                $13::text[], $14::bigint[], $15::text[]
            ) as v(organization_id, delivery_id, lease, connection_id, parks, reason, wait_us,
                   age_us, duration_us, status_code, error_class, error, response_head,
                   connection_version, details)
        ),
        -- Held until the commit: see parking.rs.
        standing as materialized (
            select c.id, c.version from relay.organization_integrations c
            where c.id = any(select v.connection_id from v where v.parks)
            order by c.id
            for share
        ),
        decided as materialized (
            -- What the connection's present version was not used for is looked at once more instead.
            select v.*, v.parks and s.version <= v.connection_version as is_parked
            from v left join standing s on s.id = v.connection_id
        ),
        moved as (
            update relay.outbox o
            set lease = null, lease_until = null,
                attempt = case when d.age_us is null then o.attempt else o.attempt + o.crashes + 1 end,
                crashes = case when d.age_us is null then o.crashes else 0 end,
                shard = case when d.is_parked then relay.parked_shard_of(o.connection_id) else o.shard end,
                waiting_for = case when d.is_parked or not d.parks then d.reason end,
                due_at = case when d.is_parked then 'infinity'
                              else now() + coalesce(d.wait_us, 0) * interval '1 microsecond' end
            from decided d
            where o.organization_id = d.organization_id and o.delivery_id = d.delivery_id
              and o.lease = d.lease
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, d.lease,
                      o.attempt as number, d.is_parked, d.reason,
                      nullif(o.due_at, 'infinity') as next_due_at, d.age_us, d.duration_us,
                      d.status_code, d.error_class, d.error, d.response_head,
                      coalesce(o.connection_version, d.connection_version) as connection_version,
                      d.details
        ),
        told as (
            insert into relay.attempts (
                organization_id, delivery_id, connection_id, event_id, class, lease, number,
                settlement, reason, next_due_at, started_at, duration_us, status_code, error_class,
                error, response_head, connection_version, details
            )
            select organization_id, delivery_id, connection_id, event_id, class, lease, number,
                   case when is_parked then 'parked' else 'retrying' end, reason, next_due_at,
                   now() - age_us * interval '1 microsecond', duration_us, status_code, error_class,
                   error, response_head, connection_version, details
            from moved where is_parked or age_us is not null
        )
        select delivery_id as "delivery_id!", lease as "lease!" from moved
        "#,
        &columns.organization_ids,
        &columns.delivery_ids,
        &columns.leases,
        &connection_ids,
        &parks,
        &columns.reasons as &[Option<&str>],
        &columns.waits as &[Option<i64>],
        &columns.ages as &[Option<i64>],
        &columns.durations as &[Option<i64>],
        &columns.statuses as &[Option<i16>],
        &columns.classes as &[Option<&str>],
        &columns.errors as &[Option<&str>],
        &columns.heads as &[Option<&str>],
        &columns.versions,
        &columns.details as &[Option<&str>],
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.delivery_id.into(), row.lease)).collect())
}

/// How long ago the last request was made for a delivery that may have had an effect nobody heard of.
/// Where an attempt only looked for such, and waited on, the answer was a plain 200.
pub(super) async fn unheard_for(
    pool: &PgPool,
    claimed: &Claimed,
) -> Result<Option<Duration>, sqlx::Error> {
    let ms = sqlx::query_scalar!(
        r#"select (extract(epoch from now() - recorded_at) * 1000)::bigint as "ms!"
           from relay.attempts
           where organization_id = $1 and delivery_id = $2 and started_at is not null
             and status_code is distinct from 200
           order by number desc, recorded_at desc limit 1"#,
        claimed.organization_id.0,
        claimed.delivery_id.0,
    )
    .fetch_optional(pool)
    .await?;
    Ok(ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
}

/// Hands back a delivery whose handler crashed: due again shortly, one crash nearer to quarantine.
pub async fn crashed(
    pool: &PgPool,
    organization_id: OrganizationId,
    delivery_id: DeliveryId,
    lease: i64,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        "update relay.outbox set lease = null, lease_until = null, crashes = crashes + 1,
                waiting_for = null, due_at = now() + interval '2 seconds'
         where organization_id = $1 and delivery_id = $2 and lease = $3",
        organization_id.0,
        delivery_id.0,
        lease,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Cancels what a connection was still promised, parked or not, in the caller's transaction. Returns
/// how many: at most [`CANCELLED_MAX`], and `sweep` sees to the rest.
pub(crate) async fn cancel(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    connection_id: ConnectionId,
    reason: DeliveryReason,
) -> Result<u64, sqlx::Error> {
    // One that is being sent right now is left to its worker, which settles it as it went.
    let promised = sqlx::query_scalar!(
        "select o.delivery_id from relay.outbox o
         where o.shard = any(array[relay.home_shard($2, false), relay.home_shard($2, true),
                                   relay.parked_shard_of($2)])
           and o.connection_id = $2 and o.organization_id = $1
           and (o.lease_until is null or o.lease_until < now())
         limit $3
         for update skip locked",
        organization_id.0,
        connection_id.0,
        i64::try_from(CANCELLED_MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(&mut *tx)
    .await?;
    cancel_these(tx, organization_id, &promised, reason).await
}

/// Cancels deliveries that the caller's transaction has locked. Returns how many.
pub(crate) async fn cancel_these(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    deliveries: &[Uuid],
    reason: DeliveryReason,
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        with gone as (
            delete from relay.outbox o using unnest($2::uuid[]) as p(delivery_id)
            where o.organization_id = $1 and o.delivery_id = p.delivery_id
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, o.attempt
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, number, settlement, reason)
        select organization_id, delivery_id, connection_id, event_id, class, attempt, 'cancelled', $3
        from gone
        "#,
        organization_id.0,
        deliveries,
        reason.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
