//! What is promised for which load, and whether a measurement keeps it.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use crate::scenarios;

/// The file that the repository keeps; another may be named.
const OURS: &str = include_str!("../budgets.toml");

/// The scenario of rows that name none.
pub(crate) const STEADY: &str = "steady";

/// A figure that may have a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    DeliveriesPerSecond,
    AcceptedPerSecond,
    ArrivalP50Ms,
    ArrivalP99Ms,
    AnswerP50Ms,
    AnswerP99Ms,
    #[serde(rename = "cpu_ms_per_1000")]
    CpuMsPer1000,
    EngineRssMib,
    EnginePeakMib,
    FloorRatio,
    FloorP99Ratio,
    BaselineRatio,
    BaselineP99Ratio,
}

impl Metric {
    pub(crate) const ALL: [Self; 13] = [
        Self::DeliveriesPerSecond,
        Self::AcceptedPerSecond,
        Self::ArrivalP50Ms,
        Self::ArrivalP99Ms,
        Self::AnswerP50Ms,
        Self::AnswerP99Ms,
        Self::CpuMsPer1000,
        Self::EngineRssMib,
        Self::EnginePeakMib,
        Self::FloorRatio,
        Self::FloorP99Ratio,
        Self::BaselineRatio,
        Self::BaselineP99Ratio,
    ];

    /// Whether more of it is better.
    pub(crate) fn grows_better(self) -> bool {
        matches!(
            self,
            Self::DeliveriesPerSecond
                | Self::AcceptedPerSecond
                | Self::FloorRatio
                | Self::BaselineRatio
        )
    }

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::AcceptedPerSecond => "accepted/s",
            Self::ArrivalP50Ms => "emit to arrival p50, ms",
            Self::ArrivalP99Ms => "emit to arrival p99, ms",
            Self::AnswerP50Ms => "202 p50, ms",
            Self::AnswerP99Ms => "202 p99, ms",
            Self::CpuMsPer1000 => "engine + Postgres CPU ms per 1,000",
            Self::EngineRssMib => "largest engine process, MiB",
            Self::EnginePeakMib => "the same at its peak, MiB",
            Self::FloorRatio => "share of the floor's rate",
            Self::FloorP99Ratio => "p99, times the floor's",
            Self::BaselineRatio => "share of the baseline's rate",
            Self::BaselineP99Ratio => "p99, times the baseline's",
        }
    }
}

/// The shape of a load, by which a row applies to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    pub(crate) concurrency: usize,
    pub(crate) connections: usize,
    pub(crate) rate: Option<f64>,
    #[serde(default = "one")]
    pub(crate) batch: usize,
}

fn one() -> usize {
    1
}

fn steady() -> String {
    STEADY.to_owned()
}

/// The bounds of one kind of load.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) promised: bool,
    /// Held only in a run with a floor, or only in one without; in both where it is not said.
    beside_floor: Option<bool>,
    /// Whose row it is; that of `steady` where it is not said.
    #[serde(default = "steady")]
    scenario: String,
    /// What load it is for; any of its scenario's where it is not said. `steady` has to say it.
    load: Option<Shape>,
    #[serde(default)]
    at_least: BTreeMap<Metric, f64>,
    #[serde(default)]
    at_most: BTreeMap<Metric, f64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
}

/// A bound beside what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) row: String,
    pub(crate) promised: bool,
    pub(crate) metric: Metric,
    pub(crate) bound: Bound,
    pub(crate) measured: Option<f64>,
    pub(crate) kept: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn holds(self, measured: f64) -> bool {
        match self {
            Self::AtLeast(bound) => measured >= bound,
            Self::AtMost(bound) => measured <= bound,
        }
    }
}

/// The rows of our file, or of the text given.
pub(crate) fn rows(text: Option<&str>) -> anyhow::Result<Vec<Row>> {
    let file: File = toml::from_str(text.unwrap_or(OURS)).context("the budgets are malformed")?;
    for row in &file.row {
        let name = &row.name;
        ensure!(row.load.is_some() || row.scenario != STEADY, "the row `{name}` names no load");
        let is_known = scenarios::find(&row.scenario).is_some();
        ensure!(is_known, "the row `{name}` is for `{}`, which is no scenario", row.scenario);
    }
    Ok(file.row)
}

/// Every bound of every row that applies to this load of a scenario. What was not measured keeps no bound; a row
/// that wants a floor is left out where none was measured, and where one was, the others are shown only.
pub(crate) fn judge(
    rows: &[Row],
    scenario: &str,
    shape: Shape,
    measured: impl Fn(Metric) -> Option<f64>,
) -> Vec<Verdict> {
    let has_floor = measured(Metric::FloorRatio).is_some();
    let applies = |row: &&Row| {
        row.scenario == scenario
            && row.load.is_none_or(|load| load == shape)
            && (has_floor || row.beside_floor != Some(true))
    };
    let bounds = rows.iter().filter(applies).flat_map(|row| {
        let least = row.at_least.iter().map(|(metric, bound)| (*metric, Bound::AtLeast(*bound)));
        let most = row.at_most.iter().map(|(metric, bound)| (*metric, Bound::AtMost(*bound)));
        least.chain(most).map(move |(metric, bound)| (row, metric, bound))
    });
    bounds
        .map(|(row, metric, bound)| {
            let measured = measured(metric);
            Verdict {
                row: row.name.clone(),
                promised: row.promised && row.beside_floor.is_none_or(|beside| beside == has_floor),
                metric,
                bound,
                measured,
                kept: measured.is_some_and(|measured| bound.holds(measured)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { concurrency: 32, connections: 1, rate: None, batch: 1 };

    fn verdicts(rate: f64, p99_ms: f64) -> Vec<Verdict> {
        let rows = rows(None).expect("our file is well formed");
        let measured = |metric| match metric {
            Metric::DeliveriesPerSecond => Some(rate),
            Metric::ArrivalP99Ms => Some(p99_ms),
            _ => None,
        };
        let all = judge(&rows, STEADY, SHAPE, measured);
        all.into_iter().filter(|verdict| verdict.promised).collect()
    }

    #[test]
    fn the_first_row_is_promised_with_its_two_bounds() {
        let verdicts = verdicts(4_800.0, 40.0);
        assert_eq!(verdicts.len(), 2);
        assert!(verdicts.iter().all(|verdict| verdict.row == "first" && verdict.kept));
    }

    #[test]
    fn beside_a_floor_the_first_row_is_held_to_shares_of_it() {
        let rows = rows(None).expect("our file is well formed");
        let promised = |rate_ratio: f64, p99_ratio: f64| -> Vec<(String, bool)> {
            let measured = |metric| match metric {
                Metric::DeliveriesPerSecond => Some(1.0),
                Metric::FloorRatio => Some(rate_ratio),
                Metric::FloorP99Ratio => Some(p99_ratio),
                _ => None,
            };
            let all = judge(&rows, STEADY, SHAPE, measured);
            all.into_iter().filter(|v| v.promised).map(|v| (v.row, v.kept)).collect()
        };
        let named = |rate, p99| {
            let row = "first, beside the floor".to_owned();
            vec![(row.clone(), rate), (row, p99)]
        };
        assert_eq!(promised(0.25, 4.35), named(true, true));
        assert_eq!(promised(0.24, 4.36), named(false, false));
    }

    #[test]
    fn one_missed_bound_is_told_apart_from_a_kept_one() {
        let kept = |verdicts: Vec<Verdict>| -> Vec<bool> {
            verdicts.iter().map(|verdict| verdict.kept).collect()
        };
        assert_eq!(kept(verdicts(4_799.0, 40.0)), [false, true]);
        assert_eq!(kept(verdicts(4_800.0, 40.1)), [true, false]);
    }

    #[test]
    fn another_shape_of_load_has_no_promise() {
        let rows = rows(None).expect("our file is well formed");
        for shape in [
            Shape { concurrency: 31, ..SHAPE },
            Shape { batch: 100, ..SHAPE },
            Shape { rate: Some(1.0), ..SHAPE },
        ] {
            assert!(judge(&rows, STEADY, shape, |_| Some(0.0)).is_empty(), "{shape:?}");
        }
    }

    #[test]
    fn what_was_not_measured_keeps_no_bound() {
        let rows = rows(None).expect("our file is well formed");
        assert!(judge(&rows, STEADY, SHAPE, |_| None).iter().all(|verdict| !verdict.kept));
    }

    #[test]
    fn a_row_of_a_scenario_applies_to_it_alone() {
        let text = "[[row]]\nname='x'\npromised=true\nscenario='noisy'\nat_most={arrival_p99_ms=9}";
        let rows = rows(Some(text)).expect("well formed");
        let kept = |scenario: &str, ms: f64| -> Vec<bool> {
            let all = judge(&rows, scenario, SHAPE, |_| Some(ms));
            all.into_iter().map(|verdict| verdict.kept).collect()
        };
        assert_eq!(kept("noisy", 9.0), [true]);
        assert_eq!(kept("noisy", 9.1), [false]);
        assert!(kept(STEADY, 9.0).is_empty());
    }

    #[test]
    fn a_row_of_a_scenario_may_name_a_load_too() {
        let text = "[[row]]\nname='x'\npromised=true\nscenario='fan-out'\n\
                    load={concurrency=32,connections=1}\nat_least={deliveries_per_second=1}";
        let rows = rows(Some(text)).expect("well formed");
        let count = |shape| judge(&rows, "fan-out", shape, |_| Some(1.0)).len();
        assert_eq!((count(SHAPE), count(Shape { connections: 2, ..SHAPE })), (1, 0));
    }

    #[test]
    fn a_row_without_a_load_needs_a_scenario_that_there_is() {
        let row = |rest: &str| rows(Some(&format!("[[row]]\nname='x'\npromised=true\n{rest}")));
        assert!(row("").is_err());
        assert!(row("scenario='noise'").is_err());
        assert!(row("scenario='noisy'").is_ok());
    }

    #[test]
    fn a_misspelt_metric_is_refused() {
        let text =
            "[[row]]\nname='x'\npromised=true\nload={concurrency=1,connections=1}\nat_most={p9=1}";
        assert!(rows(Some(text)).is_err());
    }
}
