//! Every request that came, without its secrets, and what was wrong with it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::server::request::Request;

/// One request as it came. Credentials are left out.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Whose it was, `slack`.
    pub provider: &'static str,
    /// The host that it came to, `web`, `api` or `auth`.
    pub host: &'static str,
    /// `POST`.
    pub method: String,
    /// As sent, without the query.
    pub path: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// As sent; the credential of `Authorization` is left out.
    pub headers: Vec<(String, String)>,
    /// As sent, but for the secrets of token requests.
    pub body: String,
    /// When it came, by the mocks' clock.
    pub at: DateTime<Utc>,
    /// The status that it got; `None` if the answer was lost, or is not given yet.
    pub status: Option<u16>,
    /// Whether a person's browser asked, not the engine.
    pub is_browser: bool,
}

impl Recorded {
    /// A header; empty if it was not sent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

#[derive(Debug, Default)]
struct Book {
    requests: Vec<Recorded>,
    violations: Vec<String>,
    unexpected: Vec<String>,
}

/// What all mocks of one test remember together.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Book>);

impl Recorder {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a request; the number by which its status is told later.
    pub(crate) fn record(
        &self,
        provider: &'static str,
        request: &Request,
        at: DateTime<Utc>,
    ) -> usize {
        let is_browser = request.header("accept").contains("text/html");
        let mut book = self.book();
        book.requests.push(Recorded {
            provider,
            host: request.host,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: shown_headers(request),
            body: shown_body(request),
            at,
            status: None,
            is_browser,
        });
        book.requests.len() - 1
    }

    pub(crate) fn answered(&self, number: usize, status: u16) {
        if let Some(recorded) = self.book().requests.get_mut(number) {
            recorded.status = Some(status);
        }
    }

    pub(crate) fn violation(&self, provider: &str, request: &Request, what: &str) {
        let line = format!("{provider}: {} {}: {what}", request.method, request.path);
        self.book().violations.push(line);
    }

    pub(crate) fn unexpected(&self, provider: &str, request: &Request) {
        let line = format!("{provider}: {} {}", request.method, request.path);
        self.book().unexpected.push(line);
    }

    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.book().requests.clone()
    }

    pub(crate) fn violations(&self) -> Vec<String> {
        self.book().violations.clone()
    }

    pub(crate) fn forgive(&self) {
        let mut book = self.book();
        book.violations.clear();
        book.unexpected.clear();
    }

    pub(crate) fn unexpected_calls(&self) -> Vec<String> {
        self.book().unexpected.clone()
    }
}

fn shown_headers(request: &Request) -> Vec<(String, String)> {
    let shown = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let scheme = text.split(' ').next().unwrap_or_default();
        let text = match name.as_str() {
            "authorization" => format!("{scheme} ..."),
            "cookie" => "...".to_owned(),
            _ => text,
        };
        (name.as_str().to_owned(), text)
    };
    request.headers.iter().map(shown).collect()
}

/// Fields of token and revocation requests that nobody may read in a log.
const SECRET_FIELDS: [&str; 6] =
    ["client_secret", "code", "code_verifier", "refresh_token", "access_token", "token"];

fn shown_body(request: &Request) -> String {
    if request.is_form() {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in request.form() {
            let is_secret = SECRET_FIELDS.contains(&name.as_str());
            form.append_pair(&name, if is_secret { "..." } else { &value });
        }
        return form.finish();
    }
    let mut json = request.json();
    let Some(fields) = json.as_object_mut() else {
        return String::from_utf8_lossy(&request.body).into_owned();
    };
    if !fields.contains_key("grant_type") && !fields.contains_key("access_token") {
        return String::from_utf8_lossy(&request.body).into_owned();
    }
    for (name, value) in fields.iter_mut() {
        if SECRET_FIELDS.contains(&name.as_str()) {
            *value = Value::from("...");
        }
    }
    json.to_string()
}
