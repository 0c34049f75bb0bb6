//! What is done to Relay in one round, and when: all of it follows from the seed and the round's number.

use std::{fmt, time::Duration};

use ::tests::{Answer, Flow};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// Faults begin and end within so long; what follows is rest.
pub(crate) const ROUND: Duration = Duration::from_secs(20);
/// Workers and API processes that are killed and frozen. The last one of each kind is left alone, so
/// that what leaks has the time to add up.
pub(crate) const VICTIMS: [(Kind, usize); 3] =
    [(Kind::Worker, 0), (Kind::Worker, 1), (Kind::Api, 0)];
/// Receivers that get into trouble.
pub(crate) const ILL: [&str; 2] = ["/ill-0", "/ill-1"];

/// One fault of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
    pub(crate) what: What,
}

/// What is done to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// `kill -9`; started again at the end.
    Kill(Kind, usize),
    /// `SIGSTOP`; woken up at the end.
    Freeze(Kind, usize),
    /// Every session of Relay is ended by Postgres, again and again.
    EndSessions,
    /// What passes between Relay and Postgres.
    Line(Flow),
    /// How a receiver answers.
    Ill(usize, Illness),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Worker,
    Api,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Illness {
    Hangs,
    Resets,
    HalfCloses,
    Drips,
    Fails,
    AsksForPeace,
}

impl Illness {
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Hangs => Answer::Silence,
            Self::Resets => Answer::Reset,
            Self::HalfCloses => Answer::HalfClose,
            Self::Drips => Answer::Trickle,
            Self::Fails => Answer::status(500),
            Self::AsksForPeace => Answer::status(429).header("retry-after", "2"),
        }
    }
}

/// The faults of a round, by the time that they begin at. What concerns one process, one receiver or
/// the database comes one after the other; all of these at the same time.
pub(crate) fn round(seed: u64, number: u64) -> Vec<Fault> {
    // Each round has dice of its own, so that one of them can be played alone.
    let mut dice = StdRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let mut faults = Vec::new();
    for (kind, index) in VICTIMS {
        one_after_the_other(&mut dice, &mut faults, |dice| match dice.random_range(0..2) {
            0 => What::Kill(kind, index),
            _ => What::Freeze(kind, index),
        });
    }
    one_after_the_other(&mut dice, &mut faults, |dice| match dice.random_range(0..4) {
        0 => What::EndSessions,
        1 => What::Line(Flow::RepliesStalled),
        2 => What::Line(Flow::Frozen),
        _ => What::Line(Flow::Cut),
    });
    for index in 0..ILL.len() {
        one_after_the_other(&mut dice, &mut faults, |dice| {
            let illness = match dice.random_range(0..6) {
                0 => Illness::Hangs,
                1 => Illness::Resets,
                2 => Illness::HalfCloses,
                3 => Illness::Drips,
                4 => Illness::Fails,
                _ => Illness::AsksForPeace,
            };
            What::Ill(index, illness)
        });
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn one_after_the_other(
    dice: &mut StdRng,
    faults: &mut Vec<Fault>,
    mut draw: impl FnMut(&mut StdRng) -> What,
) {
    // Not everything goes wrong in every round.
    if dice.random_range(0..3) == 0 {
        return;
    }
    let mut at = Duration::from_millis(dice.random_range(500..6_000));
    loop {
        let what = draw(dice);
        let lasts = Duration::from_millis(dice.random_range(500..8_000));
        if at + lasts > ROUND {
            return;
        }
        faults.push(Fault { at, lasts, what });
        at += lasts + Duration::from_millis(dice.random_range(1_000..8_000));
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:4.1} s, for {lasts:3.1} s: ")?;
        let name = |kind| if kind == Kind::Worker { "workers" } else { "api" };
        match self.what {
            What::Kill(kind, n) => write!(f, "{}-{n} is killed", name(kind)),
            What::Freeze(kind, n) => write!(f, "{}-{n} is frozen", name(kind)),
            What::EndSessions => write!(f, "Postgres ends every session, each second"),
            What::Line(flow) => write!(f, "the line to Postgres: {flow:?}"),
            What::Ill(n, illness) => write!(f, "{}: {illness:?}", ILL[n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_says_all_and_many_rounds_have_everything() {
        let all: Vec<Vec<Fault>> = (1..=60).map(|n| round(7, n)).collect();
        assert_eq!(all, (1..=60).map(|n| round(7, n)).collect::<Vec<_>>());
        assert_ne!(all[0], round(8, 1));
        assert_ne!(all[0], all[1]);
        let said: Vec<String> = all.iter().flatten().map(ToString::to_string).collect();
        for word in [
            "workers-0 is killed",
            "workers-1 is frozen",
            "api-0 is killed",
            "api-0 is frozen",
            "ends every session",
            "RepliesStalled",
            "Frozen",
            "Cut",
            "/ill-0: Hangs",
            "/ill-1: Resets",
            "HalfCloses",
            "Drips",
            "Fails",
            "AsksForPeace",
        ] {
            assert!(said.iter().any(|line| line.contains(word)), "never: {word}");
        }
        assert!(all.iter().flatten().all(|fault| fault.at + fault.lasts <= ROUND));
    }
}
