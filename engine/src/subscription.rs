//! Who wants to know: the kinds that a connection subscribes to, and conditions on the event.
//!
//! Postgres decides, in the transaction that appends the event: patterns by an overlap of arrays
//! (`relay.kind_patterns`), conditions by a jsonpath over `relay.condition_document`. What is here
//! compiles to that, and gives the same answers without a database, for previews.

mod cases;
mod condition;
mod jsonpath;
mod read;

use crate::{
    event::{self, EventKind, KIND_CHARS_MAX},
    json::quoted,
};

#[doc(hidden)]
pub use cases::CONDITION_CASES;
pub use condition::{
    ConditionError, Conditions, DEPTH_MAX, IN_MAX, NODES_MAX, PATH_SEGMENTS_MAX, TEXT_BYTES_MAX,
    TOTAL_BYTES_MAX,
};

/// How many patterns a connection may have; it has at least one.
pub const PATTERNS_MAX: usize = 100;

/// The kinds that a connection subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPatterns(Vec<String>);

/// Why patterns were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// None, or too many.
    #[error("event_types must hold 1 to {PATTERNS_MAX} patterns, not {0}")]
    Count(usize),
    /// Not a pattern.
    #[error(
        "event_types[{place}] must be *, a prefix such as vulnerability.*, or a kind such as \
         vulnerability.found, not {pattern}"
    )]
    Invalid {
        /// Its place in the list, from zero.
        place: usize,
        /// The pattern, quoted.
        pattern: String,
    },
}

impl Default for EventPatterns {
    /// Every kind.
    fn default() -> Self {
        Self(vec!["*".to_owned()])
    }
}

impl EventPatterns {
    /// Reads patterns: `*`, a prefix with `.*`, or a kind. The core's older names become kinds, and
    /// a pattern given twice is kept once.
    pub fn parse(patterns: &[String]) -> Result<Self, PatternError> {
        if patterns.is_empty() || PATTERNS_MAX < patterns.len() {
            return Err(PatternError::Count(patterns.len()));
        }
        let mut read: Vec<String> = Vec::with_capacity(patterns.len());
        for (place, pattern) in patterns.iter().enumerate() {
            let pattern = event::canonical(pattern).unwrap_or(pattern);
            if !is_pattern(pattern) {
                return Err(PatternError::Invalid { place, pattern: quoted(pattern) });
            }
            if !read.iter().any(|known| known == pattern) {
                read.push(pattern.to_owned());
            }
        }
        Ok(Self(read))
    }

    /// Whether an event of this kind is wanted: as `relay.kind_patterns(kind) && patterns` in SQL.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        self.0.iter().any(|pattern| match pattern.strip_suffix('*') {
            // With its dot, so that `a.*` matches neither `a` nor `ab.c`.
            Some(prefix) => kind.starts_with(prefix),
            None => pattern == kind,
        })
    }

    /// The patterns, as they are stored.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// The patterns, as they are stored.
    #[must_use]
    pub fn into_vec(self) -> Vec<String> {
        self.0
    }
}

fn is_pattern(pattern: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(prefix) => pattern.len() <= KIND_CHARS_MAX && prefix.split('.').all(event::is_segment),
        None => pattern == "*" || EventKind::is_grammatical(pattern),
    }
}

#[cfg(test)]
mod tests;
