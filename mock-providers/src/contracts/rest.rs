//! A request beside its operation in an OpenAPI or Swagger file: path, query and body.

use std::path::Path;

use jsonschema::Validator;
use serde_json::Value;

use super::{
    allowed,
    convert::schema_of_parameter,
    document::{Document, Operation},
    strays::strays,
};
use crate::server::request::Request;

/// What is wrong with a request; `None` if the file has no such operation.
pub(super) fn problems(
    root: &Path,
    file: &'static str,
    provider: &str,
    path: &[String],
    request: &Request,
) -> Option<Vec<String>> {
    let document = Document::of(root, file);
    let path = allowed::by_name(provider, path.to_vec());
    let operation = document.operation(&request.method, &path)?;
    let mut problems = Vec::new();
    parameters(&document, &operation, provider, request, &mut problems);
    body(&document, &operation, request, &mut problems);
    Some(problems)
}

fn parameters(
    document: &Document,
    operation: &Operation<'_>,
    provider: &str,
    request: &Request,
    problems: &mut Vec<String>,
) {
    let known = document.parameters(operation);
    let text =
        |parameter: &Value, name: &str| parameter[name].as_str().unwrap_or_default().to_owned();
    for parameter in &known {
        let (place, name) = (text(parameter, "in"), text(parameter, "name"));
        let values: Vec<&str> = match place.as_str() {
            "path" => of(&operation.values, &name),
            "query" => of(&request.query, &name),
            _ => continue,
        };
        if values.is_empty() {
            if place == "query" && parameter["required"] == true {
                problems.push(format!("the parameter {name} is missing"));
            }
            continue;
        }
        let schema = schema_of_parameter(parameter);
        let validator = document.validator(&format!("{} {place} {name}", operation.name), &schema);
        if !readings(&values).iter().any(|value| validator.is_valid(value)) {
            problems.push(format!("the parameter {name} cannot be {}", values.join(", ")));
        }
    }
    let is_known = |name: &str| {
        known.iter().any(|p| p["in"] == "query" && text(p, "name").trim_end_matches("[]") == name)
    };
    for (name, _) in &request.query {
        if !is_known(name.trim_end_matches("[]")) && !allowed::parameter(provider, name) {
            problems.push(format!("no parameter is called {name}"));
        }
    }
}

fn of<'v>(values: &'v [(String, String)], name: &str) -> Vec<&'v str> {
    values.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

/// What a text in an address may stand for.
fn readings(values: &[&str]) -> Vec<Value> {
    let mut readings = Vec::new();
    if let [one] = values {
        readings.push(Value::from(*one));
        // A number, true or false, as they are written in JSON too.
        readings.extend(serde_json::from_str::<Value>(one).ok().filter(|v| !v.is_string()));
        readings.push(one.split(',').map(Value::from).collect());
    }
    readings.push(values.iter().map(|value| Value::from(*value)).collect());
    let parsed = |value: &&str| serde_json::from_str(value).unwrap_or(Value::from(*value));
    readings.push(values.iter().map(parsed).collect());
    readings
}

fn body(
    document: &Document,
    operation: &Operation<'_>,
    request: &Request,
    problems: &mut Vec<String>,
) {
    let taken = document.resolved(&operation.entry["requestBody"]);
    let in_swagger = document.parameters(operation).into_iter().find(|p| p["in"] == "body");
    let (is_required, schema) = match (in_swagger, taken["content"].as_object()) {
        (Some(parameter), _) => (parameter["required"] == true, &parameter["schema"]),
        (None, Some(kinds)) => {
            let kind = request.content_type();
            if !request.body.is_empty() && !kinds.contains_key(&kind) {
                problems.push(format!("the body is {kind:?}, which is not taken"));
                return;
            }
            (taken["required"] == true, &kinds.get(&kind).unwrap_or(&Value::Null)["schema"])
        }
        (None, None) if request.body.is_empty() => return,
        (None, None) => {
            problems.push("there is a body where none is taken".to_owned());
            return;
        }
    };
    if request.body.is_empty() {
        if is_required {
            problems.push("the body is missing".to_owned());
        }
        return;
    }
    let Ok(given) = serde_json::from_slice::<Value>(&request.body) else {
        problems.push("the body is not JSON".to_owned());
        return;
    };
    let validator = document.validator(&format!("{} body", operation.name), schema);
    problems.extend(complaints(&validator, &given));
    strays(document, &[schema], &given, "", problems);
}

/// What a validator says, cut to what fits a line.
pub(super) fn complaints(validator: &Validator, given: &Value) -> Vec<String> {
    let complaint = |error: jsonschema::ValidationError<'_>| {
        let text: String = error.to_string().chars().take(300).collect();
        format!("{}: {text}", error.instance_path())
    };
    validator.iter_errors(given).map(complaint).collect()
}
