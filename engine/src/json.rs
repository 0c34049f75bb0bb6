//! Strict JSON: what every later reader takes the same way, checked without building a tree.
//!
//! JSON leaves much open: a key given twice, `1e999`, half a surrogate pair. One reader takes the
//! first value, another the last, a third fails. What passes here is read alike by this engine, by
//! Postgres and by a receiver. The check takes time in proportion to the bytes it reads, and memory
//! in proportion to [`KEYS_MAX`]; it stops at the first fault.

use std::{borrow::Cow, cell::Cell, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// How deep arrays and objects may lie within one another.
pub const DEPTH_MAX: usize = 64;
/// How many keys the objects of one document may have together.
pub const KEYS_MAX: usize = 10_000;
/// How many characters a number may be written with.
pub const NUMBER_CHARS_MAX: usize = 1_000;
/// How far from zero a number's exponent may be written; doubles end at 308.
pub const EXPONENT_MAX: u32 = 400;

/// Why some bytes were refused, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct JsonRefused {
    /// Stable: one of the codes that begin [`crate::event::CODES`].
    pub code: &'static str,
    /// What is wrong, without the place.
    pub message: String,
    /// Counted from one.
    pub line: usize,
    /// In bytes, counted from one.
    pub column: usize,
}

/// What a JSON text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// `1`, `-2.5e3`
    Number,
    /// `true` or `false`
    Boolean,
    /// `null`
    Null,
}

impl Kind {
    /// The kind of well-formed JSON, by its first character; `None` if nothing can begin so.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        Some(match first {
            b'{' => Self::Object,
            b'[' => Self::Array,
            b'"' => Self::String,
            b'-' | b'0'..=b'9' => Self::Number,
            b't' | b'f' => Self::Boolean,
            b'n' => Self::Null,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::Null => "null",
        })
    }
}

/// Checks one document.
pub fn check(bytes: &[u8]) -> Result<Kind, JsonRefused> {
    run(bytes, None)
}

/// Checks a document, or an array of up to `items_max` documents that each have limits of their own.
pub fn check_batch(bytes: &[u8], items_max: usize) -> Result<Kind, JsonRefused> {
    run(bytes, Some(items_max))
}

fn run(bytes: &[u8], items_max: Option<usize>) -> Result<Kind, JsonRefused> {
    let state = State {
        items_max,
        keys_left: Cell::new(KEYS_MAX),
        floats: Cell::new(false),
        fault: Cell::new(None),
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Walk { state: &state, depth: 0, outermost: true }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| refused(bytes, &error, state.fault.get()))?;
    if state.floats.get() {
        numbers_are_modest(bytes)?;
    }
    Ok(Kind::of(bytes).expect("what was read as JSON begins as JSON does"))
}

fn refused(bytes: &[u8], error: &serde_json::Error, fault: Option<&'static str>) -> JsonRefused {
    let (line, column) = (error.line(), error.column());
    let text = error.to_string();
    let text = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
    let (code, message) = match fault {
        Some(code) => (code, text.to_owned()),
        None if bytes.iter().all(u8::is_ascii_whitespace) => {
            ("malformed_json", "The body is empty, and JSON was expected".to_owned())
        }
        None if text.contains("number out of range") => {
            ("number_out_of_range", "A number is too large for a double".to_owned())
        }
        None if text.contains("surrogate") || text.contains("end of hex escape") => {
            ("lone_surrogate", "A string holds half of a surrogate pair".to_owned())
        }
        None if text.contains("unicode code point") => {
            ("invalid_utf8", "The body is not valid UTF-8".to_owned())
        }
        None => ("malformed_json", format!("The body is not valid JSON: {text}")),
    };
    JsonRefused { code, message, line, column }
}

/// Postgres keeps numbers in decimal: `1e-99999` is zero to a double, and an error to it.
fn numbers_are_modest(bytes: &[u8]) -> Result<(), JsonRefused> {
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'-' | b'0'..=b'9' => {
                let digits =
                    |byte: &&u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E');
                let number = &bytes[at..at + bytes[at..].iter().take_while(digits).count()];
                if NUMBER_CHARS_MAX < number.len() || !exponent_is_modest(number) {
                    return Err(JsonRefused {
                        code: "number_out_of_range",
                        message: format!(
                            "A number has more than {NUMBER_CHARS_MAX} characters, or an exponent beyond {EXPONENT_MAX}"
                        ),
                        line: 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count(),
                        column: 1 + bytes[..at]
                            .iter()
                            .rev()
                            .take_while(|byte| **byte != b'\n')
                            .count(),
                    });
                }
                at += number.len();
            }
            _ => at += 1,
        }
    }
    Ok(())
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

fn exponent_is_modest(number: &[u8]) -> bool {
    let Some(e) = number.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return true;
    };
    let mut exponent = 0u32;
    for byte in number[e + 1..].iter().filter(|byte| byte.is_ascii_digit()) {
        exponent = exponent.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
    }
    exponent <= EXPONENT_MAX
}

struct State {
    items_max: Option<usize>,
    keys_left: Cell<usize>,
    floats: Cell<bool>,
    /// The code of a fault of ours: serde's errors carry a text only.
    fault: Cell<Option<&'static str>>,
}

impl State {
    fn refuse<E: de::Error>(&self, code: &'static str, message: impl fmt::Display) -> E {
        self.fault.set(Some(code));
        E::custom(message)
    }

    fn text<E: de::Error>(&self, text: &str) -> Result<(), E> {
        if text.as_bytes().contains(&0) {
            return Err(self.refuse(
                "null_character",
                r"A string holds the null character (\u0000), which databases cannot keep",
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    state: &'a State,
    depth: usize,
    outermost: bool,
}

impl Walk<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            let message = format!("Arrays and objects are nested deeper than {DEPTH_MAX}");
            return Err(self.state.refuse("too_deep", message));
        }
        Ok(Self { depth: self.depth + 1, outermost: false, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.state.floats.set(true);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        self.state.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some(items_max) = self.state.items_max.filter(|_| self.outermost) else {
            let item = self.deeper()?;
            while items.next_element_seed(item)?.is_some() {}
            return Ok(());
        };
        let mut count = 0;
        while items.next_element_seed(Self { outermost: false, ..self })?.is_some() {
            count += 1;
            if items_max < count {
                let message = format!("A batch holds at most {items_max} items");
                return Err(self.state.refuse("batch_too_large", message));
            }
            self.state.keys_left.set(KEYS_MAX);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let value = self.deeper()?;
        let mut seen = Seen::default();
        while let Some(key) = entries.next_key_seed(Key)? {
            self.state.text(&key)?;
            let Some(left) = self.state.keys_left.get().checked_sub(1) else {
                let message = format!("Objects have more than {KEYS_MAX} keys together");
                return Err(self.state.refuse("too_many_keys", message));
            };
            self.state.keys_left.set(left);
            if let Err(key) = seen.insert(key) {
                let message = format!("The key {} is given twice in one object", quoted(&key));
                return Err(self.state.refuse("duplicate_key", message));
            }
            entries.next_value_seed(value)?;
        }
        Ok(())
    }
}

/// A caller's word in a message of ours: short, and with every control character escaped.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut start: String = text.chars().take(64).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

/// The keys of one object: a short list is searched faster than a set is made.
#[derive(Default)]
struct Seen<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Seen<'de> {
    fn insert(&mut self, key: Cow<'de, str>) -> Result<(), Cow<'de, str>> {
        if !self.many.is_empty() {
            if self.many.contains(&key) {
                return Err(key);
            }
            self.many.insert(key);
        } else if self.few.contains(&key) {
            return Err(key);
        } else {
            self.few.push(key);
            if self.few.len() == 16 {
                self.many.extend(self.few.drain(..));
            }
        }
        Ok(())
    }
}

/// Reads a key, without a copy where it holds no escape.
pub(crate) struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: de::Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests;
