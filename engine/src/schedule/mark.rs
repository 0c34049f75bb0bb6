//! Whether a receiver has been failing since it last answered well, and when to tell.

use std::time::{Duration, Instant};

use super::Change;

/// How often it is told that one is failing still.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Recoveries told in [`TELL_EVERY`]; whoever fails now and then is not told of each time.
const RECOVERIES_MAX: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Mark {
    state: State,
    /// Recoveries told since that moment.
    recoveries: u8,
    since: Option<Instant>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Well,
    Failing {
        told_at: Option<Instant>,
    },
}

impl Mark {
    /// As a former owner left it.
    pub(super) fn restore(&mut self, now: Instant) {
        self.state = State::Failing { told_at: Some(now) };
    }

    pub(super) fn is_failing(&self) -> bool {
        self.state != State::Well
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_pristine(&self, now: Instant) -> bool {
        !self.is_failing() && self.since.is_none_or(|since| now >= since + TELL_EVERY)
    }

    pub(super) fn failed(&mut self, now: Instant) -> Option<Change> {
        if self.since.is_some_and(|since| now >= since + TELL_EVERY) {
            (self.since, self.recoveries) = (None, 0);
        }
        match self.state {
            State::Failing { told_at: Some(at) } if now >= at + TELL_EVERY => {
                self.state = State::Failing { told_at: Some(now) };
                Some(Change::StillFailing)
            }
            State::Failing { told_at: Some(_) } => None,
            State::Well | State::Failing { told_at: None } => {
                let is_told = self.recoveries < RECOVERIES_MAX;
                self.state = State::Failing { told_at: is_told.then_some(now) };
                is_told.then_some(Change::Failing)
            }
        }
    }

    pub(super) fn succeeded(&mut self, now: Instant) -> Option<Change> {
        let was = std::mem::take(&mut self.state);
        matches!(was, State::Failing { told_at: Some(_) }).then(|| {
            self.recoveries = self.recoveries.saturating_add(1);
            self.since.get_or_insert(now);
            Change::Recovered
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b27_each_transition_is_told_once() {
        let (now, mut mark) = (Instant::now(), Mark::default());
        assert_eq!(mark.succeeded(now), None);
        assert_eq!(mark.failed(now), Some(Change::Failing));
        let told: Vec<_> =
            (0..=180).filter_map(|s| mark.failed(now + Duration::from_secs(s))).collect();
        assert_eq!(told, [Change::StillFailing; 3], "once a minute");
        assert_eq!(mark.succeeded(now), Some(Change::Recovered));
        assert_eq!(mark.succeeded(now), None);
    }

    #[test]
    fn who_fails_now_and_then_is_told_of_three_times_a_minute() {
        let (now, mut mark) = (Instant::now(), Mark::default());
        let mut told = 0;
        for ms in 0..60_000 {
            let at = now + Duration::from_millis(ms);
            told +=
                usize::from(mark.failed(at).is_some()) + usize::from(mark.succeeded(at).is_some());
        }
        assert_eq!(told, 6);
        let later = now + Duration::from_secs(61);
        assert_eq!(mark.failed(later), Some(Change::Failing), "and again in the next");
        assert!(mark.is_failing());
    }
}
