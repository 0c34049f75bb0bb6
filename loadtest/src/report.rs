//! What was measured, beside what is promised, and all that it was measured on and with.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::budgets::{self, Metric, Row, Verdict};
use crate::cluster::Cluster;
use crate::latency::round;
use crate::load::Load;
use crate::machine::{self, Facts};
use crate::postgres;
use crate::render::{bound, ledger_line, number};
use crate::round::Round;
use crate::scenarios::{Measured, Scenario};

/// What was loaded.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Subject {
    pub(crate) relay: String,
    pub(crate) relay_settings: Vec<String>,
    pub(crate) postgres_version: Option<String>,
    pub(crate) postgres_settings: Vec<String>,
    /// Why no rate of this subject means anything.
    pub(crate) invalid: Vec<String>,
}

impl Subject {
    /// Asks the cluster's Postgres how durable it is.
    pub(crate) fn of(cluster: &Cluster, relay_bin: &Path, settings: &[(String, String)]) -> Self {
        let server = cluster.postgres();
        let postgres_settings = server.settings();
        let mut invalid = Vec::new();
        if !postgres::is_durable(&postgres_settings) {
            invalid.push("Postgres does not confirm fsync and synchronous_commit".to_owned());
        }
        if relay_bin.components().any(|part| part.as_os_str() == "debug") {
            invalid.push("Relay is a debug build".to_owned());
        }
        Self {
            relay: "relay api and relay workers, one process each".to_owned(),
            relay_settings: settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
            postgres_version: machine::postgres_version(server.pid),
            postgres_settings,
            invalid,
        }
    }
}

/// The median of the valid rounds, and how far they lay apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    /// How many rounds it is from.
    #[serde(default)]
    pub(crate) rounds: usize,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) question: &'static str,
    pub(crate) load: Load,
    pub(crate) machine: Facts,
    pub(crate) subject: Subject,
    pub(crate) figures: BTreeMap<Metric, Figure>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) rounds: Vec<Round>,
    /// What the baseline is, where the scenario has one.
    pub(crate) baseline: Option<&'static str>,
    pub(crate) baseline_rounds: Vec<Round>,
    pub(crate) floor_rounds: Vec<Round>,
}

impl Report {
    pub(crate) fn new(
        scenario: &Scenario,
        load: &Load,
        mut subject: Subject,
        measured: Measured,
        floor_rounds: Vec<Round>,
        rows: &[Row],
    ) -> Self {
        let Measured { rounds, baseline_rounds } = measured;
        if cfg!(debug_assertions) {
            subject.invalid.push("this tool is a debug build".to_owned());
        }
        let mut figures: BTreeMap<Metric, Figure> = Metric::ALL
            .into_iter()
            .filter_map(|metric| Some((metric, figure(&rounds, metric)?)))
            .collect();
        for (ratio, of, beside) in [
            (Metric::FloorRatio, Metric::DeliveriesPerSecond, &floor_rounds),
            (Metric::FloorP99Ratio, Metric::ArrivalP99Ms, &floor_rounds),
            (Metric::BaselineRatio, Metric::DeliveriesPerSecond, &baseline_rounds),
            (Metric::BaselineP99Ratio, Metric::ArrivalP99Ms, &baseline_rounds),
        ] {
            let ours = figures.get(&of).copied();
            if let (Some(ours), Some(other)) = (ours, figure(beside, of)) {
                let median = round(ours.median / other.median);
                let ratio_of = Figure { median, least: median, most: median, rounds: ours.rounds };
                figures.insert(ratio, ratio_of);
            }
        }
        let median = |metric| figures.get(&metric).map(|figure: &Figure| figure.median);
        let verdicts = budgets::judge(rows, scenario.name, load.shape(), median);
        Self {
            scenario: scenario.name,
            question: scenario.question,
            load: load.clone(),
            machine: Facts::gather(),
            subject,
            figures,
            verdicts,
            rounds,
            baseline: scenario.baseline.map(|baseline| baseline.label),
            baseline_rounds,
            floor_rounds,
        }
    }

    /// All that `--check` fails for.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures: Vec<String> =
            self.subject.invalid.iter().map(|reason| format!("not valid: {reason}")).collect();
        for (at, one) in self.rounds.iter().enumerate() {
            let number = at + 1;
            failures.extend(
                one.invalid.iter().map(|reason| format!("round {number} is not valid: {reason}")),
            );
            if !one.ledger.is_clean() || one.rejected > 0 {
                let trouble = one.first_trouble.as_deref().unwrap_or("none seen by this tool");
                failures.push(format!(
                    "round {number}: {}; first trouble: {trouble}",
                    ledger_line(one)
                ));
            }
            let broken = one.checks.iter().filter(|check| !check.holds);
            failures.extend(broken.map(|check| format!("round {number}: {}", check.what)));
        }
        let promised = || self.verdicts.iter().filter(|verdict| verdict.promised);
        // The other scenarios have a ledger and checks to keep, whatever is promised.
        if self.scenario == budgets::STEADY && promised().next().is_none() {
            failures.push("nothing is promised for this shape of load".to_owned());
        }
        failures.extend(promised().filter(|verdict| !verdict.kept).map(|verdict| {
            let measured = verdict.measured.map_or("not measured".to_owned(), number);
            format!(
                "missed `{}`: {} is {measured}, promised {}",
                verdict.row,
                verdict.metric.label(),
                bound(verdict.bound)
            )
        }));
        failures
    }

    pub(crate) fn json(&self) -> anyhow::Result<String> {
        Ok(serde_json::to_string_pretty(self)?)
    }
}

/// Rounds that are not valid count only when there is no other.
fn figure(rounds: &[Round], metric: Metric) -> Option<Figure> {
    let of = |rounds: Vec<&Round>| -> Vec<f64> {
        let mut values: Vec<f64> =
            rounds.into_iter().filter_map(|round| round.metric(metric)).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let mut values = of(rounds.iter().filter(|round| round.invalid.is_empty()).collect());
    if values.is_empty() {
        values = of(rounds.iter().collect());
    }
    let (least, most) = (*values.first()?, *values.last()?);
    Some(Figure { median: median(&values), least, most, rounds: values.len() })
}

/// Of sorted values; the mean of the two in the middle where there are two.
fn median(values: &[f64]) -> f64 {
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) {
        round((values[middle - 1] + values[middle]) / 2.0)
    } else {
        values[middle]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[1.0, 5.0, 9.0]), 5.0);
        assert_eq!(median(&[1.0, 5.0, 6.0, 9.0]), 5.5);
    }
}
