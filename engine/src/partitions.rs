//! Keeps days' partitions ahead of time, and drops those past retention.

use std::time::Duration;

use sqlx::PgPool;

use crate::{db::DbError, engine::Engine, outbox};

/// No more days ahead than these are looked for.
const DAYS_MAX: i32 = 30;

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

/// A table with a partition for each day.
#[derive(Clone, Debug)]
pub struct Daily {
    /// Its name.
    pub table: String,
    /// How many days after today have their partition; negative where today has none.
    pub days_ahead: i32,
    /// Rows in its default partition.
    pub outside: i64,
}

/// Looks how far partitions are made, table by table.
pub async fn look(pool: &PgPool) -> Result<Vec<Daily>, sqlx::Error> {
    sqlx::query_as!(
        Daily,
        r#"
        select r.parent as "table!", r.row_count as "outside!",
               (select coalesce(min(day), $1 + 1) - 1 from generate_series(0, $1) as day
                where to_regclass('relay.' || r.parent || '_' || to_char(
                    (now() at time zone 'UTC')::date + day, 'YYYYMMDD')) is null) as "days_ahead!"
        from relay.rows_in_default_partitions() r
        "#,
        DAYS_MAX,
    )
    .fetch_all(pool)
    .await
}

/// What a look at the database found.
#[derive(Clone, Debug)]
pub struct Health {
    /// Rows in default partitions.
    pub outside: i64,
    /// How many days after today have all of their partitions; negative where today has not.
    pub days_ahead: i32,
    /// How long the oldest due delivery has been waiting.
    pub oldest_due: Duration,
    /// Keys that sealed something and are not in the ring.
    pub unreadable_key_ids: Vec<String>,
}

/// Looks at what an operator should know.
pub async fn health(engine: &Engine) -> Result<Health, DbError> {
    let daily = look(&engine.db.api).await?;
    let known = engine.keys.ids();
    let sealed_by = sqlx::query_scalar!("select distinct key_id from relay.secrets")
        .fetch_all(&engine.db.api)
        .await?;
    Ok(Health {
        outside: daily.iter().map(|table| table.outside).sum(),
        days_ahead: daily.iter().map(|table| table.days_ahead).min().unwrap_or(-1),
        oldest_due: outbox::oldest_due(&engine.db.api).await?,
        unreadable_key_ids: sealed_by
            .into_iter()
            .filter(|id| !known.contains(&id.as_str()))
            .collect(),
    })
}
