//! What a provider's server answers.

use bytes::Bytes;
use serde_json::Value;

/// An answer, and what it tells the tests beside the caller.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// What the caller did that it must never do.
    pub(crate) violation: Option<String>,
    /// Whether the caller asked for something that does not exist.
    pub(crate) is_unexpected: bool,
}

/// Either way it is an answer; `Err` ends a handler early.
pub(crate) type Outcome = Result<Reply, Reply>;

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), violation: None, is_unexpected: false }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", body.to_string())
    }

    pub(crate) fn text(status: u16, body: &str) -> Self {
        Self::new(status, "text/plain; charset=utf-8", body.to_owned())
    }

    pub(crate) fn html(status: u16, body: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", body)
    }

    pub(crate) fn empty(status: u16) -> Self {
        let body = Bytes::new();
        Self { status, headers: Vec::new(), body, violation: None, is_unexpected: false }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::empty(302).header("location", to)
    }

    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts read better as they are")]
    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The same answer, remembered as a mistake of the caller's that fails the test.
    pub(crate) fn violating(mut self, what: impl Into<String>) -> Self {
        self.violation = Some(what.into());
        self
    }
}
