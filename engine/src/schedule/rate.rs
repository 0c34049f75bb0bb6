//! The limit that an admin set: never more requests than that in any span of that length.
//!
//! A bucket that held the whole count would let twice as many through in one span: a full bucket, and
//! what flows in meanwhile. So it holds a tenth, and as much less flows in.

use std::time::{Duration, Instant};

use crate::connection::limits::RateLimit;

/// The share of the count that may come at once.
const BURST_SHARE: u32 = 10;

#[derive(Debug)]
pub(super) struct Bucket {
    limit: RateLimit,
    /// The most that it holds.
    burst: u32,
    /// How often one flows in.
    every: Duration,
    /// When it is full.
    full_at: Instant,
}

impl Bucket {
    pub(super) fn full(limit: RateLimit, now: Instant) -> Self {
        let count = limit.count.max(1);
        let burst = 1 + (count - 1) / BURST_SHARE;
        let span = Duration::from_secs(u64::from(limit.seconds.max(1)));
        // Rounded up: a nanosecond too early is too early.
        let every = span / (count - burst + 1) + Duration::from_nanos(1);
        Self { limit, burst, every, full_at: now }
    }

    /// One that was empty at that moment: somebody else may have used it until then, or by another
    /// limit.
    pub(super) fn empty(limit: RateLimit, at: Instant) -> Self {
        let full = Self::full(limit, at);
        Self { full_at: at + full.every * full.burst, ..full }
    }

    pub(super) fn limit(&self) -> RateLimit {
        self.limit
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// When there is one to take, now or later.
    pub(super) fn next_at(&self, now: Instant) -> Instant {
        self.full_at.checked_sub(self.every * (self.burst - 1)).unwrap_or(now).max(now)
    }

    /// How many there are to take by that moment, if none is taken before.
    pub(super) fn by(&self, at: Instant) -> usize {
        let missing = self.full_at.saturating_duration_since(at);
        let missing = missing.as_nanos().div_ceil(self.every.as_nanos());
        (self.burst as usize).saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX))
    }

    pub(super) fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + self.every;
    }

    pub(super) fn give_back(&mut self) {
        self.full_at = self.full_at.checked_sub(self.every).unwrap_or(self.full_at);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(count: u32, seconds: u32) -> RateLimit {
        RateLimit { count, seconds }
    }

    /// Takes as soon as it may, so many times.
    fn moments(bucket: &mut Bucket, from: Instant, count: usize) -> Vec<Instant> {
        let mut now = from;
        (0..count)
            .map(|_| {
                now = bucket.next_at(now);
                bucket.take(now);
                now
            })
            .collect()
    }

    proptest! {
        #[test]
        fn b30_no_span_ever_sees_more_than_the_limit(count in 1u32..300, seconds in 1u32..100, idle in 0u64..500) {
            let (from, limit) = (Instant::now(), limit(count, seconds));
            let mut bucket = Bucket::full(limit, from);
            let mut taken = moments(&mut bucket, from, 250);
            let pause = taken[249] + Duration::from_millis(idle * 10);
            taken.extend(moments(&mut bucket, pause, 500));
            let (count, span) = (count as usize, Duration::from_secs(seconds.into()));
            for some in taken.windows(count + 1) {
                prop_assert!(some[count] - some[0] >= span, "{} within {:?}", count + 1, some[count] - some[0]);
            }
            // And nine tenths of it are used.
            let took = *taken.last().expect("750 were taken") - pause;
            let least = 500.0 / f64::from(bucket.limit().count) * f64::from(seconds);
            prop_assert!(took.as_secs_f64() <= least / 0.88, "{took:?} for {least} s");
        }
    }

    #[test]
    fn b30_after_a_take_over_it_starts_empty() {
        let from = Instant::now();
        let mut bucket = Bucket::empty(limit(100, 10), from);
        assert_eq!(bucket.by(from), 0);
        let taken = moments(&mut bucket, from, 3);
        assert!(
            taken[0] - from >= Duration::from_millis(100)
                && taken[2] - from >= Duration::from_millis(300)
        );
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let from = Instant::now();
        let mut bucket = Bucket::full(limit(1, 10), from);
        bucket.take(from);
        assert_eq!((bucket.by(from), bucket.is_full(from)), (0, false));
        bucket.give_back();
        assert_eq!((bucket.by(from), bucket.next_at(from)), (1, from));
    }
}
