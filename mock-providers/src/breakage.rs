//! How a provider is made to misbehave: which requests, how often, and what they get instead.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::server::{reply::Reply, request::Request, route};

/// Which requests are meant.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    method: Option<String>,
    path: Option<String>,
    text: Option<String>,
}

impl Matcher {
    /// Every request of the provider.
    #[must_use]
    pub fn any() -> Self {
        Self::default()
    }

    /// A method and a path; `{…}` stands for one part of it, whatever it is.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self { method: Some(method.to_owned()), path: Some(path.to_owned()), text: None }
    }

    /// `GET` and a path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    /// `POST` and a path.
    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::new("POST", path)
    }

    /// Only if the body has this text.
    #[must_use]
    pub fn containing(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    pub(crate) fn fits(&self, request: &Request) -> bool {
        let path = |path: &String| route::params(path, &request.segments()).is_some();
        let text = |text: &String| String::from_utf8_lossy(&request.body).contains(text);
        self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.path.as_ref().is_none_or(path)
            && self.text.as_ref().is_none_or(text)
    }
}

/// What a request gets.
#[derive(Clone, Debug)]
pub struct Answer {
    pub(crate) what: What,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) delay: Duration,
    pub(crate) is_held: bool,
    /// Whether the provider does what was asked, whatever it answers.
    pub(crate) has_effect: bool,
}

/// The answer itself.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// What the provider would have answered.
    Real,
    /// This.
    Given { status: u16, body: Bytes },
    /// Half of what the provider would have answered, then the connection breaks.
    Half,
    /// The connection breaks.
    Nothing,
}

impl Answer {
    fn new(what: What, has_effect: bool) -> Self {
        Self { what, headers: Vec::new(), delay: Duration::ZERO, is_held: false, has_effect }
    }

    /// Nothing is done, and a status without a body answered.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::new(What::Given { status, body: Bytes::new() }, false)
    }

    /// Nothing is done, and JSON answered.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::status(status).body(body.to_string()).header("content-type", "application/json")
    }

    /// Nothing is done, and the connection breaks.
    #[must_use]
    pub fn unreached() -> Self {
        Self::new(What::Nothing, false)
    }

    /// What was asked is done, and answered as ever.
    #[must_use]
    pub fn real() -> Self {
        Self::new(What::Real, true)
    }

    /// What was asked is done, and the answer never comes.
    #[must_use]
    pub fn lost() -> Self {
        Self::new(What::Nothing, true)
    }

    /// What was asked is done, and the answer breaks off in the middle of its body.
    #[must_use]
    pub fn half() -> Self {
        Self::new(What::Half, true)
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        if let What::Given { body, .. } = &mut self.what {
            *body = bytes.into();
        }
        self
    }

    /// The same with a header, instead of the provider's own of that name.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers and texts read better as they are")]
    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    /// The same, answered after a while. What is to be done is done at once.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same, answered once the mocks are told to
    /// [`release`](crate::MockProviders::release). What is to be done is done at once.
    #[must_use]
    pub fn held(mut self) -> Self {
        self.is_held = true;
        self
    }

    /// What was asked is done, although the answer says otherwise.
    #[must_use]
    pub fn but_done(mut self) -> Self {
        self.has_effect = true;
        self
    }

    /// The answer with the provider's own, if it made one.
    pub(crate) fn over(&self, real: Option<Reply>) -> Reply {
        let mut reply = match (&self.what, real) {
            (What::Given { status, body }, real) => {
                let mut reply = Reply::empty(*status);
                reply.body = body.clone();
                reply.violation = real.and_then(|real| real.violation);
                reply
            }
            (_, Some(real)) => real,
            (_, None) => Reply::empty(200),
        };
        for (name, value) in &self.headers {
            reply.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            reply = reply.header(name, value);
        }
        reply
    }
}

/// What is broken about one provider.
#[derive(Debug, Default)]
pub(crate) struct Breakages(Vec<Breakage>);

#[derive(Debug)]
struct Breakage {
    matcher: Matcher,
    answer: Answer,
    reach: Reach,
}

#[derive(Debug)]
enum Reach {
    /// So many requests.
    Next(usize),
    /// All, until it is mended.
    All,
    /// Those past so many in a span.
    Beyond { count: usize, span: chrono::Duration, seen: VecDeque<DateTime<Utc>> },
}

impl Breakages {
    pub(crate) fn next(&mut self, count: usize, matcher: Matcher, answer: Answer) {
        self.0.push(Breakage { matcher, answer, reach: Reach::Next(count) });
    }

    pub(crate) fn all(&mut self, matcher: Matcher, answer: Answer) {
        self.0.push(Breakage { matcher, answer, reach: Reach::All });
    }

    pub(crate) fn beyond(&mut self, count: usize, span: Duration, of: Matcher, answer: Answer) {
        let span = chrono::Duration::from_std(span).unwrap_or(chrono::Duration::MAX);
        let reach = Reach::Beyond { count, span, seen: VecDeque::new() };
        self.0.push(Breakage { matcher: of, answer, reach });
    }

    pub(crate) fn mend(&mut self) {
        self.0.clear();
    }

    /// What a request gets instead, by the first breakage that means it.
    pub(crate) fn take(&mut self, request: &Request, now: DateTime<Utc>) -> Option<Answer> {
        for breakage in &mut self.0 {
            if !breakage.matcher.fits(request) {
                continue;
            }
            let hit = match &mut breakage.reach {
                Reach::Next(0) => false,
                Reach::Next(left) => {
                    *left -= 1;
                    true
                }
                Reach::All => true,
                Reach::Beyond { count, span, seen } => {
                    seen.retain(|at| now.signed_duration_since(at) < *span);
                    let is_full = seen.len() >= *count;
                    if !is_full {
                        seen.push_back(now);
                    }
                    is_full
                }
            };
            if hit {
                return Some(breakage.answer.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn post(path: &str) -> Request {
        Request {
            host: "web",
            method: "POST".to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: axum::http::HeaderMap::new(),
            body: Bytes::from_static(b"{\"text\":\"hello\"}"),
        }
    }

    #[test]
    fn a_breakage_hits_the_requests_that_it_means_and_no_more() {
        let mut breakages = Breakages::default();
        let now = DateTime::UNIX_EPOCH;
        breakages.next(1, Matcher::post("/a/{id}").containing("hello"), Answer::status(503));
        assert!(breakages.take(&post("/b/1"), now).is_none());
        assert!(breakages.take(&post("/a/1"), now).is_some());
        assert!(breakages.take(&post("/a/1"), now).is_none());
        breakages.all(Matcher::any(), Answer::status(500));
        assert!(breakages.take(&post("/b/1"), now).is_some());
        breakages.mend();
        assert!(breakages.take(&post("/b/1"), now).is_none());
    }

    #[test]
    fn a_budget_is_renewed_as_time_goes_by_and_refused_calls_do_not_use_it() {
        let mut breakages = Breakages::default();
        let minute = Duration::from_secs(60);
        breakages.beyond(2, minute, Matcher::any(), Answer::status(429));
        let mut hits = |second| {
            let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(second);
            breakages.take(&post("/"), now).is_some()
        };
        assert_eq!(
            [0, 1, 2, 59, 60, 60, 61].map(&mut hits),
            [false, false, true, true, false, true, false]
        );
    }
}
