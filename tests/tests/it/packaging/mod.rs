//! What Relay is deployed with: each file is read as what it is for reads it, and named things exist.

mod compose;
mod kubernetes;
pub(crate) mod rollout;
mod systemd;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Every document of a YAML file, by a parser that knows anchors and merges.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The files of a folder with this ending, by their paths from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let mut found: Vec<String> = entries
        .map(|entry| entry.expect("a folder can be read").file_name())
        .filter_map(|name| Some(format!("{folder}/{}", name.to_str()?)))
        .filter(|name| name.ends_with(ending))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder} has no {ending}");
    found
}

/// The names of a file of settings, with what stands behind them.
fn env_file(path: &str) -> BTreeMap<String, String> {
    let text = read(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split_once('=').unwrap_or_else(|| panic!("{path}: {line}")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Every name that the binary under test reads, and whether it is secret.
async fn known_settings() -> BTreeMap<String, bool> {
    let lines = command::relay(&["settings", "--json"], &[]).await.good().json_lines();
    let name = |line: &Value| line["name"].as_str().expect("a name").to_owned();
    lines.iter().map(|line| (name(line), line["secret"] == true)).collect()
}

/// Names are ones that Relay reads, and no secret has a value.
async fn assert_settings<'a>(from: &str, set: impl IntoIterator<Item = (&'a str, &'a str)>) {
    let known = known_settings().await;
    for (name, value) in set {
        let secret = known.get(name).unwrap_or_else(|| panic!("{from}: nobody reads {name}"));
        assert!(!secret || value.is_empty(), "{from}: {name} is a secret, and is not empty");
    }
}

/// How long docs/operations.md says that a process may take to end.
fn drain_seconds() -> u64 {
    let text = read("docs/operations.md");
    let (_, rest) = text.split_once("Give both ").expect("it says how long");
    rest.split(' ').next().and_then(|number| number.parse().ok()).expect("a number of seconds")
}

/// A program's own check of a file, where the program is here.
fn is_here(program: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    if !found {
        // To be seen in the log of a run: what follows was not checked.
        println!("!!! NOT CHECKED by {program}: it is not installed");
    }
    found
}

fn stage<'a>(dockerfile: &'a str, from: &str) -> &'a str {
    let (_, rest) = dockerfile.split_once(from).unwrap_or_else(|| panic!("no stage {from}"));
    rest.split("\nFROM ").next().expect("a split has a first part")
}

#[tokio::test]
async fn the_image_runs_as_nobody_checks_itself_and_is_built_from_what_is_there() {
    let dockerfile = read("deploy/Dockerfile");
    let last = stage(&dockerfile, "FROM gcr.io/distroless/");
    let user = last.lines().find_map(|line| line.strip_prefix("USER ")).expect("a user");
    let (uid, gid) = user.split_once(':').expect("user and group");
    assert!(uid.parse::<u32>().is_ok_and(|id| id > 0), "{user} is not a number, or is root");
    assert!(gid.parse::<u32>().is_ok_and(|id| id > 0), "{user}");
    let check = last.lines().find(|line| line.starts_with("HEALTHCHECK")).expect("a check");
    assert!(check.ends_with(r#"CMD ["relay", "health"]"#), "{check}: there is no shell");
    let help = command::relay(&["health", "--help"], &[]).await.good();
    assert!(help.stdout.contains("--url"), "{help:?}");
    // What it runs by default, and the addresses that it listens on, are what the binary knows.
    let set = last.lines().find_map(|line| line.strip_prefix("ENV ")).expect("settings");
    let set: Vec<(&str, &str)> = set.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    assert_settings("Dockerfile", set.iter().copied()).await;
    let port = |name: &str| {
        let (_, address) = set.iter().find(|(known, _)| *known == name).expect("an address");
        address.strip_prefix("0.0.0.0:").expect("from outside of the container").to_owned()
    };
    let ports = format!("EXPOSE {} {}", port("RELAY_LISTEN"), port("RELAY_METRICS_LISTEN"));
    assert!(last.lines().any(|line| line == ports), "{ports}");
    // The compiler is the one of rust-toolchain.toml.
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.split('"').nth(1).expect("a version");
    let (minor, _) = channel.rsplit_once('.').expect("three numbers");
    assert!(dockerfile.contains(&format!("FROM rust:{minor}-bookworm")), "{channel}");
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    for source in copies.filter(|line| !line.starts_with("--from")).flat_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        words[..words.len() - 1].to_vec()
    }) {
        assert!(root().join(source).exists(), "{source} is copied, and is not there");
    }
}

/// Secrets and what was built elsewhere stay out of the build, the sources do not.
#[test]
fn the_build_is_sent_what_it_needs_and_no_secret() {
    let ignored = read(".dockerignore");
    let lines: BTreeSet<&str> = ignored.lines().collect();
    for line in [".git", ".relay", "**/target", "**/node_modules", "**/*.env", "**/*.pem"] {
        assert!(lines.contains(line), "{line} is sent to the build");
    }
    for needed in [".sqlx", "migrations", "docs", "engine", "tests", "Cargo.lock"] {
        assert!(!lines.contains(needed), "{needed} is not sent to the build");
    }
    assert!(read("deploy/.gitignore").lines().any(|line| line == "env/*.env"));
}
