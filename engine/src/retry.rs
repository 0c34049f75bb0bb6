//! When a failed delivery is tried again: pure arithmetic on a stored step, never a clock.

use std::time::Duration;

/// Nobody is asked again sooner, however little patience the receiver asks for.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// Nobody waits longer on a receiver's word.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Each wait is drawn from this share around its place in the schedule.
pub const JITTER: f64 = 0.2;

/// The waits between attempts: after the last one a delivery is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule(Vec<Duration>);

impl Default for RetrySchedule {
    /// 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h, 12 h, 24 h.
    fn default() -> Self {
        let seconds = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400];
        Self(seconds.map(Duration::from_secs).to_vec())
    }
}

impl RetrySchedule {
    /// A schedule of one's own; empty means a single attempt.
    #[must_use]
    pub fn new(waits: Vec<Duration>) -> Self {
        Self(waits)
    }

    /// From a connection's stored seconds.
    #[must_use]
    pub fn from_seconds(seconds: &[i32]) -> Self {
        Self(seconds.iter().map(|s| Duration::from_secs(u64::try_from(*s).unwrap_or(0))).collect())
    }

    /// How long a delivery is tried at most, but for what receivers ask for.
    #[must_use]
    pub fn span(&self) -> Duration {
        self.0.iter().fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait))
    }

    /// The wait after the attempt at `step` failed; `None` once the schedule is used up.
    ///
    /// `draw` is a random number in `[0, 1)`. A receiver's `Retry-After` is a floor: what it asks
    /// for is waited in full, plus up to a fifth, so that a crowd does not come back at once.
    #[must_use]
    pub fn delay(&self, step: u16, asked: Option<Duration>, draw: f64) -> Option<Duration> {
        let base = *self.0.get(usize::from(step))?;
        let planned = base.mul_f64(1.0 - JITTER + 2.0 * JITTER * draw);
        let asked = asked.map(|asked| clamp_retry_after(asked).mul_f64(1.0 + JITTER * draw));
        Some(planned.max(asked.unwrap_or_default()).min(RETRY_AFTER_MAX.mul_f64(1.0 + JITTER)))
    }
}

/// Brings what a receiver asks for within `[1 s, 24 h]`.
#[must_use]
pub fn clamp_retry_after(asked: Duration) -> Duration {
    asked.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
}

/// Reads a `Retry-After` header: seconds (a fraction is rounded up) or an HTTP date.
///
/// What is past or negative asks for the minimum; what cannot be read asks for nothing.
#[must_use]
pub fn parse_retry_after(value: &str, now: crate::clock::Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        if seconds.is_nan() {
            return None;
        }
        let seconds = seconds.ceil().clamp(0.0, RETRY_AFTER_MAX.as_secs_f64());
        return Some(clamp_retry_after(Duration::from_secs_f64(seconds)));
    }
    let at: crate::clock::Timestamp = httpdate::parse_http_date(value).ok()?.into();
    Some(clamp_retry_after((at - now).to_std().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> crate::clock::Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn b24_retry_after_is_read_in_every_spelling_and_clamped() {
        let now = at("2026-02-25T12:00:00Z");
        let seconds = |s| Some(Duration::from_secs(s));
        for (value, expected) in [
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("1.2", seconds(2)),
            ("0", seconds(1)),
            ("-5", seconds(1)),
            ("1e300", seconds(86_400)),
            ("inf", seconds(86_400)),
            ("99999999999999999999", seconds(86_400)),
            ("Wed, 25 Feb 2026 12:01:30 GMT", seconds(90)),
            ("Wed, 25 Feb 2026 11:00:00 GMT", seconds(1)),
            ("Mon, 25 Feb 2126 12:00:00 GMT", seconds(86_400)),
            ("NaN", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_retry_after(value, now), expected, "{value:?}");
        }
    }

    #[test]
    fn b3_an_empty_schedule_has_no_second_attempt() {
        assert_eq!(RetrySchedule::new(vec![]).delay(0, Some(Duration::from_secs(5)), 0.5), None);
    }

    #[test]
    fn the_default_schedule_has_ten_waits() {
        let schedule = RetrySchedule::default();
        assert!(schedule.delay(9, None, 0.0).is_some());
        assert_eq!(schedule.delay(10, None, 0.0), None);
    }

    /// B25: ten thousand failures of one instant come back spread over two fifths of the wait.
    #[test]
    fn b25_a_crowd_does_not_come_back_together() {
        let schedule = RetrySchedule::default();
        let mut buckets = [0u32; 40];
        for _ in 0..10_000 {
            let wait = schedule.delay(2, None, rand::random()).expect("a third wait").as_secs_f64();
            assert!((96.0..=144.0).contains(&wait), "{wait}");
            buckets[(((wait - 96.0) / 48.0 * 40.0) as usize).min(39)] += 1;
        }
        let crowded = buckets.iter().max().expect("forty buckets");
        assert!(*crowded < 500, "{buckets:?}");
    }

    proptest! {
        /// B24: the next attempt never comes before the moment that the receiver asked for.
        #[test]
        fn b24_what_was_asked_is_waited(step in 0u16..10, asked in 0u64..200_000, draw in 0.0f64..1.0) {
            let wait = RetrySchedule::default()
                .delay(step, Some(Duration::from_secs(asked)), draw)
                .expect("within the schedule");
            prop_assert!(wait >= clamp_retry_after(Duration::from_secs(asked)));
            prop_assert!(wait <= RETRY_AFTER_MAX.mul_f64(1.0 + JITTER));
        }
    }
}
