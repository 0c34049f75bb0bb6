//! One request to a provider, and its answer.

use std::{fmt, time::Duration};

use bytes::Bytes;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::Value;
use url::Url;

use super::Hold;
use crate::{clock::Timestamp, secret::Secret};

/// One HTTP request.
#[derive(Clone)]
pub struct Call {
    /// GET, POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// What goes with it; credentials are marked sensitive.
    pub headers: HeaderMap,
    /// The exact bytes.
    pub body: Bytes,
    /// Whether making it twice may show twice: a lost answer is then looked for, not repeated.
    pub creates: bool,
    /// Whether a redirect to the same host is followed, with the same method and body.
    pub follows: bool,
    /// Whether a good answer says that the budget is nearly used up.
    pub heeds: fn(&Reply) -> Option<Hold>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Bytes,
    /// When it came.
    pub at: Timestamp,
}

impl Call {
    /// Reads.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url)
    }

    /// Makes or changes something.
    #[must_use]
    pub fn post(url: Url) -> Self {
        Self::new(Method::POST, url)
    }

    /// Any method.
    #[must_use]
    pub fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            creates: false,
            follows: false,
            heeds: |_| None,
        }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    /// Adds a header. A value that HTTP forbids is left out: only our own texts come here.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Adds a credential as `Authorization: <scheme> <secret>`, marked sensitive.
    #[must_use]
    pub fn authorization(mut self, scheme: &str, secret: &Secret) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(&format!("{scheme} {}", secret.reveal())) {
            value.set_sensitive(true);
            self.headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        self
    }

    /// Adds `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, secret: &Secret) -> Self {
        self.authorization("Bearer", secret)
    }

    /// Sends JSON.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = Bytes::from(serde_json::to_vec(body).expect("JSON can be written"));
        self.header("content-type", "application/json")
    }

    /// Sends a form.
    #[must_use]
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.body = Bytes::from(form.finish());
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// Says that making it twice may show twice.
    #[must_use]
    pub fn creating(mut self) -> Self {
        self.creates = true;
        self
    }

    /// Says that a redirect to the same host is followed.
    #[must_use]
    pub fn following(mut self) -> Self {
        self.follows = true;
        self
    }

    /// Says how a good answer tells that the budget is nearly used up.
    #[must_use]
    pub fn heeding(mut self, heeds: fn(&Reply) -> Option<Hold>) -> Self {
        self.heeds = heeds;
        self
    }
}

impl fmt::Debug for Call {
    /// Neither headers nor body: credentials travel in both.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url.path())
    }
}

impl Reply {
    /// Whether the status says success.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        self.header(name)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// How long it is until the moment that a header names in seconds since 1970; nothing, where it
    /// is past.
    #[must_use]
    pub fn until_epoch(&self, name: &str) -> Option<Duration> {
        let seconds = self.number(name)?;
        let at = Timestamp::from_timestamp_millis((seconds * 1_000.0) as i64)?;
        Some((at - self.at).to_std().unwrap_or_default())
    }

    /// `Retry-After`, as a span from the moment of the answer.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after").and_then(|value| crate::retry::parse_retry_after(value, self.at))
    }
}
