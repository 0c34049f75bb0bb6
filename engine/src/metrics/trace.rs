//! Spans, on their way to whoever collects them.

use metrics::counter;

use super::{
    labels::{self, words},
    metric::Metric,
};

pub(super) const METRICS: &[Metric] = &[Metric::counter(
    "relay_spans_total",
    "Spans told to the collector, refused by it, or dropped because too many waited.",
)
.by(&[words("outcome", labels::SPANS)])];

/// Spans: `sent`, `refused` or `dropped`.
pub fn spans(outcome: &'static str, count: u64) {
    counter!("relay_spans_total", "outcome" => outcome).increment(count);
}

/// Begins counting at zero. Only where spans are collected.
pub fn spans_begin() {
    labels::SPANS.iter().for_each(|outcome| spans(outcome, 0));
}
