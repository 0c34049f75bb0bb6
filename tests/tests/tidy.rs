//! What the compiler cannot check: the arrows between crates, and that every promise names its proof.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

/// Every file below a folder with this ending, by its path from the root.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == ending) {
                let name = path.strip_prefix(root()).expect("below the root");
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                found.push((name.to_str().expect("plain names").to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{folder} holds no .{ending}");
    found.sort();
    found
}

const CRATES: [&str; 7] =
    ["engine", "api", "workers", "relay", "loadtest", "mock-providers", "tests"];

fn sources() -> Vec<(String, String)> {
    CRATES.iter().flat_map(|name| files(name, "rs")).collect()
}

/// What a crate lists: `[dependencies]`, and `[dev-dependencies]` if wanted.
fn listed(name: &str, with_dev: bool) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("it is there");
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            line.clone_into(&mut section);
        } else if section == "[dependencies]" || with_dev && section == "[dev-dependencies]" {
            let end = line.find(['.', ' ', '=']).unwrap_or(0);
            if end > 0 && !line.starts_with('#') {
                found.insert(line[..end].to_owned());
            }
        }
    }
    assert!(!found.is_empty(), "{name} lists nothing");
    found
}

/// The part of a file that is compiled into the product.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}

#[test]
fn crates_point_where_the_map_says() {
    for (name, never) in [
        ("engine", &["axum", "apalis", "apalis-core", "api", "workers", "relay", "clap"][..]),
        ("api", &["sqlx", "reqwest", "workers", "relay", "apalis", "clap"]),
        ("workers", &["sqlx", "reqwest", "api", "relay", "axum", "clap"]),
        ("relay", &["reqwest", "apalis", "tests", "loadtest"]),
        ("loadtest", &["api", "workers", "relay", "tests", "sqlx"]),
        ("mock-providers", &["engine", "api", "workers", "relay", "tests", "sqlx"]),
    ] {
        // What only the tests of the binary use is not in it.
        let listed = listed(name, name != "relay");
        for package in never {
            assert!(!listed.contains(*package), "{name} lists {package}");
        }
    }
    for name in ["api", "workers"] {
        assert!(listed(name, false).contains("engine"));
    }
}

#[test]
fn each_outside_package_has_one_home() {
    let homes: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("apalis", &["workers/src/pools.rs"][..]),
        ("apalis_core", &["workers/src/pools.rs"]),
        ("governor", &["engine/src/pace.rs"]),
        ("hmac", &["engine/src/signing.rs"]),
        ("sha2", &["engine/src/signing.rs"]),
        ("metrics_exporter_prometheus", &["relay/src/telemetry/metrics.rs"]),
        ("opentelemetry", &["relay/src/telemetry/trace.rs"]),
        ("opentelemetry_otlp", &["relay/src/telemetry/trace.rs"]),
        ("opentelemetry_sdk", &["relay/src/telemetry/trace.rs"]),
        ("infer", &["engine/src/icon.rs"]),
        ("aes_gcm", &["engine/src/secret.rs"]),
        ("clap", &["relay/src/"]),
        ("tower_http", &["api/src/layers.rs"]),
        (
            "jsonwebtoken",
            &["api/src/auth/", "engine/src/oauth/github_app.rs", "relay/src/commands/dev/"],
        ),
    ]);
    let mut strays = Vec::new();
    for (name, text) in sources() {
        // What stands outside of Relay, and plays its clients and its providers.
        let outside = ["tests/", "loadtest/", "mock-providers/"];
        if outside.iter().any(|start| name.starts_with(start)) || !name.contains("/src/") {
            continue;
        }
        let is_test = name.ends_with("tests.rs");
        for line in product(&text).lines().filter(|line| !line.trim_start().starts_with("//")) {
            for (package, homes) in &homes {
                let used = line.match_indices(&format!("{package}::")).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
                });
                let at_home = homes.iter().any(|home| name.starts_with(home));
                if used && !at_home && !is_test {
                    strays.push(format!("{name} uses {package}, whose home is {homes:?}"));
                }
            }
        }
    }
    assert!(strays.is_empty(), "{strays:#?}");
}

/// Queries stand beside the function that runs them, in the engine; `relay` only starts a Postgres.
#[test]
fn queries_are_the_engines_alone() {
    for (name, text) in sources() {
        let outside = ["api/src/", "workers/src/"].iter().any(|start| name.starts_with(start));
        assert!(!outside || !product(&text).contains("sqlx::"), "{name} talks to the database");
    }
}

#[test]
fn a_state_decides_without_input_output_or_a_clock() {
    for (name, text) in files("engine/src", "rs") {
        if name.ends_with("/state.rs") {
            for word in ["sqlx", "clock::now", "Instant::now", "async fn", "rand::"] {
                assert!(!product(&text).contains(word), "{name} has {word}");
            }
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_a_long_one_says_why() {
    const LINES_MAX: usize = 400;
    let mut too_long = Vec::new();
    for (name, text) in sources() {
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|l| l.starts_with("//! ")), "{name} begins without //!");
        let reasoned = text.lines().any(|line| line.starts_with("//! Long because "));
        let count = text.lines().count();
        if count > LINES_MAX && !reasoned {
            too_long.push(format!("{name} ({count})"));
        }
    }
    assert!(
        too_long.is_empty(),
        "past {LINES_MAX} lines without `//! Long because …`: {too_long:?}"
    );
}

#[test]
fn migrations_have_one_order_and_none_is_named_twice() {
    let mut names: Vec<String> = files("migrations", "sql").into_iter().map(|(n, _)| n).collect();
    names.sort();
    let versions: Vec<&str> = names
        .iter()
        .map(|name| {
            let file = name.rsplit('/').next().expect("a file");
            let (version, what) = file.split_once('_').expect("<timestamp>_<what>.sql");
            assert!(version.len() == 14 && version.bytes().all(|b| b.is_ascii_digit()), "{name}");
            assert!(
                what.bytes().all(|b| b.is_ascii_lowercase() || b"_.0123456789".contains(&b)),
                "{name}"
            );
            version
        })
        .collect();
    assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    for (name, text) in files("migrations", "sql") {
        assert!(text.starts_with("-- "), "{name} does not say what it is for");
        let drops = text.lines().any(|line| line.to_ascii_lowercase().starts_with("drop "));
        assert!(!drops, "{name} drops what the version before may still use");
    }
}

/// The lines of the quality lists: each is named by a test, in its name or its `///`.
#[test]
fn every_promise_names_its_proof() {
    let mut promises: BTreeSet<String> = (1..=39).map(|n| format!("b{n}")).collect();
    promises.extend(["b40a", "b40b", "b40c", "b40d"].map(str::to_owned));
    promises.extend((1..=28).map(|n| format!("f{n}")));
    promises.extend((1..=48).map(|n| format!("i{n}")));
    let mut named = BTreeSet::new();
    for (name, text) in sources() {
        let is_this = name.ends_with("tidy.rs");
        let mut lines = text.lines().map(str::trim).peekable();
        let mut said = String::new();
        while let Some(line) = lines.next().filter(|_| !is_this) {
            if let Some(comment) = line.strip_prefix("/// ") {
                said.push_str(comment);
                said.push(' ');
            } else if !line.starts_with("#[") {
                if let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn ")) {
                    said.push_str(rest.split('(').next().unwrap_or_default());
                    named.extend(ids(&said));
                }
                said.clear();
            }
        }
    }
    let missing: Vec<&String> = promises.difference(&named).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
}

/// The ids that a sentence or a name mentions: `B31`, `i37_…`, `I1 to I18`, `I1-I18`, `i1_to_i32`.
fn ids(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut found: Vec<String> = Vec::new();
    let mut range_from: Option<(char, u32)> = None;
    for (at, word) in words.iter().enumerate() {
        let Some((list, number, letter)) = id(word) else {
            if *word != "to" {
                range_from = None;
            }
            continue;
        };
        let spelled = at > 0 && words[at - 1] == "to" || lower.contains(&format!("-{word}"));
        if let Some((_, from)) =
            range_from.filter(|(same, from)| spelled && *same == list && *from < number)
        {
            found.extend((from..number).map(|n| format!("{list}{n}")));
        }
        found.push(format!("{list}{number}{letter}"));
        range_from = Some((list, number));
    }
    found
}

fn id(word: &str) -> Option<(char, u32, &str)> {
    let list = word.chars().next().filter(|c| "bfi".contains(*c))?;
    let digits = word[1..].bytes().take_while(u8::is_ascii_digit).count();
    let letter = &word[1 + digits..];
    let number = word[1..=digits].parse().ok()?;
    matches!(letter, "" | "a" | "b" | "c" | "d").then_some((list, number, letter))
}

#[test]
fn ids_are_read_from_names_and_sentences() {
    for (text, expected) in [
        ("i37_json_that", &["i37"][..]),
        ("I1 to I3: every spelling. ", &["i1", "i1", "i2", "i3"]),
        ("I1-I3, I22", &["i1", "i1", "i2", "i3", "i22"]),
        ("i1_to_i2_urls", &["i1", "i1", "i2"]),
        ("B40d, and b4_the", &["b40d", "b4"]),
        ("a file of fifty", &[]),
    ] {
        assert_eq!(ids(text), expected, "{text}");
    }
}
