//! What becomes of a selected delivery. Pure.

use serde::{Serialize, Serializer};

use super::{candidates::Candidate, job::Configuration};
use crate::connection::Status;

/// Why a connection takes nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// It was removed.
    Removed,
    /// It is broken until an admin acts.
    Error,
    /// It is switched off.
    Suspended,
    /// An admin paused it.
    Paused,
}

impl Blocked {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "connection_removed",
            Self::Error => "connection_error",
            Self::Suspended => "connection_suspended",
            Self::Paused => "connection_paused",
        }
    }
}

impl Serialize for Blocked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What is done with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// It is promised once more.
    Promise,
    /// It waits already, and goes now.
    BringForward,
    /// Nothing, for this reason.
    Skip(&'static str),
}

/// Its event is no longer kept.
pub(super) const EVENT_EXPIRED: &str = "event_expired";
/// Somebody has it at this moment.
pub(super) const BEING_SENT: &str = "being_sent";
/// Somebody else asked for it at the same moment: that serves both.
pub(super) const ALREADY_WAITING: &str = "already_waiting";
/// Its connection wants no such events any more.
const NOT_WANTED: &str = "not_wanted";

/// Why the connection of a delivery takes nothing; `None` where it does.
pub(super) fn blocked(candidate: &Candidate) -> Option<Blocked> {
    let Some(connection) = &candidate.connection else { return Some(Blocked::Removed) };
    match connection.status {
        Status::Disconnected => Some(Blocked::Removed),
        Status::Error => Some(Blocked::Error),
        Status::Suspended => Some(Blocked::Suspended),
        Status::Connected if connection.paused => Some(Blocked::Paused),
        Status::Connected => None,
    }
}

/// Decides about one delivery. What goes with the settings of then was wanted then.
pub(super) fn choose(candidate: &Candidate, configuration: Configuration) -> Choice {
    if let Some(blocked) = blocked(candidate) {
        return Choice::Skip(blocked.as_str());
    }
    if candidate.is_leased {
        return Choice::Skip(BEING_SENT);
    }
    if !candidate.has_event {
        return Choice::Skip(EVENT_EXPIRED);
    }
    if !candidate.is_wanted && configuration == Configuration::Current {
        return Choice::Skip(NOT_WANTED);
    }
    if candidate.is_waiting { Choice::BringForward } else { Choice::Promise }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::{super::candidates::Standing, *};

    fn candidate(status: Status) -> Candidate {
        let id = Uuid::from_u128(1);
        Candidate {
            id: id.into(),
            connection_id: id.into(),
            event_id: id.into(),
            is_waiting: false,
            is_leased: false,
            status: "dead".into(),
            reason: None,
            attempts: 3,
            connection_version: None,
            connection: Some(Standing {
                status,
                paused: false,
                name: "Ops".into(),
                provider: "slack".into(),
            }),
            has_event: true,
            is_wanted: true,
        }
    }

    #[test]
    fn b40a_what_cannot_be_sent_is_skipped_with_its_reason_and_nothing_is_doubled() {
        let fine = || candidate(Status::Connected);
        let of = |candidate: Candidate| choose(&candidate, Configuration::Current);
        assert_eq!(of(fine()), Choice::Promise);
        assert_eq!(of(Candidate { is_waiting: true, ..fine() }), Choice::BringForward);
        for (candidate, reason) in [
            (Candidate { connection: None, ..fine() }, "connection_removed"),
            (candidate(Status::Disconnected), "connection_removed"),
            (candidate(Status::Error), "connection_error"),
            (candidate(Status::Suspended), "connection_suspended"),
            (Candidate { is_waiting: true, is_leased: true, ..fine() }, "being_sent"),
            (Candidate { has_event: false, is_wanted: false, ..fine() }, "event_expired"),
            (Candidate { is_wanted: false, ..fine() }, "not_wanted"),
            (Candidate { is_wanted: false, is_waiting: true, ..fine() }, "not_wanted"),
        ] {
            assert_eq!(of(candidate), Choice::Skip(reason));
        }
        let mut paused = fine();
        paused.connection.as_mut().expect("it has one").paused = true;
        assert_eq!(of(paused), Choice::Skip("connection_paused"));
    }

    #[test]
    fn b40a_what_was_wanted_then_goes_with_the_settings_of_then() {
        let unwanted = Candidate { is_wanted: false, ..candidate(Status::Connected) };
        assert_eq!(choose(&unwanted, Configuration::Original), Choice::Promise);
        let off = Candidate { is_wanted: false, ..candidate(Status::Suspended) };
        assert_eq!(choose(&off, Configuration::Original), Choice::Skip("connection_suspended"));
    }
}
