//! Which deliveries somebody wants to see.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{
    clock::Timestamp,
    ids::{ConnectionId, DeliveryId, EventId},
    outbox::Class,
};

/// The most deliveries of one page.
pub const PAGE_MAX: u16 = 200;

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    /// Promised: waiting, being sent, or waiting to be tried again.
    Pending,
    /// Promised, and kept until somebody sets the connection right.
    Parked,
    /// The receiver has it.
    Delivered,
    /// Given up on, with a reason; replayable.
    Dead,
    /// Not sent because of how the connection stood; replayable.
    Skipped,
    /// Its connection was removed.
    Cancelled,
    /// It was of no use any more.
    Expired,
}

impl DeliveryStatus {
    /// Every status, in the order of a delivery's life.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Parked,
        Self::Delivered,
        Self::Dead,
        Self::Skipped,
        Self::Cancelled,
        Self::Expired,
    ];

    /// As shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Parked => "parked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for DeliveryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a status.
#[derive(Debug, thiserror::Error)]
#[error("status must be one of pending, parked, delivered, dead, skipped, cancelled, expired")]
pub struct UnknownStatus;

impl FromStr for DeliveryStatus {
    type Err = UnknownStatus;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(UnknownStatus)
    }
}

/// Which deliveries to show, the newest first.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only in one of these statuses; in any, where there is none.
    pub statuses: Vec<DeliveryStatus>,
    /// Only to this connection.
    pub connection_id: Option<ConnectionId>,
    /// Only to connections of this service.
    pub provider: Option<String>,
    /// Only of this event.
    pub event_id: Option<EventId>,
    /// Only of this kind of event.
    pub kind: Option<String>,
    /// Only of events about exactly this.
    pub subject: Option<String>,
    /// Only where the last failure is of this class, or has this code of the provider's.
    pub error_class: Option<String>,
    /// Only what the provider calls by this id.
    pub external_id: Option<String>,
    /// Only those that were last sent for this reason.
    pub class: Option<Class>,
    /// Only promised at this moment or later.
    pub since: Option<Timestamp>,
    /// Only promised before this moment.
    pub until: Option<Timestamp>,
    /// Only those after this one on the page before.
    pub before: Option<DeliveryId>,
    /// How many, at most [`PAGE_MAX`]; 0 means 50.
    pub limit: u16,
}

impl DeliveryFilter {
    /// Whether a delivery may stand so.
    #[must_use]
    pub fn takes(&self, status: DeliveryStatus) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}
