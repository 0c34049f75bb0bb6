//! Tests of the names and labels: conventions that hold for every metric there is.

use std::collections::BTreeSet;

use super::*;

#[test]
fn names_follow_the_conventions_and_stand_there_once() {
    let mut seen = BTreeSet::new();
    for metric in all() {
        let name = metric.name;
        assert!(seen.insert(name), "{name} is there twice");
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.starts_with("relay_") && name.chars().all(plain), "{name}");
        assert!(!name.contains("__") && !name.ends_with('_'), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        // Base units only, and at the end: what is counted in them can be compared.
        for unit in ["_ms", "_millis", "_milliseconds", "_minutes", "_hours", "_kb", "_percent"] {
            assert!(!name.contains(unit), "{name} is not in a base unit");
        }
        for reserved in ["_sum", "_count", "_bucket", "_info_total"] {
            assert!(!name.ends_with(reserved), "{name} would be taken for a part of a histogram");
        }
        if metric.kind == Kind::Histogram {
            let ends = ["_seconds", "_rows"].iter().any(|end| name.ends_with(end));
            assert!(ends, "{name} has no buckets of its own");
        }
        assert!(metric.help.ends_with('.') && metric.help.len() < 120, "{name}: {}", metric.help);
    }
    assert!(seen.len() > 50, "{}", seen.len());
}

#[test]
fn labels_come_from_closed_sets() {
    for metric in all() {
        let mut names = BTreeSet::new();
        let mut series = 1;
        for label in metric.labels {
            assert!(names.insert(label.name), "{}: {} twice", metric.name, label.name);
            assert!(!label.name.ends_with("id"), "{}: {} is an id", metric.name, label.name);
            assert!(
                !["le", "quantile", "job", "instance"].contains(&label.name),
                "{}",
                metric.name
            );
            if let Values::Words(set) = label.values {
                let words: BTreeSet<_> = set.iter().collect();
                assert_eq!(words.len(), set.len(), "{}: {}", metric.name, label.name);
                series *= set.len() + 1;
            }
            assert!(!label.values.allow("0192f0c4-5a68-7c1e-9f39-5c2d0a1b2c3d"), "{}", metric.name);
        }
        assert!(series <= 64, "{} has {series} series for each provider", metric.name);
    }
}

#[test]
fn what_is_not_in_a_set_is_other() {
    assert_eq!(labels::provider_label("slack"), "slack");
    assert_eq!(labels::provider_label("a customer's word"), "other");
    assert_eq!(labels::known(labels::DISABLED, "receiver_gone"), "receiver_gone");
    assert_eq!(labels::known(labels::DISABLED, "x"), "other");
}

#[test]
fn what_was_read_long_ago_is_no_longer_told() {
    let began = std::time::Instant::now();
    oldest_due("live", std::time::Duration::from_secs(3));
    assert_eq!(forget_old(began + OLD_AFTER / 2), 0);
    assert!(forget_old(began + OLD_AFTER * 2) >= 1);
    assert_eq!(forget_old(began + OLD_AFTER * 2), 0, "once is enough");
}
