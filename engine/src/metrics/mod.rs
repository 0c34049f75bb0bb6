//! Every metric: its name, what it means, its labels and how it is recorded, a file for each subject.
//! Labels come from closed sets, never from ids. `docs/operations.md` lists them for whoever watches.
//!
//! What is recorded for each delivery goes through a handle that is looked up once (`handles.rs`); what
//! the duties read about the whole database is no longer told once it is old (`reading.rs`).
#![expect(clippy::disallowed_macros, reason = "this is the one home of the metrics macros")]

mod attempt;
mod connection;
mod database;
mod delivery;
mod handles;
mod http;
mod ingest;
mod labels;
mod metric;
mod reading;
mod trace;

pub use self::{
    attempt::{attempt, delivered, delivery_lag, phases, verdict},
    connection::{
        breaker_opened, callback_refused, connection_disabled, held, operator_fault, pace_wait,
        token_refreshed, troubled_connections,
    },
    database::{
        busy_tables, database_clock_ahead, database_connections, database_retry, database_up,
        oldest_due, oldest_snapshot, partitions, queued, replays, snapshot_holders, statistics_lag,
        table_rows, wal_position,
    },
    delivery::{
        claimed, dead, deferred, handed_over, in_memory, leases_lost, parked, released, replayed,
        settle_batch, settled, shards, skipped,
    },
    http::{http_begin, http_request},
    ingest::{events_recorded, group_commit, ingest_queue},
    metric::{Kind, Label, Metric, Values},
    reading::{OLD_AFTER, forget_old},
    trace::{spans, spans_begin},
};

/// Every metric of Relay's own, subject by subject.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    [
        ingest::METRICS,
        delivery::METRICS,
        attempt::METRICS,
        connection::METRICS,
        database::METRICS,
        http::METRICS,
        trace::METRICS,
    ]
    .into_iter()
    .flatten()
}

/// Tells the exporter what each metric means, and begins counting at zero what an alarm waits for: a
/// counter that appears with its first increase never rose. Called once, after the recorder is
/// installed and before anything is recorded.
pub fn describe() {
    all().for_each(Metric::describe);
    ingest::begin();
    delivery::begin();
    connection::begin();
    database::begin();
}

#[cfg(test)]
mod tests;
