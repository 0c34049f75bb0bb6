//! What a verdict means for a delivery and its connection. Pure: time and chance come in as values.

use std::{borrow::Cow, time::Duration};

use crate::{
    http::Failure,
    outbox::{CRASHES_MAX, Claimed},
    provider::Verdict,
    retry::RetrySchedule,
};

/// The wait after a fault of our own; nobody is charged for it.
pub const OPERATOR_WAIT: Duration = Duration::from_secs(60);

/// Why a delivery ended without success, or waits; stored as a stable code.
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
    /// The provider no longer takes the connection's token: an admin must connect again.
    ReauthRequired,
    /// The account was switched off at the provider.
    SuspendedAtProvider,
    /// The account is gone at the provider.
    DisconnectedAtProvider,
    /// Nobody chose yet where events go.
    NoDestination,
    /// The channel, project or repository does not take it.
    WrongDestination,
    /// The provider will never take it as it is.
    Rejected,
    /// It was parked for as long as events are kept.
    ParkedTooLong,
    /// It was put off for as long as events are kept.
    WaitedTooLong,
    /// It failed so often that those behind it in its lane go first.
    HeadOfLine,
    /// There was nothing to do; why, in the provider's code.
    NothingToDo(&'static str),
    /// Others go first: the provider takes only so many in a time.
    Paced,
    /// The provider asked us to wait.
    Held,
    /// Another delivery of the same subject goes first.
    TicketBusy,
    /// No access token was to be had at that moment.
    TokenUnavailable,
    /// Something of the operator's is wrong: a registration, a setting, a key.
    OperatorFault,
    /// Something of our own was away.
    OwnFault,
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
            Self::ReauthRequired => "reauth_required",
            Self::SuspendedAtProvider => "suspended_at_provider",
            Self::DisconnectedAtProvider => "disconnected_at_provider",
            Self::NoDestination => "no_destination",
            Self::WrongDestination => "wrong_destination",
            Self::Rejected => "rejected",
            Self::ParkedTooLong => "parked_too_long",
            Self::WaitedTooLong => "waited_too_long",
            Self::HeadOfLine => "head_of_line",
            Self::NothingToDo(code) => code,
            Self::Paced => "paced",
            Self::Held => "held",
            Self::TicketBusy => "ticket_busy",
            Self::TokenUnavailable => "token_unavailable",
            Self::OperatorFault => "operator_fault",
            Self::OwnFault => "own_fault",
        }
    }
}

/// What follows for the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Done.
    Delivered,
    /// Due again after a while, one place further in the schedule.
    Retrying(Duration),
    /// Due again after a while, at the same place in the schedule: nobody is charged for the wait.
    Deferred(Duration, DeliveryReason),
    /// Kept, and never due, until somebody sets the connection right.
    Parked(DeliveryReason),
    /// Given up on; replayable.
    Dead(DeliveryReason),
    /// Not sent because of how the connection stands; replayable.
    Skipped(DeliveryReason),
    /// Not sent because nobody is there any more.
    Cancelled(DeliveryReason),
    /// Not sent for as long as events are kept; replayable while its event is there.
    Expired(DeliveryReason),
}

impl Settlement {
    /// The word for it in metrics, and in `attempts.settlement` of all but [`Settlement::Deferred`]:
    /// a request that was made for one of those is recorded as `retrying`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying(_) => "retrying",
            Self::Deferred(..) => "deferred",
            Self::Parked(_) => "parked",
            Self::Dead(_) => "dead",
            Self::Skipped(_) => "skipped",
            Self::Cancelled(_) => "cancelled",
            Self::Expired(_) => "expired",
        }
    }

    /// Why, where there is a reason to tell.
    #[must_use]
    pub const fn reason(self) -> Option<DeliveryReason> {
        match self {
            Self::Delivered | Self::Retrying(_) => None,
            Self::Deferred(_, reason)
            | Self::Parked(reason)
            | Self::Dead(reason)
            | Self::Skipped(reason)
            | Self::Cancelled(reason)
            | Self::Expired(reason) => Some(reason),
        }
    }

    /// Whether the delivery leaves the outbox.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Retrying(_) | Self::Deferred(..) | Self::Parked(_))
    }
}

/// What a verdict means for the connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Consequence {
    /// Its receiver is gone: switched off.
    Disabled(&'static str),
    /// It is broken until an admin acts.
    Errored(Cow<'static, str>),
    /// It is switched off at the provider.
    Suspended(&'static str),
    /// Its destination takes nothing.
    DestinationFailing(Cow<'static, str>),
}

/// What follows from a verdict for the delivery. `draw` is a random number in `[0, 1)`.
#[must_use]
pub fn settle(verdict: &Verdict, step: u16, schedule: &RetrySchedule, draw: f64) -> Settlement {
    use DeliveryReason as Reason;
    match verdict {
        Verdict::Delivered(_) => Settlement::Delivered,
        Verdict::NothingToDo(code) => Settlement::Skipped(Reason::NothingToDo(code)),
        Verdict::Retry { after, .. } => schedule
            .delay(step, *after, draw)
            .map_or(Settlement::Dead(Reason::RetriesExhausted), Settlement::Retrying),
        Verdict::Unauthorized | Verdict::Reauth(_) => Settlement::Parked(Reason::ReauthRequired),
        Verdict::Suspended(_) => Settlement::Parked(Reason::SuspendedAtProvider),
        Verdict::Disconnected(_) => Settlement::Parked(Reason::DisconnectedAtProvider),
        Verdict::NoDestination => Settlement::Parked(Reason::NoDestination),
        Verdict::WrongDestination(_) => Settlement::Dead(Reason::WrongDestination),
        Verdict::Rejected(_) => Settlement::Dead(Reason::Rejected),
        Verdict::Gone => Settlement::Dead(Reason::Gone),
        Verdict::OperatorFault(_) => {
            Settlement::Deferred(OPERATOR_WAIT.mul_f64(1.0 + draw), Reason::OperatorFault)
        }
    }
}

/// What follows from a verdict for the connection.
#[must_use]
pub fn consequence(verdict: &Verdict) -> Option<Consequence> {
    match verdict {
        Verdict::Gone => Some(Consequence::Disabled("receiver_gone")),
        Verdict::Unauthorized => Some(Consequence::Errored("unauthorized".into())),
        Verdict::Reauth(code) => Some(Consequence::Errored(code.clone())),
        Verdict::Disconnected(_) => Some(Consequence::Errored("disconnected_at_provider".into())),
        Verdict::Suspended(code) => Some(Consequence::Suspended(code)),
        Verdict::WrongDestination(code) => Some(Consequence::DestinationFailing(code.clone())),
        Verdict::Delivered(_)
        | Verdict::NothingToDo(_)
        | Verdict::Retry { .. }
        | Verdict::Rejected(_)
        | Verdict::OperatorFault(_)
        | Verdict::NoDestination => None,
    }
}

/// The name of a verdict, for metrics.
#[must_use]
pub const fn verdict_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Delivered(_) => "delivered",
        Verdict::NothingToDo(_) => "nothing_to_do",
        Verdict::Retry { hold: None, .. } => "retry",
        Verdict::Retry { hold: Some(_), .. } => "hold",
        Verdict::Unauthorized => "unauthorized",
        Verdict::Reauth(_) => "reauth",
        Verdict::Suspended(_) => "suspended",
        Verdict::Disconnected(_) => "disconnected",
        Verdict::WrongDestination(_) => "wrong_destination",
        Verdict::Rejected(_) => "rejected",
        Verdict::Gone => "gone",
        Verdict::OperatorFault(_) => "operator_fault",
        Verdict::NoDestination => "no_destination",
    }
}

/// The provider's own code for what went wrong, where the verdict has one.
#[must_use]
pub fn verdict_code(verdict: &Verdict) -> Option<Cow<'static, str>> {
    match verdict {
        Verdict::Reauth(code) | Verdict::WrongDestination(code) | Verdict::Rejected(code) => {
            Some(code.clone())
        }
        Verdict::Suspended(code) | Verdict::Disconnected(code) | Verdict::OperatorFault(code) => {
            Some(Cow::Borrowed(code))
        }
        _ => None,
    }
}

/// What settles a delivery before any request: how its connection stands, or its own history.
/// `is_webhook`: a custom webhook is switched off by us or its receiver, and nothing of it is kept;
/// an account that the provider switched off may come back.
#[must_use]
pub fn settled_unsent(
    claimed: &Claimed,
    silent_because: Option<&str>,
    is_webhook: bool,
) -> Option<Settlement> {
    use DeliveryReason as Reason;
    match silent_because {
        Some("connection_disconnected") => Some(Settlement::Cancelled(Reason::ConnectionRemoved)),
        Some("connection_paused") => Some(Settlement::Skipped(Reason::ConnectionPaused)),
        Some("connection_suspended") if is_webhook => {
            Some(Settlement::Skipped(Reason::ConnectionSuspended))
        }
        Some("connection_suspended") => Some(Settlement::Parked(Reason::ConnectionSuspended)),
        Some(_) => Some(Settlement::Parked(Reason::ConnectionError)),
        None if claimed.crashes >= CRASHES_MAX => Some(Settlement::Dead(Reason::Poison)),
        None => None,
    }
}

/// The class of an answer, for the record and the metrics.
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
mod tests;
