//! Signs what a receiver gets: the header that Deptex documents, and the Standard Webhooks set.

use base64::{
    Engine,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::secret::Secret;

/// Accepts base64 with or without its padding, as the published libraries do.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// `sha256=<hex>`, the value of `X-Deptex-Signature`: keyed by the whole secret text.
#[must_use]
pub fn deptex_signature(secret: &Secret, body: &[u8]) -> String {
    let mut mac = keyed(secret.reveal().as_bytes());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The value of `webhook-signature`: a `v1,<base64>` for each secret, the newest first.
///
/// Keyed by the base64 text behind `whsec_`, over `id.timestamp.body`:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
/// A secret that is not base64 is used as its plain bytes.
#[must_use]
pub fn standard_signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let mut value = String::with_capacity(secrets.len() * 48);
    for secret in secrets {
        let mut mac = keyed(&standard_key(secret));
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        if !value.is_empty() {
            value.push(' ');
        }
        value.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
    }
    value
}

/// The SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn standard_key(secret: &Secret) -> Vec<u8> {
    let text = secret.reveal();
    let text = text.strip_prefix("whsec_").unwrap_or(text);
    LENIENT.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec())
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B19: the example that every Standard Webhooks library publishes.
    #[test]
    fn b19_the_published_vector_is_reproduced() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let value = standard_signature(
            &[secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_newest_first() {
        let secrets = [Secret::new("whsec_AAAA"), Secret::new("whsec_BBBB")];
        let both = standard_signature(&secrets, "id", 1, b"{}");
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert_eq!(first, standard_signature(&secrets[..1], "id", 1, b"{}"));
        assert_eq!(second, standard_signature(&secrets[1..], "id", 1, b"{}"));
    }
}
