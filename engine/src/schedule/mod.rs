//! What is sent next, and what had better wait. Pure: no I/O and no clock; moments come in as values.
//!
//! One worker process owns a connection at a time, so what is remembered here of a connection is all
//! that there is, and every cap is exact. Reading order: [`Scheduler`] queues what was claimed and
//! says whose turn it is (`fair`, `classes`); a `gate` before each connection says whether it may be
//! called now (`breaker`, `concurrency`, `rate`), and hears how each call went (`mark`).

mod breaker;
mod classes;
mod concurrency;
mod fair;
mod gate;
mod mark;
mod rate;
mod scheduler;
#[cfg(test)]
mod simulation;

use std::time::{Duration, Instant};

pub use scheduler::{Finished, Scheduler};

use crate::{
    connection::limits::RateLimit,
    ids::{ConnectionId, OrganizationId},
    outbox::Class,
    provider::Verdict,
    shards::SHARDS,
};

/// How long a breaker stays open the first time, unless an operator says otherwise.
pub const BREAKER_OPEN: Duration = Duration::from_secs(5);

/// What an attempt says about its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answers as it should, whatever it made of the event.
    Succeeded,
    /// It did not answer, or with a failure.
    Failed,
    /// It asks for peace, for so long.
    Throttled(Duration),
    /// Nothing: no request was made, or its answer is about something else.
    Nothing,
}

impl Outcome {
    /// What a verdict says about the receiver. `unasked` is how long one is held that asks for peace
    /// and does not say for how long.
    #[must_use]
    pub fn of(verdict: &Verdict, unasked: Duration) -> Self {
        match verdict {
            Verdict::Delivered(_) | Verdict::Rejected(_) | Verdict::NothingToDo(_) => {
                Self::Succeeded
            }
            Verdict::Retry { hold: Some(_), after } => Self::Throttled(after.unwrap_or(unasked)),
            Verdict::Retry { hold: None, .. } | Verdict::Gone => Self::Failed,
            _ => Self::Nothing,
        }
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Failing, after it had been well.
    Failing,
    /// Failing still. Told once a minute at most.
    StillFailing,
    /// Well again.
    Recovered,
    /// Nothing is sent before `until`.
    Held {
        /// The end.
        until: Instant,
        /// Why, as a stable code.
        because: &'static str,
    },
    /// It failed so much that it is left alone.
    BreakerOpened {
        /// When a single request finds out whether it is well again.
        until: Instant,
        /// How many times in a row, this one counted.
        openings: u16,
    },
    /// That request was answered: requests go out again, few at first.
    BreakerClosed,
}

/// What a new owner is told of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Whether its last requests failed.
    pub failing: bool,
    /// For how long nothing is to be sent, and why.
    pub held_for: Option<(Duration, String)>,
    /// How long its breaker stays open.
    pub open_for: Option<Duration>,
    /// How many times in a row the breaker opened.
    pub openings: u16,
}

/// The caps of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Claimed deliveries that may be here at once.
    pub capacity: usize,
    /// Requests under way at once to one connection.
    pub connection_concurrency: usize,
    /// Requests under way at once to all connections of an organization.
    pub organization_concurrency: usize,
    /// How long a breaker stays open the first time.
    pub breaker_open: Duration,
}

impl Limits {
    /// From what an operator sets. An organization may have half of all requests: one whose receivers
    /// hang never takes all the places.
    #[must_use]
    pub fn new(
        worker_concurrency: usize,
        connection_concurrency: usize,
        breaker_open: Duration,
    ) -> Self {
        let worker_concurrency = worker_concurrency.max(1);
        let connection_concurrency = connection_concurrency.max(1);
        Self {
            capacity: worker_concurrency * 2,
            connection_concurrency,
            organization_concurrency: (worker_concurrency / 2).max(connection_concurrency),
            breaker_open,
        }
    }

    /// How many claimed deliveries one connection may have here at most.
    pub(crate) fn window(&self) -> usize {
        self.connection_concurrency * 2
    }

    /// How many may wait here of an organization of which nothing begins, when room is scarce.
    pub(crate) fn kept_when_stuck(&self) -> usize {
        (self.capacity / 16).max(1)
    }
}

/// What the scheduler needs to know of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Whose it is.
    pub organization_id: OrganizationId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// Why now.
    pub class: Class,
    /// Whether it has been due for so long that what is new goes before it.
    pub is_backlog: bool,
    /// What the connection's admin asked for.
    pub rate: Option<RateLimit>,
}

/// The shard of a connection, as `relay.shard_of` says it: from 0 to 63.
#[must_use]
pub fn shard_of(id: ConnectionId) -> i16 {
    i16::from(id.0.as_bytes()[15]) % SHARDS
}
