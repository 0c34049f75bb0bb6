//! What is drawn of a report: throughput, latency and requests under way over time, and the curve of
//! latencies by quantile.

use crate::plot::{Chart, Line, Scale};
use crate::report::Report;
use crate::round::{LotLine, Round};
use crate::timeline::{STEPS_PER_SECOND, seconds};

/// A picture: the end of its file's name, its title, and the picture.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) suffix: &'static str,
    pub(crate) title: String,
    pub(crate) svg: String,
}

/// Of the first round that is valid, or of the first one.
pub(crate) fn pictures(report: &Report) -> Vec<Picture> {
    let shown = |rounds: &[Round]| -> Option<Round> {
        rounds.iter().find(|round| round.invalid.is_empty()).or(rounds.first()).cloned()
    };
    let Some(round) = shown(&report.rounds) else { return Vec::new() };
    let baseline = shown(&report.baseline_rounds);
    let charts = [
        ("throughput", throughput(&round)),
        ("latency", latency(&round)),
        ("percentiles", percentiles(&round, baseline.as_ref())),
        ("in-flight", in_flight(&round)),
    ];
    charts
        .into_iter()
        .filter_map(|(suffix, mut chart)| {
            chart.title = format!("{}: {}", report.scenario, chart.title);
            Some(Picture { suffix, svg: chart.svg()?, title: chart.title })
        })
        .collect()
}

fn over_time(
    round: &Round,
    title: &str,
    y_label: &'static str,
    y_scale: Scale,
    lines: Vec<Line>,
) -> Chart {
    let from = round.timeline.counts_from_seconds;
    Chart {
        title: title.to_owned(),
        x_label: "seconds",
        y_label,
        y_scale,
        x_marks: Vec::new(),
        // What was sent at once needs no such line.
        moment: (from > 0.5).then_some((from, "rates count from here")),
        lines,
    }
}

fn throughput(round: &Round) -> Chart {
    let timeline = &round.timeline;
    let mut lines = Vec::new();
    for lot in &timeline.lots {
        let arrived: Vec<u64> = lot.points.iter().map(|point| point.arrived).collect();
        lines.push(rate(named("accepted", lot, timeline.lots.len()), &lot.accepted));
        lines.push(rate(named("arrived", lot, timeline.lots.len()), &arrived));
    }
    if round.refused > 0 {
        lines.push(rate("turned away".to_owned(), &timeline.refused));
    }
    lines.retain(|line| !line.points.is_empty());
    over_time(round, "throughput", "a second", Scale::Linear, lines)
}

/// Counts of steps as rates, each at the middle of its step, and none after the last.
fn rate(name: String, counts: &[u64]) -> Line {
    let point = |(step, count): (usize, &u64)| {
        (seconds(step) + 0.5 / STEPS_PER_SECOND as f64, (count * STEPS_PER_SECOND) as f64)
    };
    let end = counts.first().map(|_| &0);
    Line { name, points: counts.iter().chain(end).enumerate().map(point).collect() }
}

fn latency(round: &Round) -> Chart {
    let lots = &round.timeline.lots;
    let mut lines = Vec::new();
    // Without a summary, or of what was prepared, the latency says nothing: all of it had been waiting.
    let is_timed = |lot: &&LotLine| round.arrival.is_some() && !lot.accepted.is_empty();
    for lot in lots.iter().filter(is_timed) {
        let of = |name: &str, ms: fn(&crate::timeline::Point) -> f64| {
            let points = lot.points.iter().enumerate().filter(|(_, point)| point.arrived > 0);
            let points = points.map(|(step, point)| (seconds(step), ms(point))).collect();
            Line { name: named(name, lot, lots.len()), points }
        };
        lines.push(of("p50", |point| point.p50_ms));
        lines.push(of("p99", |point| point.p99_ms));
    }
    over_time(
        round,
        "emit to arrival, by the step of arrival",
        "milliseconds",
        Scale::Logarithmic,
        lines,
    )
}

fn percentiles(round: &Round, baseline: Option<&Round>) -> Chart {
    let line = |name: String, curve: &[(f64, f64)]| Line {
        name,
        points: curve.iter().map(|(quantile, ms)| (rarity(*quantile), *ms)).collect(),
    };
    let parts = round.parts.iter().filter(|_| round.arrival.is_some());
    let mut lines: Vec<Line> = parts.map(|part| line(part.name.clone(), &part.curve)).collect();
    let beside = baseline.filter(|_| !lines.is_empty()).map(|round| &round.parts);
    lines.extend(beside.into_iter().flatten().map(|part| line("baseline".to_owned(), &part.curve)));
    let marks = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999];
    Chart {
        title: "emit to arrival, by quantile".to_owned(),
        x_label: "share of the deliveries that were at least as fast",
        y_label: "milliseconds",
        y_scale: Scale::Logarithmic,
        x_marks: marks.into_iter().map(|mark| (rarity(mark), percent(mark))).collect(),
        moment: None,
        lines,
    }
}

fn in_flight(round: &Round) -> Chart {
    let held = round.timeline.in_flight.iter().enumerate();
    let points = held.map(|(step, held)| (seconds(step), f64::from(*held))).collect();
    let lines = vec![Line { name: "held by one webhook".to_owned(), points }];
    over_time(round, "requests under way, the most of each step", "requests", Scale::Linear, lines)
}

/// How many nines: equal steps to the right are ever rarer.
fn rarity(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

fn percent(quantile: f64) -> String {
    let text = format!("{:.3}", quantile * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The lot is named only where there are several.
fn named(what: &str, lot: &LotLine, lots: usize) -> String {
    if lots > 1 { format!("{}, {what}", lot.name) } else { what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nines_are_at_equal_distances() {
        assert!((rarity(0.9) - 1.0).abs() < 1e-9);
        assert!((rarity(0.999) - 3.0).abs() < 1e-9);
        assert_eq!(
            [0.0, 0.5, 0.99, 0.999, 0.99999].map(percent),
            ["0 %", "50 %", "99 %", "99.9 %", "99.999 %"]
        );
    }

    #[test]
    fn a_count_of_a_quarter_of_a_second_is_a_fourth_of_its_rate() {
        let line = rate("a".to_owned(), &[0, 25]);
        assert_eq!(line.points, [(0.125, 0.0), (0.375, 100.0), (0.625, 0.0)]);
        assert!(rate("b".to_owned(), &[]).points.is_empty());
    }
}
