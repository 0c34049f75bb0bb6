//! The moments in our ids: a UUIDv7 begins with its milliseconds, so a span of time is a range of ids.

use chrono::{DateTime, TimeDelta};
use uuid::Uuid;

use crate::clock::Timestamp;

/// Ids tick so often in a millisecond: the twelve bits behind the milliseconds.
const TICKS: i64 = 4_096;
/// What fits the 48 bits of an id: until the year 10889.
const MILLISECONDS_MAX: u64 = (1 << 48) - 1;

/// The smallest id of a moment: every id made at that moment or later is at least as large. Moments
/// within a millisecond count as its end, since ids show no more than milliseconds.
pub(crate) fn floor(at: Timestamp) -> Uuid {
    let up = i64::from(!at.timestamp_subsec_nanos().is_multiple_of(1_000_000));
    let milliseconds = u64::try_from(at.timestamp_millis() + up).unwrap_or(0);
    Uuid::from_u128(u128::from(milliseconds.min(MILLISECONDS_MAX)) << 80)
}

/// The millisecond in which an id was made.
pub(crate) fn made_at(id: Uuid) -> Timestamp {
    let milliseconds = i64::try_from(id.as_u128() >> 80).expect("48 bits fit");
    DateTime::from_timestamp_millis(milliseconds).expect("48 bits of milliseconds end in 10889")
}

/// The same to the microsecond, for the ids that `relay.uuid7_at` makes.
pub(crate) fn made_at_exactly(id: Uuid) -> Timestamp {
    let ticks = i64::try_from((id.as_u128() >> 64) & 0xfff).unwrap_or(0);
    made_at(id) + TimeDelta::microseconds(ticks * 1_000 / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn an_id_of_a_moment_is_at_its_floor_or_above() {
        let moment = at("2026-02-25T12:00:00.123Z");
        assert_eq!(made_at(floor(moment)), moment);
        assert!(floor(moment) < floor(moment + TimeDelta::milliseconds(1)));
        let within = at("2026-02-25T12:00:00.1230001Z");
        assert_eq!(made_at(floor(within)), at("2026-02-25T12:00:00.124Z"), "as ids are shown");
        assert_eq!(floor(at("1960-01-01T00:00:00Z")), Uuid::nil());
    }

    #[test]
    fn the_ticks_tell_the_microsecond() {
        let half = floor(at("2026-02-25T12:00:00.123Z")).as_u128() | (0x7800_u128 << 64);
        assert_eq!(made_at_exactly(Uuid::from_u128(half)), at("2026-02-25T12:00:00.123500Z"));
    }

    #[test]
    fn no_id_and_no_moment_is_too_far_away() {
        assert!(made_at_exactly(Uuid::max()) > at("9999-12-31T23:59:59Z"));
        assert_eq!(made_at(Uuid::nil()), at("1970-01-01T00:00:00Z"));
        assert!(floor(Timestamp::MAX_UTC) > floor(at("9999-12-31T23:59:59Z")));
    }
}
