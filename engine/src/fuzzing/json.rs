//! A second reader of JSON, for texts that are known to be well-formed: it looks at their signs alone.

use std::collections::HashSet;

/// What a text looks like.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// How deep arrays and objects lie within one another.
    pub(super) depth: usize,
    /// How many keys there are.
    pub(super) keys: usize,
    /// Whether an object has a key twice.
    pub(super) has_twins: bool,
    /// Whether a text or a key holds the null character.
    pub(super) has_null_character: bool,
}

impl Shape {
    pub(super) fn of(text: &str) -> Self {
        let mut shape = Self::default();
        // The keys of each object that is open; an array has none.
        let mut open: Vec<HashSet<String>> = Vec::new();
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'{' | b'[' => {
                    open.push(HashSet::new());
                    shape.depth = shape.depth.max(open.len());
                }
                b'}' | b']' => drop(open.pop()),
                b'"' => {
                    let end = end_of_text(bytes, at);
                    let read: String =
                        serde_json::from_str(&text[at..end]).expect("a text of well-formed JSON");
                    shape.has_null_character |= read.contains('\0');
                    let behind = text[end..].trim_start_matches([' ', '\t', '\n', '\r']);
                    if behind.starts_with(':') {
                        shape.keys += 1;
                        let keys = open.last_mut().expect("a key lies in an object");
                        shape.has_twins |= !keys.insert(read);
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        shape
    }
}

/// Just behind the quote that ends the text which begins here.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_seen_as_it_looks() {
        let shape = Shape::of(r#" { "a\"" : [ {"b":"x:{"} , "c" ] , "d" : "\\" } "#);
        let expected = Shape { depth: 3, keys: 3, ..Shape::default() };
        assert_eq!(shape, expected);
        assert!(Shape::of(r#"{"a":1,"\u0061":2}"#).has_twins);
        assert!(!Shape::of(r#"[{"a":1},{"a":{"a":2}}]"#).has_twins);
        assert!(Shape::of(r#"["\u0000"]"#).has_null_character);
        assert!(!Shape::of(r#"["\\u0000"]"#).has_null_character);
    }
}
