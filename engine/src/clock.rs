//! The one place that reads this machine's clock. Leases and due times use the database's instead.

use chrono::{DateTime, Utc};

/// An instant in UTC.
pub type Timestamp = DateTime<Utc>;

/// The wall clock: for signatures, tokens and what people read, never for leases.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the clock's one home")]
pub fn now() -> Timestamp {
    Utc::now()
}
