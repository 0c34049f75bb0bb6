//! How many replays of many are not over, and whether somebody moves them on.

use std::time::Duration;

use sqlx::PgPool;

use crate::metrics;

/// A replay is due again soon after it was moved on: one that is overdue is one that nobody moves.
pub(super) async fn read(pool: &PgPool) -> Result<(), sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select count(*) filter (where status = 'counting') as "counting!",
               count(*) filter (where status = 'running') as "running!",
               count(*) filter (where status = 'paused') as "paused!",
               coalesce(extract(epoch from now() - min(next_at)
                   filter (where status in ('counting', 'running') or withdrawing)), 0)::float8
                   as "overdue!"
        from relay.replay_jobs
        where status in ('counting', 'running', 'paused') or withdrawing
        "#
    )
    .fetch_one(pool)
    .await?;
    let overdue = Duration::try_from_secs_f64(row.overdue).unwrap_or_default();
    metrics::replays(row.counting, row.running, row.paused, overdue);
    Ok(())
}
