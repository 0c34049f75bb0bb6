//! Two reports side by side: ratios, and which of them are more than noise.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use crate::budgets::Metric;
use crate::render::number;
use crate::report::Figure;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to compare with: a report that `--out` wrote.
    before: PathBuf,
    /// What to compare.
    after: PathBuf,
    /// Fails when something became worse than this share of what it was, as in 0.9.
    #[arg(long, value_name = "RATIO")]
    fail_below: Option<f64>,
}

/// What a comparison needs of a report.
#[derive(Debug, Clone, Deserialize)]
struct Compared {
    scenario: String,
    load: Value,
    machine: Machine,
    figures: BTreeMap<Metric, Figure>,
    #[serde(default)]
    subject: MayBeInvalid,
    #[serde(default)]
    rounds: Vec<MayBeInvalid>,
}

/// A run or a round, and why nothing may be concluded from it.
#[derive(Debug, Clone, Default, Deserialize)]
struct MayBeInvalid {
    #[serde(default)]
    invalid: Vec<String>,
}

impl Compared {
    /// Why its figures mean nothing, if so: rounds that are not valid count only where there is no other.
    fn invalid(&self) -> Vec<&String> {
        let mut reasons: Vec<&String> = self.subject.invalid.iter().collect();
        if self.rounds.iter().all(|round| !round.invalid.is_empty()) {
            reasons.extend(self.rounds.iter().flat_map(|round| &round.invalid));
        }
        reasons
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Machine {
    cores: usize,
    cpu: String,
    memory_gib: u64,
    commit: String,
}

/// One figure of both reports.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Change {
    metric: Metric,
    before: Figure,
    after: Figure,
}

/// Whether a change can be told from noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// The ranges of the rounds overlap.
    Noise,
    Better,
    Worse,
    /// A single round has no range.
    Unknown,
}

impl Change {
    /// After, as a multiple of before.
    fn ratio(&self) -> f64 {
        self.after.median / self.before.median
    }

    /// The ratio such that more is better, whatever the figure.
    fn goodness(&self) -> f64 {
        if self.metric.grows_better() { self.ratio() } else { 1.0 / self.ratio() }
    }

    fn overlaps(&self) -> bool {
        self.before.least <= self.after.most && self.after.least <= self.before.most
    }

    fn meaning(&self) -> Meaning {
        if self.overlaps() {
            Meaning::Noise
        } else if self.before.rounds < 2 || self.after.rounds < 2 {
            Meaning::Unknown
        } else if self.goodness() > 1.0 {
            Meaning::Better
        } else {
            Meaning::Worse
        }
    }

    /// A change whose ranges overlap fails nothing; without a range the ratio alone decides.
    fn fails(&self, below: f64) -> bool {
        !self.overlaps() && self.goodness() < below
    }
}

/// Prints the comparison; fails where something became too much worse.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let changes = changes(&before, &after);
    print!("{}", table(&before, &after, &changes));
    let failed: Vec<&Change> = arguments
        .fail_below
        .map_or(Vec::new(), |below| changes.iter().filter(|change| change.fails(below)).collect());
    for change in &failed {
        eprintln!("loadtest: {} became worse: {:.2}", change.metric.label(), change.ratio());
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path) -> anyhow::Result<Compared> {
    let text = std::fs::read_to_string(path);
    let text = text.with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a report", path.display()))
}

/// What both have measured.
fn changes(before: &Compared, after: &Compared) -> Vec<Change> {
    let both = before.figures.iter().filter_map(|(metric, figure)| {
        let (metric, before, after) = (*metric, *figure, *after.figures.get(metric)?);
        (before.median > 0.0 && after.median > 0.0).then_some(Change { metric, before, after })
    });
    both.collect()
}

fn table(before: &Compared, after: &Compared, changes: &[Change]) -> String {
    let mut out = String::new();
    for warning in warnings(before, after) {
        let _ = writeln!(out, "> {warning}\n");
    }
    let _ = writeln!(
        out,
        "| {} | {} | {} | ratio | |\n| --- | --- | --- | --- | --- |",
        after.scenario, before.machine.commit, after.machine.commit
    );
    for change in changes {
        let told = |figure: Figure| {
            let (least, most) = (number(figure.least), number(figure.most));
            format!("{} ({least} – {most})", number(figure.median))
        };
        let meaning = match change.meaning() {
            Meaning::Noise => "within noise",
            Meaning::Better => "**better**",
            Meaning::Worse => "**worse**",
            Meaning::Unknown => "one round: noise unknown",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.2} | {meaning} |",
            change.metric.label(),
            told(change.before),
            told(change.after),
            change.ratio()
        );
    }
    out
}

/// Why the two may not be comparable.
fn warnings(before: &Compared, after: &Compared) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.scenario != after.scenario {
        warnings.push(format!("{} is compared with {}", before.scenario, after.scenario));
    } else if shape(&before.load) != shape(&after.load) {
        warnings.push("the loads differ".to_owned());
    }
    for (name, one) in [("the first report", before), ("the second report", after)] {
        let reasons = one.invalid().into_iter();
        warnings.extend(reasons.map(|reason| format!("{name} is not valid: {reason}")));
    }
    let machine = |of: &Compared| Machine { commit: String::new(), ..of.machine.clone() };
    if machine(before) != machine(after) {
        warnings.push("the machines differ: only ratios within one run mean anything".to_owned());
    }
    warnings
}

/// The load without what is only about how well it is measured.
fn shape(load: &Value) -> Value {
    let mut load = load.clone();
    if let Some(fields) = load.as_object_mut() {
        for name in ["rounds", "timeout", "drain_timeout", "verify_every"] {
            fields.remove(name);
        }
    }
    load
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(median: f64, least: f64, most: f64, rounds: usize) -> Figure {
        Figure { median, least, most, rounds }
    }

    fn change(metric: Metric, before: Figure, after: Figure) -> Change {
        Change { metric, before, after }
    }

    const RATE: Metric = Metric::DeliveriesPerSecond;
    const P99: Metric = Metric::ArrivalP99Ms;

    #[test]
    fn ranges_that_overlap_are_noise_and_fail_nothing() {
        let change = change(RATE, figure(100.0, 80.0, 110.0, 3), figure(79.0, 70.0, 81.0, 3));
        assert_eq!(change.meaning(), Meaning::Noise);
        assert!(!change.fails(0.9));
    }

    #[test]
    fn a_lower_rate_and_a_higher_latency_are_worse() {
        let (low, high) = (figure(50.0, 48.0, 52.0, 3), figure(100.0, 98.0, 102.0, 3));
        for (change, meaning) in [
            (change(RATE, high, low), Meaning::Worse),
            (change(RATE, low, high), Meaning::Better),
            (change(P99, high, low), Meaning::Better),
            (change(P99, low, high), Meaning::Worse),
        ] {
            assert_eq!(change.meaning(), meaning, "{change:?}");
            assert_eq!(change.fails(0.9), meaning == Meaning::Worse, "{change:?}");
        }
    }

    #[test]
    fn a_small_change_for_the_worse_fails_only_a_strict_bound() {
        let change = change(RATE, figure(100.0, 99.0, 101.0, 3), figure(95.0, 94.0, 96.0, 3));
        assert_eq!(change.meaning(), Meaning::Worse);
        assert!(!change.fails(0.9));
        assert!(change.fails(0.96));
    }

    #[test]
    fn one_round_has_no_noise_to_tell_but_a_ratio() {
        let change = change(RATE, figure(100.0, 100.0, 100.0, 1), figure(85.0, 85.0, 85.0, 1));
        assert_eq!(change.meaning(), Meaning::Unknown);
        assert!(change.fails(0.9));
        assert!(!change.fails(0.8));
    }

    fn compared(rate: f64, load: &Value) -> Compared {
        let text = serde_json::json!({
            "scenario": "steady",
            "load": load,
            "machine": { "cores": 2, "cpu": "x", "memory_gib": 24, "commit": "abc", "kernel": "6" },
            "figures": {
                "deliveries_per_second": { "median": rate, "least": rate, "most": rate, "rounds": 1 },
                "cpu_ms_per_1000": { "median": 0.0, "least": 0.0, "most": 0.0 },
            },
            "rounds": [],
        });
        serde_json::from_value(text).expect("as a report is written")
    }

    #[test]
    fn what_both_measured_is_compared_and_a_zero_has_no_ratio() {
        let (before, after) = (compared(100.0, &Value::Null), compared(150.0, &Value::Null));
        let changes = changes(&before, &after);
        assert_eq!(changes.len(), 1);
        let table = table(&before, &after, &changes);
        assert!(table.contains("| 1.50 |"), "{table}");
        assert!(!table.contains('>'), "there is nothing to warn of: {table}");
    }

    #[test]
    fn a_run_without_a_valid_round_is_pointed_out() {
        let valid = MayBeInvalid::default();
        let busy = MayBeInvalid { invalid: vec!["strangers".to_owned()] };
        let mut one = compared(1.0, &Value::Null);
        one.rounds = vec![valid, busy.clone()];
        assert!(one.invalid().is_empty(), "the other round counts");
        one.rounds = vec![busy];
        assert_eq!(one.invalid(), ["strangers"]);
    }

    #[test]
    fn other_loads_are_pointed_out_and_more_rounds_are_no_other_load() {
        let load = |events: u32, rounds: u8| {
            compared(1.0, &serde_json::json!({ "events": events, "rounds": rounds }))
        };
        assert_eq!(warnings(&load(1, 1), &load(2, 1)), ["the loads differ"]);
        assert!(warnings(&load(1, 1), &load(1, 3)).is_empty());
    }
}
