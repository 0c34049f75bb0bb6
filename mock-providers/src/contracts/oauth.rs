//! Token and revocation requests, beside `oauth.json` of each provider: OpenAPI files leave them out.

use std::path::Path;

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::files;
use crate::server::request::Request;

/// What is wrong with a request to a token or revocation endpoint; `None` if it is none.
pub(super) fn problems(root: &Path, provider: &str, request: &Request) -> Option<Vec<String>> {
    let folder = match provider {
        "jira_cloud" => "jira-cloud",
        // A token of a person's own, and no endpoint for it.
        "jira_data_center" => return None,
        other => other,
    };
    let file = format!("{folder}/oauth.json");
    if !files::has(root, &file) {
        return None;
    }
    let known = files::json(root, &file);
    if request.method != "POST" {
        return None;
    }
    let token = &known["token"];
    if token["request"].is_object() && is_at(&token["url"], request) {
        return Some(token_problems(token, request));
    }
    let revoke = known["revoke"].as_array().into_iter().flatten();
    let revoke = revoke.into_iter().find(|entry| is_at(&entry["url"], request))?;
    // Slack's are methods like any other, and judged as such.
    (provider != "slack" && revoke["form"].is_array()).then(|| revoke_problems(revoke, request))
}

/// Whether a request goes to the path of a URL, at its root or below a path.
fn is_at(url: &Value, request: &Request) -> bool {
    let url = url.as_str().and_then(|url| url::Url::parse(url).ok());
    url.is_some_and(|url| request.path == url.path() || request.path.ends_with(url.path()))
}

fn token_problems(token: &Value, request: &Request) -> Vec<String> {
    let kind = token["content_type"].as_str().unwrap_or_default();
    if request.content_type() != kind {
        return vec![format!("the body is {:?} and not {kind}", request.content_type())];
    }
    let mut fields = match request.is_json() {
        true => request.json(),
        false => Value::Object(fields(request)),
    };
    if !request.header("authorization").is_empty()
        && let Some(fields) = fields.as_object_mut()
        && token["request"].to_string().contains("client_id")
    {
        // Who names itself by Basic needs not do so again, but the schemas cannot know.
        fields.entry("client_id").or_insert_with(|| "by Basic".into());
    }
    let schema = &token["request"];
    let validator = jsonschema::options().with_draft(Draft::Draft202012).offline().build(schema);
    let validator = validator.unwrap_or_else(|error| panic!("a token request's schema: {error}"));
    // Without the values: they are secrets.
    validator
        .iter_errors(&fields)
        .map(|error| format!("{}: {}", error.instance_path(), error.masked()))
        .collect()
}

fn fields(request: &Request) -> Map<String, Value> {
    request.form().into_iter().map(|(name, value)| (name, Value::from(value))).collect()
}

fn revoke_problems(revoke: &Value, request: &Request) -> Vec<String> {
    if !request.is_form() {
        return vec!["the body is no form".to_owned()];
    }
    let known: Vec<&str> =
        revoke["form"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let given = fields(request);
    let is_known = |name: &&String| {
        // The client may name itself in the form wherever it may by Basic.
        known.contains(&name.as_str()) || ["client_id", "client_secret"].contains(&name.as_str())
    };
    let mut problems: Vec<String> = given
        .keys()
        .filter(|name| !is_known(name))
        .map(|name| format!("no field is called {name}"))
        .collect();
    if !given.contains_key("token") {
        problems.push("the field token is missing".to_owned());
    }
    problems
}
