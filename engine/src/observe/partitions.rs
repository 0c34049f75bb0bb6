//! How far the days' partitions are made ahead, and what lies outside of them.

use sqlx::PgPool;

use crate::{metrics, partitions};

pub(super) async fn read(pool: &PgPool) -> Result<(), sqlx::Error> {
    for daily in partitions::look(pool).await? {
        metrics::partitions(&daily.table, daily.days_ahead, daily.outside);
    }
    Ok(())
}
