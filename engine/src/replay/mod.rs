//! Many deliveries made due again: a job that a row of the database remembers.
//!
//! `selection` says which, `job` what can happen to a job; both are pure. `candidates` finds them page by
//! page, `choose` says of each what becomes of it, `run` does that in the background, and `preview` tells
//! it beforehand. `store` keeps the jobs, `audit` who asked for what. One delivery alone is the business
//! of [`crate::delivery::replay()`].

mod audit;
mod candidates;
mod choose;
mod job;
mod preview;
mod run;
mod selection;
mod store;

pub use self::{
    choose::Blocked,
    job::{Change, Configuration, NewReplay, RATE_MAX, Replay, ReplayStatus, UnknownReplayStatus},
    preview::{OfConnection, OfReason, Preview, preview},
    run::{Step, step, tidy},
    selection::{IDS_MAX, Selection},
    store::{PAGE_MAX, Page, REPLAYS_MAX, change, find, list, start},
};

use crate::db::DbError;

/// A replay was not started, or not changed.
#[derive(Debug, thiserror::Error)]
pub enum ReplaysError {
    /// No such thing in this organization; named as people call it.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// What was asked for makes no sense; the message is a sentence for a person.
    #[error("{message}")]
    Refused {
        /// Stable, for programs.
        code: &'static str,
        /// For people.
        message: String,
    },
    /// The connection that was asked for takes nothing now.
    #[error("the connection is not connected")]
    NotConnected,
    /// It is over, so that nothing of it can be changed.
    #[error("the replay is over")]
    Finished,
    /// The organization has as many replays under way as it may.
    #[error("too many replays are under way")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for ReplaysError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

impl ReplaysError {
    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into() }
    }
}
