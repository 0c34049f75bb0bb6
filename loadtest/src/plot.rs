//! Line charts as SVG, drawn by hand: axes, a grid, lines and a legend, readable on light and on dark.

use std::fmt::Write as _;

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 52.0;
/// In the middle between black and white, so that both backgrounds will do.
const INK: &str = "#808080";
/// Each with a pattern of its own, for those who cannot tell the colours apart.
const STROKES: [(&str, &str); 6] = [
    ("#3b82f6", "none"),
    ("#e8710a", "7 4"),
    ("#16a34a", "2 3"),
    ("#c026d3", "10 3 2 3"),
    ("#dc2626", "4 4"),
    ("#0891b2", "12 4"),
];

/// A chart of one quantity over another.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x_label: &'static str,
    pub(crate) y_label: &'static str,
    pub(crate) y_scale: Scale,
    /// Marks of the horizontal axis; round numbers where there are none.
    pub(crate) x_marks: Vec<(f64, String)>,
    /// A moment of the horizontal axis to point out.
    pub(crate) moment: Option<(f64, &'static str)>,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// From zero.
    Linear,
    /// By powers of ten; what is not above zero is left out.
    Logarithmic,
}

/// A line with the name that the legend gives it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// One axis: its bounds in the chart's units, and where they lie in the picture.
struct Axis {
    low: f64,
    high: f64,
    begin: f64,
    end: f64,
    marks: Vec<(f64, String)>,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin)
    }
}

impl Chart {
    /// `None` where there is nothing to draw.
    pub(crate) fn svg(&self) -> Option<String> {
        let lines: Vec<(&str, Vec<(f64, f64)>)> =
            self.lines.iter().map(|line| (line.name.as_str(), self.scaled(&line.points))).collect();
        let all = || lines.iter().flat_map(|(_, points)| points.iter().copied());
        all().next()?;
        let (x, y) = (self.x_axis(all().map(|(x, _)| x)), self.y_axis(all().map(|(_, y)| y)));
        let mut out = String::new();
        let _ = writeln!(
            out,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">"#
        );
        let title = escaped(&self.title);
        let _ = writeln!(out, "<title>{title}</title>");
        let _ = writeln!(out, r#"<text x="{LEFT}" y="22" font-size="15">{title}</text>"#);
        self.draw_axes(&mut out, &x, &y);
        for (at, (name, points)) in lines.iter().enumerate() {
            let (colour, dashes) = STROKES[at % STROKES.len()];
            draw_legend(&mut out, at, name);
            let path: Vec<String> = points
                .iter()
                .map(|(at_x, at_y)| format!("{:.1},{:.1}", x.place(*at_x), y.place(*at_y)))
                .collect();
            let _ = writeln!(
                out,
                r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round" stroke-dasharray="{dashes}"/>"#,
                path.join(" ")
            );
        }
        out.push_str("</svg>\n");
        Some(out)
    }

    fn scaled(&self, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
        let points = points.iter().copied();
        match self.y_scale {
            Scale::Linear => points.collect(),
            Scale::Logarithmic => {
                points.filter(|(_, y)| *y > 0.0).map(|(x, y)| (x, y.log10())).collect()
            }
        }
    }

    fn x_axis(&self, values: impl Iterator<Item = f64>) -> Axis {
        let high = values.fold(0.0, f64::max).max(1e-9);
        let marks = if self.x_marks.is_empty() { round_marks(high) } else { self.x_marks.clone() };
        let marks = marks.into_iter().filter(|(at, _)| *at <= high * 1.001).collect();
        Axis { low: 0.0, high, begin: LEFT, end: WIDTH - RIGHT, marks }
    }

    fn y_axis(&self, values: impl Iterator<Item = f64>) -> Axis {
        let (begin, end) = (HEIGHT - BOTTOM, TOP);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        match self.y_scale {
            Scale::Linear => {
                let marks = round_marks(high.max(1e-9));
                // One mark above the highest value, so that no line touches the frame.
                let step = marks.get(1).map_or(1.0, |(step, _)| *step);
                let high = ((high / step).floor() + 1.0) * step;
                let marks = round_marks(high).into_iter().filter(|(at, _)| *at <= high);
                Axis { low: 0.0, high, begin, end, marks: marks.collect() }
            }
            Scale::Logarithmic => {
                let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
                let decades = low as i32..=high as i32;
                let marks = decades.map(|power| (f64::from(power), told(10f64.powi(power))));
                Axis { low, high, begin, end, marks: marks.collect() }
            }
        }
    }

    fn draw_axes(&self, out: &mut String, x: &Axis, y: &Axis) {
        for (value, text) in &y.marks {
            let at = y.place(*value);
            let _ = writeln!(
                out,
                r#"<path d="M{LEFT} {at:.1}H{:.1}" stroke="{INK}" stroke-opacity="0.3"/><text x="{:.1}" y="{:.1}" text-anchor="end">{text}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0
            );
        }
        let bottom = HEIGHT - BOTTOM;
        for (value, text) in &x.marks {
            let at = x.place(*value);
            let _ = writeln!(
                out,
                r#"<path d="M{at:.1} {bottom}v5" stroke="{INK}"/><text x="{at:.1}" y="{}" text-anchor="middle">{text}</text>"#,
                bottom + 19.0
            );
        }
        let _ = writeln!(
            out,
            r#"<path d="M{LEFT} {TOP}V{bottom}H{}" fill="none" stroke="{INK}"/>"#,
            WIDTH - RIGHT
        );
        if let Some((value, name)) = self.moment.filter(|(value, _)| *value <= x.high) {
            let at = x.place(value);
            let _ = writeln!(
                out,
                r#"<path d="M{at:.1} {TOP}V{bottom}" stroke="{INK}" stroke-dasharray="1 3"/><text x="{:.1}" y="{}" font-size="11">{}</text>"#,
                at + 5.0,
                TOP + 12.0,
                escaped(name)
            );
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = writeln!(
            out,
            r#"<text x="{middle}" y="{}" text-anchor="middle">{}</text>"#,
            HEIGHT - 12.0,
            escaped(self.x_label)
        );
        let middle = (TOP + bottom) / 2.0;
        let _ = writeln!(
            out,
            r#"<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">{}</text>"#,
            escaped(self.y_label)
        );
    }
}

fn draw_legend(out: &mut String, at: usize, name: &str) {
    let (colour, dashes) = STROKES[at % STROKES.len()];
    let (column, row) = (at % 4, at / 4);
    let (x, y) = (LEFT + column as f64 * 186.0, 39.0 + row as f64 * 15.0);
    let _ = writeln!(
        out,
        r#"<path d="M{x} {y}h26" stroke="{colour}" stroke-width="2.4" stroke-dasharray="{dashes}"/><text x="{}" y="{}">{}</text>"#,
        x + 32.0,
        y + 4.0,
        escaped(name)
    );
}

/// About five marks from zero, at 1, 2 or 5 times a power of ten.
fn round_marks(high: f64) -> Vec<(f64, String)> {
    let rough = high / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| rough <= step * 1.0001).unwrap_or(power * 10.0);
    let count = (high / step + 1e-6).floor() as usize;
    (0..=count).map(|at| at as f64 * step).map(|value| (value, told(value))).collect()
}

fn told(value: f64) -> String {
    match value {
        1_000_000.0.. => format!("{}M", shortest(value / 1e6)),
        10_000.0.. => format!("{}k", shortest(value / 1e3)),
        _ => shortest(value),
    }
}

fn shortest(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(y_scale: Scale, lines: &[(&str, &[(f64, f64)])]) -> Chart {
        let lines = lines
            .iter()
            .map(|(name, points)| Line { name: (*name).to_owned(), points: points.to_vec() });
        Chart {
            title: "Rates & <more>".to_owned(),
            x_label: "seconds",
            y_label: "a second",
            y_scale,
            x_marks: Vec::new(),
            moment: None,
            lines: lines.collect(),
        }
    }

    fn points(svg: &str) -> Vec<Vec<(f64, f64)>> {
        let lines = svg.split("<polyline points=\"").skip(1);
        lines
            .map(|line| {
                let list = line.split('"').next().unwrap_or_default();
                let pairs = list.split(' ').filter_map(|pair| pair.split_once(','));
                pairs.map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap())).collect()
            })
            .collect()
    }

    #[test]
    fn lines_lie_within_the_frame_and_rise_upwards() {
        let lines: &[(&str, &[(f64, f64)])] =
            &[("sent", &[(0.0, 0.0), (5.0, 900.0)]), ("arrived", &[(1.0, 450.0), (10.0, 3.0)])];
        let svg = chart(Scale::Linear, lines).svg().expect("there is something");
        let drawn = points(&svg);
        assert_eq!(drawn.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        for (x, y) in drawn.iter().flatten() {
            assert!((LEFT..=WIDTH - RIGHT).contains(x), "{x}");
            assert!((TOP..=HEIGHT - BOTTOM).contains(y), "{y}");
        }
        assert!(drawn[0][1].1 < drawn[0][0].1, "more is higher");
        assert!(svg.contains(">sent<") && svg.contains(">arrived<"), "the legend names both");
    }

    #[test]
    fn text_is_escaped_and_the_picture_is_one_element() {
        let svg = chart(Scale::Linear, &[("a", &[(0.0, 1.0)])]).svg().expect("something");
        assert!(svg.contains("Rates &amp; &lt;more&gt;"));
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_logarithmic_scale_has_decades_and_leaves_zero_out() {
        let svg = chart(Scale::Logarithmic, &[("a", &[(0.0, 0.0), (1.0, 0.5), (2.0, 50.0)])]).svg();
        let svg = svg.expect("something");
        assert_eq!(points(&svg)[0].len(), 2);
        for mark in ["0.1", "1", "10", "100"] {
            assert!(svg.contains(&format!(">{mark}<")), "{mark}");
        }
    }

    #[test]
    fn a_moment_is_pointed_out_within_the_frame_only() {
        let with = |moment: f64| {
            let mut chart = chart(Scale::Linear, &[("a", &[(0.0, 1.0), (4.0, 1.0)])]);
            chart.moment = Some((moment, "it came up"));
            chart.svg().expect("something").contains("it came up")
        };
        assert!(with(2.0));
        assert!(!with(5.0));
    }

    #[test]
    fn nothing_to_draw_is_no_picture() {
        assert_eq!(chart(Scale::Linear, &[("a", &[])]).svg(), None);
        assert_eq!(chart(Scale::Logarithmic, &[("a", &[(0.0, 0.0)])]).svg(), None);
    }

    #[test]
    fn marks_are_round_numbers() {
        let texts = |high| round_marks(high).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(10.0), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(texts(0.7), ["0", "0.2", "0.4", "0.6"]);
        assert_eq!(texts(43_000.0), ["0", "10k", "20k", "30k", "40k"]);
    }
}
