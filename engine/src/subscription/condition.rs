//! The small language of conditions, and what a condition means for one event.
//!
//! Every condition is true or false of every event; there is no third answer. A test of a field that
//! is missing, `null` or of another type than the test needs is false. So `not` of it is true, and
//! so is `ne`, which is exactly `not` of `eq`.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value, json};

use crate::event::{Priority, Severity};

/// How deep `all`, `any` and `not` may lie within one another, the test at the bottom included.
pub const DEPTH_MAX: usize = 8;
/// How many parts a condition may have: each `all`, `any`, `not` and test is one.
pub const NODES_MAX: usize = 100;
/// How many values an `in` may list.
pub const IN_MAX: usize = 100;
/// How many bytes a text in a condition may have.
pub const TEXT_BYTES_MAX: usize = 512;
/// How many names a path into `data` may have.
pub const PATH_SEGMENTS_MAX: usize = 8;
/// How many bytes a condition may have as compact JSON.
pub const TOTAL_BYTES_MAX: usize = 32 * 1024;

/// Conditions of a connection: checked, and ready to be compiled or applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions(pub(super) Node);

/// Why conditions were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConditionError {
    /// Where: `conditions.all[1].not`.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test(Field, Test),
}

/// A path into the document: `severity`, or `data` and names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field(pub(super) Vec<String>);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    Eq(Scalar),
    Ne(Scalar),
    In(Vec<Scalar>),
    Order(Relation, Number),
    Exists(bool),
    StartsWith(String),
    AtLeast(Level),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Text(String),
    Number(Number),
    Boolean(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// A place on one of the two scales.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Severity(Severity),
    Priority(Priority),
}

impl Conditions {
    /// Reads conditions; the error says where and what is wrong.
    ///
    /// Ids are brought to lower case and kinds to their canonical names, as events have them.
    pub fn parse(value: &Value) -> Result<Self, ConditionError> {
        super::read::conditions(value).map(Self)
    }

    /// The conditions as JSON; reading that again gives the same conditions.
    #[must_use]
    pub fn to_json(&self) -> Value {
        self.0.to_json()
    }

    /// The same as a jsonpath predicate: `relay.condition_document(…) @@ path`.
    #[must_use]
    pub fn to_jsonpath(&self) -> String {
        super::jsonpath::compile(&self.0)
    }

    /// Whether they hold for a document as `relay.condition_document` makes it.
    ///
    /// Numbers that are not whole are compared as doubles here, and in decimal by Postgres.
    #[must_use]
    pub fn matches(&self, document: &Value) -> bool {
        self.0.holds(document)
    }
}

impl Node {
    fn holds(&self, document: &Value) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.holds(document)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(document)),
            Self::Not(node) => !node.holds(document),
            Self::Test(field, test) => test.holds(field.find(document)),
        }
    }

    fn to_json(&self) -> Value {
        let list = |nodes: &[Self]| nodes.iter().map(Self::to_json).collect::<Vec<_>>();
        match self {
            Self::All(nodes) => json!({ "all": list(nodes) }),
            Self::Any(nodes) => json!({ "any": list(nodes) }),
            Self::Not(node) => json!({ "not": node.to_json() }),
            Self::Test(field, test) => {
                let mut entries = Map::new();
                entries.insert("field".to_owned(), Value::from(field.name()));
                let (operator, value) = test.to_json();
                entries.insert(operator.to_owned(), value);
                Value::Object(entries)
            }
        }
    }
}

impl Field {
    pub(super) fn name(&self) -> String {
        self.0.join(".")
    }

    /// What an event has there; a `null` is as good as nothing.
    fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        let found = self.0.iter().try_fold(document, |value, name| value.as_object()?.get(name))?;
        (!found.is_null()).then_some(found)
    }
}

impl Test {
    fn holds(&self, found: Option<&Value>) -> bool {
        let is = |scalar: &Scalar| found.is_some_and(|value| scalar.equals(value));
        match self {
            Self::Eq(scalar) => is(scalar),
            Self::Ne(scalar) => !is(scalar),
            Self::In(scalars) => scalars.iter().any(is),
            Self::Order(relation, limit) => {
                let Some(Value::Number(number)) = found else { return false };
                relation.includes(compare(number, limit))
            }
            Self::Exists(wanted) => found.is_some() == *wanted,
            Self::StartsWith(prefix) => {
                found.and_then(Value::as_str).is_some_and(|text| text.starts_with(prefix.as_str()))
            }
            Self::AtLeast(level) => found
                .and_then(Value::as_str)
                .is_some_and(|text| level.words_from().any(|word| word == text)),
        }
    }

    fn to_json(&self) -> (&'static str, Value) {
        match self {
            Self::Eq(scalar) => ("eq", scalar.to_json()),
            Self::Ne(scalar) => ("ne", scalar.to_json()),
            Self::In(scalars) => ("in", scalars.iter().map(Scalar::to_json).collect()),
            Self::Order(relation, limit) => (relation.operator(), Value::Number(limit.clone())),
            Self::Exists(wanted) => ("exists", Value::from(*wanted)),
            Self::StartsWith(prefix) => ("starts_with", Value::from(prefix.as_str())),
            Self::AtLeast(level) => ("at_least", Value::from(level.word())),
        }
    }
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(wanted), Value::String(text)) => wanted == text,
            (Self::Number(wanted), Value::Number(number)) => {
                compare(number, wanted) == Some(Ordering::Equal)
            }
            (Self::Boolean(wanted), Value::Bool(boolean)) => wanted == boolean,
            _ => false,
        }
    }

    fn to_json(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Boolean(boolean) => Value::from(*boolean),
        }
    }
}

impl Relation {
    pub(super) const ALL: [Self; 4] =
        [Self::Greater, Self::GreaterOrEqual, Self::Less, Self::LessOrEqual];

    pub(super) fn operator(self) -> &'static str {
        match self {
            Self::Greater => "gt",
            Self::GreaterOrEqual => "gte",
            Self::Less => "lt",
            Self::LessOrEqual => "lte",
        }
    }

    fn includes(self, ordering: Option<Ordering>) -> bool {
        match self {
            Self::Greater => ordering == Some(Ordering::Greater),
            Self::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
            Self::Less => ordering == Some(Ordering::Less),
            Self::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        }
    }
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Severity(severity) => severity.as_str(),
            Self::Priority(priority) => priority.as_str(),
        }
    }

    /// Every spelling of this level and those above it.
    pub(super) fn words_from(self) -> Box<dyn Iterator<Item = &'static str>> {
        match self {
            Self::Severity(least) => Box::new(
                SEVERITY_WORDS
                    .iter()
                    .filter(move |(severity, _)| least <= *severity)
                    .flat_map(|(_, words)| words.iter().copied()),
            ),
            Self::Priority(least) => Box::new(
                Priority::ALL.into_iter().filter(move |p| least <= *p).map(Priority::as_str),
            ),
        }
    }
}

/// How scanners write severities.
const SEVERITY_WORDS: &[(Severity, &[&str])] = &[
    (Severity::Info, &["info", "INFO", "Info"]),
    (Severity::Low, &["low", "LOW", "Low"]),
    (Severity::Medium, &["medium", "MEDIUM", "Medium", "moderate", "MODERATE", "Moderate"]),
    (Severity::High, &["high", "HIGH", "High"]),
    (Severity::Critical, &["critical", "CRITICAL", "Critical"]),
];

fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |n: &Number| n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}
