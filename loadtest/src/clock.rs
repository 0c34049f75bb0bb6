//! One clock for both ends: the generator stamps with it and the receiver reads it.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Generator and receiver live in one process, so latency is taken on its monotonic clock, which no
/// clock adjustment can bend.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since this process first asked.
pub(crate) fn now_ns() -> u64 {
    ns(Instant::now())
}

/// The same scale for an instant; zero for one before the first question.
pub(crate) fn ns(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*START).as_nanos()).unwrap_or(u64::MAX)
}

/// Seconds since 1970, for what others stamp with wall-clock time.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
