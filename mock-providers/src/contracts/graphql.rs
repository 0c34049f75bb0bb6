//! Linear's GraphQL: operations beside its schema, and variables beside their types.

use std::{path::Path, sync::OnceLock};

use apollo_compiler::{
    ExecutableDocument, Schema, request::coerce_variable_values, response::JsonMap,
    validation::Valid,
};
use serde_json::Value;

use super::files;
use crate::server::request::Request;

/// What is wrong with a request to `/graphql`.
pub(super) fn problems(root: &Path, request: &Request) -> Vec<String> {
    if request.method != "POST" || !request.is_json() {
        return vec!["an operation is sent by POST, as JSON".to_owned()];
    }
    let body = request.json();
    let mut problems = Vec::new();
    for (name, _) in body.as_object().into_iter().flatten() {
        if !["query", "variables", "operationName", "extensions"].contains(&name.as_str()) {
            problems.push(format!("/{name}: no field is called so"));
        }
    }
    let Some(query) = body["query"].as_str() else {
        problems.push("/query: is missing".to_owned());
        return problems;
    };
    match judge(schema(root), query, &body) {
        Ok(more) => problems.extend(more),
        Err(why) => problems.push(why),
    }
    problems
}

fn judge(schema: &Valid<Schema>, query: &str, body: &Value) -> Result<Vec<String>, String> {
    let parsed = ExecutableDocument::parse_and_validate(schema, query, "request.graphql");
    let document = parsed.map_err(|invalid| invalid.errors.to_string())?;
    let operation = document.operations.get(body["operationName"].as_str());
    let operation = operation.map_err(|error| error.message().to_string())?;
    let given = match &body["variables"] {
        Value::Null => Value::Object(serde_json::Map::new()),
        variables => variables.clone(),
    };
    let names = given.as_object().into_iter().flatten().map(|(name, _)| name.clone());
    let undeclared = |name: &String| !operation.variables.iter().any(|v| v.name.as_str() == name);
    let problems = names
        .filter(undeclared)
        .map(|name| format!("/variables/{name}: is not declared"))
        .collect();
    let given: JsonMap =
        serde_json::from_value(given).map_err(|_| "/variables: is no object".to_owned())?;
    coerce_variable_values(schema, operation, &given)
        .map_err(|error| format!("/variables: {}", error.message()))?;
    Ok(problems)
}

/// Linear's schema, read once a process.
fn schema(root: &Path) -> &'static Valid<Schema> {
    static READ: OnceLock<Valid<Schema>> = OnceLock::new();
    READ.get_or_init(|| {
        let text = files::text(root, "linear/schema.graphql");
        let schema = Schema::parse_and_validate(text, "schema.graphql");
        schema.unwrap_or_else(|invalid| panic!("Linear's schema: {}", invalid.errors))
    })
}
