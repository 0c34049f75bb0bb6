//! What a query names: metrics, labels and their values, and whether Relay tells any of them.

use std::collections::BTreeSet;

use engine::metrics::{self, Kind, Metric};

/// What Prometheus adds to everything, or has of its own.
const EVERYWHERE: [&str; 2] = ["job", "instance"];
const PROMETHEUS: [&str; 2] = ["up", "ALERTS"];
const OF_ALERTS: [&str; 3] = ["alertname", "alertstate", "severity"];

/// What is wrong with a query; `recorded` are the names that recording rules give.
pub(super) fn complaints(query: &str, recorded: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    let mut named = Vec::new();
    for (name, matchers) in selectors(query) {
        if PROMETHEUS.contains(&name) || name.starts_with("process_") || recorded.contains(name) {
            continue;
        }
        let Some(metric) = metric(name) else {
            found.push(format!("nobody tells {name}"));
            continue;
        };
        named.push(metric);
        found.extend(matchers.into_iter().filter_map(|(label, value)| {
            let complaint = wrong(metric, name, label, value)?;
            Some(format!("{name}: {complaint}"))
        }));
    }
    for label in grouped(query) {
        let is_known = EVERYWHERE.contains(&label)
            || named.iter().any(|metric| has(metric, label))
            || label == "le" && named.iter().any(|metric| metric.kind == Kind::Histogram)
            || query.contains("ALERTS") && OF_ALERTS.contains(&label);
        if !is_known {
            found.push(format!("grouped by {label}, which nothing here has"));
        }
    }
    found
}

fn has(metric: &Metric, label: &str) -> bool {
    metric.labels.iter().any(|known| known.name == label)
}

/// The metric that a name in a query belongs to: histograms are asked for by their parts.
fn metric(name: &str) -> Option<&'static Metric> {
    let parts = ["_bucket", "_sum", "_count"];
    metrics::all().find(|metric| match metric.kind {
        Kind::Histogram => name.strip_prefix(metric.name).is_some_and(|rest| parts.contains(&rest)),
        Kind::Counter | Kind::Gauge => metric.name == name,
    })
}

fn wrong(metric: &Metric, name: &str, label: &str, value: &str) -> Option<String> {
    if EVERYWHERE.contains(&label) || label == "le" && name.ends_with("_bucket") {
        return None;
    }
    let Some(known) = metric.labels.iter().find(|known| known.name == label) else {
        return Some(format!("it has no label {label}"));
    };
    let mut values = value.split('|').filter(|value| !value.starts_with('$'));
    let odd = values.find(|value| !known.values.allow(value))?;
    Some(format!("{label} is never {odd}"))
}

/// Every metric that a query selects, with its matchers: label and value, or alternatives of it.
fn selectors(query: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    const FIRST_OF_METRICS: [&str; 5] = ["relay_", "relay:", "process_", "up", "ALERTS"];
    let mut found = Vec::new();
    let mut rest = query;
    while let Some((word, after)) = next_word(rest) {
        rest = after;
        if FIRST_OF_METRICS.iter().any(|first| match *first {
            "up" | "ALERTS" => word == *first,
            first => word.starts_with(first),
        }) {
            let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            found.push((word, matchers.map_or_else(Vec::new, |(inner, _)| pairs(inner))));
        }
    }
    found
}

/// `a="b", c=~"d|e"` as pairs.
fn pairs(matchers: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut parts = matchers.split('"');
    while let (Some(before), Some(value)) = (parts.next(), parts.next()) {
        let label = before.trim_start_matches([',', ' ']).trim_end_matches(['=', '~', '!', ' ']);
        found.push((label, value));
    }
    found
}

/// The labels of every `by (…)` and `on (…)`.
fn grouped(query: &str) -> Vec<&str> {
    let after = |word| query.split(word).skip(1).filter_map(|rest| rest.split(')').next());
    let all = [" by (", " on ("].into_iter().flat_map(after);
    all.flat_map(|inner| inner.split(','))
        .map(str::trim)
        .filter(|label| !label.is_empty())
        .collect()
}

/// The next name outside of quotes, and what follows it.
fn next_word(text: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut in_quotes = false;
    let begin = text.find(|c: char| {
        in_quotes ^= c == '"';
        !in_quotes && (c.is_ascii_alphabetic() || c == '_')
    })?;
    let rest = &text[begin..];
    let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
    Some((&rest[..end], &rest[end..]))
}

#[test]
fn what_nobody_tells_is_complained_about() {
    let recorded = BTreeSet::from(["relay:x:rate5m".to_owned()]);
    let of = |query: &str| complaints(query, &recorded);
    for good in [
        r#"sum by (class, instance) (rate(relay_outbox_deliveries{class="live"}[5m]))"#,
        r#"histogram_quantile(0.5, sum by (le) (rate(relay_claim_seconds_bucket{le="5"}[5m])))"#,
        r#"relay:x:rate5m > 1 and up{job="relay"} == 0"#,
        r#"label_replace(absent(relay_database_up >= 0), "metric", "relay_no_such", "", "")"#,
        r#"rate(relay_dead_total{reason=~"poison|gone"}[$__rate_interval])"#,
    ] {
        assert_eq!(of(good), [] as [String; 0], "{good}");
    }
    for (bad, why) in [
        ("relay_no_such_total", "nobody tells relay_no_such_total"),
        ("relay:y:rate5m", "nobody tells relay:y:rate5m"),
        ("relay_claim_seconds", "nobody tells relay_claim_seconds"),
        (r#"relay_outbox_deliveries{class="dead"}"#, "class is never dead"),
        (r#"relay_outbox_deliveries{kind="live"}"#, "it has no label kind"),
        ("sum by (reason) (relay_outbox_deliveries)", "grouped by reason"),
    ] {
        let found = of(bad);
        assert!(found.len() == 1 && found[0].contains(why), "{bad}: {found:?}");
    }
}
