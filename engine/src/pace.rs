//! How fast one may go: callers of ours, by a limiter for each organization; and we ourselves at
//! providers, by turns.

mod turns;

pub use turns::{Budget, HOLD_MAX, INLINE_MAX, Paces, Payer, Turn};

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use uuid::Uuid;

/// Keys remembered before those that have recovered are forgotten.
const KEYS_SWEPT_AT: usize = 10_000;

/// One quota for every key, each counted on its own. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<DefaultKeyedRateLimiter<Uuid>>);

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("keys", &self.0.len()).finish()
    }
}

impl Limiter {
    /// `count` calls a minute, all of which may come at once.
    #[must_use]
    pub fn per_minute(count: u32) -> Self {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self(Arc::new(RateLimiter::keyed(Quota::per_minute(count))))
    }

    /// Takes one call of the key's quota, or says how long until there is one.
    pub fn check(&self, key: Uuid) -> Result<(), Duration> {
        if self.0.len() > KEYS_SWEPT_AT {
            self.0.retain_recent();
        }
        self.0.check_key(&key).map_err(|refused| {
            refused.wait_time_from(governor::clock::DefaultClock::default().now())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i47_one_key_running_dry_leaves_another_its_quota() {
        let limiter = Limiter::per_minute(2);
        let (loud, quiet) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert!(limiter.check(loud).is_ok() && limiter.check(loud).is_ok());
        assert!(limiter.check(loud).expect_err("used up") > Duration::ZERO);
        assert!(limiter.check(quiet).is_ok());
    }
}
