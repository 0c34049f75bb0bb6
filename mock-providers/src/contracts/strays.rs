//! Properties that no schema declares. Published schemas rarely forbid them, so that a misspelt name
//! would pass unseen.

use serde_json::Value;

use super::document::Document;

/// Adds every property that none of the schemas declares. Where a schema describes a map, or declares
/// nothing at all, whatever is there is in order.
pub(super) fn strays(
    document: &Document,
    schemas: &[&Value],
    given: &Value,
    at: &str,
    problems: &mut Vec<String>,
) {
    let mut all = Vec::new();
    schemas.iter().for_each(|schema| unfold(document, schema, &mut all, 0));
    match given {
        Value::Array(items) => {
            let inner: Vec<&Value> = all.iter().filter_map(|schema| schema.get("items")).collect();
            for (index, item) in items.iter().enumerate() {
                strays(document, &inner, item, &format!("{at}/{index}"), problems);
            }
        }
        Value::Object(fields) => {
            let declares = |schema: &Value| schema["properties"].is_object();
            if all.iter().any(|schema| is_map(schema)) || !all.iter().any(|schema| declares(schema))
            {
                return;
            }
            for (name, value) in fields {
                let inner: Vec<&Value> =
                    all.iter().filter_map(|schema| schema["properties"].get(name)).collect();
                let place = format!("{at}/{name}");
                match inner.is_empty() {
                    true => problems.push(format!("{place}: no schema declares this")),
                    false => strays(document, &inner, value, &place, problems),
                }
            }
        }
        _ => {}
    }
}

/// Whether names are free. `additionalProperties: true` beside declared ones is how generators write
/// that nobody thought about it.
fn is_map(schema: &Value) -> bool {
    schema["additionalProperties"].is_object() || schema["patternProperties"].is_object()
}

/// A schema with all that it is made of.
fn unfold<'d>(document: &'d Document, schema: &'d Value, all: &mut Vec<&'d Value>, depth: usize) {
    // Schemas may lead back to themselves.
    if 12 < depth {
        return;
    }
    let schema = document.resolved(schema);
    all.push(schema);
    for name in ["allOf", "anyOf", "oneOf"] {
        for part in schema[name].as_array().into_iter().flatten() {
            unfold(document, part, all, depth + 1);
        }
    }
}
