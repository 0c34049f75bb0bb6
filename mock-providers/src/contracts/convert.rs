//! Makes JSON Schema of what OpenAPI 3.0 and Swagger 2 say in their own words, and mends what is known
//! to be wrong in the files.

use serde_json::{Map, Value, json};

/// `nullable` is not a word of JSON Schema: the types and values are widened instead.
pub(super) fn widen_nullable(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(widen_nullable),
        Value::Object(fields) => {
            fields.values_mut().for_each(widen_nullable);
            if fields.get("nullable") == Some(&Value::Bool(true)) {
                widen(fields);
            }
        }
        _ => {}
    }
}

fn widen(fields: &mut Map<String, Value>) {
    fields.remove("nullable");
    if let Some(Value::Array(known)) = fields.get_mut("enum")
        && !known.contains(&Value::Null)
    {
        known.push(Value::Null);
    }
    let parts = ["$ref", "allOf", "anyOf", "oneOf"];
    let is_made_of_others = parts.iter().any(|name| fields.contains_key(*name));
    match fields.get_mut("type") {
        Some(kind @ Value::String(_)) => *kind = json!([kind.take(), "null"]),
        None if is_made_of_others => {
            let inner = Value::Object(std::mem::take(fields));
            fields.insert("anyOf".to_owned(), json!([{ "type": "null" }, inner]));
        }
        _ => {}
    }
}

/// What a parameter says of its value: in OpenAPI beside it, in Swagger 2 on it.
pub(super) fn schema_of_parameter(parameter: &Value) -> Value {
    if parameter["schema"].is_object() {
        return parameter["schema"].clone();
    }
    let names = ["type", "enum", "items", "format", "minimum", "maximum", "pattern", "maxLength"];
    let said = names.iter().filter_map(|name| {
        let value = parameter.get(*name)?;
        Some(((*name).to_owned(), value.clone()))
    });
    Value::Object(said.collect())
}

/// Mends a file where it is known to be wrong, or to say less than its provider does.
pub(super) fn mend(file: &str, root: &mut Value) {
    match file {
        "gitlab/gitlab-v4.openapi.json" => {
            // A comment on a commit needs its note alone; `line` and `line_type` go with `path`.
            let path = "/api/v4/projects/{id}/repository/commits/{sha}/comments";
            let body = &root["paths"][path]["post"]["requestBody"]["content"]["application/json"];
            let name = body["schema"]["$ref"].as_str().unwrap_or_default();
            let pointer = name.trim_start_matches('#').to_owned();
            if let Some(Value::Array(required)) =
                root.pointer_mut(&pointer).and_then(|schema| schema.get_mut("required"))
            {
                required.retain(|name| name == "note");
            }
        }
        "asana/asana.openapi.json" => {
            // What is written stands in `data`; the file does not demand it.
            for path in ["/tasks", "/tasks/{task_gid}/stories"] {
                let body = &mut root["paths"][path]["post"]["requestBody"];
                let schema = &mut body["content"]["application/json"]["schema"];
                if schema.is_object() {
                    schema["required"] = json!(["data"]);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_null_says_so_in_the_words_of_json_schema() {
        let mut schema = json!({
            "type": "string", "nullable": true, "enum": ["a"],
        });
        widen_nullable(&mut schema);
        assert_eq!(schema, json!({ "type": ["string", "null"], "enum": ["a", null] }));
        let mut schema = json!({ "properties": { "a": { "$ref": "#/b", "nullable": true } } });
        widen_nullable(&mut schema);
        let wide = json!({ "anyOf": [{ "type": "null" }, { "$ref": "#/b" }] });
        assert_eq!(schema["properties"]["a"], wide);
        // A property of this name is none.
        let mut schema = json!({ "properties": { "nullable": { "type": "boolean" } } });
        let before = schema.clone();
        widen_nullable(&mut schema);
        assert_eq!(schema, before);
    }
}
