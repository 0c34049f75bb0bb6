//! How a receiver behaves at one of its webhooks: promptly, slowly, failing, down, or by a limit.

use std::time::Duration;

const SECOND_NS: u64 = 1_000_000_000;

/// What a webhook does with the requests that it gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    #[default]
    Prompt,
    /// Takes each request and answers after so long.
    Slow(Duration),
    /// Takes each request and never answers.
    Hangs,
    /// Answers every n-th request with 500, and takes the others.
    FailsEvery(u64),
    /// Answers everything with 503.
    Down,
    /// Takes so many requests in each second; answers the others with 429, to come again after so
    /// many seconds.
    Limited { per_second: u32, retry_after: u32 },
}

impl Manner {
    /// How long a ramp takes, at the least, from its first request until so many are under way: a round
    /// trip for each that was added, and a round trip takes as long as the answer.
    fn ramp_ns(self, at_once: u32) -> u64 {
        let Self::Slow(wait) = self else { return 0 };
        let wait_ns = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        wait_ns.saturating_mul(u64::from(at_once.saturating_sub(1)))
    }
}

/// What to do with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    Take,
    TakeAfter(Duration),
    Never,
    Refuse(u16),
    RefuseUntil { seconds: u32 },
}

/// One webhook with its manner, and what that has to remember.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Door {
    manner: Manner,
    asked: u64,
    /// The second that is counted, and what was taken in it.
    window: (u64, u32),
    in_flight: u32,
    in_flight_max: u32,
    /// When it held its first request.
    first_ns: Option<u64>,
    is_off_ramp: bool,
}

impl Door {
    /// A new manner, and a new count.
    pub(crate) fn set(&mut self, manner: Manner) {
        *self = Self { manner, in_flight: self.in_flight, ..Self::default() };
    }

    /// One request has come; a reply that is not at once has to be ended with [`Self::leave`].
    pub(crate) fn knock(&mut self, now_ns: u64) -> Reply {
        self.asked += 1;
        let reply = match self.manner {
            Manner::Prompt => Reply::Take,
            Manner::Slow(wait) => Reply::TakeAfter(wait),
            Manner::Hangs => Reply::Never,
            Manner::FailsEvery(n) if self.asked.is_multiple_of(n) => Reply::Refuse(500),
            Manner::FailsEvery(_) => Reply::Take,
            Manner::Down => Reply::Refuse(503),
            Manner::Limited { per_second, retry_after } => {
                let second = now_ns / SECOND_NS;
                if self.window.0 != second {
                    self.window = (second, 0);
                }
                if self.window.1 < per_second {
                    self.window.1 += 1;
                    Reply::Take
                } else {
                    Reply::RefuseUntil { seconds: retry_after }
                }
            }
        };
        if matches!(reply, Reply::TakeAfter(_) | Reply::Never) {
            self.in_flight += 1;
            self.in_flight_max = self.in_flight_max.max(self.in_flight);
            let since_ns = now_ns - *self.first_ns.get_or_insert(now_ns);
            self.is_off_ramp |= since_ns < self.manner.ramp_ns(self.in_flight);
        }
        reply
    }

    /// A request that was held has been answered, or its sender has gone.
    pub(crate) fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Requests held at this moment.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// The most requests that were held at once.
    pub(crate) fn in_flight_max(&self) -> u32 {
        self.in_flight_max
    }

    /// Whether requests came as on a ramp: one at first, and one more at once in each round trip.
    pub(crate) fn kept_to_ramp(&self) -> bool {
        !self.is_off_ramp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replies(manner: Manner, at_ns: &[u64]) -> Vec<Reply> {
        let mut door = Door::default();
        door.set(manner);
        at_ns.iter().map(|now_ns| door.knock(*now_ns)).collect()
    }

    #[test]
    fn every_tenth_request_fails_and_no_other() {
        let replies = replies(Manner::FailsEvery(10), &[0; 30]);
        let failed: Vec<usize> =
            (0..30).filter(|at| replies[*at] == Reply::Refuse(500)).map(|at| at + 1).collect();
        assert_eq!(failed, [10, 20, 30]);
    }

    #[test]
    fn a_limit_holds_for_each_second_anew() {
        let manner = Manner::Limited { per_second: 2, retry_after: 1 };
        let later = SECOND_NS + 5;
        let refused = Reply::RefuseUntil { seconds: 1 };
        assert_eq!(
            replies(manner, &[0, 1, 2, SECOND_NS, later, later]),
            [Reply::Take, Reply::Take, refused, Reply::Take, Reply::Take, refused]
        );
    }

    #[test]
    fn what_is_down_refuses_until_it_is_up() {
        let mut door = Door::default();
        door.set(Manner::Down);
        assert_eq!(door.knock(0), Reply::Refuse(503));
        door.set(Manner::Prompt);
        assert_eq!(door.knock(0), Reply::Take);
    }

    #[test]
    fn only_what_is_held_counts_as_in_flight() {
        let mut door = Door::default();
        door.knock(0);
        assert_eq!((door.in_flight(), door.in_flight_max()), (0, 0));
        door.set(Manner::Hangs);
        door.knock(0);
        door.set(Manner::Slow(Duration::from_millis(5)));
        assert_eq!(door.knock(0), Reply::TakeAfter(Duration::from_millis(5)));
        door.leave();
        assert_eq!((door.in_flight(), door.in_flight_max()), (1, 2));
    }

    #[test]
    fn f19_one_more_in_each_round_trip_is_a_ramp_and_more_are_none() {
        let trip_ns = 5_000_000;
        let kept = |knocks: &[(u64, u32)]| {
            let mut door = Door::default();
            door.set(Manner::Slow(Duration::from_nanos(trip_ns)));
            for (at_ns, count) in knocks {
                for _ in 0..*count {
                    door.knock(1_000 + *at_ns);
                }
            }
            door.kept_to_ramp()
        };
        assert!(kept(&[(0, 1), (trip_ns, 1), (2 * trip_ns, 1)]));
        assert!(kept(&[(0, 1), (9 * trip_ns, 9)]), "later is no harm");
        assert!(!kept(&[(0, 2)]), "two at first");
        assert!(!kept(&[(0, 1), (trip_ns - 1, 1)]), "before the first one has ended");
        assert!(!kept(&[(0, 1), (trip_ns, 1), (2 * trip_ns, 2)]), "two more at once");
    }

    #[test]
    fn f19_a_new_manner_begins_a_new_ramp() {
        let mut door = Door::default();
        door.set(Manner::Hangs);
        door.knock(0);
        door.leave();
        door.set(Manner::Slow(Duration::from_secs(1)));
        door.knock(5);
        assert!(door.kept_to_ramp());
        door.knock(6);
        assert!(!door.kept_to_ramp());
    }
}
