//! What is told to whoever watches: every metric is served, described, bounded and documented.

mod gauges;
mod names;
mod served;

use std::collections::{BTreeMap, BTreeSet};

use engine::metrics::{self, Metric};
use tests::Process;

/// One line of a scrape.
#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// What one process told.
#[derive(Clone, Debug, Default)]
struct Scrape {
    samples: Vec<Sample>,
    helps: BTreeSet<String>,
    types: BTreeMap<String, String>,
}

impl Scrape {
    async fn of(process: &Process) -> Self {
        Self::read(&process.metrics().await)
    }

    fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, _] => {
                    scrape.helps.insert(name.to_owned());
                }
                ["#", "TYPE", name, kind] => {
                    scrape.types.insert(name.to_owned(), kind.to_owned());
                }
                _ => scrape.samples.push(sample(line)),
            }
        }
        scrape
    }

    /// The value of a series; `None` where there is none.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let is_it = |sample: &&Sample| {
            let has = |(name, value): &(&str, &str)| {
                sample.labels.get(*name).is_some_and(|label| label == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().find(is_it).map(|sample| sample.value)
    }

    /// Every series, by name and labels.
    fn series(&self) -> BTreeSet<String> {
        self.samples.iter().map(|one| format!("{}{:?}", one.name, one.labels)).collect()
    }
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value ends a line");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    let pair = |label: &str| {
        let (name, value) = label.split_once('=').expect("a label has a value");
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    let value = value.parse().unwrap_or_else(|_| panic!("a number ends {line}"));
    Sample { name: name.to_owned(), labels: labels.map(pair).collect(), value }
}

/// The metric that a series belongs to; `None` for what the process tells of itself.
fn metric_of(name: &str) -> Option<&'static Metric> {
    let ends = ["", "_bucket", "_sum", "_count"];
    metrics::all().find(|metric| ends.iter().any(|end| name.strip_suffix(end) == Some(metric.name)))
}
