//! Signatures: whoever follows the published rules verifies what was signed, and nothing else.
//!
//! The input has a secret, an id and a time in its first three lines; what follows is the body.

use aws_lc_rs::hmac as reference;
use aws_lc_rs::{
    constant_time,
    signature::{ED25519, UnparsedPublicKey},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::{
    secret::Secret,
    signing::{self, deptex_signature, standard_signature},
};

/// How many places of a text are changed, one after the other.
const PLACES: usize = 4;

pub(super) fn check(data: &[u8]) {
    let mut lines = data.splitn(4, |byte| *byte == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (secret, id, third) = (line(), line(), line());
    let body = lines.next().unwrap_or_default();
    if signing::public_key(&Secret::new(secret.as_str())).is_some() {
        return; // It signs in the other way, which is looked at for every text.
    }
    let timestamp = third.parse().unwrap_or(1_614_265_330_i64);
    check_deptex(&secret, body);
    check_standard(&secret, &id, timestamp, body);
    check_pair(&secret, &id, timestamp, body);
    // What somebody else wrote into the header holds only if the right value is in there.
    let message = Message { id: &id, timestamp: timestamp.to_string(), body };
    let right = standard_signature(&[Secret::new(secret.as_str())], &id, timestamp, body);
    let is_there = third.split(' ').any(|value| value == right);
    assert_eq!(verifies(&secret, &message, &third), is_there, "{third}");
}

fn check_deptex(secret: &str, body: &[u8]) {
    let holds = |secret: &str, body: &[u8], header: &str| {
        let claimed = header.strip_prefix("sha256=").and_then(|hex| hex::decode(hex).ok());
        claimed.is_some_and(|claimed| is_mac(secret.as_bytes(), &[body], &claimed))
    };
    let header = deptex_signature(&Secret::new(secret), body);
    assert!(holds(secret, body, &header), "{header}");
    for changed in changes(body) {
        assert!(!holds(secret, &changed, &header), "another body");
    }
    for changed in changed_texts(&header) {
        assert!(!holds(secret, body, &changed), "another signature: {changed}");
    }
    for changed in changed_texts(secret) {
        assert!(!holds(&changed, body, &header), "another secret");
    }
}

fn check_standard(secret: &str, id: &str, timestamp: i64, body: &[u8]) {
    let secrets = [Secret::new(secret), Secret::new("whsec_AAAA")];
    let header = standard_signature(&secrets, id, timestamp, body);
    let message = Message { id, timestamp: timestamp.to_string(), body };
    for secret in [secret, "whsec_AAAA"] {
        check_message(&message, &header, |message, header| verifies(secret, message, header));
    }
    let one = standard_signature(&secrets[..1], id, timestamp, body);
    for changed in changed_texts(&one) {
        assert!(!verifies(secret, &message, &changed), "another signature: {changed}");
    }
}

fn check_pair(secret: &str, id: &str, timestamp: i64, body: &[u8]) {
    let pair = signing::new_key_pair(&signing::digest(secret.as_bytes()));
    let public = signing::public_key(&pair).expect("it is a key pair");
    let public = public.strip_prefix("whpk_").expect("it says what it is");
    let public = STANDARD.decode(public).expect("base64");
    let key = UnparsedPublicKey::new(&ED25519, public);
    let header = standard_signature(&[pair], id, timestamp, body);
    let message = Message { id, timestamp: timestamp.to_string(), body };
    check_message(&message, &header, |message, header| {
        let value = header.strip_prefix("v1a,").and_then(|value| STANDARD.decode(value).ok());
        value.is_some_and(|value| key.verify(&message.parts().concat(), &value).is_ok())
    });
}

/// What is signed beside the body.
struct Message<'a> {
    id: &'a str,
    timestamp: String,
    body: &'a [u8],
}

impl Message<'_> {
    fn parts(&self) -> [&[u8]; 5] {
        [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", self.body]
    }
}

/// It verifies as it is, and with any part changed it does not.
fn check_message(
    message: &Message<'_>,
    header: &str,
    verifies: impl Fn(&Message<'_>, &str) -> bool,
) {
    assert!(verifies(message, header), "{header}");
    let Message { id, timestamp, body } = message;
    for changed in changes(body) {
        let timestamp = timestamp.clone();
        assert!(!verifies(&Message { id, timestamp, body: &changed }, header), "another body");
    }
    for changed in changed_texts(id) {
        let timestamp = timestamp.clone();
        assert!(!verifies(&Message { id: &changed, timestamp, body }, header), "another id");
    }
    for changed in changed_texts(timestamp) {
        assert!(!verifies(&Message { id, timestamp: changed, body }, header), "another time");
    }
}

/// As receivers do it: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
fn verifies(secret: &str, message: &Message<'_>, header: &str) -> bool {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    // With its padding or without.
    let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    let key = STANDARD.decode(padded).unwrap_or_else(|_| text.as_bytes().to_vec());
    let values = header.split(' ').filter_map(|value| value.strip_prefix("v1,"));
    values
        .filter_map(|value| STANDARD.decode(value).ok())
        .any(|value| is_mac(&key, &message.parts(), &value))
}

fn is_mac(key: &[u8], parts: &[&[u8]], claimed: &[u8]) -> bool {
    let mac = reference::sign(&reference::Key::new(reference::HMAC_SHA256, key), &parts.concat());
    constant_time::verify_slices_are_equal(mac.as_ref(), claimed).is_ok()
}

/// The same bytes with one bit turned, at some places.
fn changes(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = bytes.len().div_ceil(PLACES).max(1);
    (0..bytes.len()).step_by(step).map(move |place| {
        let mut changed = bytes.to_vec();
        changed[place] ^= 1 << (place % 8);
        changed
    })
}

/// The same text with one letter replaced, at some places: by one that differs in more than its case.
fn changed_texts(text: &str) -> impl Iterator<Item = String> {
    let letters: Vec<char> = text.chars().collect();
    let step = letters.len().div_ceil(PLACES).max(1);
    (0..letters.len()).step_by(step).map(move |place| {
        let other = if letters[place] == '7' { '8' } else { '7' };
        letters.iter().enumerate().map(|(at, c)| if at == place { other } else { *c }).collect()
    })
}
