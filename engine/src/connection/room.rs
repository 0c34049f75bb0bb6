//! How many connections an organization may have at once.

use super::ConnectionError;
use crate::{db, ids::OrganizationId};

/// The most that an organization has at once; what it removed is not counted.
pub const CONNECTIONS_MAX: i64 = 1_000;

/// Refuses `more` connections where there is no room for them. Of many that are made at once no more get in
/// than may: whoever asks is alone until its transaction ends.
pub(super) async fn check(
    tx: &mut sqlx::PgConnection,
    organization_id: OrganizationId,
    more: usize,
) -> Result<(), ConnectionError> {
    if more == 0 {
        return Ok(());
    }
    db::one_at_a_time(tx, "relay.connections", organization_id).await?;
    let there = sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.organization_integrations
           where organization_id = $1 and status <> 'disconnected'"#,
        organization_id.0,
    )
    .fetch_one(tx)
    .await?;
    if there.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)) > CONNECTIONS_MAX {
        return Err(ConnectionError::refused(
            "too_many_connections",
            format!("An organization has at most {CONNECTIONS_MAX} integrations. Remove one first"),
        ));
    }
    Ok(())
}
