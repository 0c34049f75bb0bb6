//! What a receiver of custom webhooks checks: both signatures of one request.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Standard Webhooks libraries take the secret's base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How far a timestamp may be off, either way, as in the Standard Webhooks libraries.
const TOLERANCE_SECONDS: u64 = 300;

/// The two keys that one secret gives, prepared once.
#[derive(Clone)]
pub(crate) struct Verifier {
    /// Keyed with the whole text of the secret, `whsec_` included.
    deptex: Hmac<Sha256>,
    /// Keyed with the base64 after `whsec_`, decoded.
    standard: Hmac<Sha256>,
}

/// The headers and the body that signatures are about; a missing header is empty.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Signed<'a> {
    pub(crate) deptex_signature: &'a [u8],
    pub(crate) id: &'a [u8],
    pub(crate) timestamp: &'a [u8],
    pub(crate) signature: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// Why a request is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    DeptexSignature,
    StandardSignature,
    Timestamp,
}

impl Verifier {
    /// `None` when the secret is not `whsec_` and base64.
    pub(crate) fn new(secret: &str) -> Option<Self> {
        let key = BASE64.decode(secret.strip_prefix("whsec_")?).ok()?;
        Some(Self { deptex: keyed(secret.as_bytes()), standard: keyed(&key) })
    }

    /// Checks `X-Deptex-Signature` over the body, and `webhook-signature` over id, timestamp and
    /// body, which may list several signatures, as while a secret is being changed.
    pub(crate) fn verify(&self, signed: &Signed<'_>, now_seconds: u64) -> Result<(), Refusal> {
        let timestamp = std::str::from_utf8(signed.timestamp).ok().and_then(|t| t.parse().ok());
        if timestamp.is_none_or(|at| now_seconds.abs_diff(at) > TOLERANCE_SECONDS) {
            return Err(Refusal::Timestamp);
        }
        let claimed = signed.deptex_signature.strip_prefix(b"sha256=");
        let mut mac = [0; 32];
        let readable = claimed.is_some_and(|hex| hex::decode_to_slice(hex, &mut mac).is_ok());
        let expected = self.deptex.clone().chain_update(signed.body);
        if !readable || expected.verify_slice(&mac).is_err() {
            return Err(Refusal::DeptexSignature);
        }
        let expected = self.standard_mac(signed);
        let matches = signed.signature.split(|byte| *byte == b' ').any(|one| {
            let mac = one.strip_prefix(b"v1,").and_then(|mac| BASE64.decode(mac).ok());
            mac.is_some_and(|mac| expected.clone().verify_slice(&mac).is_ok())
        });
        if matches { Ok(()) } else { Err(Refusal::StandardSignature) }
    }

    fn standard_mac(&self, signed: &Signed<'_>) -> Hmac<Sha256> {
        let mut mac = self.standard.clone();
        for part in [signed.id, b".", signed.timestamp, b".", signed.body] {
            mac.update(part);
        }
        mac
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(***)")
    }
}

#[cfg(test)]
impl Verifier {
    /// The two header values that [`Self::verify`] accepts, for a sender in a test.
    pub(crate) fn sign(&self, signed: &Signed<'_>) -> (String, String) {
        let deptex = self.deptex.clone().chain_update(signed.body).finalize().into_bytes();
        let standard = self.standard_mac(signed).finalize().into_bytes();
        (format!("sha256={}", hex::encode(deptex)), format!("v1,{}", BASE64.encode(standard)))
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    // The published example of the Standard Webhooks libraries, and X-Deptex-Signature computed
    // over the same body by another implementation (Python's hmac).
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED_AT: u64 = 1_614_265_330;
    const SIGNED: Signed<'static> = Signed {
        deptex_signature:
            b"sha256=80ec8a89ce3cd22133a1066caecb4d04fea7467657c8514d717ec42c38a5c94c",
        id: b"msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp: b"1614265330",
        signature: b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        body: br#"{"test": 2432232314}"#,
    };

    fn verify(signed: &Signed<'_>) -> Result<(), Refusal> {
        Verifier::new(SECRET).expect("the secret is well formed").verify(signed, SIGNED_AT + 10)
    }

    #[test]
    fn the_published_example_verifies() {
        assert_eq!(verify(&SIGNED), Ok(()));
    }

    #[test]
    fn one_changed_byte_is_refused_by_each_signature() {
        let body = br#"{"test": 2432232315}"#;
        assert_eq!(verify(&Signed { body, ..SIGNED }), Err(Refusal::DeptexSignature));
        let other_id = Signed { id: b"msg_other", ..SIGNED };
        assert_eq!(verify(&other_id), Err(Refusal::StandardSignature));
    }

    #[test]
    fn missing_headers_are_refused() {
        for (signed, refusal) in [
            (Signed { timestamp: b"", ..SIGNED }, Refusal::Timestamp),
            (Signed { timestamp: b"1614265030", ..SIGNED }, Refusal::Timestamp),
            (Signed { deptex_signature: b"", ..SIGNED }, Refusal::DeptexSignature),
            (Signed { signature: b"", ..SIGNED }, Refusal::StandardSignature),
        ] {
            assert_eq!(verify(&signed), Err(refusal));
        }
    }

    #[test]
    fn any_signature_of_a_list_will_do() {
        let signature = b"v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(verify(&Signed { signature, ..SIGNED }), Ok(()));
    }

    #[test]
    fn a_secret_without_its_prefix_is_no_secret() {
        assert!(Verifier::new("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
    }
}
