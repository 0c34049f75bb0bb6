//! The table in `docs/operations.md` names every metric, and nothing else; and so with labels.

use std::{collections::BTreeMap, collections::BTreeSet, fs};

use engine::metrics;

/// What the table's first column says: names with their labels.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
    let text = fs::read_to_string(path).expect("docs are there");
    let section = text.split("\n## Metrics\n").nth(1).expect("it has a section");
    let section = section.split("\n## ").next().expect("a section ends");
    let mut found = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split('|').nth(1).expect("a row has cells");
        let named = cell.split('`').nth(1).expect("a name is code");
        let (name, labels) = named.split_once('{').unwrap_or((named, ""));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
        let twice = found.insert(name.to_owned(), labels.map(str::to_owned).collect());
        assert!(twice.is_none(), "{name} has two rows");
    }
    found
}

#[test]
fn the_table_has_every_metric_with_its_labels_and_no_other() {
    let documented = documented();
    let real: BTreeMap<String, BTreeSet<String>> = metrics::all()
        .map(|metric| {
            let labels = metric.labels.iter().map(|label| label.name.to_owned());
            (metric.name.to_owned(), labels.collect())
        })
        .collect();
    for (name, labels) in &real {
        assert_eq!(documented.get(name), Some(labels), "{name} in docs/operations.md");
    }
    for name in documented.keys().filter(|name| *name != "process_*") {
        assert!(real.contains_key(name), "docs/operations.md has {name}, which nobody tells");
    }
}
