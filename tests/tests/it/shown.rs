//! What documents show of `examples/` is what is there: those are the files that other tests run.

use std::{collections::BTreeSet, fs, path::Path};

/// Stands alone on the line before a block: the file whose text the block is.
const MARK: &str = "<!-- shown: ";

/// `UPDATE_DOCS=1` writes the blocks anew.
#[test]
fn documents_show_the_examples_that_are_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut shown = BTreeSet::new();
    for document in ["docs/receivers.md", "docs/for-the-core.md"] {
        let path = root.join(document);
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{document}: {e}"));
        let fresh = with_blocks(&root, &text, &mut shown);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &fresh).expect("docs/ can be written");
        }
        assert!(fresh == text, "{document} shows what is no longer so: UPDATE_DOCS=1 renews it");
    }
    let mut there = BTreeSet::new();
    for folder in ["examples/core", "examples/receivers"] {
        files(&root.join(folder), folder, &mut there);
    }
    assert_eq!(shown, there, "each example is shown in a document");
}

fn files(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{name}: {e}")) {
        let path = entry.expect("a folder can be read").path();
        let name = format!("{name}/{}", path.file_name().and_then(|n| n.to_str()).expect("plain"));
        if path.is_dir() {
            files(&path, &name, found);
        } else {
            found.insert(name);
        }
    }
}

/// The document with each marked block as its file is now.
fn with_blocks(root: &Path, text: &str, shown: &mut BTreeSet<String>) -> String {
    let mut fresh = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        fresh.push_str(line);
        fresh.push('\n');
        let Some(name) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        let fence = lines.next().filter(|line| line.starts_with("```"));
        let fence = fence.unwrap_or_else(|| panic!("no block follows {line}"));
        assert!(lines.any(|line| line == "```"), "the block after {line} has no end");
        let file = fs::read_to_string(root.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(file.ends_with('\n') && !file.contains("```"), "{name} cannot be shown");
        fresh.push_str(&format!("{fence}\n{file}```\n"));
        shown.insert(name.to_owned());
    }
    fresh
}
