//! How receivers answer.

use std::{collections::VecDeque, time::Duration};

use super::dice::Dice;
use crate::schedule::Outcome;

/// How long it is waited for one that hangs.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

/// A receiver's manners.
#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    /// How long an answer takes, in milliseconds.
    pub(super) took: (u64, u64),
    /// Of all answers, so many are failures.
    pub(super) fails: f64,
    /// So many attempts end without saying anything.
    pub(super) nothing: f64,
    /// From when until when it answers with failures only.
    pub(super) away: Option<(Duration, Duration)>,
    /// From when until when it does not answer.
    pub(super) hangs: Option<(Duration, Duration)>,
    /// The most that it takes in a second, and how long it wants peace then.
    pub(super) takes: Option<(usize, Duration)>,
    taken: VecDeque<Duration>,
}

impl Receiver {
    pub(super) fn healthy(took: (u64, u64)) -> Self {
        Self { took, ..Self::default() }
    }

    /// The shortest time in which it ever answers well.
    pub(super) fn least(&self) -> Duration {
        Duration::from_millis(self.took.0)
    }

    /// Whether it answers well whenever it is asked.
    pub(super) fn is_healthy(&self) -> bool {
        self.fails == 0.0 && self.away.is_none() && self.hangs.is_none() && self.takes.is_none()
    }

    /// What becomes of a request that begins now, and after how long.
    pub(super) fn answer(&mut self, now: Duration, dice: &mut Dice) -> (Duration, Outcome) {
        let is_in = |span: Option<(Duration, Duration)>| {
            span.is_some_and(|(from, to)| (from..to).contains(&now))
        };
        let took = dice.millis(self.took.0, self.took.1);
        if dice.says(self.nothing) {
            return (took, Outcome::Nothing);
        }
        if is_in(self.hangs) {
            return (TIMEOUT, Outcome::Failed);
        }
        if is_in(self.away) || dice.says(self.fails) {
            return (took, Outcome::Failed);
        }
        if let Some((most, peace)) = self.takes {
            while self.taken.front().is_some_and(|at| *at + Duration::from_secs(1) <= now) {
                self.taken.pop_front();
            }
            if self.taken.len() >= most {
                return (took, Outcome::Throttled(peace));
            }
            self.taken.push_back(now);
        }
        (took, Outcome::Succeeded)
    }
}
