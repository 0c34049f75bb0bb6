//! Every relative link of the documents leads to a file, and to a heading of it where it names one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What was fetched or built, and is nobody's document.
const SKIPPED: [&str; 5] = ["target", "node_modules", "dist", ".git", ".relay"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").into()
}

fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let entry = entry.expect("a folder can be read");
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().expect("it has a type").is_dir() {
                if !SKIPPED.iter().any(|skipped| name == *skipped) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The lines outside of blocks of code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// What stands between backticks shows a link, and is none.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Where a line leads: `[text](here)`, `![picture](here)`, `src="here"` and `href="here"`.
fn links(line: &str) -> Vec<String> {
    let line = without_code(line);
    [("](", &[')', ' '][..]), ("src=\"", &['"']), ("href=\"", &['"'])]
        .iter()
        .flat_map(|(start, ends)| {
            line.split(start).skip(1).filter_map(|rest| Some(rest.split_once(*ends)?.0.to_owned()))
        })
        .collect()
}

/// The names that a heading can be linked by, as GitHub and GitLab make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let name = slug(heading.trim());
        let again = (1..).map(|n| format!("{name}-{n}"));
        let free = [name.clone()].into_iter().chain(again).find(|name| !found.contains(name));
        found.extend(free);
    }
    found
}

fn slug(heading: &str) -> String {
    // Of a link in a heading, its text.
    let mut shown = String::new();
    for (at, part) in heading.split("](").enumerate() {
        shown.push_str(if at == 0 { part } else { part.split_once(')').map_or("", |(_, r)| r) });
    }
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    shown.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// What is wrong with a link that stands in this document.
fn fault(document: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = document.parent().expect("a file lies in a folder");
    let target = if path.is_empty() { document.to_owned() } else { folder.join(path) };
    if !target.exists() {
        return Some("is not there".to_owned());
    }
    let is_document = target.extension().is_some_and(|e| e == "md");
    if anchor.is_empty() || !is_document {
        return None;
    }
    let text = fs::read_to_string(&target).expect("documents are UTF-8");
    (!anchors(&text).contains(anchor)).then(|| "has no such heading".to_owned())
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    let mut dead = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("documents are UTF-8");
        for (number, line) in prose(&text) {
            for link in links(line) {
                if link.starts_with('/') || link.contains(':') {
                    continue;
                }
                seen += 1;
                if let Some(fault) = fault(&document, &link) {
                    dead.push(format!("{}:{number}: {link} {fault}", document.display()));
                }
            }
        }
    }
    assert!(seen > 200, "only {seen} links were found");
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn links_and_headings_are_read() {
    for (line, expected) in [
        ("see [a](b.md#c) and ![d](e.png \"f\")", &["b.md#c", "e.png"][..]),
        ("`[a](b)` and `c` [d `e`](f)", &["f"]),
        ("<img src=\"a.svg\">", &["a.svg"]),
        ("text (in brackets)", &[]),
    ] {
        assert_eq!(links(line), expected, "{line}");
    }
    let text = "# A `b_c`, [d](e.md)!\n```\n# not this\n```\n## Twice\n## Twice\n#no";
    let expected = ["a-b_c-d", "twice", "twice-1"].map(str::to_owned);
    assert_eq!(anchors(text), BTreeSet::from(expected));
    let here = root().join("README.md");
    assert!(fault(&here, "nowhere.md").is_some() && fault(&here, "#nowhere").is_some());
    assert_eq!(fault(&here, "CHANGELOG.md#unreleased"), None);
}
