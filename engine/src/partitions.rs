//! Keeps days' partitions ahead of time, drops those past retention, and measures what matters.

use std::time::Duration;

use crate::{db::DbError, engine::Engine, metrics, outbox};

/// Makes the partitions of the days to come. Repeating it is harmless. Returns how many were new.
pub async fn ensure(engine: &Engine) -> Result<i32, DbError> {
    let made = sqlx::query_scalar!(r#"select relay.ensure_partitions() as "made!""#)
        .fetch_one(&engine.db.api)
        .await?;
    Ok(made)
}

/// Drops the days that retention no longer covers. Returns how many went.
pub async fn drop_old(engine: &Engine, retention: Duration) -> Result<i32, DbError> {
    let dropped = sqlx::query_scalar!(
        r#"select relay.drop_old_partitions($1) as "dropped!""#,
        outbox::interval(retention)
    )
    .fetch_one(&engine.db.api)
    .await?;
    Ok(dropped)
}

/// Reads what the alarms watch and sets the gauges.
pub async fn measure(engine: &Engine) -> Result<(), DbError> {
    for row in sqlx::query!(
        r#"select parent as "parent!", row_count as "rows!" from relay.rows_in_default_partitions()"#
    )
    .fetch_all(&engine.db.api)
    .await?
    {
        metrics::default_partition_rows(row.parent, row.rows);
    }
    metrics::oldest_due(outbox::oldest_due(&engine.db.api).await?);
    Ok(())
}

/// What a look at the database found.
#[derive(Clone, Debug)]
pub struct Health {
    /// Rows in default partitions.
    pub outside: i64,
    /// Whether tomorrow's partitions are there.
    pub tomorrow: bool,
    /// How long the oldest due delivery has been waiting.
    pub oldest_due: Duration,
    /// Keys that sealed something and are not in the ring.
    pub unreadable_key_ids: Vec<String>,
}

/// Looks at what an operator should know.
pub async fn health(engine: &Engine) -> Result<Health, DbError> {
    let row = sqlx::query!(
        r#"select (select sum(row_count)::bigint from relay.rows_in_default_partitions()) as "outside!",
                  to_regclass('relay.attempts_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD'))
                      is not null as "tomorrow!""#
    )
    .fetch_one(&engine.db.api)
    .await?;
    let known = engine.keys.ids();
    let sealed_by = sqlx::query_scalar!("select distinct key_id from relay.secrets")
        .fetch_all(&engine.db.api)
        .await?;
    Ok(Health {
        outside: row.outside,
        tomorrow: row.tomorrow,
        oldest_due: outbox::oldest_due(&engine.db.api).await?,
        unreadable_key_ids: sealed_by
            .into_iter()
            .filter(|id| !known.contains(&id.as_str()))
            .collect(),
    })
}
