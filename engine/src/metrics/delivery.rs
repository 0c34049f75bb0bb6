//! What becomes of deliveries, from the claim to the settlement.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::{
    handles::PerWord,
    labels::{self, words},
    metric::Metric,
};

pub(super) const METRICS: &[Metric] = &[
    Metric::counter("relay_claims_total", "Claims, by whether they found anything.")
        .by(&[words("outcome", labels::CLAIM)]),
    Metric::histogram("relay_claim_seconds", "Duration of one claim's statement."),
    Metric::histogram("relay_claim_rows", "Deliveries taken by one claim that took any."),
    Metric::counter(
        "relay_deliveries_handed_over_total",
        "Deliveries that a commit handed to its own process, without a claim.",
    ),
    Metric::gauge("relay_deliveries_in_memory", "Deliveries that this process holds leases on."),
    Metric::counter("relay_deliveries_released_total", "Claimed deliveries handed back unstarted."),
    Metric::counter(
        "relay_leases_rescued_total",
        "Deliveries claimed again after their lease ran out, or their attempt crashed.",
    ),
    Metric::counter(
        "relay_leases_lost_total",
        "Settlements that touched no row: the lease had passed on.",
    ),
    Metric::counter("relay_settlements_total", "Deliveries that a worker settled.")
        .by(&[words("settlement", labels::SETTLEMENT)]),
    Metric::histogram("relay_settle_rows", "Verdicts written by one statement."),
    Metric::counter("relay_dead_total", "Deliveries given up on, by why.")
        .by(&[words("reason", labels::DEAD)]),
    Metric::counter(
        "relay_skipped_total",
        "Deliveries that were not sent, at recording or at their turn, by why.",
    )
    .by(&[words("reason", labels::SKIPPED)]),
    Metric::counter(
        "relay_parked_total",
        "Deliveries parked until somebody sets their connection right, by why.",
    )
    .by(&[words("reason", labels::PARKED)]),
    Metric::counter(
        "relay_deferred_total",
        "Deliveries put off without being charged for it, by why.",
    )
    .by(&[words("reason", labels::DEFERRED)]),
    Metric::counter(
        "relay_replayed_total",
        "Deliveries that replays of many went through, by what was done.",
    )
    .by(&[words("outcome", labels::REPLAYED)]),
    Metric::gauge("relay_shards_owned", "Shards whose deliveries this process claims."),
    Metric::counter("relay_shards_gained_total", "Shards that became this process's."),
    Metric::counter("relay_shards_lost_total", "Shards that this process gave up or lost."),
];

macro_rules! counters {
    ($($handle:ident: $name:literal by $label:literal of $words:expr;)*) => {$(
        static $handle: LazyLock<PerWord<Counter>> =
            LazyLock::new(|| PerWord::new($words, |word| counter!($name, $label => word)));
    )*};
}

counters! {
    CLAIMS: "relay_claims_total" by "outcome" of labels::CLAIM;
    SETTLED: "relay_settlements_total" by "settlement" of labels::SETTLEMENT;
    DEAD: "relay_dead_total" by "reason" of labels::DEAD;
    SKIPPED: "relay_skipped_total" by "reason" of labels::SKIPPED;
    PARKED: "relay_parked_total" by "reason" of labels::PARKED;
    DEFERRED: "relay_deferred_total" by "reason" of labels::DEFERRED;
    REPLAYED: "relay_replayed_total" by "outcome" of labels::REPLAYED;
}

static CLAIM_SECONDS: LazyLock<Histogram> = LazyLock::new(|| histogram!("relay_claim_seconds"));
static CLAIM_ROWS: LazyLock<Histogram> = LazyLock::new(|| histogram!("relay_claim_rows"));
static SETTLE_ROWS: LazyLock<Histogram> = LazyLock::new(|| histogram!("relay_settle_rows"));
static HANDED_OVER: LazyLock<Counter> =
    LazyLock::new(|| counter!("relay_deliveries_handed_over_total"));
static RELEASED: LazyLock<Counter> = LazyLock::new(|| counter!("relay_deliveries_released_total"));
static RESCUED: LazyLock<Counter> = LazyLock::new(|| counter!("relay_leases_rescued_total"));
static LOST: LazyLock<Counter> = LazyLock::new(|| counter!("relay_leases_lost_total"));
static IN_MEMORY: LazyLock<Gauge> = LazyLock::new(|| gauge!("relay_deliveries_in_memory"));

pub(super) fn begin() {
    for counters in [&CLAIMS, &SETTLED, &DEAD, &SKIPPED, &PARKED, &DEFERRED, &REPLAYED] {
        counters.begin();
    }
    for counter in [&HANDED_OVER, &RELEASED, &RESCUED, &LOST] {
        LazyLock::force(counter);
    }
}

/// One claim: how long its statement took, how many it took, and how many of those came from a lease
/// that had run out.
pub fn claimed(took: Duration, deliveries: usize, rescued: usize) {
    CLAIMS.of(if deliveries > 0 { "taken" } else { "empty" }).increment(1);
    CLAIM_SECONDS.record(took.as_secs_f64());
    if deliveries > 0 {
        CLAIM_ROWS.record(deliveries as f64);
    }
    RESCUED.increment(rescued as u64);
}

/// Deliveries that a commit handed to the pump of its own process.
pub fn handed_over(deliveries: usize) {
    HANDED_OVER.increment(deliveries as u64);
}

/// Deliveries that this process holds leases on.
pub fn in_memory(deliveries: usize) {
    IN_MEMORY.set(deliveries as f64);
}

/// Deliveries handed back unstarted.
pub fn released(count: u64) {
    RELEASED.increment(count);
}

/// Settlements whose lease had passed on.
pub fn leases_lost(count: u64) {
    LOST.increment(count);
}

/// A delivery was settled.
pub fn settled(settlement: &'static str) {
    SETTLED.of(settlement).increment(1);
}

/// Verdicts written by one statement.
pub fn settle_batch(deliveries: usize) {
    SETTLE_ROWS.record(deliveries as f64);
}

/// A delivery was given up on.
pub fn dead(reason: &'static str) {
    DEAD.of(reason).increment(1);
}

/// Deliveries were not sent.
pub fn skipped(reason: &str, count: u64) {
    SKIPPED.of(reason).increment(count);
}

/// A delivery waits until somebody sets its connection right.
pub fn parked(reason: &'static str) {
    PARKED.of(reason).increment(1);
}

/// A delivery was put off without being charged.
pub fn deferred(reason: &'static str) {
    DEFERRED.of(reason).increment(1);
}

/// What a replay's batch made due, and what it passed over.
pub fn replayed(replayed: u64, skipped: u64) {
    REPLAYED.of("replayed").increment(replayed);
    REPLAYED.of("skipped").increment(skipped);
}

/// Shards that are this process's now, and how many came and went.
pub fn shards(owned: usize, gained: usize, lost: usize) {
    gauge!("relay_shards_owned").set(owned as f64);
    counter!("relay_shards_gained_total").increment(gained as u64);
    counter!("relay_shards_lost_total").increment(lost as u64);
}
