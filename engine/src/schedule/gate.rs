//! The gate before one connection: whether a request may begin now, and what is learned from each.

use std::time::{Duration, Instant};

use super::{
    Change, Limits, Outcome, Trouble,
    breaker::{Breaker, Says, Turned},
    concurrency::Concurrency,
    mark::Mark,
    rate::Bucket,
};
use crate::connection::limits::RateLimit;

/// The longest hold, whatever a receiver asks for.
const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Who asks for peace again and again with nothing taken in between is left alone for longer and
/// longer, from this up to [`PATIENCE_MAX`], even if it asks for less.
const PATIENCE: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(60);
/// A hold that is prolonged by less than this is not told again.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// What a limit will let through so soon may already be here.
const SOON: Duration = Duration::from_millis(500);
/// How long what was learned is kept while nothing is sent.
const KEPT: Duration = Duration::from_secs(60);
/// The same of one that is failing: longer than any delivery waits for its last attempt.
const KEPT_FAILING: Duration = Duration::from_secs(8 * 24 * 60 * 60);

#[derive(Debug)]
pub(super) struct Gate {
    under_way: usize,
    concurrency: Concurrency,
    breaker: Breaker,
    mark: Mark,
    held_until: Option<Instant>,
    /// Times that it asked for peace since it last took something.
    holds: u32,
    bucket: Option<Bucket>,
    heard_at: Instant,
}

/// Whether a request may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Go,
    /// Once another one has ended.
    Full,
    /// Not before this moment.
    NotBefore(Instant),
}

impl Gate {
    pub(super) fn new(limits: &Limits, seed: u64, now: Instant) -> Self {
        Self {
            under_way: 0,
            concurrency: Concurrency::new(limits.connection_concurrency),
            breaker: Breaker::new(seed),
            mark: Mark::default(),
            held_until: None,
            holds: 0,
            bucket: None,
            heard_at: now,
        }
    }

    /// As a former owner left it.
    pub(super) fn restore(&mut self, trouble: &Trouble, now: Instant) {
        if trouble.failing {
            self.mark.restore(now);
        }
        self.breaker.restore(trouble.open_for, trouble.openings, now);
        if let Some((held_for, _)) = &trouble.held_for {
            self.held_until = Some(now + (*held_for).min(HOLD_MAX));
            self.holds = 1;
        }
        if *trouble != Trouble::default() {
            self.concurrency.ramp(self.under_way);
        }
    }

    /// Keeps to an admin's limit from now on. A bucket begins full unless somebody else may have used
    /// it until `empty_at`; a limit that has changed begins empty.
    pub(super) fn limit_rate(
        &mut self,
        limit: Option<RateLimit>,
        empty_at: Option<Instant>,
        now: Instant,
    ) {
        match (limit, &self.bucket) {
            (None, None) => {}
            (None, Some(_)) => self.bucket = None,
            (Some(limit), Some(bucket)) if bucket.limit() == limit => {}
            (Some(limit), Some(_)) => self.bucket = Some(Bucket::empty(limit, now)),
            (Some(limit), None) => {
                let full = || Bucket::full(limit, now);
                self.bucket = Some(empty_at.map_or_else(full, |at| Bucket::empty(limit, at)));
            }
        }
    }

    /// Its admin set it right, or says so: what was heard of the receiver before counts no more.
    pub(super) fn set_right(&mut self, now: Instant) {
        (self.held_until, self.holds) = (None, 0);
        self.breaker.hurry(now);
    }

    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    pub(super) fn admission(&self, now: Instant) -> Admission {
        if let Some(until) = self.held_until.filter(|until| now < *until) {
            return Admission::NotBefore(until);
        }
        let most = match self.breaker.says(now) {
            Says::NotBefore(until) => return Admission::NotBefore(until),
            Says::One => 1,
            Says::Yes => self.concurrency.limit(),
        };
        if self.under_way >= most {
            return Admission::Full;
        }
        match self.bucket.as_ref().map(|bucket| bucket.next_at(now)) {
            Some(at) if now < at => Admission::NotBefore(at),
            _ => Admission::Go,
        }
    }

    /// How many of its deliveries are worth having here, those under way counted.
    pub(super) fn window(&self, now: Instant) -> usize {
        if self.held_until.is_some_and(|until| now < until) {
            return 0;
        }
        let most = match self.breaker.says(now) {
            Says::NotBefore(_) => return 0,
            Says::One => 1,
            Says::Yes => self.concurrency.limit() * 2,
        };
        let allowed = self.bucket.as_ref().map(|bucket| self.under_way + bucket.by(now + SOON));
        most.min(allowed.unwrap_or(most))
    }

    /// How many that wait may stay here: all, unless they cannot go for a while.
    pub(super) fn keeps(&self, now: Instant) -> usize {
        let is_held = self.held_until.is_some_and(|until| now < until);
        match self.breaker.says(now) {
            _ if is_held => 0,
            Says::NotBefore(_) => 0,
            Says::One => 1,
            Says::Yes => self.bucket.as_ref().map_or(usize::MAX, |bucket| bucket.by(now + SOON)),
        }
    }

    /// A request begins, as `admission` allows.
    pub(super) fn begin(&mut self, now: Instant) {
        self.under_way += 1;
        self.breaker.begin();
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
    }

    /// The request that began did not begin after all.
    pub(super) fn give_back(&mut self) {
        self.under_way -= 1;
        self.breaker.said_nothing();
        if let Some(bucket) = &mut self.bucket {
            bucket.give_back();
        }
    }

    /// A request ended.
    pub(super) fn ended(&mut self, outcome: Outcome, limits: &Limits, now: Instant) -> Vec<Change> {
        self.under_way = self.under_way.saturating_sub(1);
        self.heard_at = now;
        let mut changes = Vec::new();
        match outcome {
            Outcome::Succeeded => {
                self.concurrency.succeeded(self.under_way);
                if self.held_until.is_none_or(|until| until <= now) {
                    (self.held_until, self.holds) = (None, 0);
                }
                self.judge(false, limits, now, &mut changes);
                changes.extend(self.mark.succeeded(now));
            }
            Outcome::Failed => {
                self.concurrency.failed(self.under_way);
                changes.extend(self.mark.failed(now));
                self.judge(true, limits, now, &mut changes);
            }
            Outcome::Throttled(wait) => {
                changes.extend(self.mark.failed(now));
                // It is alive, which only a probe should have found out.
                if self.breaker.is_probing() {
                    self.judge(true, limits, now, &mut changes);
                }
                self.hold(wait, now, &mut changes);
            }
            Outcome::Nothing => {
                self.concurrency.said_nothing();
                self.breaker.said_nothing();
            }
        }
        changes
    }

    fn judge(&mut self, failed: bool, limits: &Limits, now: Instant, changes: &mut Vec<Change>) {
        match self.breaker.judge(failed, limits.breaker_open, now) {
            None => {}
            Some(Turned::Opened { until, openings }) => {
                changes.push(Change::BreakerOpened { until, openings });
            }
            Some(Turned::Closed) => {
                self.concurrency.ramp(self.under_way);
                changes.push(Change::BreakerClosed);
            }
        }
    }

    fn hold(&mut self, wait: Duration, now: Instant, changes: &mut Vec<Change>) {
        self.concurrency.ramp(self.under_way);
        let held_until = self.held_until.filter(|until| now < *until);
        let mut wait = wait;
        if held_until.is_none() {
            let patience = PATIENCE.saturating_mul(2u32.saturating_pow(self.holds));
            if self.holds > 0 {
                wait = wait.max(patience.min(PATIENCE_MAX));
            }
            self.holds = self.holds.saturating_add(1);
        }
        let until = now + wait.min(HOLD_MAX);
        if held_until.is_none_or(|held| held + WORTH_TELLING < until) {
            changes.push(Change::Held { until, because: "throttled" });
        }
        self.held_until = Some(held_until.map_or(until, |held| held.max(until)));
    }

    /// Whether what it knows may be forgotten while nothing of the connection is here.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let is_free = self.under_way == 0
            && self.held_until.is_none_or(|until| until <= now)
            && self.bucket.as_ref().is_none_or(|bucket| bucket.is_full(now));
        let is_pristine = self.concurrency.is_pristine()
            && self.breaker.is_pristine()
            && self.mark.is_pristine(now)
            && self.holds == 0;
        let is_bad = self.mark.is_failing() || !self.breaker.is_closed();
        let quiet_since = self.held_until.map_or(self.heard_at, |until| until.max(self.heard_at));
        let is_quiet = now >= quiet_since + if is_bad { KEPT_FAILING } else { KEPT };
        is_free && (is_pristine || is_quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(256, 64, Duration::from_secs(5))
    }

    fn gate(now: Instant) -> Gate {
        Gate::new(&limits(), 7, now)
    }

    /// Begins as many as it may.
    fn begin_all(gate: &mut Gate, now: Instant) -> usize {
        let mut begun = 0;
        while gate.admission(now) == Admission::Go {
            gate.begin(now);
            begun += 1;
        }
        begun
    }

    #[test]
    fn f21_a_receiver_that_asks_for_peace_gets_it_and_is_then_asked_carefully() {
        let now = Instant::now();
        let mut gate = gate(now);
        assert_eq!(begin_all(&mut gate, now), 16);
        let minute = Duration::from_secs(60);
        let changes = gate.ended(Outcome::Throttled(minute), &limits(), now);
        let held = Change::Held { until: now + minute, because: "throttled" };
        assert_eq!(changes, [Change::Failing, held]);
        assert_eq!(gate.admission(now), Admission::NotBefore(now + minute));
        assert_eq!(gate.window(now), 0);
        for _ in 0..5 {
            assert_eq!(gate.ended(Outcome::Throttled(minute), &limits(), now), [], "told once");
        }
        for _ in 0..10 {
            gate.ended(Outcome::Succeeded, &limits(), now);
        }
        assert_eq!(gate.admission(now), Admission::NotBefore(now + minute), "and nothing lifts it");
        let mut at = now + minute;
        for trip in 1..10 {
            let begun = begin_all(&mut gate, at);
            assert!((1..=trip).contains(&begun), "{begun} in round trip {trip}");
            at += Duration::from_millis(50);
            for _ in 0..begun {
                gate.ended(Outcome::Succeeded, &limits(), at);
            }
        }
    }

    #[test]
    fn who_asks_again_and_again_is_left_alone_for_longer() {
        let mut now = Instant::now();
        let mut gate = gate(now);
        let mut waits = Vec::new();
        for _ in 0..9 {
            gate.begin(now);
            gate.ended(Outcome::Throttled(Duration::from_secs(1)), &limits(), now);
            let Admission::NotBefore(until) = gate.admission(now) else { panic!("not held") };
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        gate.begin(now);
        gate.ended(Outcome::Succeeded, &limits(), now);
        gate.begin(now);
        gate.ended(Outcome::Throttled(Duration::from_secs(1)), &limits(), now);
        assert_eq!(gate.admission(now), Admission::NotBefore(now + Duration::from_secs(1)));
    }

    #[test]
    fn b28_the_probe_is_alone_even_while_old_requests_hang() {
        let now = Instant::now();
        let mut gate = gate(now);
        assert_eq!(begin_all(&mut gate, now), 16);
        let mut changes = Vec::new();
        for _ in 0..10 {
            changes.extend(gate.ended(Outcome::Failed, &limits(), now));
        }
        let Some(Change::BreakerOpened { until, openings: 1 }) = changes.last() else {
            panic!("it did not open: {changes:?}")
        };
        assert_eq!(gate.admission(*until), Admission::Full, "six hang still");
        for _ in 0..6 {
            gate.ended(Outcome::Failed, &limits(), *until);
        }
        assert_eq!((begin_all(&mut gate, *until), gate.window(*until)), (1, 1));
        let changes = gate.ended(Outcome::Succeeded, &limits(), *until);
        assert_eq!(changes, [Change::BreakerClosed, Change::Recovered]);
        assert_eq!(begin_all(&mut gate, *until), 1, "the ramp begins with one");
    }

    #[test]
    fn b29_what_never_began_uses_up_neither_the_probe_nor_the_limit() {
        let now = Instant::now();
        let mut gate = gate(now);
        gate.limit_rate(Some(RateLimit { count: 1, seconds: 10 }), None, now);
        gate.restore(
            &Trouble { failing: true, open_for: Some(Duration::ZERO), ..Trouble::default() },
            now,
        );
        gate.begin(now);
        assert_eq!(gate.admission(now), Admission::Full);
        gate.give_back();
        assert_eq!(gate.admission(now), Admission::Go);
        gate.begin(now);
        gate.ended(Outcome::Nothing, &limits(), now);
        let Admission::NotBefore(next) = gate.admission(now) else { panic!("one was sent") };
        assert!(next >= now + Duration::from_secs(10));
        assert_eq!(gate.admission(next), Admission::Go, "the probe is still to be made");
    }

    #[test]
    fn b30_another_limit_takes_effect_at_once_and_a_new_owner_begins_empty() {
        let now = Instant::now();
        let (wide, narrow) =
            (RateLimit { count: 1_000, seconds: 1 }, RateLimit { count: 1, seconds: 60 });
        let mut gate = gate(now);
        gate.limit_rate(Some(wide), None, now);
        assert_eq!(begin_all(&mut gate, now), 16);
        gate.limit_rate(Some(narrow), None, now);
        gate.ended(Outcome::Succeeded, &limits(), now);
        assert!(
            matches!(gate.admission(now), Admission::NotBefore(at) if at > now + Duration::from_secs(59))
        );
        assert_eq!(gate.window(now), 15, "nothing more is claimed");
        let mut taken_over = self::gate(now);
        taken_over.limit_rate(Some(narrow), Some(now), now);
        assert!(matches!(taken_over.admission(now), Admission::NotBefore(_)));
    }

    #[test]
    fn what_is_well_is_forgotten_and_what_is_not_is_kept() {
        let now = Instant::now();
        let mut gate = gate(now);
        assert!(gate.is_forgettable(now));
        gate.begin(now);
        gate.ended(Outcome::Failed, &limits(), now);
        assert!(!gate.is_forgettable(now + Duration::from_secs(24 * 60 * 60)));
        gate.begin(now);
        gate.ended(Outcome::Succeeded, &limits(), now);
        assert!(!gate.is_forgettable(now) && gate.is_forgettable(now + KEPT));
    }
}
