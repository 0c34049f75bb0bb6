//! What a metric is called and what it means.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What a metric counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from zero at the start of a process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counted into buckets.
    Histogram,
}

/// What a label may say.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// One of these, or `other`.
    Words(&'static [&'static str]),
    /// The id of a provider, or `other`.
    Provider,
    /// A code that is written down in this program.
    Code,
    /// The version of this program.
    Version,
}

/// One label of a metric.
#[derive(Clone, Copy, Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name: with its unit at the end, and `_total` after that where it is a counter.
    pub name: &'static str,
    /// What it counts as.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
}

impl Metric {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, help, labels: &[] }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, help, labels: &[] }
    }

    pub(super) const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram, help, labels: &[] }
    }

    pub(super) const fn by(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    /// The unit in its name.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        let name = self.name.trim_end_matches("_total");
        [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)]
            .into_iter()
            .find_map(|(end, unit)| name.ends_with(end).then_some(unit))
    }

    pub(super) fn describe(&self) {
        let Self { name, help, .. } = *self;
        let unit = self.unit().unwrap_or(Unit::Count);
        match self.kind {
            Kind::Counter => describe_counter!(name, unit, help),
            Kind::Gauge => describe_gauge!(name, unit, help),
            Kind::Histogram => describe_histogram!(name, unit, help),
        }
    }
}
