//! Which tokens are let in: the table of I42, and how published keys are fetched.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use engine::secret::Secret;
use jsonwebtoken::{
    Algorithm, EncodingKey, Header, encode, get_current_timestamp,
    jwk::{Jwk, PublicKeyUse},
};
use serde_json::{Value, json};

use super::{
    jwks::{Fetch, Jwks},
    jwt::{TokenRefused, Verifier},
};

const SECRET: &str = "a shared secret of at least thirty-two bytes";
const ISSUER: &str = "https://project.supabase.co/auth/v1";
const SUBJECT: &str = "7f1c2a0e-5a3b-4c1d-9e8f-000000000001";

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({
        "sub": SUBJECT, "email": "ada@example.com", "aud": "authenticated", "iss": ISSUER,
        "iat": now, "exp": now + 3600, "app_metadata": { "organizations": {} },
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut changed = claims();
    changed[name] = value;
    changed
}

fn without(name: &str) -> Value {
    let mut changed = claims();
    changed.as_object_mut().expect("an object").remove(name);
    changed
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    encode(header, claims, key).expect("it signs")
}

fn hs256(claims: &Value) -> String {
    signed(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
}

/// A token whose header and claims are taken as they are, with any signature.
fn raw(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize] as char);
        }
    }
    text
}

struct Pair {
    private: EncodingKey,
    public_pem: String,
    jwk: Jwk,
}

fn pair(algorithm: Algorithm, kid: &str) -> Pair {
    let generated = match algorithm {
        Algorithm::ES256 => rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        _ => rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048),
    };
    let generated = generated.expect("a key");
    let pem = generated.serialize_pem();
    let private = match algorithm {
        Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
        _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
    };
    let private = private.expect("a key");
    let mut jwk = Jwk::from_encoding_key(&private, algorithm).expect("a public key");
    jwk.common.key_id = Some(kid.to_owned());
    jwk.common.public_key_use = Some(PublicKeyUse::Signature);
    Pair { private, public_pem: generated.public_key_pem(), jwk }
}

fn document(keys: &[&Jwk]) -> String {
    json!({ "keys": keys }).to_string()
}

fn published(document: String) -> Jwks {
    Jwks::new(Arc::new(move || {
        let document = document.clone();
        Box::pin(async move { Ok(document.into()) })
    }))
}

fn shared() -> Verifier {
    Verifier::new(Some(&Secret::new(SECRET)), None, Some(ISSUER.to_owned()))
}

async fn refused(verifier: &Verifier, token: &str) -> bool {
    matches!(verifier.verify(token).await, Err(TokenRefused::Invalid))
}

#[tokio::test]
async fn a_whole_token_is_let_in_with_its_claims() {
    let claims = shared().verify(&hs256(&claims())).await.expect("it is fine");
    assert_eq!(claims.sub.to_string(), SUBJECT);
    assert_eq!(claims.email.as_deref(), Some("ada@example.com"));
    assert!(claims.app_metadata["organizations"].is_object());
    let several = with("aud", json!(["other", "authenticated"]));
    assert!(shared().verify(&hs256(&several)).await.is_ok());
    assert!(shared().verify(&hs256(&without("email"))).await.is_ok());
}

/// I42: claims that are missing, past, early, or meant for somebody else.
#[tokio::test]
async fn i42_claims_that_do_not_fit_are_refused() {
    let now = get_current_timestamp();
    for bad in [
        without("exp"),
        with("exp", json!(now - 31)),
        with("exp", json!("tomorrow")),
        with("exp", json!(-1)),
        with("exp", Value::Null),
        with("nbf", json!(now + 60)),
        with("nbf", json!("soon")),
        without("aud"),
        with("aud", json!("anon")),
        with("aud", json!([])),
        with("aud", json!(5)),
        without("iss"),
        with("iss", json!("https://evil.example/auth/v1")),
        with("iss", json!([])),
        without("sub"),
        with("sub", json!("not-a-uuid")),
        with("sub", json!("")),
    ] {
        assert!(refused(&shared(), &hs256(&bad)).await, "{bad}");
    }
    for fine in [with("exp", json!(now - 20)), with("nbf", json!(now + 20))] {
        assert!(
            shared().verify(&hs256(&fine)).await.is_ok(),
            "clocks may disagree a little: {fine}"
        );
    }
    let anyone = Verifier::new(Some(&Secret::new(SECRET)), None, None);
    assert!(anyone.verify(&hs256(&without("iss"))).await.is_ok(), "no issuer is configured");
}

/// I42: headers that want to be measured by something else, signatures that do not fit, and sizes.
#[tokio::test]
async fn i42_tokens_that_choose_their_own_measure_are_refused() {
    let none = json!({ "alg": "none", "typ": "JWT" });
    let crit = json!({ "alg": "HS256", "crit": ["exp"] });
    let hs512 = Header::new(Algorithm::HS512);
    let other = EncodingKey::from_secret(b"another secret of at least thirty-two bytes");
    let whole = hs256(&claims());
    let (body, signature) = whole.rsplit_once('.').expect("three parts");
    let (_, other_signature) = signature.split_at(1);
    for token in [
        raw(&none, &claims(), ""),
        raw(&json!({ "alg": "NONE" }), &claims(), ""),
        raw(&json!({ "alg": "HS256" }), &claims(), ""),
        raw(&json!({}), &claims(), "x"),
        raw(&crit, &claims(), signature),
        signed(&hs512, &claims(), &EncodingKey::from_secret(SECRET.as_bytes())),
        signed(&Header::new(Algorithm::HS256), &claims(), &other),
        format!("{body}."),
        format!("{body}.A{other_signature}x"),
        body.to_owned(),
        format!("{whole}.{whole}"),
        String::new(),
        "...".to_owned(),
        "a.b.c".to_owned(),
        "💥.💥.💥".to_owned(),
        "a".repeat(1_000_000),
        hs256(&with("app_metadata", json!("x".repeat(8 * 1024)))),
    ] {
        let shown: String = token.chars().take(60).collect();
        assert!(refused(&shared(), &token).await, "{shown}");
    }
}

#[tokio::test]
async fn i42_a_published_key_verifies_only_by_its_own_algorithm() {
    let (rsa, ec) = (pair(Algorithm::RS256, "rsa"), pair(Algorithm::ES256, "ec"));
    let keys = document(&[&rsa.jwk, &ec.jwk]);
    let verifier = Verifier::new(None, Some(published(keys.clone())), Some(ISSUER.to_owned()));
    let header = |algorithm, kid: Option<&str>| Header {
        kid: kid.map(str::to_owned),
        ..Header::new(algorithm)
    };
    let rs256 = |kid| signed(&header(Algorithm::RS256, kid), &claims(), &rsa.private);
    let es256 = |kid| signed(&header(Algorithm::ES256, kid), &claims(), &ec.private);
    assert!(verifier.verify(&rs256(Some("rsa"))).await.is_ok());
    assert!(verifier.verify(&es256(Some("ec"))).await.is_ok());

    // The public key, used as if it were a shared secret.
    let confused = EncodingKey::from_secret(rsa.public_pem.as_bytes());
    let confused = signed(&header(Algorithm::HS256, Some("rsa")), &claims(), &confused);
    assert!(refused(&verifier, &confused).await);
    let both = Verifier::new(Some(&Secret::new(SECRET)), Some(published(keys)), None);
    assert!(refused(&both, &confused).await);
    assert!(both.verify(&hs256(&claims())).await.is_ok());
    assert!(both.verify(&es256(Some("ec"))).await.is_ok());

    let rs512 = signed(&header(Algorithm::RS512, Some("rsa")), &claims(), &rsa.private);
    for token in [rs256(Some("ec")), es256(Some("rsa")), rs256(None), rs512, hs256(&claims())] {
        assert!(refused(&verifier, &token).await);
    }
    for kid in ["../../x", "", "\u{0}", "' or 1=1 --", "https://evil.example/key"] {
        assert!(refused(&verifier, &rs256(Some(kid))).await, "{kid:?}");
    }
    assert!(refused(&shared(), &rs256(Some("rsa"))).await, "no keys are published");
}

#[tokio::test]
async fn shared_secrets_and_odd_keys_in_a_published_document_are_passed_over() {
    let ec = pair(Algorithm::ES256, "ec");
    let mut encrypts = pair(Algorithm::ES256, "encrypts").jwk;
    encrypts.common.public_key_use = Some(PublicKeyUse::Encryption);
    let keys = json!({ "keys": [
        { "kty": "oct", "kid": "oct", "k": base64url(SECRET.as_bytes()), "alg": "HS256" },
        { "kty": "unheard-of", "kid": "odd" }, { "kty": "RSA", "kid": "empty" }, 7, null,
        encrypts, ec.jwk,
    ] });
    let jwks = published(keys.to_string());
    let now = Instant::now();
    for kid in ["oct", "odd", "empty", "encrypts"] {
        assert!(jwks.find(kid, now).await.expect("a document").is_none(), "{kid}");
    }
    assert!(jwks.find("ec", now).await.expect("a document").is_some());
}

/// Counts fetches, and answers as the test says.
struct Source {
    fetches: AtomicUsize,
    answer: Mutex<Result<String, String>>,
}

impl Source {
    fn new(answer: Result<String, String>) -> Arc<Self> {
        Arc::new(Self { fetches: AtomicUsize::new(0), answer: Mutex::new(answer) })
    }

    fn answers(&self, answer: Result<String, String>) {
        *self.answer.lock().expect("no test panicked with it") = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn jwks(self: &Arc<Self>) -> Jwks {
        let source = self.clone();
        let fetch: Fetch = Arc::new(move || {
            let source = source.clone();
            Box::pin(async move {
                source.fetches.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let answer = source.answer.lock().expect("no test panicked with it").clone();
                answer.map(Into::into)
            })
        });
        Jwks::new(fetch)
    }
}

#[tokio::test]
async fn keys_are_kept_ten_minutes_and_an_unknown_one_fetches_at_most_every_half_minute() {
    let (old, new) = (pair(Algorithm::ES256, "old"), pair(Algorithm::ES256, "new"));
    let source = Source::new(Ok(document(&[&old.jwk])));
    let jwks = source.jwks();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let finds =
        async |kid, seconds| jwks.find(kid, at(seconds)).await.expect("a document").is_some();

    assert!(finds("old", 0).await && finds("old", 599).await);
    assert_eq!(source.fetches(), 1);
    source.answers(Ok(document(&[&new.jwk])));
    assert!(finds("new", 31).await, "a new key is found at once");
    assert_eq!(source.fetches(), 2);
    for second in 32..61 {
        assert!(!finds("made-up", second).await);
    }
    assert_eq!(source.fetches(), 2, "made-up ids do not make us fetch");
    assert!(!finds("made-up", 61).await);
    assert_eq!(source.fetches(), 3);
    assert!(finds("new", 61 + 600).await);
    assert_eq!(source.fetches(), 4, "after ten minutes the document is old");
}

#[tokio::test]
async fn a_source_that_is_away_neither_locks_out_nor_lets_in() {
    let key = pair(Algorithm::ES256, "key");
    let source = Source::new(Err("away".into()));
    let jwks = source.jwks();
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert!(jwks.find("key", at(0)).await.is_err(), "nothing was ever fetched");
    assert!(jwks.find("key", at(29)).await.is_err());
    assert_eq!(source.fetches(), 1);
    source.answers(Ok(document(&[&key.jwk])));
    assert!(jwks.find("key", at(30)).await.expect("a document").is_some());
    source.answers(Ok("not json".into()));
    assert!(jwks.find("key", at(30 + 3599)).await.expect("the last document").is_some());
    assert!(jwks.find("key", at(30 + 3631)).await.is_err(), "an hour is the limit");
}

#[tokio::test]
async fn many_callers_at_once_fetch_once() {
    let key = pair(Algorithm::ES256, "key");
    let source = Source::new(Ok(document(&[&key.jwk])));
    let jwks = Arc::new(source.jwks());
    let now = Instant::now();
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let jwks = jwks.clone();
            tokio::spawn(async move { jwks.find("key", now).await.expect("a document").is_some() })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.expect("no panic"));
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn while_no_keys_can_be_had_a_token_is_neither_good_nor_bad() {
    let rsa = pair(Algorithm::RS256, "rsa");
    let header = Header { kid: Some("rsa".into()), ..Header::new(Algorithm::RS256) };
    let token = signed(&header, &claims(), &rsa.private);
    let verifier = Verifier::new(None, Some(Source::new(Err("away".into())).jwks()), None);
    assert_eq!(verifier.verify(&token).await.err(), Some(TokenRefused::KeysUnavailable));
}
