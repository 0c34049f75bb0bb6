//! What was done with a replay, and by whom: facts of a stream of their own, delivered to nobody.

use serde_json::Value;
use sqlx::{PgConnection, types::Json};

use crate::ids::{OrganizationId, ReplayId};

/// A fact about a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Requested,
    Paused,
    Resumed,
    RateChanged,
    Cancelled,
    Completed,
    Failed,
}

impl Fact {
    fn kind(self) -> &'static str {
        match self {
            Self::Requested => "replay.requested",
            Self::Paused => "replay.paused",
            Self::Resumed => "replay.resumed",
            Self::RateChanged => "replay.rate_changed",
            Self::Cancelled => "replay.cancelled",
            Self::Completed => "replay.completed",
            Self::Failed => "replay.failed",
        }
    }
}

/// Appends a fact in the transaction that makes it true. `version` is the row's: whoever appends has it
/// locked, so that no two facts are given one.
pub(super) async fn record(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    id: ReplayId,
    version: i64,
    fact: Fact,
    actor: &str,
    data: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into relay.event_log (
             id, category, organization_id, stream_id, version, kind, payload, actor, occurred_at)
         values (relay.uuid7(), 'replay', $1, $2, $3, $4, $5, $6, clock_timestamp())",
        organization_id.0,
        id.0,
        version,
        fact.kind(),
        Json(data) as _,
        actor,
    )
    .execute(tx)
    .await?;
    Ok(())
}
