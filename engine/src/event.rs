//! What happened: an event as a caller reports it, as the log keeps it, and as a receiver gets it.
//!
//! [`parse_body`] checks what `POST /v1/events` received, [`CATALOGUE`] lists the kinds that Deptex
//! reports, [`webhook_body`] writes the bytes that are signed and sent. The `data` of an event is
//! kept byte for byte on that whole way: it is checked to be a JSON object, and never refused for
//! what is in it, whatever the catalogue says that a kind's data looks like.

mod body;
mod catalogue;
mod facts;
mod headline;
pub mod history;
mod parse;
mod ticket;

use std::{borrow::Cow, fmt, str::FromStr};

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    ids::{EventId, OrganizationId, ProjectId, TeamId},
    json::{JsonRefused, quoted},
    trace::Traceparent,
};

pub use body::{rfc3339, webhook_body, webhook_body_with};
pub use catalogue::{ALIASES, CATALOGUE, KindInfo, TEST_PING, canonical};
#[cfg(test)]
pub(crate) use headline::tests::recorded;
pub use headline::{BODY_CHARS_MAX, Notification, TITLE_CHARS_MAX, headline};
pub use parse::{ParsedBody, parse_body};

/// The kind of a message that speaks for several events at once: it is never recorded.
pub const DIGEST: &str = "deptex.digest";
/// How many events one request may bring.
pub const EVENTS_MAX: usize = 1_000;
/// How many bytes the `data` of one event may have.
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// How long a kind may be.
pub const KIND_CHARS_MAX: usize = 128;
/// How many dotted parts a kind may have.
pub const KIND_SEGMENTS_MAX: usize = 8;
/// How many bytes an idempotency key may have; it has at least one.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;
/// How many bytes a subject may have.
pub const SUBJECT_BYTES_MAX: usize = 512;
/// How many bytes a source may have.
pub const SOURCE_BYTES_MAX: usize = 128;

/// Every code that an event can be refused with, and what it means. Codes never change.
pub const CODES: &[(&str, &str)] = &[
    ("malformed_json", "the body is not JSON"),
    ("invalid_utf8", "the body is not UTF-8"),
    ("duplicate_key", "a key is given twice in one object"),
    ("too_deep", "arrays and objects are nested deeper than 64"),
    ("too_many_keys", "an event's objects have more than 10,000 keys together"),
    ("number_out_of_range", "a number does not fit a double"),
    ("lone_surrogate", "a string holds half of a surrogate pair"),
    ("null_character", r"a string holds \u0000"),
    ("batch_too_large", "an array of more than 1,000 events"),
    ("batch_empty", "an array without an event"),
    ("event_too_large", "the data of an event has more than 256 KiB"),
    ("unknown_field", "an event has a field that does not exist"),
    ("missing_field", "an event lacks a field that it needs"),
    ("invalid_type", "a value is of another JSON type than it must be"),
    ("invalid_field", "a field's value is not one that it can have"),
    ("data_not_object", "the data of an event is not a JSON object"),
];

/// An event's dotted name: `vulnerability.found`. Always the canonical one, never an alias.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventKind(Cow<'static, str>);

impl EventKind {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a text is a dotted name within the limits. `vulnerability_found` is not: it has no dot.
    #[must_use]
    pub fn is_grammatical(text: &str) -> bool {
        let segments = text.split('.').count();
        text.len() <= KIND_CHARS_MAX
            && (2..=KIND_SEGMENTS_MAX).contains(&segments)
            && text.split('.').all(is_segment)
    }
}

/// One part of a kind between its dots.
pub(crate) fn is_segment(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Why a text is not a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a dotted name such as vulnerability.found (lower-case letters, digits and _, at most \
     {KIND_SEGMENTS_MAX} parts and {KIND_CHARS_MAX} characters), not {0}"
)]
pub struct NotAKind(String);

impl FromStr for EventKind {
    type Err = NotAKind;

    /// Reads a kind or one of the core's older names, which becomes the kind that it stands for.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(kind) = canonical(text) {
            return Ok(Self(Cow::Borrowed(kind)));
        }
        if !Self::is_grammatical(text) {
            return Err(NotAKind(quoted(text)));
        }
        Ok(Self(Cow::Owned(text.to_owned())))
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much an event matters to those who reported it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Can wait.
    Low,
    /// The usual.
    #[default]
    Normal,
    /// Should be seen soon.
    High,
    /// Should be seen at once.
    Critical,
}

impl Priority {
    /// The lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The word that callers and the database use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl FromStr for Priority {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text).ok_or(())
    }
}

/// How bad the thing is that an event tells of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is bad.
    Info,
    /// A small matter.
    Low,
    /// Also written `moderate`.
    Medium,
    /// A grave matter.
    High,
    /// As bad as can be.
    Critical,
}

impl Severity {
    /// The mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// Reads the words that scanners use, in upper or lower case.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("moderate") {
            return Some(Self::Medium);
        }
        Self::ALL.into_iter().find(|severity| text.eq_ignore_ascii_case(severity.as_str()))
    }
}

/// An event as a caller reports it, checked and not yet recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// Whose event it is.
    pub organization_id: OrganizationId,
    /// A JSON object, in the bytes that were received.
    pub data: Box<RawValue>,
    /// The project that it concerns.
    pub project_id: Option<ProjectId>,
    /// The team that it concerns.
    pub team_id: Option<TeamId>,
    /// When it happened; `None` means when it is recorded.
    pub occurred_at: Option<Timestamp>,
    /// The part of Deptex that reports it.
    pub source: Option<String>,
    /// How much it matters.
    pub priority: Priority,
    /// What it is about: events of one subject belong together, as in one ticket.
    pub subject: Option<String>,
    /// By which the caller may report it again without recording it again.
    pub idempotency_key: Option<String>,
    /// How many deliveries of ours led to it.
    pub hops: u8,
    /// The span that its recording is part of.
    pub traceparent: Option<Traceparent>,
}

/// An event as the log keeps it.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Given by us when it was recorded.
    pub id: EventId,
    /// Whose event it is.
    pub organization_id: OrganizationId,
    /// What happened.
    pub kind: String,
    /// The JSON of its `data`, byte for byte.
    pub payload: Bytes,
    /// The project that it concerns.
    pub project_id: Option<ProjectId>,
    /// The team that it concerns.
    pub team_id: Option<TeamId>,
    /// What it is about.
    pub subject: Option<String>,
    /// A [`Priority`]'s word.
    pub priority: String,
    /// The part of Deptex that reported it.
    pub source: Option<String>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// How many deliveries of ours led to it.
    pub hops: i16,
    /// The span that its recording was part of.
    pub traceparent: Option<Traceparent>,
}

impl RecordedEvent {
    /// What it says, byte for byte.
    pub(crate) fn into_data(self) -> Option<Box<RawValue>> {
        let text = String::from_utf8(self.payload.into()).ok()?;
        RawValue::from_string(text).ok()
    }
}

/// Which kind of answer a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedClass {
    /// Not JSON as everybody reads it: HTTP 400.
    Malformed,
    /// More than we take: HTTP 413.
    TooLarge,
    /// JSON, but not an event: HTTP 422.
    Invalid,
}

/// Why a body, or one event in it, was refused. Nothing of what was refused is recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EventRefused {
    /// Which kind of answer it is.
    pub class: RefusedClass,
    /// One of [`CODES`].
    pub code: &'static str,
    /// A sentence that names the field, or the line and column.
    pub message: String,
}

impl From<JsonRefused> for EventRefused {
    fn from(refused: JsonRefused) -> Self {
        let class = match refused.code {
            "batch_too_large" => RefusedClass::TooLarge,
            _ => RefusedClass::Malformed,
        };
        Self { class, code: refused.code, message: refused.to_string() }
    }
}
