//! How much is promised and not settled, and how long the oldest of it has been due.

use std::time::Duration;

use serde_json::Value;
use sqlx::PgPool;

use crate::{metrics, outbox::Class};

/// So many rows are counted one by one; how many there are beyond is the planner's estimate.
const COUNTED_MAX: i64 = 100_000;
/// So many, where the planner expects more than twice as many as are counted: to see that it is no table
/// that was just emptied.
const PROBED: i64 = 10_000;
/// Of so many connections it is looked what is due first, when not every row is.
const CONNECTIONS_MAX: i64 = 10_000;

const CLASSES: [Class; 3] = [Class::Live, Class::Retry, Class::Replay];

/// What was found of one class.
#[derive(Clone, Copy, Debug, Default)]
struct Queued {
    deliveries: i64,
    oldest: Duration,
}

/// Reads the outbox by class. `by_index` never walks through the table: what was deleted last may take up
/// most of it.
pub(super) async fn read(by_index: &PgPool, pool: &PgPool) -> Result<(), sqlx::Error> {
    let parked = sqlx::query_scalar!(
        r#"select count(*) as "count!" from (select from relay.outbox where shard < 0 limit $1) o"#,
        COUNTED_MAX,
    )
    .fetch_one(by_index)
    .await?;
    let is_large = estimated(pool, "shard >= 0").await? > 2.0 * COUNTED_MAX as f64;
    let most = if is_large { PROBED } else { COUNTED_MAX };
    let mut classes = counted(by_index, most).await?;
    let is_whole = classes.iter().map(|class| class.deliveries).sum::<i64>() < most;
    if !is_whole {
        for (number, oldest) in first_of_connections(by_index).await? {
            if let Some(class) = classes.get_mut(number) {
                class.oldest = class.oldest.max(oldest);
            }
        }
    }
    for (class, found) in CLASSES.iter().zip(&classes) {
        let mut deliveries = found.deliveries as f64;
        if !is_whole {
            let of_class = format!("shard >= 0 and class = {}", class.number());
            deliveries = deliveries.max(estimated(pool, &of_class).await?);
        }
        metrics::queued(class.as_str(), deliveries);
        metrics::oldest_due(class.as_str(), found.oldest);
    }
    let mut parked_in_all = parked as f64;
    if parked >= COUNTED_MAX {
        parked_in_all = parked_in_all.max(estimated(pool, "shard < 0").await?);
    }
    metrics::queued("parked", parked_in_all);
    Ok(())
}

/// Counts what is not parked, by class, up to a bound.
async fn counted(by_index: &PgPool, most: i64) -> Result<[Queued; 3], sqlx::Error> {
    let rows = sqlx::query!(
        r#"select o.class, count(*) as "deliveries!",
                  coalesce(extract(epoch from now() - min(o.due_at)), 0)::float8 as "oldest!"
           from (select class, due_at from relay.outbox where shard >= 0 limit $1) o
           group by o.class"#,
        most,
    )
    .fetch_all(by_index)
    .await?;
    let mut classes = [Queued::default(); 3];
    for row in rows {
        if let Some(class) = usize::try_from(row.class).ok().and_then(|n| classes.get_mut(n)) {
            *class = Queued { deliveries: row.deliveries, oldest: span(row.oldest) };
        }
    }
    Ok(classes)
}

/// How long the first delivery of each connection has been due: the longest, by the class of that one.
/// It hops along the index, from connection to connection.
async fn first_of_connections(by_index: &PgPool) -> Result<Vec<(usize, Duration)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        with recursive hop as (
            (
                select o.shard, o.connection_id, o.due_at, o.class from relay.outbox o
                where o.shard >= 0 order by o.shard, o.connection_id, o.due_at limit 1
            )
            union all
            select n.shard, n.connection_id, n.due_at, n.class
            from hop h
            cross join lateral (
                select o.shard, o.connection_id, o.due_at, o.class from relay.outbox o
                where (o.shard, o.connection_id) > (h.shard, h.connection_id)
                order by o.shard, o.connection_id, o.due_at limit 1
            ) n
        )
        select f.class as "class!", extract(epoch from now() - min(f.due_at))::float8 as "oldest!"
        from (select class, due_at from hop limit $1) f group by f.class
        "#,
        CONNECTIONS_MAX,
    )
    .fetch_all(by_index)
    .await?;
    let known = |class: i16| usize::try_from(class).ok();
    Ok(rows.iter().filter_map(|row| Some((known(row.class)?, span(row.oldest)))).collect())
}

/// How many rows the planner expects, from what Postgres last saw of the table.
async fn estimated(pool: &PgPool, condition: &str) -> Result<f64, sqlx::Error> {
    let asked = format!("explain (format json) select from relay.outbox where {condition}");
    // The conditions are those above: nothing comes from outside.
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(asked)).fetch_one(pool).await?;
    let rows = plan[0]["Plan"]["Plan Rows"].as_f64().unwrap_or(0.0);
    // One is what it says where it expects none.
    Ok(if rows > 1.0 { rows } else { 0.0 })
}

/// What is due in the future has not waited.
fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
