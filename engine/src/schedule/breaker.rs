//! Leaves a receiver alone that fails again and again: closed, open, and one probe before it closes.

use std::time::{Duration, Instant};

/// Failures one after the other that open it.
const IN_A_ROW_MAX: u32 = 10;
/// Or half of so many of the last.
const RECENT: u32 = 40;
/// Of which there must be so many at least.
const RECENT_MIN: u32 = 20;
/// The longest that it stays open, as a multiple of the first time: 5 minutes for 5 seconds.
const LONGEST: u32 = 60;
/// Each time is drawn from this share around it.
const JITTER: f64 = 0.2;
/// Successes after it closed that make the next opening a first one again.
const PROVEN: u32 = 20;

#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// The last results, the newest in the lowest bit: 1 is a failure.
    recent: u64,
    /// How many of those bits mean something.
    counted: u32,
    in_a_row: u32,
    openings: u16,
    /// Successes since it closed.
    proven: u32,
    /// So that many that open at one moment do not come back at one moment.
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, is_probing: bool },
}

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Yes.
    Yes,
    /// One, with nothing else under way.
    One,
    /// Not before this moment.
    NotBefore(Instant),
}

/// What a result changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Opened { until: Instant, openings: u16 },
    Closed,
}

impl Breaker {
    pub(super) fn new(seed: u64) -> Self {
        let state = State::Closed;
        Self { state, recent: 0, counted: 0, in_a_row: 0, openings: 0, proven: 0, seed }
    }

    /// As a former owner left it.
    pub(super) fn restore(&mut self, open_for: Option<Duration>, openings: u16, now: Instant) {
        self.openings = openings;
        if let Some(open_for) = open_for {
            self.state = State::Open { until: now + open_for, is_probing: false };
        }
    }

    /// Finds out at once, instead of later.
    pub(super) fn hurry(&mut self, now: Instant) {
        if let State::Open { until, .. } = &mut self.state {
            *until = now.min(*until);
        }
    }

    pub(super) fn says(&self, now: Instant) -> Says {
        match self.state {
            State::Closed => Says::Yes,
            State::Open { until, .. } if now < until => Says::NotBefore(until),
            State::Open { .. } => Says::One,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether nothing speaks against the receiver.
    pub(super) fn is_pristine(&self) -> bool {
        self.is_closed() && self.recent == 0 && self.openings == 0
    }

    /// A request begins, as `says` allows.
    pub(super) fn begin(&mut self) {
        if let State::Open { is_probing, .. } = &mut self.state {
            *is_probing = true;
        }
    }

    /// The request that began said nothing, or never began: another one may find out.
    pub(super) fn said_nothing(&mut self) {
        if let State::Open { is_probing, .. } = &mut self.state {
            *is_probing = false;
        }
    }

    /// Whether the one that finds out is under way.
    pub(super) fn is_probing(&self) -> bool {
        matches!(self.state, State::Open { is_probing: true, .. })
    }

    pub(super) fn judge(&mut self, failed: bool, first: Duration, now: Instant) -> Option<Turned> {
        match self.state {
            // What began before it opened says nothing new.
            State::Open { is_probing: false, .. } => None,
            State::Open { is_probing: true, .. } if failed => Some(self.open(first, now)),
            State::Open { is_probing: true, .. } => {
                let (openings, seed) = (self.openings, self.seed);
                *self = Self { openings, ..Self::new(seed) };
                Some(Turned::Closed)
            }
            State::Closed => {
                self.recent = (self.recent << 1 | u64::from(failed)) & ((1 << RECENT) - 1);
                self.counted = (self.counted + 1).min(RECENT);
                self.in_a_row = if failed { self.in_a_row + 1 } else { 0 };
                if !failed {
                    self.proven += 1;
                    if self.proven >= PROVEN {
                        self.openings = 0;
                    }
                }
                let is_half = self.recent.count_ones() * 2 >= self.counted;
                let is_bad = self.in_a_row >= IN_A_ROW_MAX
                    || failed && self.counted >= RECENT_MIN && is_half;
                is_bad.then(|| self.open(first, now))
            }
        }
    }

    fn open(&mut self, first: Duration, now: Instant) -> Turned {
        self.openings = self.openings.saturating_add(1);
        let times = 2u32.saturating_pow(u32::from(self.openings) - 1).min(LONGEST);
        let share = 1.0 - JITTER + 2.0 * JITTER * draw(self.seed ^ u64::from(self.openings));
        let until = now + first.saturating_mul(times).mul_f64(share);
        self.state = State::Open { until, is_probing: false };
        Turned::Opened { until, openings: self.openings }
    }
}

/// A number in `[0, 1)` that looks like chance.
fn draw(seed: u64) -> f64 {
    (mix(seed) >> 11) as f64 / (1u64 << 53) as f64
}

/// The step of splitmix64.
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(5);

    fn fail(breaker: &mut Breaker, now: Instant) -> Option<Turned> {
        breaker.judge(true, FIRST, now)
    }

    fn opened(turned: Option<Turned>) -> (Instant, u16) {
        match turned {
            Some(Turned::Opened { until, openings }) => (until, openings),
            other => panic!("it did not open: {other:?}"),
        }
    }

    #[test]
    fn b28_ten_failures_in_a_row_open_it_and_one_probe_closes_it() {
        let (now, mut breaker) = (Instant::now(), Breaker::new(7));
        for _ in 0..9 {
            assert_eq!(fail(&mut breaker, now), None);
        }
        let (until, openings) = opened(fail(&mut breaker, now));
        assert_eq!((openings, breaker.says(now)), (1, Says::NotBefore(until)));
        assert!((4.0..=6.0).contains(&(until - now).as_secs_f64()));
        // What was under way when it opened changes nothing.
        assert_eq!((fail(&mut breaker, now), breaker.judge(false, FIRST, now)), (None, None));
        assert_eq!(breaker.says(until), Says::One);
        breaker.begin();
        assert!(breaker.is_probing());
        assert_eq!(breaker.judge(false, FIRST, until), Some(Turned::Closed));
        assert_eq!(breaker.says(until), Says::Yes);
        assert_eq!(fail(&mut breaker, until), None, "what was before is forgotten");
    }

    #[test]
    fn b28_a_failed_probe_opens_it_for_twice_as_long_up_to_sixty_times() {
        let (mut now, mut breaker) = (Instant::now(), Breaker::new(7));
        for _ in 0..9 {
            fail(&mut breaker, now);
        }
        let mut last = Duration::ZERO;
        for expected in [5, 10, 20, 40, 80, 160, 300, 300] {
            let (until, _) = opened(fail(&mut breaker, now));
            last = until - now;
            let share = last.as_secs_f64() / f64::from(expected);
            assert!((0.8..=1.2).contains(&share), "{last:?} for {expected} s");
            now = until;
            breaker.begin();
        }
        assert!(last > Duration::from_secs(200));
        breaker.judge(false, FIRST, now);
        for _ in 0..PROVEN {
            breaker.judge(false, FIRST, now);
        }
        assert!(breaker.is_pristine(), "twenty successes make it new: {breaker:?}");
    }

    #[test]
    fn half_of_the_last_forty_open_it_once_there_are_twenty() {
        let (now, mut breaker) = (Instant::now(), Breaker::new(7));
        let judged = (1..).find(|n| breaker.judge(n % 2 == 0, FIRST, now).is_some());
        assert_eq!(judged, Some(20));
        let mut breaker = Breaker::new(7);
        for n in 0..1_000 {
            assert_eq!(breaker.judge(n % 3 == 0, FIRST, now), None, "a third is bearable");
        }
    }

    #[test]
    fn many_that_open_together_do_not_come_back_together() {
        let now = Instant::now();
        let mut ends: Vec<_> = (0..1_000)
            .map(|seed| {
                let mut breaker = Breaker::new(seed);
                for _ in 0..9 {
                    fail(&mut breaker, now);
                }
                opened(fail(&mut breaker, now)).0 - now
            })
            .collect();
        ends.sort_unstable();
        assert!(ends[999] - ends[0] > Duration::from_millis(1_800));
        let crowd = ends.windows(100).map(|some| some[99] - some[0]).min();
        assert!(crowd > Some(Duration::from_millis(100)), "a tenth within {crowd:?}");
    }
}
