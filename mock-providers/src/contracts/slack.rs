//! Slack's methods: their arguments, and messages beside the schema of Block Kit.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use jsonschema::{Draft, Validator};
use serde_json::Value;

use super::{allowed, files, rest::complaints};
use crate::server::request::Request;

/// What is wrong with a call of a method; `None` if it is none.
pub(super) fn problems(root: &Path, provider: &str, request: &Request) -> Option<Vec<String>> {
    if provider != "slack" {
        return None;
    }
    let method = request.path.strip_prefix("/api/")?;
    let file = format!("slack/methods/{method}.json");
    let is_name = method.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if !is_name || !files::has(root, &file) {
        let is_allowed = allowed::operation(provider, request);
        let problem = || vec![format!("no published method is called {method}")];
        return Some(if is_allowed { Vec::new() } else { problem() });
    }
    let known = files::json(root, &file);
    let mut problems = Vec::new();
    let verb = known["docs_http_method"].as_str().unwrap_or_default();
    // auth.revoke is documented with GET here and with POST elsewhere (oauth.json); Slack takes both.
    if request.method != verb && method != "auth.revoke" {
        problems.push(format!("it is called by {verb}"));
    }
    if method == "chat.postMessage" {
        match request.is_json() {
            true => problems.extend(complaints(&messages(root), &request.json())),
            false => problems.push("a message is sent as JSON".to_owned()),
        }
        return Some(problems);
    }
    arguments(&known["args"], request, &mut problems);
    Some(problems)
}

fn arguments(known: &Value, request: &Request, problems: &mut Vec<String>) {
    let mut given: Vec<String> = request.query.iter().map(|(name, _)| name.clone()).collect();
    given.extend(request.form().into_iter().map(|(name, _)| name));
    given.extend(request.json().as_object().into_iter().flatten().map(|(name, _)| name.clone()));
    for name in &given {
        if known.get(name).is_none() {
            problems.push(format!("no argument is called {name}"));
        }
    }
    for (name, argument) in known.as_object().into_iter().flatten() {
        // A client may name itself by Basic instead.
        let by_basic = name.starts_with("client_") && !request.header("authorization").is_empty();
        if argument["required"] == true && !given.contains(name) && !by_basic {
            problems.push(format!("the argument {name} is missing"));
        }
    }
}

/// The schema of a message, compiled once a process.
fn messages(root: &Path) -> Arc<Validator> {
    static COMPILED: OnceLock<Arc<Validator>> = OnceLock::new();
    let compile = || {
        let schema = files::json(root, "slack/chat.postMessage.request.schema.json");
        let validator = jsonschema::options().with_draft(Draft::Draft7).offline().build(&schema);
        Arc::new(validator.unwrap_or_else(|error| panic!("Slack's schema of a message: {error}")))
    };
    COMPILED.get_or_init(compile).clone()
}
