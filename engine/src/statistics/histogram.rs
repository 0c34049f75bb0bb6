//! Spans of time in buckets that grow by the same factor, so that they add up over hours and connections.

/// How many buckets there are; the last one takes whatever is longer.
const BUCKETS: usize = 128;
/// Four buckets double a span: what is read from one is at most a tenth off.
const PER_DOUBLING: f64 = 4.0;

/// How many deliveries took how long. Bucket 0 is below a millisecond; buckets that are stored keep
/// their meaning for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Histogram(Vec<u64>);

/// What a histogram says in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half of them were faster.
    pub p50_ms: u64,
    /// 95 of 100 were faster.
    pub p95_ms: u64,
    /// 99 of 100 were faster.
    pub p99_ms: u64,
}

/// Where each bucket but the first begins, in milliseconds: what `width_bucket` of Postgres takes.
pub(super) fn bounds() -> Vec<f64> {
    (0..BUCKETS - 1).map(lower_bound).collect()
}

fn lower_bound(bound: usize) -> f64 {
    (bound as f64 / PER_DOUBLING).exp2()
}

impl Histogram {
    pub(super) fn add(&mut self, stored: &[i32]) {
        if self.0.len() < stored.len() {
            self.0.resize(stored.len(), 0);
        }
        for (count, more) in self.0.iter_mut().zip(stored) {
            *count += u64::from(more.unsigned_abs());
        }
    }

    /// `None` where nothing was delivered.
    pub(super) fn latency(&self) -> Option<Latency> {
        let total: u64 = self.0.iter().sum();
        (total > 0).then(|| Latency {
            p50_ms: self.quantile(total, 0.50),
            p95_ms: self.quantile(total, 0.95),
            p99_ms: self.quantile(total, 0.99),
        })
    }

    /// Those of one bucket are taken to lie evenly in it.
    fn quantile(&self, total: u64, share: f64) -> u64 {
        let wanted = total as f64 * share;
        let mut below = 0.0;
        for (bucket, &count) in self.0.iter().enumerate() {
            let within = below + count as f64;
            if count > 0 && within >= wanted {
                let from = bucket.checked_sub(1).map_or(0.0, lower_bound);
                let to = lower_bound(bucket);
                return (from + (to - from) * (wanted - below) / count as f64).round() as u64;
            }
            below = within;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored keeps its meaning: these bounds never change.
    #[test]
    fn the_bounds_are_what_they_always_were() {
        let bounds = bounds();
        assert_eq!(bounds.len(), 127);
        for (bound, ms) in [(0, 1.0), (4, 2.0), (8, 4.0), (40, 1024.0), (80, 1_048_576.0)] {
            assert!((bounds[bound] - ms).abs() < 1e-6, "{bound}: {}", bounds[bound]);
        }
        assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        let months = 45.0 * 24.0 * 3_600_000.0;
        assert!(bounds[126] > 0.7 * months, "more than events are kept fits in");
    }

    fn histogram(spans_ms: impl IntoIterator<Item = f64>) -> Histogram {
        let (bounds, mut stored) = (bounds(), vec![0; BUCKETS]);
        for ms in spans_ms {
            stored[bounds.iter().filter(|bound| **bound <= ms).count()] += 1;
        }
        let mut histogram = Histogram::default();
        histogram.add(&stored);
        histogram
    }

    #[test]
    fn quantiles_are_at_most_a_tenth_off() {
        let latency = histogram((1..=10_000).map(f64::from)).latency().expect("there are some");
        for (found, exact) in
            [(latency.p50_ms, 5_000.0), (latency.p95_ms, 9_500.0), (latency.p99_ms, 9_900.0)]
        {
            assert!((found as f64 / exact - 1.0).abs() < 0.1, "{found} for {exact}");
        }
    }

    #[test]
    fn few_and_extreme_spans_are_told_as_well() {
        assert_eq!(Histogram::default().latency(), None);
        let one = histogram([0.2]).latency().expect("there is one");
        assert!(one.p50_ms <= 1 && one.p99_ms <= 1, "{one:?}");
        let years = histogram([1e12]).latency().expect("there is one");
        assert!(years.p99_ms > 1_000_000_000, "{years:?}");
    }

    #[test]
    fn histograms_of_any_length_add_up() {
        let mut sum = Histogram::default();
        sum.add(&[1, 2]);
        sum.add(&[]);
        sum.add(&[0, 1, 0, 4]);
        assert_eq!(sum, Histogram(vec![1, 3, 0, 4]));
    }
}
