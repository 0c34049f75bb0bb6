//! What was measured, beside what is promised: as JSON, as Markdown and as a short table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::budgets::{self, Bound, Metric, Row, Verdict};
use crate::cluster::Cluster;
use crate::latency::round;
use crate::machine::{self, Facts};
use crate::postgres;
use crate::scenarios::steady::{Load, Round};

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
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    scenario: &'static str,
    load: Load,
    machine: Facts,
    subject: Subject,
    figures: BTreeMap<Metric, Figure>,
    verdicts: Vec<Verdict>,
    rounds: Vec<Round>,
    floor_rounds: Vec<Round>,
}

impl Report {
    pub(crate) fn new(
        load: &Load,
        mut subject: Subject,
        rounds: Vec<Round>,
        floor_rounds: Vec<Round>,
        rows: &[Row],
    ) -> Self {
        if cfg!(debug_assertions) {
            subject.invalid.push("this tool is a debug build".to_owned());
        }
        let mut figures: BTreeMap<Metric, Figure> = Metric::ALL
            .into_iter()
            .filter_map(|metric| Some((metric, figure(&rounds, metric)?)))
            .collect();
        for (ratio, of) in [
            (Metric::FloorRatio, Metric::DeliveriesPerSecond),
            (Metric::FloorP99Ratio, Metric::ArrivalP99Ms),
        ] {
            let ours = figures.get(&of).map(|figure| figure.median);
            let floor = figure(&floor_rounds, of).map(|figure| figure.median);
            if let (Some(ours), Some(floor)) = (ours, floor) {
                let value = round(ours / floor);
                figures.insert(ratio, Figure { median: value, least: value, most: value });
            }
        }
        let median = |metric| figures.get(&metric).map(|figure: &Figure| figure.median);
        let verdicts = budgets::judge(rows, load.shape(), median);
        let machine = Facts::gather();
        let load = load.clone();
        Self { scenario: "steady", load, machine, subject, figures, verdicts, rounds, floor_rounds }
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
        }
        let promised = || self.verdicts.iter().filter(|verdict| verdict.promised);
        if promised().next().is_none() {
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

    /// For a terminal.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("\n{}\n{}\n\n", self.load_line(), self.machine_line());
        for cells in self.table() {
            let [name, median, range, promises] = cells;
            let _ = writeln!(out, "{name:36}{median:>12}  {range:24}{promises}");
        }
        out.push('\n');
        for line in self.round_lines() {
            let _ = writeln!(out, "{line}");
        }
        out
    }

    /// For a repository or a pull request.
    pub(crate) fn markdown(&self) -> String {
        let mut out = format!("# {}\n\n{}\n\n", self.load_line(), self.machine_line());
        for (at, cells) in self.table().into_iter().enumerate() {
            let _ = writeln!(out, "| {} |", cells.join(" | "));
            if at == 0 {
                out.push_str("| --- | --- | --- | --- |\n");
            }
        }
        out.push('\n');
        for line in self.round_lines() {
            let _ = writeln!(out, "- {line}");
        }
        out
    }

    fn load_line(&self) -> String {
        let load = &self.load;
        let pace = load.rate.map_or("closed loop".to_owned(), |rate| format!("{rate} events/s"));
        format!(
            "steady: {} events, {} callers, {pace}, {} in a request, {} webhooks, {} rounds",
            load.events, load.concurrency, load.batch, load.connections, load.rounds
        )
    }

    fn machine_line(&self) -> String {
        let Facts { cores, cpu, memory_gib, kernel, commit, .. } = &self.machine;
        let postgres = self.subject.postgres_version.as_deref().unwrap_or("Postgres unknown");
        let settings = self.subject.postgres_settings.join(" ");
        let relay: String =
            self.subject.relay_settings.iter().map(|one| format!(" {one}")).collect();
        let sync = self.machine.synced_write_us;
        let sync = sync.map_or("unknown".to_owned(), |us| format!("{us} µs"));
        format!(
            "{cores} cores ({cpu}), {memory_gib} GiB, a synced write {sync}, Linux {kernel}; \
             {postgres} {settings}; commit {commit}{relay}"
        )
    }

    /// A line for the head, then one for each figure.
    fn table(&self) -> Vec<[String; 4]> {
        let head = ["", "median", "range", "targets"].map(str::to_owned);
        let figures = self.figures.iter().map(|(metric, figure)| {
            let range = format!("{} – {}", number(figure.least), number(figure.most));
            let verdicts = self.verdicts.iter().filter(|verdict| verdict.metric == *metric);
            let promises: Vec<String> = verdicts.map(promise).collect();
            [metric.label().to_owned(), number(figure.median), range, promises.join("; ")]
        });
        std::iter::once(head).chain(figures).collect()
    }

    fn round_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for (title, rounds) in [("round", &self.rounds), ("floor", &self.floor_rounds)] {
            for (at, one) in rounds.iter().enumerate() {
                lines.push(format!("{title} {}: {}", at + 1, round_line(one)));
            }
        }
        lines.extend(self.subject.invalid.iter().map(|reason| format!("NOT VALID: {reason}")));
        lines
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
    Some(Figure { median: median(&values), least, most })
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

fn ledger_line(one: &Round) -> String {
    let ledger = &one.ledger;
    let mut line = format!(
        "{} accepted of {}, unique {}, lost {}, unexpected {}, duplicate {}",
        ledger.accepted,
        ledger.events,
        ledger.unique,
        ledger.lost,
        ledger.unexpected,
        ledger.duplicates
    );
    for (name, count) in [
        ("refused", ledger.refused),
        ("in doubt", ledger.in_doubt),
        ("not sent", ledger.not_sent),
        ("signatures wrong", one.rejected),
        ("without an answer", one.errors),
    ] {
        if count > 0 {
            let _ = write!(line, ", {name} {count}");
        }
    }
    line
}

fn round_line(one: &Round) -> String {
    let rate = one.metric(Metric::DeliveriesPerSecond).or(one.metric(Metric::AcceptedPerSecond));
    let mut line = format!("{}/s; {}", rate.map_or("0".to_owned(), number), ledger_line(one));
    let _ = write!(line, "; {} verified", one.verified);
    if let (Some(arrival), Some(answer)) = (one.arrival, one.answer) {
        let _ = write!(
            line,
            "; arrival p50 {} p90 {} p99 {} max {} ms, 202 p50 {} p99 {} max {} ms",
            arrival.p50_ms,
            arrival.p90_ms,
            arrival.p99_ms,
            arrival.max_ms,
            answer.p50_ms,
            answer.p99_ms,
            answer.max_ms
        );
    }
    let work = one.work().max(1) as f64;
    for usage in &one.usages {
        let _ = write!(
            line,
            "; {} {:.1} ms CPU per 1,000, {:.0} MiB",
            usage.name,
            usage.cpu_seconds * 1e6 / work,
            usage.pss_mib
        );
    }
    let _ = write!(
        line,
        "; generator {:.1}, receiver {:.1}; machine busy {:.0} %, strangers {:.0} %",
        one.generator_cpu_seconds * 1e6 / work,
        one.receiver_cpu_seconds * 1e6 / work,
        one.busy_share * 100.0,
        one.strangers_share * 100.0
    );
    for reason in &one.invalid {
        let _ = write!(line, "; NOT VALID: {reason}");
    }
    line
}

fn promise(verdict: &Verdict) -> String {
    let outcome = match (verdict.promised, verdict.kept) {
        (true, true) => "kept",
        (true, false) => "MISSED",
        (false, true) => "reached, not yet promised",
        (false, false) => "not yet promised",
    };
    format!("{} {} ({outcome})", verdict.row, bound(verdict.bound))
}

fn bound(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(value) => format!("≥ {value}"),
        Bound::AtMost(value) => format!("≤ {value}"),
    }
}

/// Whole numbers where a fraction is noise.
fn number(value: f64) -> String {
    if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
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
