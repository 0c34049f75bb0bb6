//! Whom an erasure is about. Pure.

use std::str::FromStr;

/// The shortest text that is looked for: shorter ones stand everywhere.
const BYTES_MIN: usize = 3;
/// The longest that a subject can be.
const BYTES_MAX: usize = 512;

/// All of an organization, or what names one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Everything that was recorded of it.
    Organization,
    /// Everything that names this.
    Subject(Subject),
}

impl Target {
    pub(super) fn subject(&self) -> Option<&str> {
        match self {
            Self::Organization => None,
            Self::Subject(subject) => Some(&subject.0),
        }
    }

    pub(super) fn scope(&self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Subject(_) => "subject",
        }
    }
}

/// An address, an id, a name: what stands for somebody in what was recorded. Not printed by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl std::fmt::Debug for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subject(…)")
    }
}

/// Not a text that can be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a subject has 3 to 512 bytes, a letter or a digit at both ends, and neither quotes nor backslashes nor control characters"
)]
pub struct SubjectRefused;

impl FromStr for Subject {
    type Err = SubjectRefused;

    /// Quotes and backslashes are written otherwise in JSON, where it is looked for as it is.
    fn from_str(text: &str) -> Result<Self, SubjectRefused> {
        let text = text.trim();
        let is_fit = (BYTES_MIN..=BYTES_MAX).contains(&text.len())
            && text.starts_with(char::is_alphanumeric)
            && text.ends_with(char::is_alphanumeric)
            && !text.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'));
        if is_fit { Ok(Self(text.to_owned())) } else { Err(SubjectRefused) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_text_that_stands_for_somebody() {
        for text in ["ada@example.com", " user-1 ", "Ada Lovelace", "Zoë", "018f1c6a", "a.b"] {
            let subject: Subject = text.parse().expect(text);
            assert_eq!(Target::Subject(subject).subject(), Some(text.trim()));
        }
        for text in
            ["", "ab", "   a  ", "*", "a\"b", "a\\b", "a\nb", "-abc", "abc.", &"a".repeat(513)]
        {
            assert_eq!(text.parse::<Subject>(), Err(SubjectRefused), "{text}");
        }
    }

    #[test]
    fn a_subject_is_not_printed() {
        let target = Target::Subject("ada@example.com".parse().expect("fit"));
        assert!(!format!("{target:?}").contains("ada"));
    }
}
