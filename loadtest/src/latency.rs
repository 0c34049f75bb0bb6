//! Latencies, kept to three digits (an HDR histogram) and told in milliseconds.

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour: no round lasts longer.
const NS_MAX: u64 = 3_600_000_000_000;
/// What a curve is drawn through.
const QUANTILES: [f64; 13] =
    [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999];

/// Collects latencies.
#[derive(Debug, Clone)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1_000, NS_MAX, 3).expect("the bounds are in order"))
    }

    pub(crate) fn record_ns(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    /// Takes in what another one collected.
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many were collected.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Latencies in milliseconds at ever rarer quantiles, as far as there are enough of them.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        let count = self.0.len() as f64;
        let is_known = |quantile: &f64| (1.0 - quantile) * count >= 0.999;
        QUANTILES.into_iter().filter(is_known).map(|q| (q, self.at(q))).collect()
    }

    fn at(&self, quantile: f64) -> f64 {
        round(self.0.value_at_quantile(quantile) as f64 / 1e6)
    }

    /// `None` when nothing was recorded.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let summary = Summary {
            p50_ms: self.at(0.5),
            p90_ms: self.at(0.9),
            p99_ms: self.at(0.99),
            max_ms: round(self.0.max() as f64 / 1e6),
        };
        (!self.0.is_empty()).then_some(summary)
    }
}

/// The distribution that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

/// To a thousandth: the rest is noise.
pub(crate) fn round(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_a_thousandth() {
        let mut latencies = Latencies::new();
        for ms in 1..=1_000 {
            latencies.record_ns(ms * 1_000_000);
        }
        let summary = latencies.summary().expect("something was recorded");
        for (got, want) in [
            (summary.p50_ms, 500.0),
            (summary.p90_ms, 900.0),
            (summary.p99_ms, 990.0),
            (summary.max_ms, 1_000.0),
        ] {
            assert!((got - want).abs() <= want / 500.0, "{got} for {want}");
        }
    }

    #[test]
    fn a_curve_ends_where_there_are_too_few_to_know() {
        let mut latencies = Latencies::new();
        for ms in 1..=100 {
            latencies.record_ns(ms * 1_000_000);
        }
        let curve = latencies.curve();
        assert_eq!(curve.last().map(|(quantile, _)| *quantile), Some(0.99));
        assert!(curve.is_sorted_by(|one, next| one.1 <= next.1), "{curve:?}");
        assert!(Latencies::new().curve().is_empty());
    }

    #[test]
    fn what_two_collected_is_told_as_one() {
        let (mut one, mut other) = (Latencies::new(), Latencies::new());
        one.record_ns(1_000_000);
        other.record_ns(9_000_000);
        one.add(&other);
        let summary = one.summary().expect("something was recorded");
        assert!(summary.p50_ms < 2.0 && summary.max_ms > 8.0, "{summary:?}");
    }

    #[test]
    fn nothing_recorded_is_no_latency_rather_than_zero() {
        assert_eq!(Latencies::new().summary(), None);
    }
}
