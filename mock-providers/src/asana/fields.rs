//! Asana's envelopes: `data` with the fields that were asked for, pages, and `errors`.

use serde_json::{Map, Value, json};

use super::Asana;
use crate::server::{
    reply::{Outcome, Reply},
    route::Turn,
};

/// The fields that a record has only if they are asked for.
const OPT_IN: [&str; 3] = ["html_notes", "html_text", "external"];

/// The envelope of a refusal.
pub(super) fn errors(message: &str) -> Value {
    let help = "For more information on API status codes and how to handle them, read the docs \
                on errors: https://developers.asana.com/docs/errors";
    json!({ "errors": [{ "message": message, "help": help }] })
}

pub(super) fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &errors(message))
}

/// A refusal that only a mistake of the caller's explains.
pub(super) fn mistake(why: &str) -> Reply {
    error(400, why).violating(why)
}

/// The body's `data`, in which nothing but these may be.
pub(super) fn sent(turn: &Turn<'_, Asana>, known: &[&str]) -> Result<Map<String, Value>, Reply> {
    let mut body = turn.json()?;
    let Value::Object(data) = body["data"].take() else {
        return Err(mistake("Missing input: data"));
    };
    match data.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(mistake(&format!("{name}: Unrecognized field"))),
        None => Ok(data),
    }
}

/// One record.
pub(super) fn record(turn: &Turn<'_, Asana>, status: u16, whole: &Value) -> Outcome {
    let kept = match turn.request.query("opt_fields") {
        Some(asked) => kept(whole, asked),
        None => {
            let mut fields = whole.as_object().cloned().unwrap_or_default();
            fields.retain(|name, _| !OPT_IN.contains(&name.as_str()));
            Value::Object(fields)
        }
    };
    Ok(Reply::json(status, &json!({ "data": kept })))
}

/// A page of a list; `compact` is what its records have where nothing was asked for.
pub(super) fn list(turn: &Turn<'_, Asana>, all: &[Value], compact: &str) -> Outcome {
    let request = turn.request;
    let asked = request.query("opt_fields").unwrap_or(compact);
    let limit = match request.query("limit") {
        None => all.len().max(1),
        Some(limit) => match limit.parse() {
            Ok(limit @ 1..=100) => limit,
            _ => return Err(mistake("limit: Must be between 1 and 100")),
        },
    };
    // Only this list with this size of pages gives marks that it takes back.
    let marks = format!("{} by {limit} from ", request.path);
    let start = match request.query("offset") {
        None => 0,
        Some(offset) => {
            let told = hex::decode(offset).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let start = told.and_then(|told| told.strip_prefix(&marks)?.parse::<usize>().ok());
            let wrong = "offset: Your pagination token has expired";
            start.ok_or_else(|| error(400, wrong))?
        }
    };
    let page = all.iter().skip(start).take(limit);
    let page: Vec<Value> = page.map(|item| kept(item, asked)).collect();
    let end = start + page.len();
    let next = (end < all.len()).then(|| {
        let offset = hex::encode(format!("{marks}{end}"));
        let path = format!("{}?limit={limit}&offset={offset}", request.path);
        json!({ "offset": offset, "uri": format!("{}{path}", turn.state.web), "path": path })
    });
    Ok(Reply::json(200, &json!({ "data": page, "next_page": next })))
}

/// Keeps of an object what was asked for, and always the gid.
fn kept(whole: &Value, asked: &str) -> Value {
    let paths: Vec<Vec<&str>> =
        asked.split(',').map(|path| path.trim().split('.').collect()).collect();
    let paths: Vec<&[&str]> = paths.iter().map(Vec::as_slice).collect();
    keep(whole, &paths)
}

fn keep(whole: &Value, paths: &[&[&str]]) -> Value {
    match whole {
        Value::Array(items) => items.iter().map(|item| keep(item, paths)).collect(),
        Value::Object(fields) => {
            let mut kept = Map::new();
            for (name, value) in fields {
                let inner: Vec<&[&str]> = paths
                    .iter()
                    .filter_map(|path| path.split_first())
                    .filter(|(first, _)| *first == name)
                    .map(|(_, rest)| rest)
                    .collect();
                if name == "gid" || !inner.is_empty() {
                    kept.insert(name.clone(), keep(value, &inner));
                }
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_told_and_the_gid() {
        let user = json!({
            "gid": "1", "name": "Ada", "email": "ada@example.com",
            "workspaces": [{ "gid": "2", "name": "Acme", "is_organization": true }],
        });
        assert_eq!(
            kept(&user, "name,workspaces.name"),
            json!({ "gid": "1", "name": "Ada", "workspaces": [{ "gid": "2", "name": "Acme" }] })
        );
        assert_eq!(kept(&user, "nothing"), json!({ "gid": "1" }));
    }
}
