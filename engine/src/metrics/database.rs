//! The database: whether it answers this process, and what the duties read there about all of them.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, counter, gauge};

use super::{
    handles::PerWord,
    labels::{self, OTHER, known, words},
    metric::{Label, Metric, Values},
    reading::{read, read_by},
};

pub(super) const METRICS: &[Metric] = &[
    Metric::gauge("relay_build_info", "One, by the version of this process.")
        .by(&[Label { name: "version", values: Values::Version }]),
    Metric::gauge("relay_database_up", "Whether the database answered this process's last look."),
    Metric::gauge(
        "relay_database_clock_ahead_seconds",
        "How far the database's clock was ahead of this process's at the last look.",
    ),
    Metric::gauge("relay_database_connections", "Connections of this process, by pool.")
        .by(&[words("pool", labels::POOL), words("state", labels::USE)]),
    Metric::gauge("relay_database_connections_max", "The most connections of a pool.")
        .by(&[words("pool", labels::POOL)]),
    Metric::counter(
        "relay_database_retries_total",
        "Statements repeated because the database was away.",
    )
    .by(&[words("statement", labels::STATEMENT)]),
    Metric::gauge("relay_outbox_deliveries", "Deliveries promised and not settled.")
        .by(&[words("class", labels::QUEUED)]),
    Metric::gauge(
        "relay_outbox_oldest_due_seconds",
        "How long the oldest due delivery has been waiting.",
    )
    .by(&[words("class", labels::CLASS)]),
    Metric::gauge("relay_replays", "Replays of many that are not over.")
        .by(&[words("status", labels::REPLAYS)]),
    Metric::gauge(
        "relay_replay_progress_age_seconds",
        "How long the replay whose turn is overdue the longest has not been moved on.",
    ),
    Metric::gauge(
        "relay_statistics_lag_seconds",
        "For how long something may have been recorded that no statistics count yet.",
    ),
    Metric::gauge("relay_partitions_ahead_days", "Days after today that have their partition.")
        .by(&[words("table", labels::DAILY)]),
    Metric::gauge(
        "relay_default_partition_rows",
        "Rows outside any day's partition: should be zero.",
    )
    .by(&[words("table", labels::DAILY)]),
    Metric::gauge("relay_postgres_dead_rows", "Dead rows that Postgres has not cleared away.")
        .by(&[words("table", labels::BUSY_TABLE)]),
    Metric::gauge("relay_postgres_live_rows", "Live rows, as Postgres estimates them.")
        .by(&[words("table", labels::BUSY_TABLE)]),
    Metric::gauge(
        "relay_postgres_oldest_snapshot_seconds",
        "For how long somebody has kept dead rows from being cleared away, by who.",
    )
    .by(&[words("holder", labels::HOLDER)]),
    Metric::gauge(
        "relay_postgres_wal_bytes",
        "How far the write-ahead log is: all that was ever written.",
    ),
];

static RETRIES: LazyLock<PerWord<Counter>> = LazyLock::new(|| {
    PerWord::new(
        labels::STATEMENT,
        |statement| counter!("relay_database_retries_total", "statement" => statement),
    )
});

pub(super) fn begin() {
    gauge!("relay_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    // Until it has answered.
    database_up(false);
    RETRIES.begin();
}

/// Whether the database answers this process.
pub fn database_up(is_up: bool) {
    gauge!("relay_database_up").set(f64::from(u8::from(is_up)));
}

/// How far the database's clock is ahead of this process's.
pub fn database_clock_ahead(seconds: f64) {
    gauge!("relay_database_clock_ahead_seconds").set(seconds);
}

/// The connections of a pool.
pub fn database_connections(pool: &'static str, used: usize, idle: usize, max: u32) {
    for (state, count) in [("used", used), ("idle", idle)] {
        gauge!("relay_database_connections", "pool" => pool, "state" => state).set(count as f64);
    }
    gauge!("relay_database_connections_max", "pool" => pool).set(f64::from(max));
}

/// A statement was repeated because the database was away.
pub fn database_retry(statement: &'static str) {
    RETRIES.of(statement).increment(1);
}

/// Deliveries of a class in the outbox.
pub fn queued(class: &'static str, deliveries: f64) {
    read_by("relay_outbox_deliveries", "class", class, deliveries);
}

/// How long the oldest due delivery of a class has been waiting.
pub fn oldest_due(class: &'static str, waiting: Duration) {
    read_by("relay_outbox_oldest_due_seconds", "class", class, waiting.as_secs_f64());
}

/// Replays of many: how many are counted, run and are paused, and how overdue one is.
pub fn replays(counting: i64, running: i64, paused: i64, overdue: Duration) {
    for (status, count) in [("counting", counting), ("running", running), ("paused", paused)] {
        read_by("relay_replays", "status", status, count as f64);
    }
    read("relay_replay_progress_age_seconds", overdue.as_secs_f64());
}

/// How far statistics are behind.
pub fn statistics_lag(behind: Duration) {
    read("relay_statistics_lag_seconds", behind.as_secs_f64());
}

/// A table with a partition for each day: how many days are made ahead, and how many rows have none.
pub fn partitions(table: &str, days_ahead: i32, rows_outside: i64) {
    let table = known(labels::DAILY, table);
    if table != OTHER {
        read_by("relay_partitions_ahead_days", "table", table, f64::from(days_ahead));
        read_by("relay_default_partition_rows", "table", table, rows_outside as f64);
    }
}

/// Rows of a table that changes much, as Postgres counts them.
pub fn table_rows(table: &'static str, live: i64, dead: i64) {
    read_by("relay_postgres_live_rows", "table", table, live as f64);
    read_by("relay_postgres_dead_rows", "table", table, dead as f64);
}

/// For how long somebody has held a snapshot.
pub fn oldest_snapshot(holder: &'static str, held_for: Duration) {
    read_by("relay_postgres_oldest_snapshot_seconds", "holder", holder, held_for.as_secs_f64());
}

/// How far the write-ahead log is.
pub fn wal_position(bytes: f64) {
    read("relay_postgres_wal_bytes", bytes);
}

/// The tables that change much.
#[must_use]
pub const fn busy_tables() -> &'static [&'static str] {
    labels::BUSY_TABLE
}

/// Who may hold a snapshot.
#[must_use]
pub const fn snapshot_holders() -> &'static [&'static str] {
    labels::HOLDER
}
