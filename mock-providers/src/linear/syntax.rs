//! GraphQL as far as our requests write it: one operation, variables, arguments, selections.
//! Fragments and directives are refused, since none of ours has them.

use std::{iter::Peekable, str::Chars};

use serde_json::{Map, Value};

/// One operation with its variables filled in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operation {
    pub(super) is_mutation: bool,
    pub(super) fields: Vec<Field>,
}

/// One field that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    /// How the answer calls it.
    pub(super) alias: String,
    pub(super) arguments: Map<String, Value>,
    /// What is asked of it; nothing for a plain value.
    pub(super) fields: Vec<Field>,
}

impl Field {
    /// An argument that is a text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).and_then(Value::as_str)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Number(serde_json::Number),
    Sign(char),
}

/// Reads the body of a request: `query` and `variables`.
pub(super) fn read(body: &Value) -> Result<Operation, String> {
    let query = body["query"].as_str().ok_or("Must provide query string.")?;
    let empty = Map::new();
    let variables = match &body["variables"] {
        Value::Null => &empty,
        Value::Object(variables) => variables,
        _ => return Err("variables must be an object".to_owned()),
    };
    let mut reader = Reader { tokens: tokens(query)?, at: 0, variables, declared: Vec::new() };
    let operation = reader.operation()?;
    match reader.peek() {
        None => Ok(operation),
        Some(token) => Err(format!("Syntax Error: Unexpected {token:?} after the operation.")),
    }
}

fn tokens(query: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut letters = query.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' => while letters.next_if(|c| *c != '\n').is_some() {},
            ',' | '\u{feff}' => {}
            blank if blank.is_whitespace() => {}
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '=' | '!' | '$' => {
                tokens.push(Token::Sign(letter));
            }
            '"' => tokens.push(Token::Text(text(&mut letters)?)),
            '-' | '0'..='9' => {
                let number =
                    run(letter, &mut letters, |c| c.is_ascii_digit() || ".eE+-".contains(c));
                let number = serde_json::from_str(&number);
                tokens.push(Token::Number(number.map_err(|_| "Syntax Error: Invalid number.")?));
            }
            name if name.is_ascii_alphabetic() || name == '_' => {
                let name = run(name, &mut letters, |c| c.is_ascii_alphanumeric() || c == '_');
                tokens.push(Token::Name(name));
            }
            other => return Err(format!("Syntax Error: Unexpected character {other:?}.")),
        }
    }
    Ok(tokens)
}

fn run(first: char, letters: &mut Peekable<Chars<'_>>, is_part: fn(char) -> bool) -> String {
    let mut run = String::from(first);
    while let Some(letter) = letters.next_if(|c| is_part(*c)) {
        run.push(letter);
    }
    run
}

/// A text in quotes, which is written as in JSON.
fn text(letters: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut written = String::from('"');
    loop {
        let letter = letters.next().ok_or("Syntax Error: Unterminated string.")?;
        written.push(letter);
        match letter {
            '\\' => written.extend(letters.next()),
            '"' => break,
            _ => {}
        }
    }
    serde_json::from_str(&written).map_err(|_| "Syntax Error: Invalid string.".to_owned())
}

struct Reader<'v> {
    tokens: Vec<Token>,
    at: usize,
    variables: &'v Map<String, Value>,
    /// Names, with what they hold if they were not left out.
    declared: Vec<(String, Option<Value>)>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, String> {
        let token = self.peek().cloned().ok_or("Syntax Error: Unexpected <EOF>.")?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a sign, if it is next.
    fn takes(&mut self, sign: char) -> bool {
        let is_next = self.peek() == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn sign(&mut self, sign: char) -> Result<(), String> {
        match self.next()? {
            Token::Sign(found) if found == sign => Ok(()),
            found => Err(format!("Syntax Error: Expected {sign:?}, found {found:?}.")),
        }
    }

    fn name(&mut self) -> Result<String, String> {
        match self.next()? {
            Token::Name(name) => Ok(name),
            found => Err(format!("Syntax Error: Expected Name, found {found:?}.")),
        }
    }

    fn operation(&mut self) -> Result<Operation, String> {
        let mut is_mutation = false;
        if let Some(Token::Name(_)) = self.peek() {
            is_mutation = match self.name()?.as_str() {
                "query" => false,
                "mutation" => true,
                other => return Err(format!("Syntax Error: {other} is not read here.")),
            };
            if let Some(Token::Name(_)) = self.peek() {
                self.name()?;
            }
            if self.takes('(') {
                while !self.takes(')') {
                    self.declaration()?;
                }
            }
        }
        Ok(Operation { is_mutation, fields: self.selection()? })
    }

    fn declaration(&mut self) -> Result<(), String> {
        self.sign('$')?;
        let name = self.name()?;
        self.sign(':')?;
        let kind = self.kind()?;
        let default = if self.takes('=') { Some(self.value()?) } else { None };
        let given = self.variables.get(&name).cloned().or(default);
        if kind.ends_with('!') && given.as_ref().is_none_or(Value::is_null) {
            return Err(format!(
                "Variable \"${name}\" of required type \"{kind}\" was not provided."
            ));
        }
        if !given.as_ref().is_none_or(|value| is_of(value, &kind)) {
            return Err(format!(
                "Variable \"${name}\" got invalid value; Expected type \"{kind}\"."
            ));
        }
        self.declared.push((name, given));
        Ok(())
    }

    fn kind(&mut self) -> Result<String, String> {
        let mut kind = match self.takes('[') {
            true => {
                let inner = self.kind()?;
                self.sign(']')?;
                format!("[{inner}]")
            }
            false => self.name()?,
        };
        if self.takes('!') {
            kind.push('!');
        }
        Ok(kind)
    }

    fn selection(&mut self) -> Result<Vec<Field>, String> {
        self.sign('{')?;
        let mut fields = Vec::new();
        while !self.takes('}') {
            fields.push(self.field()?);
        }
        match fields.is_empty() {
            true => Err("Syntax Error: Expected Name, found \"}\".".to_owned()),
            false => Ok(fields),
        }
    }

    fn field(&mut self) -> Result<Field, String> {
        let mut name = self.name()?;
        let alias = name.clone();
        if self.takes(':') {
            name = self.name()?;
        }
        let arguments = if self.takes('(') { self.pairs(')')? } else { Map::new() };
        let is_object = self.peek() == Some(&Token::Sign('{'));
        let fields = if is_object { self.selection()? } else { Vec::new() };
        Ok(Field { name, alias, arguments, fields })
    }

    /// Names with values. A variable that was left out leaves its name out.
    fn pairs(&mut self, end: char) -> Result<Map<String, Value>, String> {
        let mut pairs = Map::new();
        while !self.takes(end) {
            let name = self.name()?;
            self.sign(':')?;
            let value = match self.takes('$') {
                true => self.variable()?,
                false => Some(self.value()?),
            };
            if let Some(value) = value {
                pairs.insert(name, value);
            }
        }
        Ok(pairs)
    }

    fn variable(&mut self) -> Result<Option<Value>, String> {
        let name = self.name()?;
        let found = self.declared.iter().find(|(known, _)| *known == name);
        let undefined = || format!("Variable \"${name}\" is not defined.");
        Ok(found.ok_or_else(undefined)?.1.clone())
    }

    fn value(&mut self) -> Result<Value, String> {
        Ok(match self.next()? {
            Token::Text(text) => Value::from(text),
            Token::Number(number) => Value::Number(number),
            Token::Sign('{') => Value::Object(self.pairs('}')?),
            Token::Sign('$') => self.variable()?.unwrap_or_default(),
            Token::Sign('[') => {
                let mut items = Vec::new();
                while !self.takes(']') {
                    items.push(self.value()?);
                }
                Value::Array(items)
            }
            // Names of an enumeration stand for themselves.
            Token::Name(name) => match name.as_str() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                _ => Value::from(name),
            },
            found => return Err(format!("Syntax Error: Unexpected {found:?}.")),
        })
    }
}

/// Whether a value can be of a declared type, as far as its name tells.
fn is_of(value: &Value, kind: &str) -> bool {
    let kind = kind.trim_end_matches('!');
    match kind {
        _ if value.is_null() => true,
        "String" => value.is_string(),
        "Int" => value.is_i64() || value.is_u64(),
        "Boolean" => value.is_boolean(),
        _ if kind.starts_with('[') => value.is_array(),
        _ if kind.ends_with("Input") || kind.ends_with("Filter") => value.is_object(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(query: &str, variables: &Value) -> Result<Operation, String> {
        read(&json!({ "query": query, "variables": variables }))
    }

    #[test]
    fn an_operation_is_read_with_its_variables_filled_in() {
        let query = "# teams\nquery Teams($after: String, $first: Int = 2) {
            first: teams(first: $first, after: $after, orderBy: updatedAt, filter: {key: {eq: \"S\\\"\"}}) {
                nodes { id } } }";
        let operation = parsed(query, &json!({})).unwrap();
        let field = &operation.fields[0];
        assert!(!operation.is_mutation);
        assert_eq!((field.alias.as_str(), field.name.as_str()), ("first", "teams"));
        let arguments =
            json!({ "first": 2, "orderBy": "updatedAt", "filter": { "key": { "eq": "S\"" } } });
        assert_eq!(Value::Object(field.arguments.clone()), arguments);
        assert_eq!(field.fields[0].fields[0].name, "id");
        let operation = parsed(query, &json!({ "after": null })).unwrap();
        assert_eq!(operation.fields[0].arguments["after"], Value::Null);
    }

    #[test]
    fn what_is_not_graphql_or_does_not_fit_its_variables_is_refused() {
        let cases = [
            ("{ viewer { id }", json!({}), "Unexpected <EOF>"),
            ("{ viewer { } }", json!({}), "Expected Name"),
            ("{ viewer { ...User } }", json!({}), "Unexpected character '.'"),
            ("subscription { a }", json!({}), "not read here"),
            ("{ a } { b }", json!({}), "after the operation"),
            ("query($id: String!) { issue(id: $id) { id } }", json!({}), "was not provided"),
            ("query($id: String!) { issue(id: $id) { id } }", json!({ "id": 1 }), "invalid value"),
            ("{ issue(id: $id) { id } }", json!({ "id": "1" }), "is not defined"),
            (
                "mutation($i: IssueCreateInput!) { a(input: $i) { b } }",
                json!({ "i": "x" }),
                "invalid value",
            ),
        ];
        for (query, variables, why) in cases {
            let refused = parsed(query, &variables).unwrap_err();
            assert!(refused.contains(why), "{query}: {refused}");
        }
        assert!(read(&json!({ "variables": {} })).is_err());
    }
}
