//! Texts at Jira Cloud: documents, beside Atlassian's schema of them. The interface's own file types
//! them as anything.

use std::{path::Path, sync::OnceLock};

use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::{files, rest::complaints};

/// What is wrong with the documents of a body: a comment's `body`, and an issue's `description` and
/// `environment`, wherever they are written.
pub(super) fn problems(root: &Path, body: &Value) -> Vec<String> {
    let mut texts: Vec<(String, &Value)> = Vec::new();
    if !body["body"].is_null() {
        texts.push(("/body".to_owned(), &body["body"]));
    }
    for name in ["description", "environment"] {
        let text = &body["fields"][name];
        if !text.is_null() {
            texts.push((format!("/fields/{name}"), text));
        }
    }
    for name in ["comment", "description", "environment"] {
        for operation in body["update"][name].as_array().into_iter().flatten() {
            let added = [&operation["add"]["body"], &operation["set"]];
            let written = added.into_iter().filter(|text| !text.is_null());
            texts.extend(written.map(|text| (format!("/update/{name}"), text)));
        }
    }
    // Whatever else is a document must be a right one as well.
    for (name, value) in body["fields"].as_object().into_iter().flatten() {
        if name.starts_with("customfield_") && value["type"] == "doc" {
            texts.push((format!("/fields/{name}"), value));
        }
    }
    let judge = |(place, text): (String, &Value)| {
        complaints(documents(root), text)
            .into_iter()
            .map(move |problem| format!("{place}{problem}"))
    };
    texts.into_iter().flat_map(judge).collect()
}

/// The schema of a document, compiled once a process.
fn documents(root: &Path) -> &'static Validator {
    static COMPILED: OnceLock<Validator> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let schema = files::json(root, "jira-cloud/adf.full.schema.json");
        let validator = jsonschema::options().with_draft(Draft::Draft4).offline().build(&schema);
        validator.unwrap_or_else(|error| panic!("Atlassian's schema of documents: {error}"))
    })
}
