//! Dashboards, rules and alerts: what is written is checked as text here and by Prometheus' own tools,
//! and then proved with a real Prometheus that watches real processes fail.

mod names;
mod pictures;
mod proof;
mod watch;
mod written;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The files of a folder below `dashboards/` with this ending, in order.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = root().join("dashboards").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .filter(|path| path.extension().is_some_and(|e| e == ending))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{} has no .{ending}", folder.display());
    found
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("it is YAML")
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Every rule of `dashboards/prometheus/rules`, alerts and recordings.
fn rules() -> Vec<Value> {
    let mut found = Vec::new();
    for file in files("prometheus/rules", "yml") {
        for group in list(&yaml(&read(&file)), "groups") {
            found.extend_from_slice(list(group, "rules"));
        }
    }
    found
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule["alert"].is_string()).collect()
}

/// A dashboard: its file's name, and what is in it.
struct Board {
    name: String,
    json: Value,
}

/// Every dashboard of `dashboards/grafana`.
fn boards() -> Vec<Board> {
    let board = |file: PathBuf| Board {
        name: file.file_stem().and_then(|s| s.to_str()).expect("a plain name").to_owned(),
        json: serde_json::from_str(&read(&file)).expect("it is JSON"),
    };
    files("grafana", "json").into_iter().map(board).collect()
}

impl Board {
    /// Its panels, without the headings between them.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        list(&self.json, "panels").iter().filter(|panel| panel["type"] != "row")
    }
}

/// One of the programs that `scripts/setup-prometheus` got.
fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("RELAY_PROMETHEUS_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own file");
            test.ancestors().nth(3).expect("it lies in target/").join("prometheus")
        },
        PathBuf::from,
    );
    let program = directory.join("bin").join(name);
    assert!(program.is_file(), "{} is not there: scripts/setup-prometheus", program.display());
    program
}
