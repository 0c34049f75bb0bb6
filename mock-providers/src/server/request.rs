//! A request as a provider's server reads it.

use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::Value;

/// One request, read to its end.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The provider's word for the host that it came to, `web`, `api` or `auth`.
    pub(crate) host: &'static str,
    pub(crate) method: String,
    /// As sent, percent-encoded.
    pub(crate) path: String,
    /// Decoded.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// A header as text; empty if it was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A parameter of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number in the query, or what it is without.
    pub(crate) fn number(&self, name: &str, otherwise: usize) -> usize {
        self.query(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    /// `Content-Type` without its parameters.
    pub(crate) fn content_type(&self) -> String {
        let whole = self.header("content-type");
        whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.content_type() == "application/json"
    }

    /// Whether the body says that it is a form.
    pub(crate) fn is_form(&self) -> bool {
        self.content_type() == "application/x-www-form-urlencoded"
    }

    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as a form; empty if it is none.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        if !self.is_form() {
            return Vec::new();
        }
        url::form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The credential of `Authorization: <scheme> …`, whatever the case of the scheme.
    pub(crate) fn authorization(&self, scheme: &str) -> Option<&str> {
        let (given, credential) = self.header("authorization").split_once(' ')?;
        given.eq_ignore_ascii_case(scheme).then(|| credential.trim())
    }

    /// The parts of the path, decoded one by one, so that `%2F` stays inside its part.
    pub(crate) fn segments(&self) -> Vec<String> {
        parts(&self.path)
    }
}

/// The parts of a path, decoded one by one.
pub(crate) fn parts(path: &str) -> Vec<String> {
    segments(path).into_iter().map(decoded).collect()
}

/// The parts of a path between slashes.
pub(crate) fn segments(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty()).collect()
}

/// Percent-decodes. A plus stays a plus: it means a blank in queries only.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoded_slash_stays_inside_its_part() {
        let parts = parts("/api/v4/projects/acme%2Fshop/100%25+");
        assert_eq!(parts, ["api", "v4", "projects", "acme/shop", "100%+"]);
    }
}
