//! What was counted of connections, hour by hour.

use std::collections::BTreeMap;

use chrono::{DateTime, DurationRound, TimeDelta};

use super::histogram::{Histogram, Latency};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// What attempts came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests made; a message that spoke for many deliveries is one.
    pub requests: u64,
    /// Requests that did not bring their delivery to its end.
    pub failed: u64,
    /// Deliveries that arrived.
    pub delivered: u64,
    /// Deliveries given up on.
    pub dead: u64,
    /// Deliveries not sent because of how the connection stood.
    pub skipped: u64,
    /// Deliveries not sent because the connection was removed.
    pub cancelled: u64,
    /// Deliveries that were of no use any more.
    pub expired: u64,
    /// Times that a delivery was parked.
    pub parked: u64,
    latency: Histogram,
}

impl Counts {
    /// How long deliveries took from their event to the receiver's answer; replays are left out.
    #[must_use]
    pub fn latency(&self) -> Option<Latency> {
        self.latency.latency()
    }

    /// The share of requests that did not fail; `None` where there were none.
    #[must_use]
    pub fn success(&self) -> Option<f64> {
        let taken = self.requests.saturating_sub(self.failed);
        (self.requests > 0).then(|| taken as f64 / self.requests as f64)
    }

    pub(super) fn add(&mut self, row: &HourRow) {
        let add = |to: &mut u64, count: i32| *to += u64::from(count.unsigned_abs());
        add(&mut self.requests, row.requests);
        add(&mut self.failed, row.failed);
        add(&mut self.delivered, row.delivered);
        add(&mut self.dead, row.dead);
        add(&mut self.skipped, row.skipped);
        add(&mut self.cancelled, row.cancelled);
        add(&mut self.expired, row.expired);
        add(&mut self.parked, row.parked);
        self.latency.add(&row.latency);
    }
}

/// One hour.
#[derive(Clone, Debug)]
pub struct Hour {
    /// When it began.
    pub hour: Timestamp,
    /// What was recorded in it.
    pub counts: Counts,
}

/// A stored row.
pub(super) struct HourRow {
    pub(super) connection_id: uuid::Uuid,
    pub(super) hour: Timestamp,
    pub(super) requests: i32,
    pub(super) failed: i32,
    pub(super) delivered: i32,
    pub(super) dead: i32,
    pub(super) skipped: i32,
    pub(super) cancelled: i32,
    pub(super) expired: i32,
    pub(super) parked: i32,
    pub(super) latency: Vec<i32>,
}

/// The hours of a time, as they were counted.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// All that was recorded before this moment is counted.
    pub as_of: Timestamp,
    /// Every hour that the time touches, the first one first.
    pub hours: Vec<Hour>,
    /// All of them together.
    pub total: Counts,
}

/// A connection's hours that `since` to `until` touches. `None` where it belongs to another
/// organization; one that was removed keeps its hours.
pub async fn of_connection(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ConnectionId,
    since: Timestamp,
    until: Timestamp,
) -> Result<Option<Statistics>, DbError> {
    let exists = sqlx::query_scalar!(
        r#"select exists (select from relay.organization_integrations
                          where id = $1 and organization_id = $2) as "exists!""#,
        id.0,
        organization_id.0,
    )
    .fetch_one(&engine.db.api)
    .await?;
    if !exists {
        return Ok(None);
    }
    let since = whole(since);
    let as_of = as_of(engine).await?;
    let rows = sqlx::query_as!(
        HourRow,
        "select connection_id, hour, requests, failed, delivered, dead, skipped, cancelled, expired,
                parked, latency
         from relay.connection_hours where connection_id = $1 and hour >= $2 and hour < $3",
        id.0,
        since,
        until,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let mut total = Counts::default();
    rows.iter().for_each(|row| total.add(row));
    Ok(Some(Statistics { as_of, hours: by_hour(&rows, since, until), total }))
}

/// Until when everything is counted.
pub(super) async fn as_of(engine: &Engine) -> Result<Timestamp, DbError> {
    Ok(sqlx::query_scalar!("select caught_up_at from relay.statistics_watermark")
        .fetch_one(&engine.db.api)
        .await?)
}

/// When the hour of a moment began.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

/// Each hour from `since`, a whole one, to before `until`; nothing happened in those without a row.
pub(super) fn by_hour<'a>(
    rows: impl IntoIterator<Item = &'a HourRow>,
    since: Timestamp,
    until: Timestamp,
) -> Vec<Hour> {
    let mut hours: BTreeMap<Timestamp, Counts> = BTreeMap::new();
    let mut hour: DateTime<_> = since;
    while hour < until {
        hours.insert(hour, Counts::default());
        hour += TimeDelta::hours(1);
    }
    for row in rows {
        if let Some(counts) = hours.get_mut(&row.hour) {
            counts.add(row);
        }
    }
    hours.into_iter().map(|(hour, counts)| Hour { hour, counts }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn row(hour: &str, requests: i32, failed: i32) -> HourRow {
        HourRow {
            connection_id: uuid::Uuid::nil(),
            hour: at(hour),
            requests,
            failed,
            delivered: requests - failed,
            dead: 0,
            skipped: 1,
            cancelled: 0,
            expired: 0,
            parked: 0,
            latency: vec![0, requests - failed],
        }
    }

    #[test]
    fn hours_without_a_row_are_there_and_empty() {
        let rows = [
            row("2026-02-25T12:00:00Z", 4, 1),
            row("2026-02-25T12:00:00Z", 6, 1),
            row("2026-02-25T14:00:00Z", 1, 1),
        ];
        let since = whole(at("2026-02-25T11:59:59Z"));
        assert_eq!(since, at("2026-02-25T11:00:00Z"));
        let hours = by_hour(&rows, since, at("2026-02-25T14:00:00.001Z"));
        let found: Vec<(u64, u64)> =
            hours.iter().map(|hour| (hour.counts.requests, hour.counts.skipped)).collect();
        assert_eq!(found, [(0, 0), (10, 2), (0, 0), (1, 1)]);
        assert_eq!(hours[1].counts.success(), Some(0.8));
        assert_eq!(hours[0].counts.success(), None);
        assert_eq!(hours[3].counts.latency(), None, "nothing arrived");
        assert!(hours[1].counts.latency().is_some());
        assert!(by_hour(&rows, since, since).is_empty());
    }
}
