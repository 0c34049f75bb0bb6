//! What comes in.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{
    handles::PerWord,
    labels::{self, words},
    metric::Metric,
};

pub(super) const METRICS: &[Metric] = &[
    Metric::counter("relay_events_recorded_total", "Events that callers were answered for.")
        .by(&[words("outcome", labels::RECORDED)]),
    Metric::histogram("relay_ingest_commit_seconds", "Duration of one group commit."),
    Metric::histogram("relay_ingest_commit_rows", "Events in one group commit."),
    Metric::gauge(
        "relay_ingest_queue_events",
        "Events waiting for a group commit in this process.",
    ),
];

static RECORDED: LazyLock<PerWord<Counter>> = LazyLock::new(|| {
    PerWord::new(
        labels::RECORDED,
        |outcome| counter!("relay_events_recorded_total", "outcome" => outcome),
    )
});
static COMMIT_SECONDS: LazyLock<Histogram> =
    LazyLock::new(|| histogram!("relay_ingest_commit_seconds"));
static COMMIT_ROWS: LazyLock<Histogram> = LazyLock::new(|| histogram!("relay_ingest_commit_rows"));
static QUEUE: LazyLock<Gauge> = LazyLock::new(|| gauge!("relay_ingest_queue_events"));

pub(super) fn begin() {
    RECORDED.begin();
}

/// Events that one commit answered for.
pub fn events_recorded(outcome: &'static str, count: u64) {
    RECORDED.of(outcome).increment(count);
}

/// One group commit: how long, and how many events.
pub fn group_commit(took: Duration, events: usize) {
    COMMIT_SECONDS.record(took.as_secs_f64());
    COMMIT_ROWS.record(events as f64);
}

/// Events waiting for their commit.
pub fn ingest_queue(events: usize) {
    QUEUE.set(events as f64);
}
