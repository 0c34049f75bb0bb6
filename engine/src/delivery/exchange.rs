//! What is recorded of the requests of one attempt.

use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;

use super::{
    details::{Details, Headers, Sent, Timing, kept_headers},
    masks::Masks,
    state::error_class,
};
use crate::http::{RESPONSE_BYTES_MAX, SendError};

/// How much of an answer is kept with the attempt.
pub const RESPONSE_KEPT_MAX: usize = 2_048;
/// How much of a failure in words.
const ERROR_CHARS_MAX: usize = 500;
/// How much of a provider's code.
const CODE_CHARS_MAX: usize = 100;
/// How much of an id or an address is kept.
const TEXT_CHARS_MAX: usize = 2_000;

/// The requests of one attempt, and the last answer, as recorded.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When the first began, by this process's monotonic clock.
    pub began: Instant,
    /// How long it took until the last answer.
    pub took: Duration,
    /// The last status, if there was an answer.
    pub status: Option<u16>,
    /// What kind of failure it was.
    pub error_class: Option<&'static str>,
    /// What exactly went wrong.
    pub error: Option<String>,
    /// The beginning of the last answer's body.
    pub response_head: Option<String>,
    /// Where the time went.
    pub timing: Timing,
    /// The last request.
    pub(super) sent: Option<Sent>,
    /// The headers of the last answer.
    pub(super) answer: Headers,
}

impl Exchange {
    /// An answer, with the time since `began`; what was sent comes back in it unseen.
    #[must_use]
    pub(super) fn answered(
        began: Instant,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        masks: &Masks<'_>,
    ) -> Self {
        let beginning = &body[..body.len().min(RESPONSE_BYTES_MAX)];
        let text = masks.hide_in_beginning(String::from_utf8_lossy(beginning));
        let kept = &text[..text.floor_char_boundary(RESPONSE_KEPT_MAX)];
        Self {
            began,
            took: began.elapsed(),
            status: Some(status),
            error_class: error_class(Some(status), None),
            error: None,
            response_head: (!kept.is_empty()).then(|| kept.replace('\0', "\u{fffd}")),
            timing: Timing::default(),
            sent: None,
            answer: kept_headers(headers, masks),
        }
    }

    /// Its class for the metrics: of the answer itself, never a provider's own code.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.error_class.unwrap_or("success")
    }

    /// No answer, with the time since `began`.
    #[must_use]
    pub fn failed(began: Instant, error: &SendError) -> Self {
        Self {
            began,
            took: began.elapsed(),
            status: None,
            error_class: error_class(None, Some(error.failure)),
            error: Some(error.detail.chars().take(ERROR_CHARS_MAX).collect()),
            response_head: None,
            timing: Timing::default(),
            sent: None,
            answer: Headers::new(),
        }
    }

    /// The same of this request.
    #[must_use]
    pub(super) fn of(self, sent: Option<Sent>) -> Self {
        Self { sent, ..self }
    }

    /// What is kept for people who look, as it is stored: with the body that was sent, or without.
    #[must_use]
    pub(super) fn take_details(&mut self, with_body: bool) -> Option<String> {
        let sent = self.sent.take()?;
        let sent = if with_body { sent } else { sent.without_body() };
        Some(Details::new(self.timing, sent, std::mem::take(&mut self.answer)).to_json())
    }
}

/// A provider's code as it is kept: short, and without what a database refuses.
#[must_use]
pub(super) fn kept_code(code: &str) -> String {
    code.chars().filter(|c| !c.is_control()).take(CODE_CHARS_MAX).collect()
}

/// An id or an address of a provider as it is kept.
#[must_use]
pub(super) fn kept_text(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{http::Failure, secret::Secret};

    fn answered(status: u16, body: &[u8]) -> Exchange {
        let credential = Secret::new("s3cret");
        let masks = Masks::of_credential(&credential);
        Exchange::answered(Instant::now(), status, &HeaderMap::new(), body, &masks)
    }

    #[test]
    fn an_answer_that_repeats_the_credential_is_kept_without_it() {
        // Cut in the middle, it would not be known again.
        let body = format!("{}s3cret", "x".repeat(RESPONSE_KEPT_MAX - 3));
        let head = answered(200, body.as_bytes()).response_head.expect("there was a body");
        assert!(head.ends_with('•') && !head.contains("s3"), "{head}");
    }

    #[test]
    fn an_answer_is_kept_in_part_and_as_text() {
        let body = [b"\0ok".as_slice(), &[0xff], "é".repeat(2_000).as_bytes()].concat();
        let exchange = answered(503, &body);
        let head = exchange.response_head.expect("there was a body");
        assert!(head.starts_with("\u{fffd}ok\u{fffd}é") && !head.contains('\0'), "{head}");
        assert!(head.len() <= RESPONSE_KEPT_MAX + 8);
        assert_eq!(exchange.error_class, Some("http_5xx"));
        assert_eq!(answered(204, b"").response_head, None);
    }

    #[test]
    fn a_failure_is_kept_with_its_class_and_its_words() {
        let error = SendError { failure: Failure::Timeout, detail: "é".repeat(600) };
        let exchange = Exchange::failed(Instant::now(), &error);
        assert_eq!((exchange.status, exchange.error_class), (None, Some("timeout")));
        assert_eq!(exchange.error.map(|error| error.chars().count()), Some(ERROR_CHARS_MAX));
    }

    #[test]
    fn a_code_is_cut_and_holds_no_control_characters() {
        assert_eq!(kept_code("missing\0_scope\n"), "missing_scope");
        assert_eq!(kept_text("SEC-\u{0}1\u{1b}"), "SEC-1");
        assert_eq!(kept_code(&"x".repeat(1_000)).len(), CODE_CHARS_MAX);
    }
}
