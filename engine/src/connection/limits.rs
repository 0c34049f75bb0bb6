//! What an admin asks of us for a connection: how fast, in which order, and how much at once.

use serde::{Deserialize, Serialize};

use super::{Connection, ConnectionChange, ConnectionError};
use crate::provider::{self, Category};

/// The largest number of requests in a [`RateLimit`].
pub const RATE_COUNT_MAX: u32 = 100_000;
/// The longest time that a [`RateLimit`] counts over, in seconds.
pub const RATE_SECONDS_MAX: u32 = 3_600;
/// The most attempts after which an [`Ordering`] parks.
pub const ORDERING_AFTER_MAX: u8 = 20;
/// The longest time that a digest gathers, in minutes.
pub const DIGEST_MINUTES_MAX: u16 = 1_440;

/// At most so many requests in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many.
    pub count: u32,
    /// In how many seconds.
    pub seconds: u32,
}

/// One delivery at a time, in the order of recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ordering {
    /// What a failing delivery does to those behind it.
    pub policy: HeadOfLine,
    /// After how many attempts it is parked: with [`HeadOfLine::Park`], and only there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<u8>,
}

/// What a failing delivery does to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadOfLine {
    /// They wait until it is settled.
    Block,
    /// They go first.
    Skip,
    /// They wait until it is parked.
    Park,
}

impl HeadOfLine {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Block => "block",
            Self::Skip => "skip",
            Self::Park => "park",
        }
    }

    /// From the stored word, which a constraint keeps to the three.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        match text {
            "skip" => Self::Skip,
            "park" => Self::Park,
            _ => Self::Block,
        }
    }
}

impl RateLimit {
    /// From the stored columns, which a constraint keeps together and positive.
    #[must_use]
    pub fn from_columns(count: Option<i32>, seconds: Option<i32>) -> Option<Self> {
        let (count, seconds) = count.zip(seconds)?;
        Some(Self { count: u32::try_from(count).ok()?, seconds: u32::try_from(seconds).ok()? })
    }
}

impl Ordering {
    /// From the stored columns.
    #[must_use]
    pub fn from_columns(policy: Option<&str>, after: Option<i16>) -> Option<Self> {
        let after = after.and_then(|after| u8::try_from(after).ok());
        Some(Self { policy: HeadOfLine::from_stored(policy?), after })
    }
}

/// The three settings after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) rate_limit: Option<RateLimit>,
    pub(super) ordering: Option<Ordering>,
    pub(super) digest_minutes: Option<u16>,
}

/// What a change makes of them, or why it cannot.
pub(super) fn checked(
    state: &Connection,
    change: &ConnectionChange,
) -> Result<Limits, ConnectionError> {
    if let Some(Some(limit)) = &change.rate_limit {
        check_rate(*limit)?;
    }
    if let Some(Some(ordering)) = &change.ordering {
        check_ordering(state, *ordering)?;
    }
    if let Some(Some(minutes)) = change.digest_minutes {
        check_digest(state, minutes)?;
    }
    let wanted = Limits {
        rate_limit: change.rate_limit.unwrap_or(state.rate_limit),
        ordering: change.ordering.unwrap_or(state.ordering),
        digest_minutes: change.digest_minutes.unwrap_or(state.digest_minutes),
    };
    if wanted.ordering.is_some() && wanted.digest_minutes.is_some() {
        return Err(ConnectionError::refused(
            "ordering_with_digest",
            "A connection has an ordering or a digest, not both; set the other one to null",
        ));
    }
    Ok(wanted)
}

fn check_rate(limit: RateLimit) -> Result<(), ConnectionError> {
    let is_in_range = (1..=RATE_COUNT_MAX).contains(&limit.count)
        && (1..=RATE_SECONDS_MAX).contains(&limit.seconds);
    if is_in_range {
        return Ok(());
    }
    Err(ConnectionError::refused(
        "invalid_rate_limit",
        "A rate limit is 1 to 100000 requests (count) in 1 to 3600 seconds",
    ))
}

fn check_ordering(state: &Connection, ordering: Ordering) -> Result<(), ConnectionError> {
    let is_custom = state.provider.starts_with("custom_");
    if !is_custom && !is_notification(state) {
        return Err(ConnectionError::refused(
            "ordering_unsupported",
            "Only custom integrations and notifications can be ordered",
        ));
    }
    let is_whole = match (ordering.policy, ordering.after) {
        (HeadOfLine::Park, Some(after)) => (1..=ORDERING_AFTER_MAX).contains(&after),
        (HeadOfLine::Park, None) | (_, Some(_)) => false,
        (_, None) => true,
    };
    if is_whole {
        return Ok(());
    }
    Err(ConnectionError::refused(
        "invalid_ordering",
        "The ordering \"park\" needs after, 1 to 20 attempts; \"block\" and \"skip\" take none",
    ))
}

fn check_digest(state: &Connection, minutes: u16) -> Result<(), ConnectionError> {
    if state.provider.starts_with("custom_") || !is_notification(state) {
        return Err(ConnectionError::refused(
            "digest_unsupported",
            "Only Slack and Discord can have a digest: others take each event by itself",
        ));
    }
    if (1..=DIGEST_MINUTES_MAX).contains(&minutes) {
        return Ok(());
    }
    Err(ConnectionError::refused("invalid_digest", "A digest gathers for 1 to 1440 minutes"))
}

fn is_notification(state: &Connection) -> bool {
    provider::of(&state.provider, &state.metadata)
        .is_some_and(|provider| provider.category == Category::Notification)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(provider: &str) -> Connection {
        let event = super::super::ConnectionEvent::Connected {
            provider: provider.into(),
            installation_id: "x".into(),
            display_name: "x".into(),
            metadata: serde_json::json!({}),
            team_id: None,
            project_id: None,
            event_types: vec!["*".into()],
            conditions: None,
        };
        let id = uuid::Uuid::from_u128(1);
        let at = crate::clock::Timestamp::UNIX_EPOCH;
        Connection::begin(id.into(), id.into(), &event, at).expect("a beginning")
    }

    fn code(provider: &str, change: &ConnectionChange) -> Option<&'static str> {
        match checked(&connection(provider), change) {
            Ok(_) => None,
            Err(ConnectionError::Refused { code, .. }) => Some(code),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_rate_limit_has_a_range_and_any_provider_takes_one() {
        for (count, seconds, is_fine) in [
            (1, 1, true),
            (100_000, 3_600, true),
            (0, 1, false),
            (1, 0, false),
            (100_001, 1, false),
            (1, 3_601, false),
        ] {
            let rate_limit = Some(Some(RateLimit { count, seconds }));
            let change = ConnectionChange { rate_limit, ..ConnectionChange::default() };
            for provider in ["custom_ticketing", "slack", "jira", "github"] {
                let expected = (!is_fine).then_some("invalid_rate_limit");
                assert_eq!(code(provider, &change), expected, "{count}/{seconds} {provider}");
            }
        }
    }

    fn ordered(policy: HeadOfLine, after: Option<u8>) -> ConnectionChange {
        let ordering = Some(Some(Ordering { policy, after }));
        ConnectionChange { ordering, ..ConnectionChange::default() }
    }

    #[test]
    fn only_parking_counts_attempts_and_tickets_have_no_order() {
        for (policy, after, is_fine) in [
            (HeadOfLine::Block, None, true),
            (HeadOfLine::Skip, None, true),
            (HeadOfLine::Park, Some(1), true),
            (HeadOfLine::Park, Some(20), true),
            (HeadOfLine::Park, None, false),
            (HeadOfLine::Park, Some(0), false),
            (HeadOfLine::Park, Some(21), false),
            (HeadOfLine::Block, Some(1), false),
            (HeadOfLine::Skip, Some(1), false),
        ] {
            let expected = (!is_fine).then_some("invalid_ordering");
            assert_eq!(code("slack", &ordered(policy, after)), expected, "{policy:?} {after:?}");
        }
        let block = ordered(HeadOfLine::Block, None);
        for provider in ["custom_notification", "custom_ticketing", "discord"] {
            assert_eq!(code(provider, &block), None, "{provider}");
        }
        for provider in ["jira", "linear", "asana", "github", "unheard_of"] {
            assert_eq!(code(provider, &block), Some("ordering_unsupported"), "{provider}");
        }
    }

    #[test]
    fn a_digest_is_for_people_and_excludes_an_order() {
        let digest = |minutes| {
            let digest_minutes = Some(Some(minutes));
            ConnectionChange { digest_minutes, ..ConnectionChange::default() }
        };
        for (minutes, expected) in
            [(1, None), (1_440, None), (0, Some("invalid_digest")), (1_441, Some("invalid_digest"))]
        {
            assert_eq!(code("slack", &digest(minutes)), expected, "{minutes}");
        }
        assert_eq!(code("discord", &digest(5)), None);
        for provider in ["custom_notification", "custom_ticketing", "jira", "gitlab"] {
            assert_eq!(code(provider, &digest(5)), Some("digest_unsupported"), "{provider}");
        }
        let both =
            ConnectionChange { digest_minutes: Some(Some(5)), ..ordered(HeadOfLine::Skip, None) };
        assert_eq!(code("slack", &both), Some("ordering_with_digest"));
        let mut gathering = connection("slack");
        gathering.digest_minutes = Some(5);
        let refused = checked(&gathering, &ordered(HeadOfLine::Skip, None));
        assert!(matches!(
            refused,
            Err(ConnectionError::Refused { code: "ordering_with_digest", .. })
        ));
        let instead =
            ConnectionChange { digest_minutes: Some(None), ..ordered(HeadOfLine::Skip, None) };
        let wanted = checked(&gathering, &instead).expect("one for the other");
        assert_eq!((wanted.digest_minutes, wanted.ordering.is_some()), (None, true));
        let nothing = checked(&gathering, &ConnectionChange::default()).expect("nothing is asked");
        assert_eq!(nothing.digest_minutes, Some(5), "what is not named stays");
    }
}
