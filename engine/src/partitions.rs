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
