//! What SECURITY.md claims: every test that it names is there, and every threat names one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members of the workspace, as its manifest lists them.
fn members() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("members = [").expect("it lists them");
    let (list, _) = rest.split_once(']').expect("the list ends");
    let members: Vec<String> =
        list.split(',').map(|name| name.trim().trim_matches('"').to_owned()).collect();
    members.into_iter().filter(|name| !name.is_empty()).collect()
}

/// The name of every test function of the workspace.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders: Vec<PathBuf> = members().iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).expect("sources are UTF-8");
                names.extend(tests_in(&text));
            }
        }
    }
    names
}

/// Functions behind an attribute that makes them tests; those of a `proptest!` too.
fn tests_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[") {
            let attribute = line.trim_start_matches("#[");
            is_test |=
                ["test]", "tokio::test", "sqlx::test"].iter().any(|s| attribute.starts_with(s));
            continue;
        }
        let function = line.strip_prefix("async fn ").or(line.strip_prefix("fn "));
        if let Some(rest) = function.filter(|_| is_test) {
            found.extend(rest.split('(').next().map(str::to_owned));
        }
        if !line.starts_with("//") {
            is_test = false;
        }
    }
    found
}

/// The rows of the tables between two headings, cell by cell, without their heads.
fn rows(text: &str, from: &str, until: &str) -> Vec<Vec<String>> {
    let (_, rest) = text.split_once(from).expect("the heading is there");
    let (part, _) = rest.split_once(until).expect("the next heading is there");
    let lines = part.lines().filter(|line| line.starts_with("| "));
    let cells = lines.map(|line| line.trim_matches('|').split('|').map(|c| c.trim().to_owned()));
    cells.map(Iterator::collect::<Vec<_>>).filter(|row| row[0] != "Threat").collect()
}

#[test]
fn every_threat_has_a_control_and_tests_that_exist() {
    let text = read("SECURITY.md");
    let known = tests();
    assert!(known.len() > 500, "only {} tests were found", known.len());
    let rows = rows(&text, "## Threats, controls, tests", "## What is left");
    assert!(rows.len() >= 30, "{} threats", rows.len());
    let mut missing = Vec::new();
    for row in &rows {
        let [threat, control, proof] = &row[..] else { panic!("three cells: {row:?}") };
        assert!(!control.is_empty(), "{threat}");
        let names: Vec<&str> = proof.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{threat} names no test");
        missing.extend(names.into_iter().filter(|name| !known.contains(*name)));
    }
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:?}");
    for letter in [
        "Spoofing",
        "Tampering",
        "Repudiation",
        "Information disclosure",
        "Denial of service",
        "Elevation of privilege",
    ] {
        assert!(text.contains(&format!("### {letter}")), "{letter}");
    }
}

#[test]
fn no_crate_of_ours_may_be_unsafe() {
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("unsafe_code = \"forbid\""), "the workspace forbids it");
    let members = members();
    assert!(members.len() >= 7, "{members:?}");
    for name in members {
        let own = read(&format!("{name}/Cargo.toml"));
        assert!(own.contains("[lints]\nworkspace = true"), "{name} goes by the workspace's lints");
    }
}

/// What comes in is known: one registry, no package from elsewhere, every one with its hash.
#[test]
fn every_package_is_from_the_registry_and_has_a_hash() {
    let lock = read("Cargo.lock");
    let mut count = 0;
    for package in lock.split("[[package]]").skip(1) {
        let Some((_, source)) = package.split_once("source = ") else { continue };
        count += 1;
        assert!(
            source.starts_with("\"registry+https://github.com/rust-lang/crates.io-index\""),
            "{package}"
        );
        assert!(package.contains("checksum = \""), "{package}");
    }
    assert!(count > 200, "{count} packages");
    let deny = read("deny.toml");
    for rule in ["unknown-registry = \"deny\"", "unknown-git = \"deny\"", "yanked = \"deny\""] {
        assert!(deny.contains(rule), "{rule}");
    }
}

#[test]
fn tests_are_told_from_other_functions() {
    let text = "#[test]\nfn one() {}\nfn two() {}\n/// Says.\n#[tokio::test(flavor = \"x\")]\n#[ignore]\nasync fn three() {}\n#[derive(Debug)]\nstruct A;\nfn four() {}\n";
    assert_eq!(tests_in(text), ["one", "three"]);
}
