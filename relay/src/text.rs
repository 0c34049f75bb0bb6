//! Text from outside, made safe to print on a terminal.

/// Shows control characters, escape sequences and direction marks instead of obeying them.
pub(crate) fn inert(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => '\u{fffd}',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i46_escape_sequences_are_shown_and_not_obeyed() {
        assert_eq!(inert("\u{1b}[2Jgone\u{202e}\r\n"), "\u{fffd}[2Jgone\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(inert("Zürich 漢字 <b>"), "Zürich 漢字 <b>");
    }
}
