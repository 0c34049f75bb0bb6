//! One published OpenAPI or Swagger file: its operations, and validators of its schemas, each compiled
//! when it is needed first.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

use super::{convert, files};
use crate::server::route::params;

/// A file, converted.
#[derive(Debug)]
pub(super) struct Document {
    root: Value,
    draft: Draft,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// An operation of a file.
#[derive(Debug)]
pub(super) struct Operation<'d> {
    /// The path as the file has it, and the method.
    pub(super) name: String,
    pub(super) entry: &'d Value,
    /// What is said for all methods of the path.
    pub(super) path_entry: &'d Value,
    /// The values of the path.
    pub(super) values: Vec<(String, String)>,
}

impl Document {
    /// A file of the folder, read once a process.
    pub(super) fn of(root: &Path, file: &'static str) -> Arc<Self> {
        static READ: OnceLock<Mutex<HashMap<&'static str, Arc<Document>>>> = OnceLock::new();
        let read = READ.get_or_init(Mutex::default);
        let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
        let known = read.entry(file).or_insert_with(|| Arc::new(Self::read(root, file)));
        known.clone()
    }

    fn read(root: &Path, file: &'static str) -> Self {
        let mut value = (*files::json(root, file)).clone();
        let is_native = value["openapi"].as_str().is_some_and(|version| version.starts_with("3.1"));
        if !is_native {
            convert::widen_nullable(&mut value);
        }
        convert::mend(file, &mut value);
        // OpenAPI 3.0 and Swagger 2 are made of draft 4, with exclusive bounds as booleans.
        let draft = if is_native { Draft::Draft202012 } else { Draft::Draft4 };
        Self { root: value, draft, validators: Mutex::default() }
    }

    /// The operation of a method and a path. The one with the most words of its own wins.
    pub(super) fn operation(&self, method: &str, path: &[String]) -> Option<Operation<'_>> {
        let method = method.to_ascii_lowercase();
        let mut found: Option<Operation<'_>> = None;
        for (pattern, path_entry) in self.root["paths"].as_object()? {
            let (Some(values), Some(entry)) = (params(pattern, path), path_entry.get(&method))
            else {
                continue;
            };
            if found.as_ref().is_some_and(|before| before.values.len() <= values.len()) {
                continue;
            }
            let owned = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            let name = format!("{method} {pattern}");
            found = Some(Operation { name, entry, path_entry, values: owned });
        }
        found
    }

    /// Follows references to where they lead.
    pub(super) fn resolved<'d>(&'d self, value: &'d Value) -> &'d Value {
        let mut value = value;
        for _ in 0..16 {
            let Some(reference) = value["$ref"].as_str() else { break };
            match self.root.pointer(reference.trim_start_matches('#')) {
                Some(there) => value = there,
                None => break,
            }
        }
        value
    }

    /// The parameters of an operation.
    pub(super) fn parameters<'d>(&'d self, operation: &Operation<'d>) -> Vec<&'d Value> {
        [operation.entry, operation.path_entry]
            .into_iter()
            .flat_map(|entry| entry["parameters"].as_array().into_iter().flatten())
            .map(|parameter| self.resolved(parameter))
            .collect()
    }

    /// A schema of the file, ready to judge. `name` tells it from the others.
    pub(super) fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut known = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || {
            // References lead to where schemas are kept, which must stand in the same document.
            let whole = json!({
                "allOf": [schema],
                "components": self.root["components"],
                "definitions": self.root.get("definitions").cloned().unwrap_or_else(|| json!({})),
            });
            let validator = jsonschema::options().with_draft(self.draft).offline().build(&whole);
            Arc::new(validator.unwrap_or_else(|error| panic!("the schema of {name}: {error}")))
        };
        known.entry(name.to_owned()).or_insert_with(build).clone()
    }
}
