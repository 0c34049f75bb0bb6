//! Every input that is kept in `fuzz/` holds: those that once did not, and those that lead everywhere.

use std::{
    fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
};

use super::TARGETS;

/// How much the inputs of the repository may be, all together.
const BYTES_MAX: u64 = 200_000;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

fn inputs(folder: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_that_is_kept_holds() {
    for target in TARGETS {
        let corpus = inputs(&format!("corpus/{}", target.name));
        assert!(corpus.len() >= 5, "{} has {} inputs", target.name, corpus.len());
        for path in corpus.into_iter().chain(inputs(&format!("regressions/{}", target.name))) {
            let data = fs::read(&path).expect("an input can be read");
            let outcome = catch_unwind(|| (target.check)(&data));
            assert!(outcome.is_ok(), "{} does not hold of {}", target.name, path.display());
        }
    }
}

#[test]
fn inputs_are_small_and_each_has_its_target() {
    let mut bytes = 0;
    for folder in ["corpus", "regressions"] {
        for path in inputs(folder) {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
            assert!(TARGETS.iter().any(|target| target.name == name), "{folder}/{name}");
            let sizes = inputs(&format!("{folder}/{name}")).into_iter();
            bytes += sizes.map(|path| path.metadata().expect("it is there").len()).sum::<u64>();
        }
    }
    assert!(bytes <= BYTES_MAX, "{bytes} bytes");
}
