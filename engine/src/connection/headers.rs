//! The headers that a customer wants on what its webhook receives. Their values are secrets: kept
//! sealed as one JSON object, shown to nobody.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sqlx::PgConnection;

use serde_json::Value;
use url::Url;

use super::{Connection, ConnectionChange, ConnectionError, ConnectionEvent, secrets};
use crate::secret::{KeyRing, Place, Purpose, Secret, UnsealError};

/// The most headers of one connection.
const HEADERS_MAX: usize = 30;
/// The most bytes that their names and values have together.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// The longest name.
const NAME_BYTES_MAX: usize = 100;

/// Names that belong to HTTP itself or say what our body is.
const PROTECTED: [&str; 11] = [
    "accept-encoding",
    "connection",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// What names begin with that belong to HTTP, to proxies, or to us.
const PROTECTED_PREFIXES: [&str; 4] = ["content-", "proxy-", "webhook-", "x-deptex-"];

/// What is wanted of the headers: each is set, or with `None` removed; those not named stay.
pub type HeaderChanges = BTreeMap<String, Option<Secret>>;

/// Headers by their names in lower case, each with its name as it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct CustomHeaders(BTreeMap<String, (String, Secret)>);

impl CustomHeaders {
    /// Opens what is stored; `None` is no header.
    pub(crate) fn open(
        keys: &KeyRing,
        place: &Place,
        sealed: Option<&str>,
    ) -> Result<Self, UnsealError> {
        let Some(sealed) = sealed else { return Ok(Self::default()) };
        let text = keys.open(sealed, place)?;
        let stored: BTreeMap<String, String> =
            serde_json::from_str(text.reveal()).map_err(|_| UnsealError::Damaged)?;
        let kept = stored.into_iter();
        Ok(Self(kept.map(|(name, value)| (key_of(&name), (name, Secret::new(value)))).collect()))
    }

    pub(crate) fn to_secret(&self) -> Secret {
        let plain: BTreeMap<&str, &str> =
            self.0.values().map(|(name, value)| (name.as_str(), value.reveal())).collect();
        Secret::new(serde_json::to_string(&plain).expect("a map of texts is JSON"))
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.0.values().map(|(name, _)| name.clone()).collect()
    }

    /// As they are sent. Their values do not print.
    pub(crate) fn to_map(&self) -> HeaderMap {
        let header = |(key, (_, value)): (&String, &(String, Secret))| {
            let name = HeaderName::from_bytes(key.as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value.reveal()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        };
        self.0.iter().filter_map(header).collect()
    }

    /// After a change; `None` where it changes nothing.
    pub(crate) fn changed(&self, wanted: &HeaderChanges) -> Result<Option<Self>, ConnectionError> {
        let mut after = self.clone();
        let mut named = Vec::with_capacity(wanted.len());
        for (name, value) in wanted {
            let key = key_of(name);
            if named.contains(&key) {
                return Err(ConnectionError::refused(
                    "invalid_header_name",
                    "A header is named twice; upper and lower case are the same",
                ));
            }
            match value {
                None => after.0.remove(&key),
                Some(value) => {
                    check(name, value)?;
                    after.0.insert(key.clone(), (name.clone(), value.clone()))
                }
            };
            named.push(key);
        }
        after.check_size()?;
        Ok((!self.is_same(&after)).then_some(after))
    }

    fn is_same(&self, other: &Self) -> bool {
        let plain = |(name, value): &(String, Secret)| (name.clone(), value.reveal().to_owned());
        self.0.values().map(plain).eq(other.0.values().map(plain))
    }

    fn check_size(&self) -> Result<(), ConnectionError> {
        if self.0.len() > HEADERS_MAX {
            return Err(ConnectionError::refused(
                "too_many_headers",
                "A connection has at most 30 headers of its own",
            ));
        }
        let bytes: usize =
            self.0.values().map(|(name, value)| name.len() + value.reveal().len()).sum();
        if bytes > HEADER_BYTES_MAX {
            return Err(ConnectionError::refused(
                "headers_too_large",
                "The names and values of a connection's headers have at most 8 KiB together",
            ));
        }
        Ok(())
    }
}

/// Upper and lower case are the same to HTTP.
fn key_of(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn check(name: &str, value: &Secret) -> Result<(), ConnectionError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // Nothing of a name that fails here is repeated: it may be a value in the wrong place.
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(plain) {
        return Err(ConnectionError::refused(
            "invalid_header_name",
            "A header's name has 1 to 100 letters, digits, hyphens, underscores and dots",
        ));
    }
    if is_protected(name) {
        return Err(ConnectionError::refused(
            "protected_header",
            format!("{name} is set by HTTP or by Deptex and cannot be one of your headers"),
        ));
    }
    let text = value.reveal();
    let printable = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if text.is_empty() || !printable || text.trim() != text {
        return Err(ConnectionError::refused(
            "invalid_header_value",
            format!(
                "The value of {name} must be printable ASCII text without spaces at its ends; null removes the header"
            ),
        ));
    }
    Ok(())
}

/// Many servers take `_` and `.` for `-`, and would mistake such a header for the real one.
fn is_protected(name: &str) -> bool {
    let name = key_of(name).replace(['_', '.'], "-");
    PROTECTED.contains(&name.as_str())
        || PROTECTED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Values are shown to nobody, so nobody may send them somewhere else either: who moves a webhook to
/// another origin says in the same change what becomes of its headers.
pub(super) fn stay_with_their_origin(
    state: &Connection,
    change: &ConnectionChange,
) -> Result<(), ConnectionError> {
    let origin = |url: &str| Url::parse(url).map(|url| url.origin()).ok();
    let before = state.metadata.get("webhook_url").and_then(Value::as_str).and_then(origin);
    let moves = change.webhook_url.as_deref().is_some_and(|url| origin(url) != before);
    if moves && !state.header_names.is_empty() && !is_about_all(state, change) {
        return Err(ConnectionError::refused(
            "headers_for_another_address",
            "Headers were set for the address that this webhook has now: give all of them again with the new one, or remove them with null",
        ));
    }
    Ok(())
}

/// Whether a change says of every header what becomes of it.
fn is_about_all(state: &Connection, change: &ConnectionChange) -> bool {
    match &change.headers {
        None => false,
        Some(None) => true,
        Some(Some(wanted)) => {
            let named: Vec<String> = wanted.keys().map(|name| key_of(name)).collect();
            state.header_names.iter().all(|name| named.contains(&key_of(name)))
        }
    }
}

/// Changes the stored headers, in the caller's transaction; `None` for `wanted` removes all of them.
/// Returns what that records: nothing, where they are so already.
pub(super) async fn change(
    tx: &mut PgConnection,
    keys: &KeyRing,
    state: &Connection,
    wanted: Option<&HeaderChanges>,
) -> Result<Option<ConnectionEvent>, ConnectionError> {
    let place = Place {
        organization_id: state.organization_id,
        connection_id: state.id,
        purpose: Purpose::Headers,
    };
    let after = match wanted {
        Some(wanted) if wanted.is_empty() => return Ok(None),
        None if state.header_names.is_empty() => return Ok(None),
        None => CustomHeaders::default(),
        Some(_) if !state.provider.starts_with("custom_") => {
            return Err(ConnectionError::refused(
                "not_custom",
                "Only custom integrations have headers of their own",
            ));
        }
        Some(wanted) => {
            let sealed = secrets::sealed_of(tx, &place).await?;
            let before = CustomHeaders::open(keys, &place, sealed.as_deref()).map_err(|_| {
                ConnectionError::refused(
                    "headers_unreadable",
                    "The stored headers cannot be read; remove them all with null, and set them anew",
                )
            })?;
            let Some(after) = before.changed(wanted)? else { return Ok(None) };
            after
        }
    };
    let names = after.names();
    if names.is_empty() {
        secrets::remove(tx, &place).await?;
    } else {
        secrets::put(tx, keys, &place, &after.to_secret()).await?;
    }
    Ok(Some(ConnectionEvent::HeadersChanged { names }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(pairs: &[(&str, Option<&str>)]) -> HeaderChanges {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(Secret::new))).collect()
    }

    fn with(pairs: &[(&str, Option<&str>)]) -> CustomHeaders {
        CustomHeaders::default().changed(&changes(pairs)).expect("good").expect("a change")
    }

    fn refusal(pairs: &[(&str, Option<&str>)]) -> (&'static str, String) {
        match CustomHeaders::default().changed(&changes(pairs)) {
            Err(ConnectionError::Refused { code, message }) => (code, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn b23_a_change_merges_and_deletes_whatever_the_case() {
        let before = with(&[("X-Team", Some("a")), ("X-Other", Some("b"))]);
        assert_eq!(before.names(), ["X-Other", "X-Team"]);
        let wanted =
            changes(&[("x-TEAM", Some("c")), ("X-OTHER", None), ("Authorization", Some("d"))]);
        let after = before.changed(&wanted).expect("good").expect("a change");
        assert_eq!(after.names(), ["Authorization", "x-TEAM"]);
        assert_eq!(after.to_map()["x-team"], "c");
        for nothing in [&[][..], &[("X-Team", Some("a"))], &[("X-Unknown", None)]] {
            assert!(before.changed(&changes(nothing)).expect("good").is_none(), "{nothing:?}");
        }
        // The same name with the same value in another case is a change.
        let respelled = before.changed(&changes(&[("x-team", Some("a"))])).expect("good");
        assert_eq!(respelled.expect("a change").names(), ["X-Other", "x-team"]);
    }

    #[test]
    fn i33_names_and_values_that_could_break_a_head_are_refused_unrepeated() {
        for name in
            ["", "x evil", "x:evil", "x\r\ny", "x\0y", "é", "x-é", "x\ty", "(x)", &"x".repeat(101)]
        {
            let (code, message) = refusal(&[(name, Some("v"))]);
            assert_eq!(code, "invalid_header_name", "{name:?}");
            assert!(name.is_empty() || !message.contains(name), "{message}");
        }
        for value in [
            "",
            " ",
            "s3cret\r\nx-evil: 1",
            "s3cret\n",
            "s3cret\0",
            "s3cret é",
            " s3cret",
            "s3cret ",
            "s3\tcret",
        ] {
            let (code, message) = refusal(&[("X-Key", Some(value))]);
            assert_eq!(code, "invalid_header_value", "{value:?}");
            assert!(message.contains("X-Key") && !message.contains("s3"), "{message}");
        }
        assert_eq!(refusal(&[("X-A", Some("1")), ("x-a", Some("2"))]).0, "invalid_header_name");
    }

    #[test]
    fn i34_protected_names_are_refused_in_every_spelling() {
        for name in [
            "Host",
            "content-length",
            "CONTENT-TYPE",
            "Content-Encoding",
            "Transfer-Encoding",
            "transfer_encoding",
            "Connection",
            "Expect",
            "TE",
            "Trailer",
            "Upgrade",
            "Keep-Alive",
            "Proxy-Authorization",
            "Proxy-Connection",
            "webhook-id",
            "Webhook_Signature",
            "X-Deptex-Signature",
            "X_Deptex.Signature",
            "x-deptex-new",
            "User-Agent",
            "Accept-Encoding",
            "HTTP2-Settings",
        ] {
            assert_eq!(refusal(&[(name, Some("v"))]).0, "protected_header", "{name}");
        }
        for name in
            ["Authorization", "Accept", "Cookie", "X-Api-Key", "X-Webhook-Id", "Hosted", "Date"]
        {
            assert_eq!(with(&[(name, Some("v"))]).names(), [name]);
        }
    }

    #[test]
    fn i35_headers_are_bounded_in_number_and_size() {
        let many = |n: usize| -> HeaderChanges {
            (0..n).map(|i| (format!("X-{i}"), Some(Secret::new("v")))).collect()
        };
        let full = CustomHeaders::default().changed(&many(30)).expect("30 fit").expect("a change");
        for n in [31, 1_000] {
            let refused = CustomHeaders::default().changed(&many(n));
            assert!(
                matches!(refused, Err(ConnectionError::Refused { code: "too_many_headers", .. })),
                "{n}"
            );
        }
        let more = full.changed(&changes(&[("X-More", Some("v"))]));
        assert!(more.is_err(), "what is there counts");
        let instead = full.changed(&changes(&[("X-More", Some("v")), ("X-0", None)]));
        assert!(instead.is_ok_and(|after| after.is_some()), "one for another");
        let value = "v".repeat(HEADER_BYTES_MAX - 1);
        assert_eq!(with(&[("X", Some(value.as_str()))]).names(), ["X"]);
        assert_eq!(refusal(&[("Xy", Some(value.as_str()))]).0, "headers_too_large");
        assert_eq!(refusal(&[("X", Some("v".repeat(1_000_000).as_str()))]).0, "headers_too_large");
    }

    #[test]
    fn values_do_not_print_and_open_as_they_were() {
        let headers = with(&[("X-Key", Some("s3cret")), ("authorization", Some("Bearer s3cret"))]);
        assert!(!format!("{headers:?} {:?}", headers.to_map()).contains("s3cret"));
        let key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into();
        let keys = KeyRing::new(&key, []).expect("a good key");
        let id = uuid::Uuid::from_u128(1);
        let place =
            |purpose| Place { organization_id: id.into(), connection_id: id.into(), purpose };
        let sealed = keys.seal(&headers.to_secret(), &place(Purpose::Headers));
        let opened = CustomHeaders::open(&keys, &place(Purpose::Headers), Some(&sealed));
        assert!(opened.expect("it opens").is_same(&headers));
        assert!(CustomHeaders::open(&keys, &place(Purpose::Signing), Some(&sealed)).is_err());
        assert!(
            CustomHeaders::open(&keys, &place(Purpose::Headers), None)
                .is_ok_and(|none| none.0.is_empty())
        );
    }
}
