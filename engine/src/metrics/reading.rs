//! Gauges of what is read from the database now and then. A value that was read long ago and still
//! looks fine is a lie: it becomes not a number, which compares with nothing.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::{Gauge, gauge};

/// How old a reading may be.
pub const OLD_AFTER: Duration = Duration::from_secs(60);

/// A gauge and the value of its label; most have none.
type Key = (&'static str, &'static str);

static READINGS: Mutex<BTreeMap<Key, (Gauge, Instant)>> = Mutex::new(BTreeMap::new());

fn readings() -> MutexGuard<'static, BTreeMap<Key, (Gauge, Instant)>> {
    READINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets a gauge to what was just read.
pub(super) fn read(name: &'static str, value: f64) {
    keep((name, ""), gauge!(name), value);
}

/// The same of a gauge with a label.
pub(super) fn read_by(name: &'static str, label: &'static str, word: &'static str, value: f64) {
    keep((name, word), gauge!(name, label => word), value);
}

fn keep(key: Key, gauge: Gauge, value: f64) {
    gauge.set(value);
    readings().insert(key, (gauge, Instant::now()));
}

/// No longer tells what was read longer than [`OLD_AFTER`] ago. Returns how many gauges that were.
pub fn forget_old(now: Instant) -> usize {
    let mut readings = readings();
    let before = readings.len();
    readings.retain(|_, (gauge, at)| {
        let is_fresh = now.saturating_duration_since(*at) <= OLD_AFTER;
        if !is_fresh {
            gauge.set(f64::NAN);
        }
        is_fresh
    });
    before - readings.len()
}
