//! How a round went, step by step: counts and latencies of each quarter of a second.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::latency::round;

pub(crate) const STEPS_PER_SECOND: u64 = 4;
const STEP_NS: u64 = 1_000_000_000 / STEPS_PER_SECOND;
/// An hour of them: what would come later is entered in the last one.
const STEPS_MAX: usize = 3_600 * STEPS_PER_SECOND as usize;

/// The step that an instant lies in.
pub(crate) fn step(began_ns: u64, now_ns: u64) -> usize {
    let step = now_ns.saturating_sub(began_ns) / STEP_NS;
    usize::try_from(step).map_or(STEPS_MAX, |step| step.min(STEPS_MAX))
}

/// The beginning of a step in seconds.
pub(crate) fn seconds(step: usize) -> f64 {
    step as f64 / STEPS_PER_SECOND as f64
}

/// The place of a step in a list that grows as needed.
pub(crate) fn slot<T: Default + Clone>(list: &mut Vec<T>, step: usize) -> &mut T {
    if list.len() <= step {
        list.resize(step + 1, T::default());
    }
    &mut list[step]
}

/// What arrived in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Point {
    pub(crate) arrived: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Arrivals in the order of their coming. Only the present step is kept in detail.
#[derive(Debug)]
pub(crate) struct Arriving {
    began_ns: u64,
    points: Vec<Point>,
    present: usize,
    latencies: Histogram<u32>,
}

impl Arriving {
    pub(crate) fn new(began_ns: u64) -> Self {
        let latencies = Histogram::new_with_max(3_600_000_000, 2).expect("the bounds are in order");
        Self { began_ns, points: Vec::new(), present: 0, latencies }
    }

    pub(crate) fn enter(&mut self, now_ns: u64, latency_ns: u64) {
        let step = step(self.began_ns, now_ns);
        if step != self.present {
            self.close();
            self.present = step;
        }
        self.latencies.saturating_record(latency_ns / 1_000);
    }

    pub(crate) fn finish(mut self) -> Vec<Point> {
        self.close();
        self.points
    }

    fn close(&mut self) {
        if self.latencies.is_empty() {
            return;
        }
        let at = |quantile| round(self.latencies.value_at_quantile(quantile) as f64 / 1e3);
        *slot(&mut self.points, self.present) =
            Point { arrived: self.latencies.len(), p50_ms: at(0.5), p99_ms: at(0.99) };
        self.latencies.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_own_count_and_latencies_and_an_empty_one_has_none() {
        let mut arriving = Arriving::new(1_000);
        for (now_ns, ms) in [(1_000, 10), (STEP_NS, 20), (3 * STEP_NS + 1_000, 40)] {
            arriving.enter(now_ns, ms * 1_000_000);
        }
        let points = arriving.finish();
        assert_eq!(points.iter().map(|point| point.arrived).collect::<Vec<_>>(), [2, 0, 0, 1]);
        assert!((points[0].p99_ms - 20.0).abs() < 0.5, "{points:?}");
        assert_eq!(points[1], Point::default());
        assert!((points[3].p50_ms - 40.0).abs() < 0.5, "{points:?}");
    }

    #[test]
    fn an_instant_before_the_beginning_lies_in_the_first_step() {
        assert_eq!(step(5_000, 0), 0);
        assert_eq!(step(0, STEP_NS), 1);
        assert_eq!(step(0, u64::MAX), STEPS_MAX);
        assert!((seconds(6) - 1.5).abs() < 1e-9);
    }
}
