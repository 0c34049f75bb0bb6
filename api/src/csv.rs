//! Writes CSV (RFC 4180) that is only ever text to whoever opens it.
//!
//! A cell of a spreadsheet that begins with one of `= + - @`, a tab or a line break may be taken for a
//! formula: such a cell gets an apostrophe in front. Other control characters, with which a terminal
//! could be steered, become spaces.

/// Rows of cells.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    text: String,
    is_row_begun: bool,
}

impl Csv {
    /// A cell with somebody else's words.
    pub(crate) fn text(&mut self, text: &str) {
        self.next();
        self.text.push('"');
        if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
            self.text.push('\'');
        }
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\"\""),
                '\n' | '\r' | '\t' => self.text.push(character),
                character if character.is_control() => self.text.push(' '),
                character => self.text.push(character),
            }
        }
        self.text.push('"');
    }

    /// The same, or an empty cell.
    pub(crate) fn optional(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.next(),
        }
    }

    /// A cell with our own word, number or instant, which needs no quotes.
    pub(crate) fn plain(&mut self, value: impl std::fmt::Display) {
        self.next();
        self.text.push_str(&value.to_string());
    }

    pub(crate) fn end_row(&mut self) {
        self.text.push_str("\r\n");
        self.is_row_begun = false;
    }

    /// What was written since it was last taken.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn next(&mut self) {
        if self.is_row_begun {
            self.text.push(',');
        }
        self.is_row_begun = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut csv = Csv::default();
        csv.text(text);
        csv.take()
    }

    /// I46: no cell is a formula, and none ends before its end.
    #[test]
    fn i46_what_could_be_a_formula_is_text() {
        for (text, written) in [
            ("plain", r#""plain""#),
            ("", r#""""#),
            ("=1+1", r#""'=1+1""#),
            ("+1", r#""'+1""#),
            ("-1", r#""'-1""#),
            ("@SUM(A1)", r#""'@SUM(A1)""#),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("\n=1", "\"'\n=1\""),
            ("＝1", "\"'＝1\""),
            ("a=1", r#""a=1""#),
            (r#"say "hi", you"#, r#""say ""hi"", you""#),
            ("=HYPERLINK(\"http://x\",\"y\")", r#""'=HYPERLINK(""http://x"",""y"")""#),
            ("a\u{1b}[31mred\u{7}\0", "\"a [31mred  \""),
            ("<script>", r#""<script>""#),
        ] {
            assert_eq!(cell(text), written, "{text:?}");
        }
    }

    #[test]
    fn rows_have_the_cells_that_were_written() {
        let mut csv = Csv::default();
        csv.plain(7);
        csv.optional(None);
        csv.optional(Some("x"));
        csv.end_row();
        csv.optional(None);
        csv.plain("y");
        csv.end_row();
        assert_eq!(csv.take(), "7,,\"x\"\r\n,y\r\n");
        assert_eq!(csv.take(), "");
    }
}
