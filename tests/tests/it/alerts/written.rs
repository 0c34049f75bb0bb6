//! What is written: made from its description, known to Prometheus' own tools, and complete.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

use super::{alerts, boards, files, list, names, program, read, root, rules, text, yaml};
use crate::command;

/// Runs one of Prometheus' tools, which must agree.
async fn agrees(tool: &str, first: &[&str], files: &[std::path::PathBuf]) {
    let files = files.iter().map(|path| path.to_str().expect("a plain path"));
    let arguments: Vec<&str> = first.iter().copied().chain(files).collect();
    command::run(&program(tool), &arguments, &[], None).await.good();
}

#[tokio::test]
async fn generated_dashboards_and_rules_are_what_their_description_says() {
    let script = root().join("dashboards/build.py");
    let script = script.to_str().expect("a plain path");
    command::run(Path::new("python3"), &[script, "--check"], &[], None).await.good();
}

#[tokio::test]
async fn prometheus_and_alertmanager_read_what_is_written_for_them() {
    agrees("promtool", &["check", "rules"], &files("prometheus/rules", "yml")).await;
    let config = root().join("dashboards/prometheus/alertmanager.yml");
    agrees("amtool", &["check-config"], &[config]).await;
}

#[tokio::test]
async fn alerts_fire_and_stay_silent_as_their_tests_say() {
    agrees("promtool", &["test", "rules"], &files("prometheus/tests", "yml")).await;
}

/// No alert is without a moment at which it fires, and another at which it does not.
#[test]
fn every_alert_is_tested_both_ways() {
    let mut cases: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    for file in files("prometheus/tests", "yml") {
        for test in list(&yaml(&read(&file)), "tests") {
            for case in list(test, "alert_rule_test") {
                let fires = !list(case, "exp_alerts").is_empty();
                cases.entry(text(case, "alertname").to_owned()).or_default().insert(fires);
            }
        }
    }
    let names: BTreeSet<String> = alerts().iter().map(|a| text(a, "alert").to_owned()).collect();
    let both = |(name, ways): (&String, &BTreeSet<bool>)| (ways.len() == 2).then(|| name.clone());
    let tested: BTreeSet<String> = cases.iter().filter_map(both).collect();
    assert_eq!(tested, names, "fire and do not fire in dashboards/prometheus/tests");
}

/// Whoever is woken knows how bad it is, what it is about with its figures, and what to do first.
#[test]
fn every_alert_says_what_it_means_and_where_its_runbook_is() {
    let runbook = read(&root().join("docs/alerts.md"));
    let headings: BTreeSet<&str> =
        runbook.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let name = text(&alert, "alert");
        assert!(name.starts_with("Relay") && names.insert(name.to_owned()), "{name} twice");
        let severity = text(&alert["labels"], "severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        let notes = &alert["annotations"];
        assert!(!text(notes, "summary").is_empty() && !text(notes, "description").is_empty());
        let anchor = format!("docs/alerts.md#{}", name.to_lowercase());
        assert_eq!(text(notes, "runbook_url"), anchor);
        assert!(headings.contains(name), "docs/alerts.md has no heading {name}");
        let (_, section) = runbook.split_once(&format!("### {name}\n")).expect("it is there");
        let section = section.split("\n#").next().unwrap_or_default();
        for part in ["**Means:**", "**First:**", "**Over when:**"] {
            assert!(section.contains(part), "docs/alerts.md, {name}: no {part}");
        }
    }
    let known = headings.iter().filter(|heading| heading.starts_with("Relay")).count();
    assert_eq!(known, names.len(), "docs/alerts.md has a heading without an alert");
}

#[test]
fn every_query_names_what_relay_tells() {
    let recorded: BTreeSet<String> =
        rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect();
    let mut queries: Vec<(String, String)> = Vec::new();
    for rule in rules() {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a rule has a name");
        queries.push((name.to_owned(), text(&rule, "expr").to_owned()));
    }
    for board in boards() {
        for panel in board.panels() {
            let title = format!("{}: {}", board.name, text(panel, "title"));
            let of_panel = list(panel, "targets").iter();
            queries.extend(of_panel.map(|target| (title.clone(), text(target, "expr").to_owned())));
        }
    }
    let complaints: Vec<String> = queries
        .iter()
        .flat_map(|(from, query)| {
            names::complaints(query, &recorded).into_iter().map(move |c| format!("{from}: {c}"))
        })
        .collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(queries.len() > 100, "only {} queries were found", queries.len());
}

/// A metric that no panel shows is one that nobody will ever look at.
#[test]
fn every_metric_is_shown_somewhere() {
    let shown: String = boards().iter().map(|board| board.json.to_string()).collect();
    let hidden: Vec<&str> =
        engine::metrics::all().map(|m| m.name).filter(|name| !shown.contains(name)).collect();
    assert!(hidden.is_empty(), "{hidden:?}");
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit() {
    let mut uids = BTreeSet::new();
    for board in boards() {
        assert!(uids.insert(text(&board.json, "uid").to_owned()), "{} twice", board.name);
        let variables = list(&board.json["templating"], "list");
        assert!(variables.iter().any(|v| v["name"] == "datasource" && v["type"] == "datasource"));
        for panel in board.panels() {
            let title = text(panel, "title");
            assert!(!title.is_empty() && !text(panel, "description").is_empty(), "{panel}");
            if panel["type"] == "text" {
                continue;
            }
            let unit = &panel["fieldConfig"]["defaults"]["unit"];
            assert!(unit.is_string(), "{}: {title} has no unit", board.name);
            assert!(!list(panel, "targets").is_empty(), "{}: {title} asks nothing", board.name);
            for part in list(panel, "targets").iter().chain([panel]) {
                assert_eq!(part["datasource"]["uid"], "${datasource}", "{}: {title}", board.name);
            }
        }
        assert!(no_overlap(board.json["panels"].as_array().expect("panels")), "{}", board.name);
    }
}

fn no_overlap(panels: &[Value]) -> bool {
    let mut taken = BTreeSet::new();
    panels.iter().all(|panel| {
        let of = |name: &str| panel["gridPos"][name].as_u64().expect("a place in the grid");
        let (x, y, w, h) = (of("x"), of("y"), of("w"), of("h"));
        let mut cells = (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y)));
        x + w <= 24 && cells.all(|cell| taken.insert(cell))
    })
}
