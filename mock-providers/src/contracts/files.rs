//! The folder of published files, and what was read from it: each file once a process.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde_json::Value;

/// Where the published files are, if this process was told.
pub(super) fn root() -> Option<&'static Path> {
    static ROOT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let told = || {
        let root = std::env::var_os("CONTRACTS_DIR").filter(|root| !root.is_empty());
        if root.is_none() {
            eprintln!(
                "NOTICE: CONTRACTS_DIR is not set, so no request is compared with what the providers \
                 publish."
            );
        }
        root.map(PathBuf::from)
    };
    ROOT.get_or_init(told).as_deref()
}

/// A file as text.
///
/// # Panics
/// When it is not there: the folder is not what `CONTRACTS_DIR` says it is.
pub(super) fn text(root: &Path, name: &str) -> String {
    let path = root.join(name);
    std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("CONTRACTS_DIR has no {}: {error}", path.display()))
}

/// A file as JSON, read once.
pub(super) fn json(root: &Path, name: &str) -> Arc<Value> {
    static READ: OnceLock<Mutex<HashMap<PathBuf, Arc<Value>>>> = OnceLock::new();
    let mut read = READ.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let known = read.entry(root.join(name)).or_insert_with(|| {
        let text = text(root, name);
        let value = serde_json::from_str(&text);
        Arc::new(value.unwrap_or_else(|error| panic!("{name} in CONTRACTS_DIR: {error}")))
    });
    known.clone()
}

/// Whether there is such a file.
pub(super) fn has(root: &Path, name: &str) -> bool {
    root.join(name).is_file()
}
