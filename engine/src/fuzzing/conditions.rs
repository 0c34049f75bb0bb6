//! The language of conditions: what is read is written the same, means what a second reader says, in a
//! bounded number of steps, and no text of a customer's gets out of its literal in the jsonpath.
//!
//! The input has a condition in its first line, and in each further one a document that it is asked of.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::text;
use crate::subscription::{
    Conditions, DEPTH_MAX, IN_MAX, NODES_MAX, PATH_SEGMENTS_MAX, TOTAL_BYTES_MAX,
};

/// Each part is looked at once, and at the worst compares each value of an `in` with what lies at the end
/// of a path.
const STEPS_MAX: usize = NODES_MAX * (1 + (1 + PATH_SEGMENTS_MAX) + IN_MAX);
/// A letter may become six, and the field of each part is named once.
const PATH_BYTES_MAX: usize = 6 * TOTAL_BYTES_MAX + NODES_MAX * 1_024;

pub(super) fn check(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let mut lines = text.lines().map(serde_json::from_str::<Value>);
    let Some(Ok(given)) = lines.next() else { return };
    let Ok(read) = Conditions::parse(&given) else { return };

    let written = read.to_json();
    let again = Conditions::parse(&written).expect("what was written is read");
    assert_eq!(again, read);
    assert_eq!(again.to_json(), written);
    assert_eq!(again.to_jsonpath(), read.to_jsonpath());
    assert!(written.to_string().len() <= TOTAL_BYTES_MAX + 64 * NODES_MAX);
    check_path(&read.to_jsonpath());

    let opposite = Conditions::parse(&json!({ "not": given })).ok();
    let some = json!({ "event": "a.b", "severity": "HIGH", "data": { "n": 1.5, "s": "x" } });
    for document in lines.map_while(Result::ok).take(8).chain([some, json!({})]) {
        let mut reader = Reader { steps: 0, depth: 0 };
        let expected = reader.holds(&written, &document);
        assert!(reader.steps <= STEPS_MAX && reader.depth <= DEPTH_MAX, "{}", reader.steps);
        assert_eq!(read.matches(&document), expected, "{written} of {document}");
        if let Some(opposite) = &opposite {
            assert_eq!(opposite.matches(&document), !expected, "not {written} of {document}");
        }
    }
}

/// Outside of literals there are only the signs that the compiler writes, and its parentheses close.
fn check_path(path: &str) {
    assert!(path.len() <= PATH_BYTES_MAX && path.is_ascii(), "{} bytes", path.len());
    let rest = path.strip_prefix("strict ").expect("strict");
    let (mut open, mut outside) = (0_usize, true);
    for c in rest.chars() {
        match (outside, c) {
            (_, '"') => outside = !outside,
            (true, '(') => open += 1,
            (true, ')') => open = open.checked_sub(1).expect("nothing closes that was not opened"),
            (true, c) => assert!(c.is_ascii_alphanumeric() || " $?@.&|!<>=+-".contains(c), "{c:?}"),
            (false, c) => assert!(c.is_ascii_alphanumeric() || "\\ _-.:/@".contains(c), "{c:?}"),
        }
    }
    assert!(outside && open == 0, "{path}");
    let is_whole = |rest: &str| rest.starts_with('u') && rest.len() >= 5;
    assert!(rest.split('\\').skip(1).all(is_whole), "only \\uXXXX is escaped");
}

/// Reads a condition as `docs/subscriptions.md` says, from its JSON, without short cuts.
struct Reader {
    steps: usize,
    depth: usize,
}

impl Reader {
    fn holds(&mut self, condition: &Value, document: &Value) -> bool {
        self.steps += 1;
        let entries = condition.as_object().expect("a condition is an object");
        if let Some(field) = entries.get("field").and_then(Value::as_str) {
            self.depth = self.depth.max(1);
            let (operator, operand) =
                entries.iter().find(|(name, _)| *name != "field").expect("an operator");
            let found = self.find(field, document);
            return self.test(field, operator, operand, found);
        }
        let (word, inner) = entries.iter().next().expect("all, any or not");
        let all_of = |reader: &mut Self, list: &Value| {
            let list = list.as_array().expect("a list");
            let (mut answers, mut deepest) = (Vec::with_capacity(list.len()), 0);
            for one in list {
                reader.depth = 0;
                answers.push(reader.holds(one, document));
                deepest = deepest.max(reader.depth);
            }
            reader.depth = deepest + 1;
            answers
        };
        match word.as_str() {
            "all" => all_of(self, inner).into_iter().all(|answer| answer),
            "any" => all_of(self, inner).into_iter().any(|answer| answer),
            _ => {
                self.depth = 0;
                let answer = self.holds(inner, document);
                self.depth += 1;
                !answer
            }
        }
    }

    /// What an event has there; a `null` is as good as nothing.
    fn find<'a>(&mut self, field: &str, document: &'a Value) -> Option<&'a Value> {
        let mut found = document;
        for name in field.split('.') {
            self.steps += 1;
            found = found.as_object()?.get(name)?;
        }
        (!found.is_null()).then_some(found)
    }

    fn test(
        &mut self,
        field: &str,
        operator: &str,
        operand: &Value,
        found: Option<&Value>,
    ) -> bool {
        let order = |value: &Value| {
            let (value, limit) = (value.as_number()?, operand.as_number()?);
            match (value.as_i128(), limit.as_i128()) {
                (Some(value), Some(limit)) => Some(value.cmp(&limit)),
                _ => value.as_f64()?.partial_cmp(&limit.as_f64()?),
            }
        };
        let ordering = found.and_then(order);
        match operator {
            "eq" => found.is_some_and(|value| is_same(value, operand)),
            "ne" => !found.is_some_and(|value| is_same(value, operand)),
            "in" => {
                let values = operand.as_array().expect("a list");
                self.steps += values.len();
                found.is_some_and(|found| values.iter().any(|value| is_same(found, value)))
            }
            "exists" => found.is_some() == (*operand == Value::Bool(true)),
            "starts_with" => {
                let (text, start) = (found.and_then(Value::as_str), operand.as_str());
                text.zip(start).is_some_and(|(text, start)| text.starts_with(start))
            }
            "gt" => ordering == Some(Ordering::Greater),
            "gte" => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
            "lt" => ordering == Some(Ordering::Less),
            "lte" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            "at_least" => {
                let scale = if field == "priority" { rank_of_priority } else { rank_of_severity };
                let (found, least) = (found.and_then(Value::as_str), operand.as_str());
                let (found, least) = (found.and_then(scale), least.and_then(scale));
                found.zip(least).is_some_and(|(found, least)| found >= least)
            }
            other => panic!("{other} is no operator"),
        }
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        _ => false,
    }
}

/// As scanners write it: `high`, `HIGH` or `High`.
fn rank_of_severity(word: &str) -> Option<usize> {
    let known = ["info", "low", "medium", "high", "critical"];
    let is_spelled = |known: &str| {
        let capital = known[..1].to_uppercase() + &known[1..];
        [known.to_owned(), known.to_uppercase(), capital].iter().any(|spelling| spelling == word)
    };
    known.iter().position(|known| is_spelled(known)).or(is_spelled("moderate").then_some(2))
}

fn rank_of_priority(word: &str) -> Option<usize> {
    ["low", "normal", "high", "critical"].iter().position(|known| *known == word)
}
