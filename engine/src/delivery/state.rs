//! What an answer means, and what follows from it. Pure: time and chance come in as values.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    http::{Failure, Reply, SendError},
    outbox::{CRASHES_MAX, Claimed},
    retry::{RetrySchedule, parse_retry_after},
};

/// Why a delivery ended without success; stored as a stable code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryReason {
    /// The schedule is used up.
    RetriesExhausted,
    /// The receiver said that it is gone for good.
    Gone,
    /// It made workers crash again and again.
    Poison,
    /// Its event is no longer kept.
    EventMissing,
    /// It could not be turned into a request.
    Unsendable,
    /// Its secret does not open.
    SecretUnreadable,
    /// An admin removed the connection.
    ConnectionRemoved,
    /// An admin paused the connection.
    ConnectionPaused,
    /// The connection is switched off.
    ConnectionSuspended,
    /// The connection is broken.
    ConnectionError,
}

impl DeliveryReason {
    /// As stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RetriesExhausted => "retries_exhausted",
            Self::Gone => "gone",
            Self::Poison => "poison",
            Self::EventMissing => "event_missing",
            Self::Unsendable => "unsendable",
            Self::SecretUnreadable => "secret_unreadable",
            Self::ConnectionRemoved => "connection_removed",
            Self::ConnectionPaused => "connection_paused",
            Self::ConnectionSuspended => "connection_suspended",
            Self::ConnectionError => "connection_error",
        }
    }
}

/// What the receiver's answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the event.
    Delivered,
    /// It may take it later.
    Retry {
        /// How long it asked us to wait.
        after: Option<Duration>,
    },
    /// It will never take anything again.
    Gone,
}

impl Verdict {
    /// From a status line: 2xx is success, 410 is for good, everything else is tried again.
    #[must_use]
    pub fn from_reply(reply: &Reply, now: Timestamp) -> Self {
        match reply.status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            _ => Self::Retry {
                after: reply.retry_after.as_deref().and_then(|value| parse_retry_after(value, now)),
            },
        }
    }

    /// From a request that got no answer.
    #[must_use]
    pub fn from_failure(_error: &SendError) -> Self {
        Self::Retry { after: None }
    }
}

/// What follows for the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done.
    Delivered,
    /// Due again after a while.
    Retrying(Duration),
    /// Given up on; replayable.
    Dead(DeliveryReason),
    /// Not sent because of how the connection stands; replayable.
    Skipped(DeliveryReason),
    /// Not sent because nobody is there any more.
    Cancelled(DeliveryReason),
}

impl Settlement {
    /// As stored in `attempts.settlement`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying(_) => "retrying",
            Self::Dead(_) => "dead",
            Self::Skipped(_) => "skipped",
            Self::Cancelled(_) => "cancelled",
        }
    }

    /// Why, where there is a reason to tell.
    #[must_use]
    pub const fn reason(self) -> Option<DeliveryReason> {
        match self {
            Self::Delivered | Self::Retrying(_) => None,
            Self::Dead(reason) | Self::Skipped(reason) | Self::Cancelled(reason) => Some(reason),
        }
    }
}

/// What follows from a verdict. `draw` is a random number in `[0, 1)`.
#[must_use]
pub fn settle(verdict: Verdict, step: u16, schedule: &RetrySchedule, draw: f64) -> Settlement {
    match verdict {
        Verdict::Delivered => Settlement::Delivered,
        Verdict::Gone => Settlement::Dead(DeliveryReason::Gone),
        Verdict::Retry { after } => schedule
            .delay(step, after, draw)
            .map_or(Settlement::Dead(DeliveryReason::RetriesExhausted), Settlement::Retrying),
    }
}

/// What ends a delivery before any request: how its connection stands, or its own history.
#[must_use]
pub fn settled_unsent(claimed: &Claimed, silent_because: Option<&str>) -> Option<Settlement> {
    match silent_because {
        Some("connection_disconnected") => {
            Some(Settlement::Cancelled(DeliveryReason::ConnectionRemoved))
        }
        Some("connection_paused") => Some(Settlement::Skipped(DeliveryReason::ConnectionPaused)),
        Some("connection_suspended") => {
            Some(Settlement::Skipped(DeliveryReason::ConnectionSuspended))
        }
        Some(_) => Some(Settlement::Skipped(DeliveryReason::ConnectionError)),
        None if claimed.crashes >= CRASHES_MAX => Some(Settlement::Dead(DeliveryReason::Poison)),
        None => None,
    }
}

/// The class of an attempt, for the record and the metrics.
#[must_use]
pub const fn error_class(status: Option<u16>, failure: Option<Failure>) -> Option<&'static str> {
    match (failure, status) {
        (Some(failure), _) => Some(failure.as_str()),
        (None, Some(200..=299)) => None,
        (None, Some(300..=399)) => Some("http_3xx"),
        (None, Some(429)) => Some("rate_limited"),
        (None, Some(400..=499)) => Some("http_4xx"),
        (None, Some(500..=599)) => Some("http_5xx"),
        (None, Some(_)) => Some("http_other"),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn reply(status: u16, retry_after: Option<&str>) -> Reply {
        Reply { status, retry_after: retry_after.map(str::to_owned), head: Bytes::new() }
    }

    fn now() -> Timestamp {
        "2026-02-25T12:00:00Z".parse().expect("a timestamp")
    }

    #[test]
    fn only_2xx_is_success_and_only_410_is_for_good() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(Verdict::from_reply(&reply(status, None), now()), Verdict::Delivered);
        }
        assert_eq!(Verdict::from_reply(&reply(410, None), now()), Verdict::Gone);
        // B6: a redirect is a failure like any other.
        for status in [301, 302, 307, 308, 400, 401, 404, 429, 500, 503] {
            assert_eq!(
                Verdict::from_reply(&reply(status, None), now()),
                Verdict::Retry { after: None },
                "{status}"
            );
        }
    }

    #[test]
    fn b24_retry_after_reaches_the_settlement() {
        let verdict = Verdict::from_reply(&reply(503, Some("120")), now());
        let settlement = settle(verdict, 0, &RetrySchedule::default(), 0.0);
        assert_eq!(settlement, Settlement::Retrying(Duration::from_secs(120)));
    }

    #[test]
    fn b3_the_last_failure_is_a_dead_letter_with_its_reason() {
        let once = RetrySchedule::new(vec![]);
        let settlement = settle(Verdict::Retry { after: None }, 0, &once, 0.5);
        assert_eq!(settlement, Settlement::Dead(DeliveryReason::RetriesExhausted));
    }
}
