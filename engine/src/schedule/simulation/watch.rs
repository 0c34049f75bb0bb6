//! Sees every step and complains of what must not be.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::scenario::{Connection, Scenario};
use crate::schedule::{Outcome, Trouble};

/// So many of other classes may go one after the other while something new waits: 2 and 1.
const OTHERS_IN_A_ROW_MAX: u32 = 3;

/// How long a connection must be quiet for a gate to forget that it comes back.
const KEPT: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Seen {
    under_way: usize,
    /// When requests began, as far back as the limit counts.
    began: VecDeque<Duration>,
    held_until: Option<Duration>,
    open_until: Option<Duration>,
    openings: u16,
    is_failing: bool,
    heard_at: Duration,
    /// Since when it comes back, and how many succeeded since then.
    ramp: Option<(Duration, usize)>,
    others_in_a_row: u32,
    last_in_lane: Option<usize>,
    /// Openings after it had closed.
    reopened: u32,
    has_closed: bool,
}

pub(super) struct Watch {
    seen: Vec<Seen>,
    by_organization: HashMap<uuid::Uuid, usize>,
    under_way: usize,
    /// After a take-over waits are nobody's fault for a while.
    excused_until: Duration,
}

impl Watch {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let seen = scenario.connections.iter().map(|_| Seen::default()).collect();
        let excused_until = Duration::ZERO;
        Self { seen, by_organization: HashMap::new(), under_way: 0, excused_until }
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// A request begins. `due` is since when it could have, `is_new` whether it is live and no backlog,
    /// `new_waits` whether such a one waited here beside it.
    pub(super) fn begins(
        &mut self,
        scenario: &Scenario,
        (n, id): (usize, usize),
        (due, is_new, new_waits): (Duration, bool, bool),
        now: Duration,
    ) {
        let connection = &scenario.connections[n];
        let limits = &scenario.limits;
        let seen = &mut self.seen[n];
        seen.under_way += 1;
        self.under_way += 1;
        let in_organization = self.by_organization.entry(connection.organization_id.0).or_default();
        *in_organization += 1;
        assert!(self.under_way <= scenario.places, "more under way than there are places");
        assert!(*in_organization <= limits.organization_concurrency, "an organization's cap");
        assert!(seen.under_way <= limits.connection_concurrency, "a connection's cap");
        if let Some(until) = seen.held_until {
            assert!(until <= now, "connection {n} is held until {until:?}");
        }
        if let Some(until) = seen.open_until {
            assert!(until <= now, "the breaker of connection {n} is open until {until:?}");
            assert_eq!(seen.under_way, 1, "the probe of connection {n} is not alone");
        }
        // What was long ago is forgotten.
        seen.ramp = seen.ramp.filter(|(since, _)| now < seen.heard_at.max(*since) + KEPT);
        if let Some((since, succeeded)) = seen.ramp {
            let trips = (now - since).as_nanos() / connection.receiver.least().as_nanos().max(1);
            let most = (1 + succeeded).min(1 + usize::try_from(trips).unwrap_or(usize::MAX));
            assert!(
                seen.under_way <= most,
                "connection {n} comes back too fast: {} after {trips} round trips and {succeeded} successes",
                seen.under_way
            );
        }
        seen.keep_to_rate(connection, now);
        if connection.in_lane {
            assert_eq!(seen.under_way, 1, "connection {n} takes one at a time");
            assert!(
                seen.last_in_lane.is_none_or(|last| last <= id),
                "the lane of {n} is out of order"
            );
            seen.last_in_lane = Some(id);
        }
        seen.others_in_a_row = if !is_new && new_waits { seen.others_in_a_row + 1 } else { 0 };
        assert!(
            seen.others_in_a_row <= OTHERS_IN_A_ROW_MAX,
            "new deliveries of {n} wait for others"
        );
        if let Some(most) = connection.waits_max.filter(|_| self.excused_until < due) {
            let waited = now - due;
            assert!(waited <= most, "delivery {id} of connection {n} waited {waited:?}");
        }
    }

    pub(super) fn ends(&mut self, scenario: &Scenario, n: usize, outcome: Outcome, now: Duration) {
        let seen = &mut self.seen[n];
        (seen.under_way, seen.heard_at) = (seen.under_way - 1, now);
        self.under_way -= 1;
        if let Some(count) =
            self.by_organization.get_mut(&scenario.connections[n].organization_id.0)
        {
            *count -= 1;
        }
        match outcome {
            Outcome::Succeeded => {
                if let Some((since, succeeded)) = &mut seen.ramp {
                    *succeeded += usize::from(*since <= now);
                    if *succeeded >= scenario.limits.connection_concurrency {
                        seen.ramp = None;
                    }
                }
            }
            Outcome::Throttled(wait) => {
                let until = seen.held_until.unwrap_or_default().max(now + wait);
                seen.held_until = Some(until);
                seen.ramp = Some((until, 0));
            }
            Outcome::Failed | Outcome::Nothing => {}
        }
    }

    /// What was new and waited here went back: whoever is not here loses its turn.
    pub(super) fn nothing_new_waits(&mut self, n: usize) {
        self.seen[n].others_in_a_row = 0;
    }

    pub(super) fn failing(&mut self, n: usize, is_failing: bool, is_news: bool) {
        let seen = &mut self.seen[n];
        assert!(!is_news || seen.is_failing != is_failing, "connection {n} is told of twice");
        seen.is_failing = is_failing;
    }

    pub(super) fn held(&mut self, n: usize, until: Duration) {
        let seen = &mut self.seen[n];
        seen.held_until = Some(seen.held_until.unwrap_or_default().max(until));
        seen.ramp = Some((until, 0));
    }

    pub(super) fn opened(&mut self, n: usize, until: Duration, openings: u16) {
        let seen = &mut self.seen[n];
        seen.reopened += u32::from(seen.has_closed);
        (seen.open_until, seen.openings, seen.ramp) = (Some(until), openings, None);
    }

    pub(super) fn closed(&mut self, n: usize, now: Duration) {
        let seen = &mut self.seen[n];
        assert!(seen.open_until.is_some(), "the breaker of connection {n} was not open");
        (seen.open_until, seen.ramp, seen.has_closed) = (None, Some((now, 0)), true);
    }

    /// How often the breaker opened after it had closed.
    pub(super) fn reopened(&self, n: usize) -> u32 {
        self.seen[n].reopened
    }

    /// What a new owner is told.
    pub(super) fn trouble(&self, n: usize, now: Duration) -> Option<Trouble> {
        let seen = &self.seen[n];
        let left = |until: Option<Duration>| until.map(|until| until.saturating_sub(now));
        let held_for = left(seen.held_until).filter(|left| !left.is_zero());
        let trouble = Trouble {
            failing: seen.is_failing,
            held_for: held_for.map(|left| (left, "throttled".to_owned())),
            open_for: left(seen.open_until),
            openings: if seen.open_until.is_some() { seen.openings } else { 0 },
        };
        (trouble != Trouble::default()).then_some(trouble)
    }

    /// Another process takes over: what it is not told of is gone.
    pub(super) fn taken_over(&mut self, now: Duration) {
        for n in 0..self.seen.len() {
            let is_told = self.trouble(n, now).is_some();
            let seen = &mut self.seen[n];
            seen.others_in_a_row = 0;
            seen.ramp = seen.ramp.filter(|_| is_told);
        }
        self.excused_until = now;
    }
}

impl Seen {
    fn keep_to_rate(&mut self, connection: &Connection, now: Duration) {
        let Some(rate) = connection.rate else { return };
        self.began.push_back(now);
        if self.began.len() > rate.count as usize {
            let first = self.began.pop_front().unwrap_or_default();
            let span = Duration::from_secs(rate.seconds.into());
            assert!(
                now - first >= span,
                "more than {rate:?} of {} in {:?}",
                connection.id,
                now - first
            );
        }
    }
}
