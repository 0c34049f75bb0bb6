//! What became of deliveries, by connection and hour, without ever reading attempts twice.
//!
//! A duty counts the attempts of each transaction that ended ([`roll_up`]) into `relay.connection_hours`;
//! how it misses none is in `tail`. Whoever asks reads `hours`, and `overview` what is stuck now. Both cost
//! the same however much was delivered.

mod histogram;
mod hours;
mod overview;
mod rollup;
mod totals;

pub(crate) use self::rollup::plan_for_ranges;
pub use self::{
    histogram::Latency,
    hours::{Counts, Hour, Statistics, of_connection},
    overview::{Amount, ConnectionSummary, Overview, Troubled, Waiting, WaitingReason, overview},
    rollup::{forget_old, lag, roll_up},
    totals::{EVENTS_COUNTED_MAX, Totals, totals},
};
