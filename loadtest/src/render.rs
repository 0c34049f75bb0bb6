//! A report in words: a short table for a terminal, Markdown for a repository.

use std::fmt::Write as _;

use crate::budgets::{Bound, Metric, Verdict};
use crate::machine::Facts;
use crate::report::Report;
use crate::round::Round;

impl Report {
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

    /// For a repository or a pull request, with pictures of these names beside it.
    pub(crate) fn markdown(&self, pictures: &[(String, String)]) -> String {
        let mut out = format!("# {}\n\n", self.load_line());
        let _ = writeln!(out, "{}\n\n{}\n", self.question, self.machine_line());
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
        for (title, file) in pictures {
            let _ = write!(out, "\n![{title}]({file})\n");
        }
        out
    }

    fn load_line(&self) -> String {
        let load = &self.load;
        let pace = load.rate.map_or("closed loop".to_owned(), |rate| format!("{rate} events/s"));
        // Some scenarios send as many as their time takes.
        let events =
            self.rounds.first().map_or(u64::from(load.events), |round| round.ledger.events);
        format!(
            "{}: {} events, {} callers, {pace}, {} in a request, {} webhooks, {} rounds",
            self.scenario, events, load.concurrency, load.batch, load.connections, load.rounds
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
        let baseline = self.baseline.map(|label| format!("baseline ({label})"));
        let baseline = baseline.unwrap_or_default();
        for (title, rounds) in [
            ("round", &self.rounds),
            (&baseline, &self.baseline_rounds),
            ("floor", &self.floor_rounds),
        ] {
            for (at, one) in rounds.iter().enumerate() {
                lines.push(format!("{title} {}: {}", at + 1, round_line(one)));
                for part in one.parts.iter().filter(|_| one.parts.len() > 1) {
                    let arrival = part.arrival.map_or("nothing arrived".to_owned(), |arrival| {
                        format!(
                            "arrival p50 {} p99 {} max {} ms",
                            arrival.p50_ms, arrival.p99_ms, arrival.max_ms
                        )
                    });
                    lines.push(format!("{title} {}, {}: {arrival}", at + 1, part.name));
                }
                for check in &one.checks {
                    let outcome =
                        if check.holds { "as it should be" } else { "NOT AS IT SHOULD BE" };
                    lines.push(format!("{title} {}: {} ({outcome})", at + 1, check.what));
                }
                lines.extend(one.notes.iter().map(|note| format!("{title} {}: {note}", at + 1)));
            }
        }
        lines.extend(self.subject.invalid.iter().map(|reason| format!("NOT VALID: {reason}")));
        lines
    }
}

pub(crate) fn ledger_line(one: &Round) -> String {
    let ledger = &one.ledger;
    let mut line = format!(
        "{} accepted of {}, unique {}, lost {}, unexpected {}, duplicate {}, reordered {}",
        ledger.accepted,
        ledger.events,
        ledger.unique,
        ledger.lost,
        ledger.unexpected,
        ledger.duplicates,
        ledger.reordered
    );
    for (name, count) in [
        ("refused", ledger.refused),
        ("in doubt", ledger.in_doubt),
        ("not sent", ledger.not_sent),
        ("signatures wrong", one.rejected),
        ("without an answer", one.errors),
        ("turned away by the receiver", one.refused),
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
    if let Some(arrival) = one.arrival {
        let _ = write!(
            line,
            "; arrival p50 {} p90 {} p99 {} max {} ms",
            arrival.p50_ms, arrival.p90_ms, arrival.p99_ms, arrival.max_ms
        );
    }
    if let Some(answer) = one.answer {
        let _ = write!(
            line,
            "; 202 p50 {} p99 {} max {} ms",
            answer.p50_ms, answer.p99_ms, answer.max_ms
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

pub(crate) fn bound(bound: Bound) -> String {
    match bound {
        Bound::AtLeast(value) => format!("≥ {value}"),
        Bound::AtMost(value) => format!("≤ {value}"),
    }
}

/// Whole numbers where a fraction is noise.
pub(crate) fn number(value: f64) -> String {
    if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
