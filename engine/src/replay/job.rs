//! A replay and what can happen to it. Pure: what is remembered of it is `store`'s.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{ReplaysError, selection::Selection};
use crate::{audit, clock::Timestamp, ids::ReplayId};

/// The fastest that a replay may go, in deliveries a second.
pub const RATE_MAX: u32 = 10_000;
/// How fast it goes where nothing is said.
const RATE_DEFAULT: u32 = 100;

/// With which settings of a connection its deliveries are sent again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Configuration {
    /// As they are when it is sent.
    #[default]
    Current,
    /// As they were when it was tried last.
    Original,
}

impl Configuration {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Original => "original",
        }
    }

    pub(super) fn from_stored(text: &str) -> Self {
        if text == "original" { Self::Original } else { Self::Current }
    }
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplayStatus {
    /// It is found out how many deliveries it is about.
    Counting,
    /// They are put into the outbox, some at a time.
    Running,
    /// It waits until somebody lets it go on.
    Paused,
    /// All of them were seen to.
    Completed,
    /// Somebody called it off.
    Cancelled,
    /// It could not go on, through a fault of our own.
    Failed,
}

impl ReplayStatus {
    /// Every status.
    pub const ALL: [Self; 6] = [
        Self::Counting,
        Self::Running,
        Self::Paused,
        Self::Completed,
        Self::Cancelled,
        Self::Failed,
    ];

    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }

    pub(super) fn from_stored(text: &str) -> Self {
        text.parse().unwrap_or(Self::Failed)
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Failed)
    }
}

impl fmt::Display for ReplayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a status of a replay.
#[derive(Debug, thiserror::Error)]
#[error("status must be one of counting, running, paused, completed, cancelled, failed")]
pub struct UnknownReplayStatus;

impl FromStr for ReplayStatus {
    type Err = UnknownReplayStatus;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownReplayStatus)
    }
}

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub struct NewReplay {
    /// Which deliveries.
    pub selection: Selection,
    /// With which settings.
    pub configuration: Configuration,
    /// How many go into the outbox in a second, 1 to [`RATE_MAX`]; 100 if nothing is said.
    pub rate_per_second: Option<u32>,
    /// Why, in the person's words.
    pub reason: Option<String>,
}

impl NewReplay {
    /// The rate in its range.
    pub(super) fn rate(&self) -> Result<i32, ReplaysError> {
        checked_rate(self.rate_per_second.unwrap_or(RATE_DEFAULT))
    }

    /// What is kept of the reason.
    pub(super) fn kept_reason(&self) -> Option<String> {
        audit::kept_reason(self.reason.as_deref())
    }
}

/// What an admin changes of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// `Paused`, `Running` or `Cancelled`.
    pub status: Option<ReplayStatus>,
    /// How many go into the outbox in a second from now on.
    pub rate_per_second: Option<u32>,
}

/// What a change makes of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decided {
    /// The status from now on, where it is another one.
    pub(super) status: Option<ReplayStatus>,
    /// The rate from now on, where it is another one.
    pub(super) rate: Option<i32>,
}

/// Decides about a change; asking for what is so already is harmless. `is_counted`: whether it is known
/// how many deliveries it is about.
pub(super) fn decide(
    status: ReplayStatus,
    rate: i32,
    is_counted: bool,
    change: Change,
) -> Result<Decided, ReplaysError> {
    use ReplayStatus as S;
    let wanted_rate = change.rate_per_second.map(checked_rate).transpose()?;
    let wanted = match change.status {
        Some(S::Running) if !is_counted => Some(S::Counting),
        Some(wanted @ (S::Running | S::Paused | S::Cancelled)) => Some(wanted),
        Some(_) => {
            let message = "status must be paused, running or cancelled";
            return Err(ReplaysError::refused("invalid_status", message));
        }
        None => None,
    };
    let decided = Decided {
        status: wanted.filter(|wanted| *wanted != status),
        rate: wanted_rate.filter(|wanted| *wanted != rate),
    };
    if status.is_final() && decided != Decided::default() {
        return Err(ReplaysError::Finished);
    }
    Ok(decided)
}

fn checked_rate(rate: u32) -> Result<i32, ReplaysError> {
    if !(1..=RATE_MAX).contains(&rate) {
        let message = "rate_per_second must be a number from 1 to 10000";
        return Err(ReplaysError::refused("invalid_rate", message));
    }
    Ok(i32::try_from(rate).unwrap_or(i32::MAX))
}

/// A replay as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Where it stands.
    pub status: ReplayStatus,
    /// Which deliveries; empty where a newer version asked in a way that this one cannot read.
    pub selection: Selection,
    /// With which settings.
    pub configuration: Configuration,
    /// How many go into the outbox in a second.
    pub rate_per_second: i32,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// How many deliveries it is about; `None` until they were counted.
    pub total: Option<i64>,
    /// How many of them were looked at.
    pub considered: i64,
    /// How many of those were made due.
    pub replayed: i64,
    /// How many of those were not.
    pub skipped: i64,
    /// Why not.
    pub skipped_by_reason: BTreeMap<String, i64>,
    /// Who asked: `user:<id>` or `system`.
    pub created_by: String,
    /// When it was asked for. Later deliveries are not looked at.
    pub created_at: Timestamp,
    /// When the first delivery was looked at.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub finished_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// How long it will still take at this rate, while it runs.
    pub eta_seconds: Option<i64>,
    /// How many of those that were made due have arrived.
    pub delivered: i64,
    /// How many of them wait in the outbox.
    pub still_waiting: i64,
}

/// How long a replay still takes at its rate; `None` where that cannot be said.
pub(super) fn eta_seconds(
    status: ReplayStatus,
    total: Option<i64>,
    considered: i64,
    rate: i32,
) -> Option<i64> {
    let left = (total? - considered).max(0);
    (status == ReplayStatus::Running).then(|| (left + i64::from(rate) - 1) / i64::from(rate.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReplayStatus as S;

    fn asked(status: S) -> Change {
        Change { status: Some(status), rate_per_second: None }
    }

    #[test]
    fn b40b_what_is_over_stays_as_it_is_and_asking_twice_is_harmless() {
        for (status, is_counted, wanted, expected) in [
            (S::Counting, false, S::Paused, Some(Some(S::Paused))),
            (S::Running, true, S::Paused, Some(Some(S::Paused))),
            (S::Paused, true, S::Paused, Some(None)),
            (S::Paused, true, S::Running, Some(Some(S::Running))),
            (S::Paused, false, S::Running, Some(Some(S::Counting))),
            (S::Counting, false, S::Running, Some(None)),
            (S::Running, true, S::Cancelled, Some(Some(S::Cancelled))),
            (S::Paused, true, S::Cancelled, Some(Some(S::Cancelled))),
            (S::Cancelled, true, S::Cancelled, Some(None)),
            (S::Completed, true, S::Running, None),
            (S::Completed, true, S::Cancelled, None),
            (S::Failed, true, S::Running, None),
            (S::Running, true, S::Completed, None),
        ] {
            let told = decide(status, 100, is_counted, asked(wanted)).ok();
            let expected = expected.map(|status| Decided { status, rate: None });
            assert_eq!(told, expected, "{status} → {wanted}");
        }
    }

    #[test]
    fn a_rate_is_changed_while_it_runs_and_stays_in_its_range() {
        let change = |rate| Change { status: None, rate_per_second: Some(rate) };
        let told = |status, rate| decide(status, 100, true, change(rate)).ok();
        assert_eq!(told(S::Running, 7), Some(Decided { status: None, rate: Some(7) }));
        assert_eq!(told(S::Running, 100), Some(Decided::default()));
        assert_eq!(told(S::Completed, 100), Some(Decided::default()), "it is so already");
        assert_eq!(told(S::Completed, 7), None);
        assert!(told(S::Running, 0).is_none() && told(S::Running, RATE_MAX + 1).is_none());
    }

    #[test]
    fn how_long_it_takes_is_told_while_it_runs() {
        assert_eq!(eta_seconds(S::Running, Some(1_000), 0, 100), Some(10));
        assert_eq!(eta_seconds(S::Running, Some(1_001), 0, 100), Some(11));
        assert_eq!(eta_seconds(S::Running, Some(10), 12, 100), Some(0));
        assert_eq!(eta_seconds(S::Paused, Some(1_000), 0, 100), None);
        assert_eq!(eta_seconds(S::Running, None, 0, 100), None);
    }
}
