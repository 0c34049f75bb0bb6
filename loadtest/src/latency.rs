//! Latencies, kept to three digits and told in milliseconds.

use hdrhistogram::Histogram;
use serde::Serialize;

/// An hour: no round lasts longer.
const NS_MAX: u64 = 3_600_000_000_000;

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

    /// `None` when nothing was recorded.
    pub(crate) fn summary(&self) -> Option<Summary> {
        let at = |quantile| round(self.0.value_at_quantile(quantile) as f64 / 1e6);
        let summary = Summary {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
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
    fn nothing_recorded_is_no_latency_rather_than_zero() {
        assert_eq!(Latencies::new().summary(), None);
    }
}
