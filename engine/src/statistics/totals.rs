//! What an organization's deliveries came to in a day and in a week: added up from the counted hours.

use chrono::TimeDelta;

use super::hours::whole;
use crate::{clock::Timestamp, db::DbError, engine::Engine, id_time, ids::OrganizationId};

/// How many events are counted: of more it is not said that there are more.
pub const EVENTS_COUNTED_MAX: i64 = 10_000;

/// A day and a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Deliveries that arrived, of the last 24 hours.
    pub delivered_24h: i64,
    /// Deliveries that were given up on or of no use any more, of the last 24 hours.
    pub failed_24h: i64,
    /// Deliveries that came to an end, in whatever way, of the last 24 hours.
    pub ended_24h: i64,
    /// The same of the last 7 days.
    pub ended_7d: i64,
    /// Events that were reported in the last 7 days, up to [`EVENTS_COUNTED_MAX`].
    pub events_7d: i64,
}

impl Totals {
    /// How many of a hundred arrived of those that were tried to their end; `None` where there were none.
    #[must_use]
    pub fn success_percent(&self) -> Option<f64> {
        let tried = self.delivered_24h + self.failed_24h;
        (tried > 0).then(|| (self.delivered_24h as f64 * 1_000.0 / tried as f64).round() / 10.0)
    }
}

/// Adds up the hours of all of an organization's connections, removed ones among them. The hour that goes
/// on is one of the 24.
pub async fn totals(
    engine: &Engine,
    organization_id: OrganizationId,
    now: Timestamp,
) -> Result<Totals, DbError> {
    let day = whole(now) - TimeDelta::hours(23);
    let week = whole(now) - TimeDelta::hours(7 * 24 - 1);
    let row = sqlx::query!(
        r#"select coalesce(sum(h.delivered) filter (where h.hour >= $3), 0) as "delivered_24h!",
                  coalesce(sum(h.dead + h.expired) filter (where h.hour >= $3), 0) as "failed_24h!",
                  coalesce(sum(h.skipped + h.cancelled) filter (where h.hour >= $3), 0) as "other_24h!",
                  coalesce(sum(h.delivered + h.dead + h.expired + h.skipped + h.cancelled), 0) as "ended_7d!",
                  (select count(*) from (
                      select from relay.event_log_product e
                      where e.organization_id = $1 and e.id >= $4 limit $5) counted) as "events_7d!"
           from relay.organization_integrations c
           join relay.connection_hours h on h.connection_id = c.id and h.hour >= $2
           where c.organization_id = $1"#,
        organization_id.0,
        week,
        day,
        id_time::floor(now - TimeDelta::days(7)),
        EVENTS_COUNTED_MAX,
    )
    .fetch_one(&engine.db.api)
    .await?;
    Ok(Totals {
        delivered_24h: row.delivered_24h,
        failed_24h: row.failed_24h,
        ended_24h: row.delivered_24h + row.failed_24h + row.other_24h,
        ended_7d: row.ended_7d,
        events_7d: row.events_7d,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_tried_to_its_end_is_neither_a_success_nor_a_failure() {
        let totals = Totals { delivered_24h: 2, failed_24h: 1, ended_24h: 9, ..Totals::default() };
        assert_eq!(totals.success_percent(), Some(66.7));
        assert_eq!(Totals { ended_24h: 9, ..Totals::default() }.success_percent(), None);
    }
}
