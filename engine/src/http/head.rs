//! The head of a request as it goes out: what the caller wants, what this client adds, what HTTP adds.

use reqwest::header::{self, Entry, HeaderMap, HeaderName, HeaderValue};
use url::Url;

/// What stands in for a value that nobody may see.
pub(crate) const MASKED: &str = "•••";

/// Adds what the client sends of its own accord; what the caller says goes before it.
pub(super) fn with_ours(mut headers: HeaderMap, user_agent: &'static str) -> HeaderMap {
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in [(header::USER_AGENT, user_agent), (header::ACCEPT, "*/*")] {
        if let Entry::Vacant(entry) = headers.entry(name) {
            entry.insert(HeaderValue::from_static(value));
        }
    }
    headers
}

/// Every header of a request, for people who look: with the names as HTTP/1.1 sends them, and without
/// the values that are marked sensitive. HTTP/2 sends the host by another name.
pub(crate) fn as_sent(
    url: &Url,
    headers: HeaderMap,
    user_agent: &'static str,
    body_bytes: usize,
) -> Vec<(String, String)> {
    let mut headers = with_ours(headers, user_agent);
    if let Some(host) = host_of(url) {
        headers.insert(header::HOST, host);
    }
    if body_bytes > 0 {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body_bytes));
    }
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = match value.is_sensitive() {
            true => MASKED.into(),
            false => String::from_utf8_lossy(value.as_bytes()),
        };
        (title_case(name.as_str()), value.into_owned())
    };
    headers.iter().map(shown).collect()
}

fn host_of(url: &Url) -> Option<HeaderValue> {
    let host = url.host_str()?;
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::from_str(&host).ok()
}

/// `x-deptex-event` → `X-Deptex-Event`.
pub(crate) fn title_case(name: &str) -> String {
    let mut starts = true;
    let written = |letter: char| {
        let written = if starts { letter.to_ascii_uppercase() } else { letter };
        starts = letter == '-';
        written
    };
    name.chars().map(written).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    #[test]
    fn a_head_is_shown_whole_and_without_credentials() {
        let mut secret = HeaderValue::from_static("Bearer s3cret");
        secret.set_sensitive(true);
        let mut headers: HeaderMap =
            [header("x-own", "1"), header("accept", "application/json")].into_iter().collect();
        headers.insert(header::AUTHORIZATION, secret);
        let url = Url::parse("http://hook.example:8080/a?b=c").expect("a URL");
        let mut shown = as_sent(&url, headers, "Us/1", 7);
        shown.sort();
        let shown: Vec<_> = shown.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("Accept", "application/json"),
                ("Accept-Encoding", "identity"),
                ("Authorization", MASKED),
                ("Content-Length", "7"),
                ("Host", "hook.example:8080"),
                ("User-Agent", "Us/1"),
                ("X-Own", "1"),
            ]
        );
        let url = Url::parse("https://hook.example:443/").expect("a URL");
        let shown = as_sent(&url, HeaderMap::new(), "Us/1", 0);
        assert!(shown.contains(&("Host".into(), "hook.example".into())), "{shown:?}");
        assert!(!shown.iter().any(|(name, _)| name == "Content-Length"), "{shown:?}");
    }

    #[test]
    fn names_are_written_as_they_are_sent() {
        for (name, written) in
            [("x-deptex-event", "X-Deptex-Event"), ("te", "Te"), ("x--1a", "X--1a"), ("a_b", "A_b")]
        {
            assert_eq!(title_case(name), written);
        }
    }
}
