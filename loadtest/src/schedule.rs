//! When events are due where a load does not wait for answers: phases of a fixed rate each.

use std::time::Duration;

use serde::Serialize;

/// A rate that is kept for a while.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Phase {
    pub(crate) per_second: f64,
    pub(crate) seconds: f64,
}

impl Phase {
    fn events(self) -> usize {
        (self.per_second * self.seconds).round() as usize
    }
}

/// Phases one after the other; the last one never ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Schedule(Vec<Phase>);

impl Schedule {
    /// One rate for good.
    pub(crate) fn steady(per_second: f64) -> Self {
        Self(vec![Phase { per_second, seconds: f64::INFINITY }])
    }

    pub(crate) fn of(phases: &[Phase]) -> Self {
        Self(phases.to_vec())
    }

    /// How many events are due before the end of each phase.
    pub(crate) fn ends(&self) -> Vec<usize> {
        let events = self.0.iter().map(|phase| phase.events());
        events.scan(0, |sum, events| Some(*sum + events).inspect(|now| *sum = *now)).collect()
    }

    /// When the event of this number, from zero, is due after the start.
    pub(crate) fn due(&self, number: usize) -> Duration {
        let (mut before, mut began) = (0, 0.0);
        for (at, phase) in self.0.iter().enumerate() {
            let is_last = at + 1 == self.0.len();
            if is_last || number < before + phase.events() {
                let seconds = began + (number - before) as f64 / phase.per_second;
                return Duration::from_secs_f64(seconds);
            }
            before += phase.events();
            began += phase.seconds;
        }
        Duration::MAX
    }

    /// How many events are due once so much time has passed.
    pub(crate) fn due_by(&self, elapsed: Duration) -> usize {
        let (mut due, mut left) = (0, elapsed.as_secs_f64());
        for (at, phase) in self.0.iter().enumerate() {
            // The millionth is for what a sum of fractions falls short of.
            let by_now = (left * phase.per_second + 1e-6) as usize + 1;
            if at + 1 == self.0.len() {
                return due + by_now;
            }
            due += by_now.min(phase.events());
            left -= phase.seconds;
            if left < 0.0 {
                break;
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn burst() -> Schedule {
        let [quiet, loud] = [10.0, 100.0].map(|per_second| Phase { per_second, seconds: 2.0 });
        Schedule::of(&[quiet, loud, quiet])
    }

    #[test]
    fn one_rate_makes_an_event_due_at_equal_steps() {
        let schedule = Schedule::steady(4.0);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(6), Duration::from_millis(1_500));
        assert_eq!(schedule.due_by(Duration::from_millis(1_499)), 6);
        assert_eq!(schedule.due_by(Duration::from_millis(1_500)), 7);
    }

    #[test]
    fn a_burst_begins_and_ends_on_time() {
        let schedule = burst();
        assert_eq!(schedule.ends(), [20, 220, 240]);
        for (number, millis) in [(19, 1_900), (20, 2_000), (21, 2_010), (219, 3_990), (220, 4_000)]
        {
            assert_eq!(schedule.due(number), Duration::from_millis(millis), "{number}");
        }
        assert_eq!(schedule.due(250), Duration::from_secs(7), "the last phase never ends");
    }

    #[test]
    fn what_is_due_by_a_moment_is_what_was_due_until_then() {
        let schedule = burst();
        for millis in (0..7_000).step_by(37) {
            let elapsed = Duration::from_millis(millis);
            let due = schedule.due_by(elapsed);
            assert!(schedule.due(due - 1) <= elapsed, "{millis}: {due}");
            assert!(elapsed < schedule.due(due), "{millis}: {due}");
        }
    }
}
