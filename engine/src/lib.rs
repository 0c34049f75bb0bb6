//! Deptex Relay's rules and queries. The journey of one event, in reading order:
//!
//! 1. [`event`]: what happened, checked and kept byte for byte; [`subscription`]: who wants to know.
//! 2. [`ingest`]: appends events and the promise of their deliveries, many callers to one commit.
//! 3. [`outbox`]: claims promised deliveries under a lease, and hands them back; [`handoff`]: the short
//!    way for those that the same process delivers; [`schedule`]: which of them goes next, and which had
//!    better wait.
//! 4. [`delivery`]: attempts one (built, signed by [`signing`], sent through [`http`]), decides what
//!    the answer means ([`retry`]), settles it, lists it, replays it; [`replay`]: many of them at once.
//! 5. [`connection`]: the linked accounts, event-sourced in [`event_log`]; their secrets in [`secret`];
//!    [`health`]: which of them fail, whom that is told, and when one is switched off;
//!    [`statistics`]: what became of it all, by the hour; [`live`]: as it happens; [`audit`]: who did and
//!    saw what; [`erase`]: what is left of it when somebody wants to be forgotten.
//! 6. [`provider`]: the services, one value each; [`oauth`]: consent and tokens, once for all of them.
//!
//! [`walls`]: whose rows a request may see, where Postgres itself is to keep organizations apart.
//!
//! Deciding is pure; remembering is SQL beside the function that runs it. Nothing here knows a web
//! framework or a job runner.

pub mod audit;
pub mod checkup;
pub mod clock;
pub mod connection;
pub mod db;
pub mod delivery;
pub mod egress;
pub mod engine;
pub mod erase;
pub mod event;
pub mod event_log;
pub(crate) mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod handoff;
pub mod health;
pub mod http;
pub mod icon;
pub(crate) mod id_time;
pub mod ids;
pub mod ingest;
pub mod json;
pub mod live;
pub mod membership;
pub mod metrics;
pub mod oauth;
pub mod observe;
pub mod outbox;
pub mod pace;
pub(crate) mod page;
pub mod partitions;
pub mod projection;
pub mod provider;
pub mod replay;
pub mod retry;
pub mod schedule;
pub mod secret;
pub mod shards;
pub mod signing;
pub mod statistics;
pub mod subscription;
pub(crate) mod tail;
pub mod trace;
pub mod wake;
pub mod walls;

pub use engine::{Engine, EngineConfig};
