//! Verifies what a receiver got by the published rules, sharing no code with the engine.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// How far a timestamp may be from the receiver's clock, by the Standard Webhooks specification.
const TOLERANCE_SECONDS: i64 = 5 * 60;
/// What a key begins with that verifies and does not sign.
pub(super) const PUBLIC_KEY: &str = "whpk_";

/// `X-Deptex-Signature`: `sha256=` and the HMAC of the body in hexadecimal, keyed by the whole text
/// of the secret.
pub fn verify_deptex(secret: &str, header: &str, body: &[u8]) -> Result<(), String> {
    let hex = header.strip_prefix("sha256=").ok_or_else(|| format!("{header} has no sha256="))?;
    let claimed = hex::decode(hex).map_err(|error| format!("{header}: {error}"))?;
    let mut mac = keyed(secret.as_bytes());
    mac.update(body);
    mac.verify_slice(&claimed)
        .map_err(|_| "X-Deptex-Signature is not of this secret and body".into())
}

/// `webhook-signature`: one of the `v1,` values must be the HMAC of `id.timestamp.body`, keyed by the
/// base64 behind `whsec_`; or one of the `v1a,` values its Ed25519 signature, by the public key behind
/// `whpk_`. The timestamp must be near `now`.
pub fn verify_standard(
    secret: &str,
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: i64,
) -> Result<(), String> {
    let seconds: i64 = timestamp.parse().map_err(|_| format!("{timestamp} is no timestamp"))?;
    if (now - seconds).abs() > TOLERANCE_SECONDS {
        return Err(format!("the timestamp {timestamp} is too far from {now}"));
    }
    if let Some(public) = secret.strip_prefix(PUBLIC_KEY) {
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
        return verify_ed25519(public, &signed, signatures);
    }
    let key = secret.strip_prefix("whsec_").ok_or("the secret has no whsec_")?;
    let key = STANDARD.decode(key).map_err(|error| format!("the secret: {error}"))?;
    let mut mac = keyed(&key);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    let found = signatures.split(' ').any(|one| one.strip_prefix("v1,") == Some(&expected));
    if found { Ok(()) } else { Err("no webhook-signature is of this secret and body".into()) }
}

fn verify_ed25519(public: &str, signed: &[u8], signatures: &str) -> Result<(), String> {
    let public = STANDARD.decode(public).map_err(|error| format!("the public key: {error}"))?;
    let key = UnparsedPublicKey::new(&ED25519, public);
    let mut values = signatures.split(' ').filter_map(|one| one.strip_prefix("v1a,"));
    let found = values
        .any(|value| STANDARD.decode(value).is_ok_and(|value| key.verify(signed, &value).is_ok()));
    if found { Ok(()) } else { Err("no webhook-signature is of this key pair and body".into()) }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length")
}
