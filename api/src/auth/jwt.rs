//! Supabase tokens: which key verifies one, and what a verified one says.

use engine::secret::Secret;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::jwks::{Jwks, KeysUnavailable};

/// Longer ones are refused before anything is decoded.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// How far clocks may disagree.
const LEEWAY_SECONDS: u64 = 30;

/// What a verified token says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    /// The user.
    pub(crate) sub: Uuid,
    /// The user's address, for the history of changes.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// What the identity provider vouches for; users cannot write it.
    #[serde(default)]
    pub(crate) app_metadata: Value,
}

/// Why a token was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenRefused {
    /// Whatever is wrong with it: callers are told nothing finer.
    Invalid,
    /// The keys that could verify it cannot be fetched at the moment.
    KeysUnavailable,
}

impl From<KeysUnavailable> for TokenRefused {
    fn from(_: KeysUnavailable) -> Self {
        Self::KeysUnavailable
    }
}

/// Verifies tokens. Each key is tied to one algorithm by configuration or by its JWK; the token only
/// says which of them it wants to be measured by.
pub(crate) struct Verifier {
    shared: Option<DecodingKey>,
    published: Option<Jwks>,
    issuer: Option<String>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Verifier {
    pub(crate) fn new(
        shared: Option<&Secret>,
        published: Option<Jwks>,
        issuer: Option<String>,
    ) -> Self {
        let shared = shared.map(|secret| DecodingKey::from_secret(secret.reveal().as_bytes()));
        Self { shared, published, issuer }
    }

    /// The claims of a token that is whole, current, and meant for us.
    pub(crate) async fn verify(&self, token: &str) -> Result<Claims, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenRefused::Invalid)?;
        if header.crit.is_some() {
            return Err(TokenRefused::Invalid); // It demands extensions that we do not know.
        }
        match (header.alg, &self.shared, &self.published) {
            (Algorithm::HS256, Some(key), _) => self.decode(token, key, Algorithm::HS256),
            (Algorithm::RS256 | Algorithm::ES256, _, Some(jwks)) => {
                let kid = header.kid.ok_or(TokenRefused::Invalid)?;
                let now = std::time::Instant::now();
                let key = jwks.find(&kid, now).await?.ok_or(TokenRefused::Invalid)?;
                self.decode(token, &key.key, key.algorithm)
            }
            _ => Err(TokenRefused::Invalid),
        }
    }

    fn decode(
        &self,
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Claims, TokenRefused> {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_audience(&["authenticated"]);
        let mut required = vec!["exp", "aud", "sub"];
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        validation.set_required_spec_claims(&required);
        let decoded = decode::<Claims>(token, key, &validation);
        decoded.map(|token| token.claims).map_err(|_| TokenRefused::Invalid)
    }
}
