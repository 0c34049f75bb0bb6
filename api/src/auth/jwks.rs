//! Published keys (JWKS): fetched once, kept ten minutes, never fetched in a rush.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use engine::http::HttpClient;
use futures_util::future::BoxFuture;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

/// How long a fetched document is taken for the truth.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// The shortest time between two fetches, however many unknown keys are asked for.
const FETCH_FLOOR: Duration = Duration::from_secs(30);
/// How long the last document still serves while its address does not answer.
const STALE_MAX: Duration = Duration::from_secs(60 * 60);
const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// Gets the document.
pub(crate) type Fetch = Arc<dyn Fn() -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// A key and the one algorithm it serves.
pub(crate) struct VerifyingKey {
    pub(crate) key: DecodingKey,
    pub(crate) algorithm: Algorithm,
}

/// There is no document to look into.
#[derive(Debug)]
pub(crate) struct KeysUnavailable;

struct Document {
    keys: HashMap<String, Arc<VerifyingKey>>,
    fetched_at: Instant,
}

/// The keys at one address.
pub(crate) struct Jwks {
    fetch: Fetch,
    document: RwLock<Option<Arc<Document>>>,
    /// When the last fetch began; held while one runs, so that there is one at a time.
    fetching: Mutex<Option<Instant>>,
}

impl Jwks {
    pub(crate) fn new(fetch: Fetch) -> Self {
        Self { fetch, document: RwLock::new(None), fetching: Mutex::new(None) }
    }

    /// The keys that a web address publishes. It is the operator's choice, so it may be private.
    pub(crate) fn at(url: Url, http: HttpClient) -> Self {
        Self::new(Arc::new(move || {
            let (url, http) = (url.clone(), http.clone());
            Box::pin(async move {
                let reply = http.get(url, DOCUMENT_BYTES_MAX).await.map_err(|e| e.to_string())?;
                match reply.status {
                    200 => Ok(reply.head),
                    status => Err(format!("it answered with status {status}")),
                }
            })
        }))
    }

    /// The key with this id. An unknown id leads to one fetch, at most every 30 seconds.
    pub(crate) async fn find(
        &self,
        kid: &str,
        now: Instant,
    ) -> Result<Option<Arc<VerifyingKey>>, KeysUnavailable> {
        if let Some(found) = self.known(kid, now, FRESH) {
            return Ok(Some(found));
        }
        let mut last_fetch = self.fetching.lock().await;
        // Whoever held the lock before may have fetched what is missing.
        if let Some(found) = self.known(kid, now, FRESH) {
            return Ok(Some(found));
        }
        if last_fetch.is_none_or(|at| now.saturating_duration_since(at) >= FETCH_FLOOR) {
            *last_fetch = Some(now);
            match (self.fetch)().await.and_then(|bytes| parse(&bytes)) {
                Ok(keys) => self.remember(Document { keys, fetched_at: now }),
                Err(cause) => tracing::warn!(error = %cause, "the JWKS document cannot be had"),
            }
        }
        match self.snapshot(now, STALE_MAX) {
            Some(document) => Ok(document.keys.get(kid).cloned()),
            None => Err(KeysUnavailable),
        }
    }

    fn known(&self, kid: &str, now: Instant, age_max: Duration) -> Option<Arc<VerifyingKey>> {
        self.snapshot(now, age_max)?.keys.get(kid).cloned()
    }

    fn snapshot(&self, now: Instant, age_max: Duration) -> Option<Arc<Document>> {
        let document = self.document.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        (now.saturating_duration_since(document.fetched_at) < age_max).then_some(document)
    }

    fn remember(&self, document: Document) {
        let mut held = self.document.write().unwrap_or_else(PoisonError::into_inner);
        *held = Some(Arc::new(document));
    }
}

/// Keys that we cannot use are passed over: one odd key must not lock everybody out.
fn parse(bytes: &[u8]) -> Result<HashMap<String, Arc<VerifyingKey>>, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let keys = document["keys"].as_array().ok_or("it has no list of keys")?;
    let usable = keys.iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
        let algorithm = algorithm_of(&jwk)?;
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some((jwk.common.key_id?, Arc::new(VerifyingKey { key, algorithm })))
    });
    Ok(usable.collect())
}

/// The algorithm that the key's own kind allows. Shared secrets have no place in a public document.
fn algorithm_of(jwk: &Jwk) -> Option<Algorithm> {
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    match jwk.common.key_algorithm {
        Some(stated) if stated != name => None,
        _ => Some(algorithm),
    }
}
