//! Takes credentials out of what is kept of a request and its answer: some receivers repeat in an
//! answer what they were sent.

use std::borrow::Cow;

use reqwest::header::HeaderMap;

use crate::{http::MASKED, secret::Secret};

/// A shorter text of a customer's may well be a plain word, whose place is in many an answer.
const CHARS_MIN: usize = 6;
/// What the names of headers with credentials have in them.
const TELLING: [&str; 10] = [
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "credential",
    "csrf",
    "password",
    "secret",
    "session",
    "token",
];

/// The secrets that one request carries.
#[derive(Default)]
pub(super) struct Masks<'a>(Vec<Cow<'a, str>>);

impl<'a> Masks<'a> {
    /// Of what a provider is sent.
    pub(super) fn of_credential(credential: &'a Secret) -> Self {
        let mut masks = Self::default();
        masks.add(credential.reveal(), 1);
        masks
    }

    /// Of the headers that a customer set.
    pub(super) fn of_headers(headers: &'a HeaderMap) -> Self {
        let mut masks = Self::default();
        for text in headers.values().filter_map(|value| value.to_str().ok()) {
            masks.add(text, CHARS_MIN);
            // `Bearer …`: what follows is repeated alone as well.
            if let Some((_, rest)) = text.split_once(' ') {
                masks.add(rest, CHARS_MIN);
            }
        }
        // The longest first: no part of a text may be taken out before the whole.
        masks.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        masks
    }

    fn add(&mut self, secret: &'a str, chars_min: usize) {
        if secret.len() < chars_min {
            return;
        }
        if secret.contains(['"', '\\']) {
            let written = serde_json::to_string(secret).expect("a text can be written");
            self.0.push(Cow::Owned(written.trim_matches('"').to_owned()));
        }
        self.0.push(Cow::Borrowed(secret));
    }

    /// The text without any of them.
    pub(super) fn hide<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let mut text = text.into();
        for secret in &self.0 {
            if text.contains(secret.as_ref()) {
                text = Cow::Owned(text.replace(secret.as_ref(), MASKED));
            }
        }
        text
    }

    /// The same for the beginning of a text, which may end within one of them.
    pub(super) fn hide_in_beginning<'t>(&self, text: impl Into<Cow<'t, str>>) -> Cow<'t, str> {
        let text = self.hide(text);
        let begun = self.0.iter().filter_map(|secret| {
            let parts = (CHARS_MIN..secret.len()).filter(|at| secret.is_char_boundary(*at));
            parts.rev().find(|at| text.ends_with(&secret[..*at]))
        });
        match begun.max() {
            Some(begun) => Cow::Owned(format!("{}{MASKED}", &text[..text.len() - begun])),
            None => text,
        }
    }
}

/// Whether a header's name says that its value is a credential.
pub(super) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn what_is_repeated_is_taken_out_wherever_it_stands() {
        let given =
            [("authorization", "Bearer s3cret-a1b2"), ("x-key", "s3\"cr\\et"), ("x-n", "1")];
        let headers: HeaderMap = given
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        let masks = Masks::of_headers(&headers);
        for (text, shown) in [
            ("you sent Bearer s3cret-a1b2.", "you sent •••."),
            ("token=s3cret-a1b2&token=s3cret-a1b2", "token=•••&token=•••"),
            (r#"{"x-key":"s3\"cr\\et","n":1}"#, r#"{"x-key":"•••","n":1}"#),
            ("plain 1", "plain 1"),
        ] {
            assert_eq!(masks.hide(text), shown);
        }
        let credential = Secret::new("xoxb");
        assert_eq!(Masks::of_credential(&credential).hide("a xoxb b"), "a ••• b");
        assert_eq!(Masks::of_credential(&Secret::new("")).hide("as it is"), "as it is");
        assert_eq!(masks.hide_in_beginning("you sent s3cret-a1b"), "you sent •••");
        assert_eq!(masks.hide_in_beginning("you sent Bearer s3cret"), "you sent •••");
        assert_eq!(masks.hide_in_beginning("you s3cret-a1b2 sent"), "you ••• sent");
    }

    #[test]
    fn names_tell_of_credentials() {
        for name in ["Set-Cookie", "authorization", "X-Api-Key", "Private-Token", "x-csrf"] {
            assert!(is_telling(name), "{name}");
        }
        for name in ["content-type", "www-authenticate", "x-ratelimit-remaining", "etag"] {
            assert!(!is_telling(name), "{name}");
        }
    }
}
