//! Compiles conditions to a jsonpath predicate that Postgres evaluates while it fans out.
//!
//! Each test stands in a filter, `exists($ ? (…))`: a filter passes an item only where its predicate
//! is true, so Postgres's third answer, "unknown", ends there as false. `strict` keeps Postgres from
//! looking into arrays by itself. The output is ASCII; no text of a customer's is in it unescaped.
//! <https://www.postgresql.org/docs/current/functions-json.html#FUNCTIONS-SQLJSON-PATH>

use std::fmt::Write;

use super::condition::{Field, Node, Relation, Scalar, Test};

pub(super) fn compile(node: &Node) -> String {
    let mut path = String::from("strict ");
    write_node(&mut path, node);
    path
}

fn write_node(path: &mut String, node: &Node) {
    match node {
        Node::All(nodes) => write_list(path, nodes, " && "),
        Node::Any(nodes) => write_list(path, nodes, " || "),
        Node::Not(node) => {
            path.push_str("!(");
            write_node(path, node);
            path.push(')');
        }
        Node::Test(field, test) => write_test(path, field, test),
    }
}

fn write_list(path: &mut String, nodes: &[Node], between: &str) {
    path.push('(');
    for (i, node) in nodes.iter().enumerate() {
        if i > 0 {
            path.push_str(between);
        }
        write_node(path, node);
    }
    path.push(')');
}

fn write_test(path: &mut String, field: &Field, test: &Test) {
    let field = accessor(field);
    let is = |scalar| format!("{field} == {}", literal(scalar));
    // The field is named and found once: there may be a hundred values, and a hundred lists of them.
    let is_one_of = |scalars: &mut dyn Iterator<Item = String>| {
        let each: Vec<String> = scalars.map(|scalar| format!("@ == {scalar}")).collect();
        format!("exists({field} ? ({}))", each.join(" || "))
    };
    let (negated, predicate) = match test {
        Test::Eq(scalar) => (false, is(scalar)),
        Test::Ne(scalar) => (true, is(scalar)),
        Test::In(scalars) => (false, is_one_of(&mut scalars.iter().map(literal))),
        Test::AtLeast(level) => (false, is_one_of(&mut level.words_from().map(quote))),
        Test::Order(relation, limit) => {
            let sign = match relation {
                Relation::Greater => ">",
                Relation::GreaterOrEqual => ">=",
                Relation::Less => "<",
                Relation::LessOrEqual => "<=",
            };
            (false, format!("{field} {sign} {limit}"))
        }
        Test::Exists(wanted) => (!wanted, format!("{field} != null")),
        Test::StartsWith(prefix) => (false, format!("{field} starts with {}", quote(prefix))),
    };
    let negation = if negated { "!" } else { "" };
    write!(path, "{negation}exists($ ? ({predicate}))").expect("memory takes it");
}

fn accessor(field: &Field) -> String {
    let mut accessor = String::from("@");
    for name in &field.0 {
        accessor.push('.');
        accessor.push_str(&quote(name));
    }
    accessor
}

fn literal(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => quote(text),
        Scalar::Number(number) => number.to_string(),
        Scalar::Boolean(boolean) => boolean.to_string(),
    }
}

/// A text as a jsonpath literal: what is not plainly harmless is written as `\uXXXX`.
pub(super) fn quote(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    let mut units = [0; 2];
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | ':' | '/' | '@') {
            literal.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                write!(literal, "\\u{unit:04x}").expect("memory takes it");
            }
        }
    }
    literal.push('"');
    literal
}
