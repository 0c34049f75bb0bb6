//! How many requests to one receiver may be under way: more with each success, half after a failure,
//! and one at first after a time of peace.

/// Where a receiver that is not known begins.
const START: usize = 16;

#[derive(Debug)]
pub(super) struct Concurrency {
    limit: usize,
    max: usize,
    /// Whether it comes back after a time of peace: it then grows by one in a round trip.
    is_ramping: bool,
    /// Requests that began before the last change: their results are not heard a second time.
    before: usize,
}

impl Concurrency {
    pub(super) fn new(max: usize) -> Self {
        Self { limit: START.min(max), max, is_ramping: false, before: 0 }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether it is as good as new.
    pub(super) fn is_pristine(&self) -> bool {
        !self.is_ramping && self.limit >= START.min(self.max)
    }

    /// Begins anew with one, whatever is under way still.
    pub(super) fn ramp(&mut self, under_way: usize) {
        (self.limit, self.is_ramping, self.before) = (1, true, under_way);
    }

    /// A request ended well; so many are under way beside it.
    pub(super) fn succeeded(&mut self, under_way: usize) {
        let is_heard = self.hear();
        if self.is_ramping {
            if is_heard {
                self.limit = (self.limit + 1).min(self.max);
                self.before = under_way;
                self.is_ramping = self.limit < self.max;
            }
        } else {
            self.limit = (self.limit + 1).min(self.max);
        }
    }

    /// A request failed; so many are under way beside it.
    pub(super) fn failed(&mut self, under_way: usize) {
        if self.hear() {
            self.limit = (self.limit / 2).max(1);
            self.before = under_way;
        }
    }

    /// A request ended and says nothing.
    pub(super) fn said_nothing(&mut self) {
        self.hear();
    }

    /// Counts a result. Whether it belongs to the present round trip.
    fn hear(&mut self) -> bool {
        let is_heard = self.before == 0;
        self.before = self.before.saturating_sub(1);
        is_heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_each_success_up_to_the_cap() {
        let mut concurrency = Concurrency::new(64);
        assert_eq!(concurrency.limit(), 16);
        for _ in 0..16 {
            concurrency.succeeded(15);
        }
        assert_eq!(concurrency.limit(), 32, "twice as many in a round trip");
        for _ in 0..100 {
            concurrency.succeeded(15);
        }
        assert_eq!(concurrency.limit(), 64);
        assert_eq!(Concurrency::new(4).limit(), 4);
    }

    #[test]
    fn failures_of_one_round_trip_halve_it_once() {
        let mut concurrency = Concurrency::new(64);
        for under_way in (0..16).rev() {
            concurrency.failed(under_way);
        }
        assert_eq!(concurrency.limit(), 8);
        for _ in 0..10 {
            concurrency.failed(0);
        }
        assert_eq!(concurrency.limit(), 1, "never less");
    }

    #[test]
    fn f19_after_a_time_of_peace_it_grows_by_one_in_a_round_trip() {
        let mut concurrency = Concurrency::new(64);
        concurrency.ramp(3);
        for _ in 0..3 {
            concurrency.succeeded(0);
        }
        assert_eq!(concurrency.limit(), 1, "what began before does not count");
        // As many as it allows, all of a round trip ending one after the other.
        for trip in 1..=20 {
            let limit = concurrency.limit();
            assert!(limit <= trip, "{limit} in round trip {trip}");
            for ended in 1..=limit {
                concurrency.succeeded(limit - ended);
            }
        }
        assert!(concurrency.limit() >= 10, "and it does grow: {}", concurrency.limit());
    }
}
