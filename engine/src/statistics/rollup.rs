//! Counts attempts into hours: each once, in batches, by one process at a time.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{PgConnection, types::Json};

use super::histogram;
use crate::{
    clock::Timestamp,
    engine::Engine,
    metrics,
    outbox::interval,
    tail::{Seen, Window},
};

/// How many transactions the first batch reads; those after it are sized by what it found.
const TRANSACTIONS_FIRST: i64 = 500;
/// A batch that counts fewer attempts makes the next one larger, one that counts more than twice as
/// many makes it smaller.
const ATTEMPTS_WANTED: i64 = 25_000;
/// The most hours that are forgotten by one statement.
const FORGOTTEN_MAX: u64 = 5_000;

/// Counts what was recorded and is not counted yet, and returns how many attempts that was. What one
/// batch counts and how far it came are one commit, so being killed loses and doubles nothing. Where
/// another process is at it, that one does it.
pub async fn roll_up(engine: &Engine) -> Result<u64, sqlx::Error> {
    let (mut counted, mut transactions_max) = (0, TRANSACTIONS_FIRST);
    while let Some(batch) = count_batch(engine, transactions_max).await? {
        counted += batch.attempts.unsigned_abs();
        if batch.is_last {
            break;
        }
        transactions_max = resized(transactions_max, batch.attempts);
    }
    Ok(counted)
}

/// A long stop, or a stretch of transactions that were somebody else's, is caught up with in few steps.
fn resized(transactions_max: i64, attempts: i64) -> i64 {
    match attempts {
        few if few < ATTEMPTS_WANTED => transactions_max.saturating_mul(2),
        many if many > ATTEMPTS_WANTED * 2 => (transactions_max / 2).max(1),
        _ => transactions_max,
    }
}

struct Batch {
    attempts: i64,
    /// Those of them that were skipped when their events were recorded, by why.
    skipped: BTreeMap<String, u64>,
    is_last: bool,
}

/// What one batch counted.
struct Count {
    attempts: i64,
    skipped: Json<BTreeMap<String, u64>>,
}

/// One batch; `None` where another process is at it.
async fn count_batch(engine: &Engine, transactions_max: i64) -> Result<Option<Batch>, sqlx::Error> {
    let mut tx = engine.db.api.begin().await?;
    plan_for_ranges(&mut tx).await?;
    // A batch may be large: one that was broken off would be as large the next time.
    let Some(mark) = sqlx::query!(
        "select seen_below, seen_open, counts_from, set_config('statement_timeout', '60s', true)
         from relay.statistics_watermark
         for update skip locked"
    )
    .fetch_optional(&mut *tx)
    .await?
    else {
        return Ok(None);
    };
    let seen = Seen { below: mark.seen_below, open: mark.seen_open };
    let now = Seen::now(&mut tx).await?;
    let batch = if seen.is_foreign_to(&now) {
        tracing::warn!("this database was restored from another one: counting begins anew");
        advance(&mut tx, &now, true, true).await?;
        Batch { attempts: 0, skipped: BTreeMap::new(), is_last: true }
    } else {
        let window = seen.window(&now, transactions_max);
        let Count { attempts, skipped } = count(&mut tx, &window, mark.counts_from).await?;
        let is_last = window.until == now.below;
        advance(&mut tx, &window.after, is_last, false).await?;
        Batch { attempts, skipped: skipped.0, is_last }
    };
    tx.commit().await?;
    for (reason, count) in &batch.skipped {
        metrics::skipped(reason, *count);
    }
    Ok(Some(batch))
}

/// Until the transaction ends, the few newest of many attempts are found by their block ranges, which
/// a plan for any parameters would not do.
pub(crate) async fn plan_for_ranges(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "select set_config('enable_seqscan', 'off', true) as scans,
                set_config('jit', 'off', true) as compiling,
                set_config('plan_cache_mode', 'force_custom_plan', true) as plans"
    )
    .fetch_one(tx)
    .await?;
    Ok(())
}

/// Adds the attempts of a window to their hours, and returns how many there were, and which were skipped
/// when their events were recorded. A request is written under its lease; those that one message spoke
/// for as well have none.
async fn count(
    tx: &mut PgConnection,
    window: &Window,
    counts_from: Timestamp,
) -> Result<Count, sqlx::Error> {
    sqlx::query_as!(
        Count,
        r#"
        with news as materialized (
            select a.organization_id, a.connection_id, a.settlement,
                   case when a.lease is null and a.settlement = 'skipped' then a.reason end as unsent,
                   date_bin('1 hour', a.recorded_at, '2000-01-01 00:00:00+00') as hour,
                   a.started_at is not null and a.lease is not null as is_request,
                   case when a.settlement = 'delivered' and a.class <> 2 then width_bucket(
                       extract(epoch from a.started_at + a.duration_us * interval '1 microsecond'
                                          - relay.uuid7_time(a.event_id))::float8 * 1000,
                       $1::float8[]) end as bucket
            from relay.attempts a
            where a.recorded_at >= $2
              and ((a.transaction_id >= $3 and a.transaction_id < $4
                    and a.transaction_id <> all($5::bigint[]))
                   or a.transaction_id = any($6::bigint[]))
        ),
        counted as (
            select connection_id, hour, organization_id,
                   count(*) filter (where is_request)::integer as requests,
                   count(*) filter (where is_request and settlement not in ('delivered', 'skipped'))::integer
                       as failed,
                   count(*) filter (where settlement = 'delivered')::integer as delivered,
                   count(*) filter (where settlement = 'dead')::integer as dead,
                   count(*) filter (where settlement = 'skipped')::integer as skipped,
                   count(*) filter (where settlement = 'cancelled')::integer as cancelled,
                   count(*) filter (where settlement = 'expired')::integer as expired,
                   count(*) filter (where settlement = 'parked')::integer as parked,
                   -- Each has its own with it: looked up among all, their number would count twice.
                   max(bucket) as top, array_agg(bucket) filter (where bucket is not null) as buckets
            from news group by connection_id, hour, organization_id
        ),
        added as (
            insert into relay.connection_hours as h (
                connection_id, hour, organization_id, requests, failed, delivered, dead, skipped,
                cancelled, expired, parked, latency)
            select c.connection_id, c.hour, c.organization_id, c.requests, c.failed, c.delivered,
                   c.dead, c.skipped, c.cancelled, c.expired, c.parked, array(
                       select count(bucket)::integer
                       from generate_series(0, c.top) as place
                       left join unnest(c.buckets) as bucket on bucket = place
                       group by place order by place)
            from counted c
            on conflict (connection_id, hour) do update set
                requests = h.requests + excluded.requests, failed = h.failed + excluded.failed,
                delivered = h.delivered + excluded.delivered, dead = h.dead + excluded.dead,
                skipped = h.skipped + excluded.skipped,
                cancelled = h.cancelled + excluded.cancelled,
                expired = h.expired + excluded.expired, parked = h.parked + excluded.parked,
                latency = relay.add_counts(h.latency, excluded.latency)
        )
        select count(*) as "attempts!",
               (select coalesce(jsonb_object_agg(s.unsent, s.many), '{}')
                from (select unsent, count(*) as many from news
                      where unsent is not null group by unsent) s)
                   as "skipped!: Json<BTreeMap<String, u64>>"
        from news
        "#,
        &histogram::bounds(),
        counts_from,
        window.from,
        window.until,
        &window.open,
        &window.late,
    )
    .fetch_one(tx)
    .await
}

async fn advance(
    tx: &mut PgConnection,
    seen: &Seen,
    is_last: bool,
    begins_anew: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update relay.statistics_watermark
         set seen_below = $1, seen_open = $2,
             caught_up_at = case when $3 then now() else caught_up_at end,
             counts_from = case when $4 then now() else counts_from end",
        seen.below,
        &seen.open,
        is_last,
        begins_anew,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// How long something may have been recorded that no statistics count, whoever counts.
pub async fn lag(engine: &Engine) -> Result<Duration, sqlx::Error> {
    let ms = sqlx::query_scalar!(
        r#"select (extract(epoch from now() - caught_up_at) * 1000)::bigint as "ms!"
           from relay.statistics_watermark"#
    )
    .fetch_one(&engine.db.api)
    .await?;
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

/// Forgets hours past retention. Returns how many; repeating it is harmless.
pub async fn forget_old(engine: &Engine, retention: Duration) -> Result<u64, sqlx::Error> {
    let mut forgotten = 0;
    loop {
        let done = sqlx::query!(
            "delete from relay.connection_hours h using (
                 select connection_id, hour from relay.connection_hours
                 where hour < now() - $1::interval order by hour limit $2
                 for update skip locked
             ) old
             where h.connection_id = old.connection_id and h.hour = old.hour",
            interval(retention),
            i64::try_from(FORGOTTEN_MAX).unwrap_or(i64::MAX),
        )
        .execute(&engine.db.api)
        .await?;
        forgotten += done.rows_affected();
        if done.rows_affected() < FORGOTTEN_MAX {
            return Ok(forgotten);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_find_their_size() {
        assert_eq!(resized(500, 0), 1_000);
        assert_eq!(resized(500, ATTEMPTS_WANTED), 500);
        assert_eq!(resized(500, ATTEMPTS_WANTED * 2 + 1), 250);
        assert_eq!(resized(1, i64::MAX), 1);
        assert_eq!(resized(i64::MAX, 0), i64::MAX);
        // A hundred million transactions of somebody else's are few steps.
        let (mut size, mut steps, mut passed) = (TRANSACTIONS_FIRST, 0, 0);
        while passed < 100_000_000 {
            passed += size;
            (size, steps) = (resized(size, 0), steps + 1);
        }
        assert!(steps < 20, "{steps}");
    }
}
