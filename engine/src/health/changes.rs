//! Gathers what changed at each connection, so that many changes are one row. Pure.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{
    ids::{ConnectionId, OrganizationId},
    schedule::Change,
};

/// All that changed at one connection, with times counted from one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) organization_id: OrganizationId,
    pub(super) connection_id: ConnectionId,
    /// Whether it took something again. What fails after that is a first failure.
    pub(super) has_recovered: bool,
    /// Whether it took nothing, after any recovery.
    pub(super) is_failing: bool,
    /// For how long its receiver asked us to wait, and why.
    pub(super) held: Option<(Duration, &'static str)>,
    pub(super) breaker: Option<Breaker>,
}

/// What a breaker did last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breaker {
    Opened { lasts: Duration, openings: u16 },
    Closed,
}

impl News {
    /// What the changes come to, by connection, in the order of ids: two writers never wait for each
    /// other.
    pub(super) fn of_each(
        changes: &[(OrganizationId, ConnectionId, Change)],
        now: Instant,
    ) -> Vec<Self> {
        let mut all: HashMap<ConnectionId, Self> = HashMap::new();
        for (organization_id, connection_id, change) in changes {
            let news = all.entry(*connection_id).or_insert_with(|| Self {
                organization_id: *organization_id,
                connection_id: *connection_id,
                has_recovered: false,
                is_failing: false,
                held: None,
                breaker: None,
            });
            news.learn(change, now);
        }
        let mut all: Vec<Self> = all.into_values().collect();
        all.sort_unstable_by_key(|news| news.connection_id);
        all
    }

    fn learn(&mut self, change: &Change, now: Instant) {
        match change {
            Change::Failing | Change::StillFailing => self.is_failing = true,
            Change::Recovered => (self.has_recovered, self.is_failing) = (true, false),
            Change::Held { until, because } => {
                self.held = Some((until.saturating_duration_since(now), because));
            }
            Change::BreakerOpened { until, openings } => {
                let lasts = until.saturating_duration_since(now);
                self.breaker = Some(Breaker::Opened { lasts, openings: (*openings).max(1) });
            }
            Change::BreakerClosed => self.breaker = Some(Breaker::Closed),
        }
    }

    /// Whether something is wrong now, and not only better.
    pub(super) fn is_trouble(&self) -> bool {
        self.is_failing
            || self.held.is_some()
            || matches!(self.breaker, Some(Breaker::Opened { .. }))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn changes_of_one_connection_come_to_one_row_in_the_order_given() {
        let now = Instant::now();
        let (org, a, b) = (Uuid::nil(), Uuid::from_u128(1), Uuid::from_u128(2));
        let of = |id: Uuid, change| (OrganizationId(org), ConnectionId(id), change);
        let until = now + Duration::from_secs(5);
        let changes = [
            of(b, Change::Failing),
            of(a, Change::Failing),
            of(b, Change::BreakerOpened { until, openings: 2 }),
            of(a, Change::Recovered),
            of(a, Change::StillFailing),
            of(b, Change::Held { until, because: "http_503" }),
            of(a, Change::BreakerClosed),
        ];
        let news = News::of_each(&changes, now);
        let ids: Vec<Uuid> = news.iter().map(|news| news.connection_id.0).collect();
        assert_eq!(ids, [a, b]);
        assert!(news[0].has_recovered && news[0].is_failing && news[0].is_trouble());
        assert_eq!(news[0].breaker, Some(Breaker::Closed));
        assert!(!news[1].has_recovered && news[1].is_failing);
        let lasts = Duration::from_secs(5);
        assert_eq!(news[1].breaker, Some(Breaker::Opened { lasts, openings: 2 }));
        assert_eq!(news[1].held, Some((lasts, "http_503")));
    }

    #[test]
    fn who_only_recovered_is_in_no_trouble() {
        let now = Instant::now();
        let id = Uuid::from_u128(1);
        let of = |change| (OrganizationId(id), ConnectionId(id), change);
        let changes = [of(Change::Failing), of(Change::Recovered), of(Change::BreakerClosed)];
        let news = News::of_each(&changes, now);
        assert!(news[0].has_recovered && !news[0].is_failing && !news[0].is_trouble());
        let past = [of(Change::Held { until: now, because: "http_429" })];
        let later = now + Duration::from_secs(1);
        assert_eq!(News::of_each(&past, later)[0].held, Some((Duration::ZERO, "http_429")));
    }
}
