//! Secrets: sealed at rest, revealed only where they are used, never printed.

use std::sync::Arc;

use aes_gcm::{
    Aes256Gcm, Key, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::{
    ids::{ConnectionId, OrganizationId},
    signing::fingerprint,
};

const FORMAT: &str = "sealed.v1.";
const NONCE_BYTES: usize = 12;

/// A secret in the clear. Its `Debug` hides it; its memory is wiped when it goes.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret text into care.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself: for signing, sending, or showing once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// 32 random bytes in 43 characters of base64url: a state, or a PKCE verifier.
    #[must_use]
    pub fn random() -> Self {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        Self::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
    }

    /// `whsec_` and 64 hexadecimal digits: 32 random bytes.
    #[must_use]
    pub fn new_webhook_secret() -> Self {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
        Self::new(format!("whsec_{}", hex::encode(bytes.as_slice())))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// What a secret is for; part of what its seal is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs what a custom webhook receives.
    Signing,
    /// What requests to a provider carry.
    AccessToken,
    /// What makes a new access token.
    RefreshToken,
    /// Values of the headers that a customer wants on its webhook, as one JSON object.
    Headers,
    /// What proves that the consent which ends is the one that began.
    PkceVerifier,
}

impl Purpose {
    /// As stored in `relay.secrets.purpose`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signing => "signing",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::Headers => "headers",
            Self::PkceVerifier => "pkce_verifier",
        }
    }

    /// From the stored word; `None` for one that this version does not know.
    #[must_use]
    pub fn from_stored(text: &str) -> Option<Self> {
        [Self::Signing, Self::AccessToken, Self::RefreshToken, Self::Headers, Self::PkceVerifier]
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
    }
}

/// Where a sealed secret belongs: moved elsewhere, it does not open.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The owner.
    pub organization_id: OrganizationId,
    /// The connection that uses it.
    pub connection_id: ConnectionId,
    /// What it is for.
    pub purpose: Purpose,
}

impl Place {
    fn associated_data(&self) -> String {
        format!("{}|{}|{}", self.organization_id, self.connection_id, self.purpose.as_str())
    }
}

/// Why a sealed secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// The key that sealed it is not in the ring.
    #[error(
        "sealed with the key {0}, which is not among RELAY_ENCRYPTION_KEY and its predecessors"
    )]
    UnknownKey(String),
    /// Changed, moved to another place, or not sealed by us.
    #[error("the sealed text does not open: it was changed or moved")]
    Damaged,
}

/// Why text is not an encryption key.
#[derive(Debug, thiserror::Error)]
#[error("an encryption key is 32 bytes in base64")]
pub struct MalformedKey;

struct SealingKey {
    id: String,
    cipher: Aes256Gcm,
}

impl SealingKey {
    fn from_base64(text: &str) -> Result<Self, MalformedKey> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MalformedKey)?);
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| MalformedKey)?;
        let id = fingerprint(bytes)[..8].to_owned();
        Ok(Self { id, cipher: Aes256Gcm::new(&Key::<Aes256Gcm>::from(*bytes)) })
    }
}

/// The keys that secrets are sealed with: the first seals, all of them open.
#[derive(Clone)]
pub struct KeyRing(Arc<Vec<SealingKey>>);

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl KeyRing {
    /// A ring of a current key and its predecessors, each 32 bytes in base64.
    pub fn new<'a>(
        current: &SecretString,
        previous: impl IntoIterator<Item = &'a SecretString>,
    ) -> Result<Self, MalformedKey> {
        let mut keys = vec![SealingKey::from_base64(current.expose_secret())?];
        for key in previous {
            keys.push(SealingKey::from_base64(key.expose_secret())?);
        }
        Ok(Self(Arc::new(keys)))
    }

    /// The id of the key that seals: eight hexadecimal digits that reveal nothing of it.
    #[must_use]
    pub fn current_id(&self) -> &str {
        &self.0[0].id
    }

    /// The ids of all keys, the current one first.
    #[must_use]
    pub fn ids(&self) -> Vec<&str> {
        self.0.iter().map(|key| key.id.as_str()).collect()
    }

    /// Seals a secret for its place: `sealed.v1.<key id>.<nonce and ciphertext>`.
    #[must_use]
    pub fn seal(&self, secret: &Secret, place: &Place) -> String {
        let key = &self.0[0];
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let aad = place.associated_data();
        let sealed = key
            .cipher
            .encrypt(
                &Nonce::from(nonce),
                Payload { msg: secret.reveal().as_bytes(), aad: aad.as_bytes() },
            )
            .expect("AES-GCM seals any text shorter than 64 GiB");
        let mut bytes = nonce.to_vec();
        bytes.extend(sealed);
        format!("{FORMAT}{}.{}", key.id, URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens a sealed secret. Text that was never sealed (rows of the old core) is taken as it is.
    pub fn open(&self, stored: &str, place: &Place) -> Result<Secret, UnsealError> {
        let Some(rest) = stored.strip_prefix(FORMAT) else {
            return Ok(Secret::new(stored));
        };
        let (key_id, bytes) = rest.split_once('.').ok_or(UnsealError::Damaged)?;
        let key = self
            .0
            .iter()
            .find(|key| key.id == key_id)
            .ok_or_else(|| UnsealError::UnknownKey(key_id.to_owned()))?;
        let bytes = URL_SAFE_NO_PAD.decode(bytes).map_err(|_| UnsealError::Damaged)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or(UnsealError::Damaged)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| UnsealError::Damaged)?;
        let aad = place.associated_data();
        let open = key
            .cipher
            .decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: aad.as_bytes() })
            .map_err(|_| UnsealError::Damaged)?;
        String::from_utf8(open).map(Secret::new).map_err(|_| UnsealError::Damaged)
    }
}

/// Whether two secret texts are the same, in a time that does not tell where they differ.
#[must_use]
pub fn same_secret(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    // Hashed first, so that the comparison takes as long for texts of any length.
    let (a, b) = (fingerprint(a.as_bytes()), fingerprint(b.as_bytes()));
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(byte: u8) -> SecretString {
        SecretString::from(STANDARD.encode([byte; 32]))
    }

    fn place(n: u128) -> Place {
        Place {
            organization_id: OrganizationId(Uuid::from_u128(1)),
            connection_id: ConnectionId(Uuid::from_u128(n)),
            purpose: Purpose::Signing,
        }
    }

    #[test]
    fn b22_a_sealed_secret_opens_in_its_place_only() {
        let ring = KeyRing::new(&key(1), []).expect("a good key");
        let sealed = ring.seal(&Secret::new("whsec_abc"), &place(1));
        assert!(!sealed.contains("abc"), "{sealed}");
        assert_eq!(ring.open(&sealed, &place(1)).expect("opens").reveal(), "whsec_abc");
        assert!(matches!(ring.open(&sealed, &place(2)), Err(UnsealError::Damaged)));
        let mut bent = sealed.clone();
        bent.pop();
        assert!(ring.open(&bent, &place(1)).is_err());
    }

    #[test]
    fn b22_legacy_clear_text_stays_readable() {
        let ring = KeyRing::new(&key(1), []).expect("a good key");
        assert_eq!(ring.open("whsec_old", &place(1)).expect("legacy").reveal(), "whsec_old");
    }

    #[test]
    fn an_older_key_still_opens_and_the_current_one_seals() {
        let old = KeyRing::new(&key(1), []).expect("a good key");
        let sealed = old.seal(&Secret::new("s"), &place(1));
        let ring = KeyRing::new(&key(2), [&key(1)]).expect("good keys");
        assert_eq!(ring.open(&sealed, &place(1)).expect("opens").reveal(), "s");
        assert!(ring.seal(&Secret::new("s"), &place(1)).contains(ring.current_id()));
        let only_new = KeyRing::new(&key(2), []).expect("a good key");
        assert!(matches!(only_new.open(&sealed, &place(1)), Err(UnsealError::UnknownKey(_))));
    }

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new_webhook_secret();
        assert_eq!(secret.reveal().len(), 6 + 64);
        assert!(!format!("{secret:?}").contains(secret.reveal()));
        assert!(same_secret("a", "a") && !same_secret("a", "ab"));
    }
}
