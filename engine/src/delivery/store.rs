//! Writes what became of deliveries: many at once, each fenced by its lease.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    attempt::Settled,
    state::{DeliveryReason, Settlement},
};
use crate::ids::{ConnectionId, DeliveryId, OrganizationId};

/// Writes settlements in one statement and one commit: final ones leave the outbox, others become
/// due again, and each leaves its attempt row. Returns those whose lease still held; the others
/// touched nothing. Writing the same settlement twice is harmless: the second finds no lease.
pub async fn settle(
    pool: &PgPool,
    settled: &[Settled],
) -> Result<Vec<(DeliveryId, i64)>, sqlx::Error> {
    fn all<'a, T>(settled: &'a [Settled], of: impl Fn(&'a Settled) -> T) -> Vec<T> {
        settled.iter().map(of).collect()
    }
    let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    let organization_ids: Vec<Uuid> = all(settled, |s| s.claimed.organization_id.0);
    let delivery_ids: Vec<Uuid> = all(settled, |s| s.claimed.delivery_id.0);
    let leases: Vec<i64> = all(settled, |s| s.claimed.lease);
    let settlements: Vec<&str> = all(settled, |s| s.settlement.as_str());
    let reasons: Vec<Option<&str>> =
        all(settled, |s| s.settlement.reason().map(DeliveryReason::as_str));
    let waits: Vec<Option<i64>> = all(settled, |s| match s.settlement {
        Settlement::Retrying(wait) => Some(micros(wait)),
        _ => None,
    });
    let ages: Vec<Option<i64>> =
        all(settled, |s| s.exchange.as_ref().map(|e| micros(e.began.elapsed())));
    let durations: Vec<Option<i64>> = all(settled, |s| s.exchange.as_ref().map(|e| micros(e.took)));
    let statuses: Vec<Option<i16>> = all(settled, |s| {
        s.exchange.as_ref().and_then(|e| e.status).and_then(|status| i16::try_from(status).ok())
    });
    let classes: Vec<Option<&str>> =
        all(settled, |s| s.exchange.as_ref().and_then(|e| e.error_class));
    let errors: Vec<Option<&str>> =
        all(settled, |s| s.exchange.as_ref().and_then(|e| e.error.as_deref()));
    let heads: Vec<Option<&str>> =
        all(settled, |s| s.exchange.as_ref().and_then(|e| e.response_head.as_deref()));
    let versions: Vec<i64> = all(settled, |s| s.connection_version);
    // The fence is a join column on purpose: as a constant it would turn the plan into a scan.
    let rows = sqlx::query!(
        r#"
        with v as materialized (
            select * from unnest(
                $1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],
                $7::bigint[], $8::bigint[], $9::smallint[], $10::text[], $11::text[], $12::text[],
                $13::bigint[]
            ) as v(organization_id, delivery_id, lease, settlement, reason, wait_us, age_us,
                   duration_us, status_code, error_class, error, response_head, connection_version)
        ),
        ended as (
            delete from relay.outbox o using v
            where o.organization_id = v.organization_id and o.delivery_id = v.delivery_id
              and o.lease = v.lease and v.settlement <> 'retrying'
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, v.lease,
                      o.attempt + o.crashes + (v.age_us is not null)::integer as number, v.settlement, v.reason,
                      null::timestamptz as next_due_at, v.age_us, v.duration_us, v.status_code,
                      v.error_class, v.error, v.response_head, v.connection_version
        ),
        kept as (
            update relay.outbox o
            set lease = null, lease_until = null, crashes = 0, attempt = o.attempt + o.crashes + 1,
                step = o.step + 1, class = greatest(o.class, 1::smallint),
                due_at = now() + v.wait_us * interval '1 microsecond'
            from v
            where o.organization_id = v.organization_id and o.delivery_id = v.delivery_id
              and o.lease = v.lease and v.settlement = 'retrying'
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class, v.lease,
                      o.attempt as number, v.settlement, v.reason, o.due_at as next_due_at,
                      v.age_us, v.duration_us, v.status_code, v.error_class, v.error,
                      v.response_head, v.connection_version
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, lease, number, settlement,
            reason, next_due_at, started_at, duration_us, status_code, error_class, error,
            response_head, connection_version
        )
        select organization_id, delivery_id, connection_id, event_id, class, lease, number, settlement,
               reason, next_due_at, now() - age_us * interval '1 microsecond', duration_us, status_code,
               error_class, error, response_head, connection_version
        from (select * from ended union all select * from kept) s
        returning delivery_id, lease as "lease!"
        "#,
        &organization_ids,
        &delivery_ids,
        &leases,
        &settlements as &[&str],
        &reasons as &[Option<&str>],
        &waits as &[Option<i64>],
        &ages as &[Option<i64>],
        &durations as &[Option<i64>],
        &statuses as &[Option<i16>],
        &classes as &[Option<&str>],
        &errors as &[Option<&str>],
        &heads as &[Option<&str>],
        &versions,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.delivery_id.into(), row.lease)).collect())
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
                due_at = now() + interval '2 seconds'
         where organization_id = $1 and delivery_id = $2 and lease = $3",
        organization_id.0,
        delivery_id.0,
        lease,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Cancels what a connection was still promised, in the caller's transaction.
pub(crate) async fn cancel(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    connection_id: ConnectionId,
    reason: DeliveryReason,
) -> Result<u64, sqlx::Error> {
    // One that is being sent right now is left to its worker, which settles it as it went.
    let done = sqlx::query!(
        r#"
        with gone as (
            delete from relay.outbox
            where shard = relay.shard_of($2) and connection_id = $2 and organization_id = $1
              and (lease_until is null or lease_until < now())
            returning organization_id, delivery_id, connection_id, event_id, class, attempt
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, number, settlement, reason)
        select organization_id, delivery_id, connection_id, event_id, class, attempt, 'cancelled', $3
        from gone
        "#,
        organization_id.0,
        connection_id.0,
        reason.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}
