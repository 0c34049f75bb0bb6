//! Text from outside, made safe to print on a terminal.

/// Shows control characters, escape sequences and direction marks instead of obeying them.
pub(crate) fn inert(text: &str) -> String {
    text.chars().map(|c| inert_char(c).unwrap_or('\u{fffd}')).collect()
}

/// A value as one line of JSON that steers no terminal either: JSON itself escapes only what lies
/// below the blank.
pub(crate) fn json_line<T: serde::Serialize>(value: &T) -> serde_json::Result<String> {
    let line = serde_json::to_string(value)?;
    let mut safe = String::with_capacity(line.len());
    for c in line.chars() {
        match inert_char(c) {
            Some(c) => safe.push(c),
            // Only data in the bytes of their sender have these, and only between the values.
            None if matches!(c, '\n' | '\r' | '\t') => safe.push(' '),
            // The others stand in strings, where an escape means the same.
            None => safe.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    Ok(safe)
}

/// `None` for a character that a terminal obeys.
fn inert_char(c: char) -> Option<char> {
    let steers = c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (!steers).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i46_a_line_of_json_says_the_same_without_steering() {
        let text = "\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\r\n\"é😀";
        let line = json_line(&text).expect("a text can be written");
        assert_eq!(line, r#""\u001b[2J\u009b31m\u007f\u202e\r\n\"é😀""#);
        assert_eq!(serde_json::from_str::<String>(&line).expect("it is JSON"), text);
        let raw = serde_json::value::RawValue::from_string("{\r\n\t\"a\": 1\n}".to_owned());
        let line = json_line(&raw.expect("it is JSON")).expect("it can be written");
        assert_eq!(line, r#"{   "a": 1 }"#);
    }

    #[test]
    fn i46_escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(inert("\u{1b}[2Jgone\u{202e}\r\n"), "\u{fffd}[2Jgone\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(inert("Zürich 漢字 <b>"), "Zürich 漢字 <b>");
    }
}
