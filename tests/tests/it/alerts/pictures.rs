//! Pictures of the dashboards: the answers to their own queries, drawn by what draws the charts of
//! `loadtest`. Grafana has no part in them.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Board, list, text};

#[path = "../../../../loadtest/src/plot.rs"]
#[allow(dead_code, unreachable_pub, reason = "loadtest uses all of it")]
mod plot;

use plot::{Chart, Line, Scale};

/// A panel of a picture, and the grid that they stand in.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 290.0;
const COLUMNS: usize = 2;
const TOP: f64 = 52.0;
const LINE: f64 = 20.0;
const MOMENTS_A_LINE: usize = 5;
/// More lines than these are not told apart.
const LINES_MAX: usize = 6;

/// A panel and what its queries answered: a legend and the points of each line, by seconds.
pub(super) struct Answered<'a> {
    pub(super) panel: &'a Value,
    pub(super) lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// The whole board; `moments` says what was done to the processes, and at which second.
pub(super) fn svg(board: &Board, panels: Vec<Answered<'_>>, moments: &[(f64, &str)]) -> String {
    let rows = panels.len().div_ceil(COLUMNS);
    let told: Vec<String> = moments.iter().map(|(at, what)| format!("{at:.0} s {what}")).collect();
    let told: Vec<String> = told.chunks(MOMENTS_A_LINE).map(|some| some.join(" · ")).collect();
    let top = TOP + LINE * told.len() as f64;
    let (width, height) = (WIDTH * COLUMNS as f64, top + HEIGHT * rows as f64);
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" fill="#808080">
<text x="16" y="28" font-size="20">{}</text>
"##,
        text(&board.json, "title"),
    );
    for (line, told) in told.iter().enumerate() {
        let y = TOP + LINE * line as f64;
        let _ = writeln!(out, r#"<text x="16" y="{y}" font-size="14">{told}</text>"#);
    }
    for (at, answered) in panels.into_iter().enumerate() {
        let (x, y) = ((at % COLUMNS) as f64 * WIDTH, top + (at / COLUMNS) as f64 * HEIGHT);
        let inner = chart(answered);
        let inner = inner.trim_end().trim_end_matches("</svg>");
        // A picture within the picture: only its place and size are its own.
        let (_, inside) = inner.split_once('>').expect("it begins with a tag");
        let _ = writeln!(
            out,
            r#"<svg x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 840 380" font-size="13">{inside}</svg>"#
        );
    }
    out.push_str("</svg>\n");
    out
}

fn chart(answered: Answered<'_>) -> String {
    let Answered { panel, mut lines } = answered;
    let highest = |points: &[(f64, f64)]| points.iter().map(|(_, y)| *y).fold(0.0, f64::max);
    lines.sort_by(|(_, a), (_, b)| highest(b).total_cmp(&highest(a)));
    let hidden = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    let title = text(panel, "title");
    // An axis from zero to zero says no more than a word.
    let flat = match lines.first() {
        None => Some("nothing to show"),
        Some((_, points)) => (highest(points) <= 0.0).then_some("0 throughout"),
    };
    if let Some(flat) = flat {
        return format!(r#"<svg><text x="76" y="22" font-size="15">{title}: {flat}</text></svg>"#);
    }
    let title = match hidden {
        0 => title.to_owned(),
        hidden => format!("{title} (the highest {LINES_MAX}; {hidden} more)"),
    };
    let chart = Chart {
        title,
        x_label: "seconds",
        y_label: unit(&panel["fieldConfig"]["defaults"]["unit"]),
        y_scale: Scale::Linear,
        x_marks: Vec::new(),
        moment: None,
        lines: lines.into_iter().map(|(name, points)| Line { name, points }).collect(),
    };
    chart.svg().expect("there are points")
}

/// What Grafana's name of a unit means.
fn unit(name: &Value) -> &'static str {
    match name.as_str().unwrap_or_default() {
        "s" => "seconds",
        "d" => "days",
        "ops" | "reqps" => "a second",
        "bytes" => "bytes",
        "Bps" => "bytes a second",
        "percentunit" => "share",
        "none" | "short" => "count",
        other => panic!("nobody knows the unit {other}"),
    }
}

/// The legend of a series: `{{label}}` becomes its value.
pub(super) fn legend(format: &str, labels: &Value) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once("{{") {
        let (label, after) = after.split_once("}}").expect("what opens closes");
        out.push_str(before);
        out.push_str(labels[label].as_str().unwrap_or_default());
        rest = after;
    }
    out + rest
}

/// The points of a series in Prometheus' answer, from a moment on; what is no number is left out.
pub(super) fn points(series: &Value, from: i64) -> Vec<(f64, f64)> {
    let values = list(series, "values").iter();
    let point = |pair: &Value| {
        let value: f64 = pair[1].as_str()?.parse().ok()?;
        Some((pair[0].as_f64()? - from as f64, value)).filter(|_| value.is_finite())
    };
    values.filter_map(point).collect()
}
