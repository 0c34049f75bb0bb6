//! One event on its way: what an attempt knows, what it does next, and what the answers mean.

use std::{borrow::Cow, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use super::{AccountAccess, Call, Destination, Reply, SharedBy};
use crate::{
    clock::Timestamp,
    event::{Notification, RecordedEvent},
    ids::{ConnectionId, DeliveryId},
    secret::Secret,
};

/// What one attempt needs to know.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What happened.
    pub event: &'a RecordedEvent,
    /// The same in words. Plain text: not escaped for any channel.
    pub notification: &'a Notification,
    /// `data` of the event.
    pub data: &'a Value,
    /// The duty; the same through every attempt and replay.
    pub delivery_id: DeliveryId,
    /// The number of this attempt, from 1.
    pub attempt: i32,
    /// Whether a person asked for it.
    pub replay: bool,
    /// How long ago an earlier attempt was made that may have arrived unheard: look for our mark
    /// before creating. `None` where all that creates was answered, or nothing of it was sent.
    pub unheard_for: Option<Duration>,
    /// The connection.
    pub connection_id: ConnectionId,
    /// Its account, with a fresh credential.
    pub account: AccountAccess<'a>,
    /// Where events go, if it was chosen.
    pub destination: Option<&'a Destination>,
    /// The event's ticket at this connection, if there is one.
    pub ticket: Option<&'a Ticket>,
    /// What the event asks of a ticket.
    pub wish: Wish,
    /// What signs a custom webhook, the newest first.
    pub signing: &'a [Secret],
    /// The moment of this attempt.
    pub now: Timestamp,
}

/// What an event asks of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// There should be an open one.
    Open,
    /// It should be closed, if there is one.
    Close,
}

/// A ticket that we opened for a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The provider's id, as its calls want it.
    pub external_id: String,
    /// As people say it, `SEC-12`.
    pub external_key: Option<String>,
    /// Where people look at it.
    pub url: Option<String>,
    /// Whether it is open as far as we know.
    pub is_open: bool,
}

/// What to do next for one event.
#[derive(Debug)]
pub enum Step {
    /// Send this, and ask again with its answer.
    Call(Call),
    /// It is over.
    End(Verdict),
}

/// What the answers mean. The engine says what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The event is there.
    Delivered(Delivered),
    /// Nothing had to be done; why, as a stable code.
    NothingToDo(&'static str),
    /// Not now; the whole destination should wait so long.
    Retry {
        /// How long it asked us to wait.
        after: Option<Duration>,
        /// Who else must wait.
        hold: Option<SharedBy>,
    },
    /// The token is not taken: refresh it and try once more, then it is [`Verdict::Reauth`].
    Unauthorized,
    /// The admin must connect again; why, as a stable code.
    Reauth(Cow<'static, str>),
    /// The account is switched off at the provider.
    Suspended(&'static str),
    /// The account is gone.
    Disconnected(&'static str),
    /// This channel, project or repository does not take it; the connection may be fine.
    WrongDestination(Cow<'static, str>),
    /// It will never be taken as it is.
    Rejected(Cow<'static, str>),
    /// The customer's endpoint said that it is gone for good.
    Gone,
    /// Our own registration is wrong; no customer's fault.
    OperatorFault(&'static str),
    /// No destination was chosen yet.
    NoDestination,
}

/// What arrived, where people can look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// The provider's id of what was made.
    pub external_id: Option<String>,
    /// Its page.
    pub url: Option<String>,
    /// The subject's ticket as it is now, for providers with tickets.
    pub ticket: Option<Ticket>,
}

/// Peace that a good answer asks for: so little is left of a budget that the next call would be
/// refused, or be missed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How long.
    pub wait: Duration,
    /// Who else must wait.
    pub shared_by: SharedBy,
}

impl Verdict {
    /// Try again, as late as the answer asks for.
    #[must_use]
    pub fn retry(reply: &Reply) -> Self {
        Self::Retry { after: reply.retry_after(), hold: None }
    }

    /// Try again, and let all who share the budget wait as well.
    #[must_use]
    pub fn hold(after: Duration, hold: SharedBy) -> Self {
        Self::Retry { after: Some(after), hold: Some(hold) }
    }

    /// It arrived, and nothing more is to be remembered.
    #[must_use]
    pub fn delivered() -> Self {
        Self::Delivered(Delivered::default())
    }

    /// What every provider means by a status when it says nothing of its own: 401 is
    /// [`Verdict::Unauthorized`], 403 and 404 are the destination, 408, 425, 429 and 5xx come back,
    /// other 4xx never will.
    #[must_use]
    pub fn from_status(reply: &Reply) -> Self {
        match reply.status {
            200..=299 => Self::delivered(),
            401 => Self::Unauthorized,
            403 => Self::WrongDestination("forbidden".into()),
            404 => Self::WrongDestination("not_found".into()),
            410 => Self::WrongDestination("gone".into()),
            429 => Self::Retry { after: reply.retry_after(), hold: Some(SharedBy::Destination) },
            400 | 402 | 405..=407 | 409 | 411..=424 | 426..=428 | 431..=499 => {
                Self::Rejected(format!("http_{}", reply.status).into())
            }
            _ => Self::retry(reply),
        }
    }
}

impl Outgoing<'_> {
    /// Whether an earlier attempt may have arrived unheard.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        self.unheard_for.is_some()
    }

    /// Our mark in what we make: a repeat finds it, and does not make a second one.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("deptex-{}", self.ticket_key().simple())
    }

    /// What a mark is made of: the subject's ticket, or the delivery itself.
    #[must_use]
    pub fn ticket_key(&self) -> Uuid {
        match self.event.ticket_subject() {
            Some(subject) => Uuid::new_v5(&self.connection_id.0, subject.as_bytes()),
            None => self.delivery_id.0,
        }
    }
}
