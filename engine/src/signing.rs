//! Signs what a receiver gets: the header that Deptex documents, and the Standard Webhooks set.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{
    Engine,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// Accepts base64 with or without its padding, as the published libraries do.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// How a secret signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// HMAC-SHA256: the receiver has the same secret.
    #[default]
    Hmac,
    /// Ed25519: the receiver has the public half alone.
    Ed25519,
}

impl Scheme {
    /// A new secret that signs so.
    #[must_use]
    pub fn new_secret(self) -> Secret {
        match self {
            Self::Hmac => Secret::new_webhook_secret(),
            Self::Ed25519 => {
                let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
                new_key_pair(&seed)
            }
        }
    }

    /// How a secret signs.
    #[must_use]
    pub fn of(secret: &Secret) -> Self {
        if secret.reveal().starts_with(PRIVATE_KEY) { Self::Ed25519 } else { Self::Hmac }
    }
}

/// `sha256=<hex>`, the value of `X-Deptex-Signature`: keyed by the whole secret text.
#[must_use]
pub fn deptex_signature(secret: &Secret, body: &[u8]) -> String {
    let mut mac = keyed(secret.reveal().as_bytes());
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The value of `webhook-signature`: a `v1,<base64>` for each secret, the newest first, and a
/// `v1a,<base64>` for each key pair among them ([`new_key_pair`]).
///
/// Keyed by the base64 text behind `whsec_`, over `id.timestamp.body`:
/// <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>.
/// A secret that is not base64 is used as its plain bytes.
#[must_use]
pub fn standard_signature(secrets: &[Secret], id: &str, timestamp: i64, body: &[u8]) -> String {
    let timestamp = timestamp.to_string();
    let mut value = String::with_capacity(secrets.len() * 48);
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    for secret in secrets {
        if !value.is_empty() {
            value.push(' ');
        }
        if let Some(pair) = key_pair(secret) {
            value.push_str("v1a,");
            STANDARD.encode_string(pair.sign(&parts.concat()), &mut value);
            continue;
        }
        let mut mac = keyed(&standard_key(secret));
        parts.iter().for_each(|part| mac.update(part));
        value.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut value);
    }
    value
}

/// What the private half of a key pair begins with; its base64 text is the seed, then the public key.
const PRIVATE_KEY: &str = "whsk_";
/// What the public half begins with.
const PUBLIC_KEY: &str = "whpk_";

/// A new Ed25519 key pair as Standard Webhooks writes it, from 32 random bytes.
///
/// # Panics
/// Never: any 32 bytes are a seed.
#[must_use]
pub fn new_key_pair(seed: &[u8; 32]) -> Secret {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed");
    let both = [seed.as_slice(), pair.public_key().as_ref()].concat();
    Secret::new(format!("{PRIVATE_KEY}{}", STANDARD.encode(both)))
}

/// The public half of a key pair, for receivers; `None` for a shared secret.
#[must_use]
pub fn public_key(secret: &Secret) -> Option<String> {
    let pair = key_pair(secret)?;
    Some(format!("{PUBLIC_KEY}{}", STANDARD.encode(pair.public_key().as_ref())))
}

fn key_pair(secret: &Secret) -> Option<Ed25519KeyPair> {
    let both = LENIENT.decode(secret.reveal().strip_prefix(PRIVATE_KEY)?).ok()?;
    let (seed, public) = both.split_at_checked(32)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
}

/// The SHA-256 of some bytes, in hexadecimal.
#[must_use]
pub fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(digest(bytes))
}

/// The SHA-256 of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
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

    /// B19: the asymmetric example that implementations of Standard Webhooks publish.
    #[test]
    fn b19_the_published_ed25519_vector_is_reproduced() {
        let secret = Secret::new(
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==",
        );
        let value = standard_signature(
            std::slice::from_ref(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            value,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
        );
        let public = public_key(&secret).expect("it is a key pair");
        assert_eq!(public, "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=");
    }

    #[test]
    fn a_new_key_pair_signs_beside_a_shared_secret() {
        let pair = new_key_pair(&[7; 32]);
        let both = standard_signature(&[Secret::new("whsec_AAAA"), pair.clone()], "id", 1, b"{}");
        let (shared, asymmetric) = both.split_once(' ').expect("two signatures");
        assert!(shared.starts_with("v1,") && asymmetric.starts_with("v1a,"), "{both}");
        assert!(public_key(&pair).is_some_and(|key| key.starts_with("whpk_")));
        assert_eq!(public_key(&Secret::new("whsec_AAAA")), None);
        for scheme in [Scheme::Hmac, Scheme::Ed25519] {
            let secret = scheme.new_secret();
            assert_eq!(Scheme::of(&secret), scheme);
            assert_eq!(public_key(&secret).is_some(), scheme == Scheme::Ed25519);
        }
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
