//! Reads conditions from JSON, and says where they are wrong.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::condition::{
    ConditionError, DEPTH_MAX, Field, IN_MAX, Level, NODES_MAX, Node, PATH_SEGMENTS_MAX, Relation,
    Scalar, TEXT_BYTES_MAX, TOTAL_BYTES_MAX, Test,
};
use crate::{
    event::{EventKind, Priority, Severity},
    json::quoted,
};

/// The fields that every event has, or may have, beside its data.
const FIELDS: [&str; 7] =
    ["event", "severity", "priority", "project_id", "team_id", "subject", "source"];
const OPERATORS: &str = "eq, ne, in, gt, gte, lt, lte, exists, starts_with, at_least";

pub(super) fn conditions(value: &Value) -> Result<Node, ConditionError> {
    let mut reader = Reader { nodes: 0 };
    let node = reader.node(value, "conditions", 1)?;
    if TOTAL_BYTES_MAX < value.to_string().len() {
        return wrong("conditions", format!("more than {TOTAL_BYTES_MAX} bytes of JSON"));
    }
    Ok(node)
}

fn wrong<T>(place: &str, message: impl Into<String>) -> Result<T, ConditionError> {
    Err(ConditionError { place: place.to_owned(), message: message.into() })
}

struct Reader {
    nodes: usize,
}

impl Reader {
    fn node(&mut self, value: &Value, place: &str, depth: usize) -> Result<Node, ConditionError> {
        let Value::Object(entries) = value else {
            return wrong(place, "must be an object with all, any, not, or field and an operator");
        };
        self.nodes += 1;
        if NODES_MAX < self.nodes {
            return wrong(place, format!("more than {NODES_MAX} parts"));
        }
        if DEPTH_MAX < depth {
            return wrong(place, format!("nested deeper than {DEPTH_MAX}"));
        }
        if entries.contains_key("field") {
            return test(entries, place);
        }
        let mut entries = entries.iter();
        let (Some((word, value)), None) = (entries.next(), entries.next()) else {
            return wrong(place, "must have exactly one of all, any and not, or a field");
        };
        let inner = format!("{place}.{}", if word.len() <= 3 { word } else { "…" });
        match word.as_str() {
            "all" => Ok(Node::All(self.list(value, &inner, depth)?)),
            "any" => Ok(Node::Any(self.list(value, &inner, depth)?)),
            "not" => Ok(Node::Not(Box::new(self.node(value, &inner, depth + 1)?))),
            _ => wrong(
                place,
                format!("{} is not all, any, not or a field with an operator", quoted(word)),
            ),
        }
    }

    fn list(
        &mut self,
        value: &Value,
        place: &str,
        depth: usize,
    ) -> Result<Vec<Node>, ConditionError> {
        match value.as_array() {
            Some(items) if !items.is_empty() => items
                .iter()
                .enumerate()
                .map(|(i, item)| self.node(item, &format!("{place}[{i}]"), depth + 1))
                .collect(),
            _ => wrong(place, "must be an array of at least one condition"),
        }
    }
}

fn test(entries: &Map<String, Value>, place: &str) -> Result<Node, ConditionError> {
    let field = field(&entries["field"], place)?;
    let mut others = entries.iter().filter(|(name, _)| *name != "field");
    let (Some((operator, value)), None) = (others.next(), others.next()) else {
        return wrong(place, format!("a field needs exactly one operator of {OPERATORS}"));
    };
    let at = format!("{place}.{}", if operator.len() <= 11 { operator } else { "…" });
    let test = match operator.as_str() {
        "eq" => Test::Eq(scalar(&field, value, &at)?),
        "ne" => Test::Ne(scalar(&field, value, &at)?),
        "in" => match value.as_array() {
            Some(items) if (1..=IN_MAX).contains(&items.len()) => {
                let read = |item| scalar(&field, item, &at);
                Test::In(items.iter().map(read).collect::<Result<_, _>>()?)
            }
            _ => return wrong(&at, format!("must be an array of 1 to {IN_MAX} values")),
        },
        "exists" => match value {
            Value::Bool(wanted) => Test::Exists(*wanted),
            _ => return wrong(&at, "must be true or false"),
        },
        "starts_with" => match value {
            Value::String(prefix) => Test::StartsWith(text(prefix, &at)?),
            _ => return wrong(&at, "must be a string"),
        },
        "at_least" => Test::AtLeast(level(&field, value, &at)?),
        other => match Relation::ALL.into_iter().find(|relation| relation.operator() == other) {
            Some(relation) => match value {
                Value::Number(_) if always_text(&field) => {
                    return wrong(&at, format!("{} is a text and has no order", field.name()));
                }
                Value::Number(limit) => Test::Order(relation, limit.clone()),
                _ => return wrong(&at, "must be a number"),
            },
            None => {
                let message = format!("{} is not one of {OPERATORS}", quoted(other));
                return wrong(place, message);
            }
        },
    };
    Ok(Node::Test(field, test))
}

fn field(value: &Value, place: &str) -> Result<Field, ConditionError> {
    let place = format!("{place}.field");
    let Value::String(name) = value else { return wrong(&place, "must be a string") };
    if FIELDS.contains(&name.as_str()) {
        return Ok(Field(vec![name.clone()]));
    }
    let Some(path) = name.strip_prefix("data.") else {
        let message = format!("{} is not one of {} or data.…", quoted(name), FIELDS.join(", "));
        return wrong(&place, message);
    };
    let segments: Vec<&str> = path.split('.').collect();
    let plain = |segment: &&str| {
        (1..=64).contains(&segment.len())
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if PATH_SEGMENTS_MAX < segments.len() || !segments.iter().all(plain) {
        return wrong(
            &place,
            format!(
                "{} must have, behind data., 1 to {PATH_SEGMENTS_MAX} names of 1 to 64 letters, digits, _ or -, with dots between",
                quoted(name)
            ),
        );
    }
    Ok(Field(std::iter::once("data").chain(segments).map(str::to_owned).collect()))
}

/// Fields that no event ever has as a number or boolean.
fn always_text(field: &Field) -> bool {
    field.0[0] != "data" && field.0[0] != "severity"
}

fn scalar(field: &Field, value: &Value, place: &str) -> Result<Scalar, ConditionError> {
    let scalar = match value {
        Value::String(value) => Scalar::Text(text(value, place)?),
        Value::Number(_) | Value::Bool(_) if always_text(field) => {
            return wrong(place, format!("{} is a text, so this must be a string", field.name()));
        }
        Value::Number(number) => Scalar::Number(number.clone()),
        Value::Bool(boolean) => Scalar::Boolean(*boolean),
        Value::Null => return wrong(place, "null cannot be compared; use exists"),
        Value::Array(_) | Value::Object(_) => {
            return wrong(place, "must be a string, a number or a boolean");
        }
    };
    let Scalar::Text(value) = scalar else { return Ok(scalar) };
    // Written as events have it; what no event can have is a slip of the pen.
    let value = match field.0[0].as_str() {
        "project_id" | "team_id" => match Uuid::try_parse(&value) {
            Ok(id) if value.len() == 36 => id.to_string(),
            _ => return wrong(place, format!("{} is not a UUID", quoted(&value))),
        },
        "event" => match value.parse::<EventKind>() {
            Ok(kind) => kind.as_str().to_owned(),
            Err(error) => return wrong(place, error.to_string()),
        },
        "priority" if value.parse::<Priority>().is_err() => {
            return wrong(place, "must be critical, high, normal or low");
        }
        _ => value,
    };
    Ok(Scalar::Text(value))
}

fn level(field: &Field, value: &Value, place: &str) -> Result<Level, ConditionError> {
    let word = value.as_str().unwrap_or_default();
    if field.0[0] == "priority" {
        return match word.parse() {
            Ok(priority) => Ok(Level::Priority(priority)),
            Err(()) => wrong(place, "must be low, normal, high or critical"),
        };
    }
    match Severity::ALL.into_iter().find(|severity| severity.as_str() == word) {
        Some(severity) => Ok(Level::Severity(severity)),
        None => wrong(place, "must be info, low, medium, high or critical"),
    }
}

fn text(value: &str, place: &str) -> Result<String, ConditionError> {
    if TEXT_BYTES_MAX < value.len() {
        return wrong(place, format!("a text may have {TEXT_BYTES_MAX} bytes"));
    }
    if value.contains('\0') {
        return wrong(place, "a text must not hold the null character");
    }
    Ok(value.to_owned())
}
