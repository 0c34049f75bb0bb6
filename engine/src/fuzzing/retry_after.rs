//! `Retry-After`: whatever a receiver writes, the wait lies within a second and a day, and what it asks
//! for in so many words is waited.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::text;
use crate::{
    clock::Timestamp,
    retry::{JITTER, RETRY_AFTER_MAX, RETRY_AFTER_MIN, RetrySchedule, parse_retry_after},
};

fn now() -> Timestamp {
    DateTime::from_timestamp(1_772_020_800, 0).expect("2026-02-25T12:00:00Z")
}

pub(super) fn check(data: &[u8]) {
    let Some(value) = text(data) else { return };
    let asked = parse_retry_after(value, now());
    assert_eq!(parse_retry_after(&format!("  {value}\t"), now()), asked, "blanks say nothing");
    let later = parse_retry_after(value, now() + TimeDelta::hours(1));
    assert_eq!(later.is_some(), asked.is_some(), "whether it can be read is no matter of time");
    assert!(later <= asked, "an hour later the wait is no longer");
    if let Some(expected) = plain_seconds(value.trim()).or_else(|| plain_date(value.trim(), asked))
    {
        assert_eq!(asked, Some(expected));
    }
    if let Some(asked) = asked {
        assert!((RETRY_AFTER_MIN..=RETRY_AFTER_MAX).contains(&asked), "{asked:?}");
    }

    let (step, draw) = (data.len() % 10, f64::from(data.first().copied().unwrap_or(0)) / 256.0);
    let step = u16::try_from(step).expect("less than ten");
    let wait = RetrySchedule::default().delay(step, asked, draw).expect("there are ten steps");
    assert!(wait >= asked.unwrap_or_default() && wait <= RETRY_AFTER_MAX.mul_f64(1.0 + JITTER));
}

/// Digits alone are seconds, however many there are.
fn plain_seconds(value: &str) -> Option<Duration> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = value.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}

/// What both readers take for a date, they take for the same one.
fn plain_date(value: &str, asked: Option<Duration>) -> Option<Duration> {
    let is_date = value.len() == 29 && value.ends_with(" GMT") && !value.contains(":60");
    let at = DateTime::parse_from_rfc2822(value).ok().filter(|_| is_date && asked.is_some())?;
    let wait = (at.with_timezone(&Utc) - now()).to_std().unwrap_or_default();
    Some(wait.clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX))
}
