//! What Linear may be asked here, type by type; an answer is cut to what was asked for.
//!
//! The published schema is far wider: `contracts` compares requests with it.

use serde_json::{Value, json};

use super::syntax::{Field, Operation};

/// One field of a type.
struct Known {
    name: &'static str,
    /// The type of what it holds; empty for plain values.
    of: &'static str,
    /// What it may be given; `!` marks what it must be given.
    arguments: &'static [&'static str],
}

const fn plain(name: &'static str) -> Known {
    Known { name, of: "", arguments: &[] }
}

const fn object(name: &'static str, of: &'static str) -> Known {
    Known { name, of, arguments: &[] }
}

const fn asked(name: &'static str, of: &'static str, arguments: &'static [&'static str]) -> Known {
    Known { name, of, arguments }
}

const PAGE: &[&str] = &["first", "after", "filter", "includeArchived", "orderBy"];

const TYPES: &[(&str, &[Known])] = &[
    (
        "Query",
        &[
            object("viewer", "User"),
            object("organization", "Organization"),
            asked("teams", "TeamConnection", PAGE),
            asked("team", "Team", &["id!"]),
            asked("issue", "Issue", &["id!"]),
            asked("comment", "Comment", &["id"]),
        ],
    ),
    (
        "Mutation",
        &[
            asked("issueCreate", "IssuePayload", &["input!"]),
            asked("issueUpdate", "IssuePayload", &["id!", "input!"]),
            asked("commentCreate", "CommentPayload", &["input!"]),
        ],
    ),
    ("User", &[plain("id"), plain("name"), plain("displayName"), plain("email")]),
    ("Organization", &[plain("id"), plain("name"), plain("urlKey")]),
    ("TeamConnection", &[object("nodes", "Team"), object("pageInfo", "PageInfo")]),
    (
        "WorkflowStateConnection",
        &[object("nodes", "WorkflowState"), object("pageInfo", "PageInfo")],
    ),
    ("CommentConnection", &[object("nodes", "Comment"), object("pageInfo", "PageInfo")]),
    (
        "PageInfo",
        &[plain("hasNextPage"), plain("endCursor"), plain("hasPreviousPage"), plain("startCursor")],
    ),
    (
        "Team",
        &[
            plain("id"),
            plain("key"),
            plain("name"),
            plain("private"),
            plain("archivedAt"),
            asked("states", "WorkflowStateConnection", PAGE),
        ],
    ),
    ("WorkflowState", &[plain("id"), plain("name"), plain("type"), plain("position")]),
    (
        "Issue",
        &[
            plain("id"),
            plain("identifier"),
            plain("number"),
            plain("url"),
            plain("title"),
            plain("description"),
            plain("priority"),
            plain("trashed"),
            plain("archivedAt"),
            object("state", "WorkflowState"),
            object("team", "Team"),
            asked("comments", "CommentConnection", PAGE),
        ],
    ),
    (
        "Comment",
        &[plain("id"), plain("url"), plain("body"), plain("issueId"), object("issue", "Issue")],
    ),
    ("IssuePayload", &[plain("success"), plain("lastSyncId"), object("issue", "Issue")]),
    ("CommentPayload", &[plain("success"), plain("lastSyncId"), object("comment", "Comment")]),
];

/// Linear gives no larger pages.
const PAGE_MAX: i64 = 250;

fn known(of: &str, name: &str) -> Option<&'static Known> {
    let (_, fields) = TYPES.iter().find(|(known, _)| *known == of)?;
    fields.iter().find(|field| field.name == name)
}

/// Whether an operation asks for nothing but what is there.
pub(super) fn check(operation: &Operation) -> Result<(), String> {
    let root = if operation.is_mutation { "Mutation" } else { "Query" };
    operation.fields.iter().try_for_each(|field| check_field(root, field))
}

fn check_field(of: &str, field: &Field) -> Result<(), String> {
    let name = &field.name;
    if name == "__typename" {
        return Ok(());
    }
    let found = known(of, name);
    let found = found.ok_or_else(|| format!("Cannot query field \"{name}\" on type \"{of}\"."))?;
    for given in field.arguments.keys() {
        if !found.arguments.iter().any(|known| known.trim_end_matches('!') == given) {
            return Err(format!("Unknown argument \"{given}\" on field \"{of}.{name}\"."));
        }
    }
    for needed in found.arguments.iter().filter_map(|known| known.strip_suffix('!')) {
        if field.arguments.get(needed).is_none_or(Value::is_null) {
            return Err(format!("Field \"{name}\" argument \"{needed}\" is required."));
        }
    }
    if let Some(first) = field.arguments.get("first").filter(|first| !first.is_null())
        && !first.as_i64().is_some_and(|first| (1..=PAGE_MAX).contains(&first))
    {
        return Err(format!("first must be from 1 to {PAGE_MAX}"));
    }
    match (found.of.is_empty(), field.fields.is_empty()) {
        (true, false) => Err(format!("Field \"{name}\" must not have a selection of subfields.")),
        (false, true) => Err(format!("Field \"{name}\" must have a selection of subfields.")),
        _ => field.fields.iter().try_for_each(|inner| check_field(found.of, inner)),
    }
}

/// Cuts what a root field holds to what was asked of it. A list where the type is a connection
/// becomes a page of it.
pub(super) fn cut(operation: &Operation, field: &Field, value: Value) -> Value {
    let root = if operation.is_mutation { "Mutation" } else { "Query" };
    cut_field(root, field, value)
}

fn cut_field(of: &str, field: &Field, value: Value) -> Value {
    if field.name == "__typename" {
        return Value::from(of);
    }
    let of = known(of, &field.name).map_or("", |known| known.of);
    let value = match value {
        Value::Array(items) if of.ends_with("Connection") => page(items, field),
        value => value,
    };
    match value {
        Value::Array(items) => items.into_iter().map(|item| cut_object(of, field, item)).collect(),
        value => cut_object(of, field, value),
    }
}

fn cut_object(of: &str, field: &Field, value: Value) -> Value {
    let Value::Object(all) = value else { return value };
    let take = |inner: &Field| {
        let held = all.get(&inner.name).cloned().unwrap_or_default();
        (inner.alias.clone(), cut_field(of, inner, held))
    };
    Value::Object(field.fields.iter().map(take).collect())
}

/// A cursor is the id of the item before.
fn page(items: Vec<Value>, field: &Field) -> Value {
    let first = field.arguments.get("first").and_then(Value::as_u64).unwrap_or(50);
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    let after = field.text("after");
    let skip = match after {
        None => 0,
        Some(after) => items.iter().position(|item| item["id"] == after).map_or(0, |at| at + 1),
    };
    let more = items.len() > skip + first;
    let nodes: Vec<Value> = items.into_iter().skip(skip).take(first).collect();
    let cursor = |item: Option<&Value>| item.map(|item| item["id"].clone());
    json!({
        "pageInfo": {
            "hasNextPage": more, "endCursor": cursor(nodes.last()),
            "hasPreviousPage": skip > 0, "startCursor": cursor(nodes.first()),
        },
        "nodes": nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::{super::syntax::read, *};

    fn operation(query: &str) -> Operation {
        read(&json!({ "query": query })).unwrap()
    }

    #[test]
    fn only_what_is_there_can_be_asked_for() {
        let fine = "{ teams(first: 50) { nodes { id states { nodes { type } } } pageInfo { hasNextPage } } }";
        assert_eq!(check(&operation(fine)), Ok(()));
        let cases = [
            (
                "{ team(id: \"1\") { id colour } }",
                "Cannot query field \"colour\" on type \"Team\".",
            ),
            ("{ teams(last: 1) { nodes { id } } }", "Unknown argument \"last\""),
            ("{ teams(first: 251) { nodes { id } } }", "from 1 to 250"),
            ("{ team { id } }", "argument \"id\" is required"),
            ("{ viewer }", "must have a selection"),
            ("{ viewer { id { id } } }", "must not have a selection"),
            (
                "mutation { issue(id: \"1\") { id } }",
                "Cannot query field \"issue\" on type \"Mutation\".",
            ),
        ];
        for (query, why) in cases {
            let refused = check(&operation(query)).unwrap_err();
            assert!(refused.contains(why), "{query}: {refused}");
        }
    }

    #[test]
    fn an_answer_has_what_was_asked_for_page_by_page() {
        let all = json!([{ "id": "a", "key": "A" }, { "id": "b", "key": "B" }, { "id": "c", "key": "C" }]);
        let query = "{ teams(first: 2, after: \"a\") { nodes { name: key } pageInfo { hasNextPage endCursor } } }";
        let operation = operation(query);
        let page = cut(&operation, &operation.fields[0], all);
        assert_eq!(
            page,
            json!({
                "nodes": [{ "name": "B" }, { "name": "C" }],
                "pageInfo": { "hasNextPage": false, "endCursor": "c" },
            })
        );
    }
}
