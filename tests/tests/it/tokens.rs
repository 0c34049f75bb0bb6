//! Tokens that people bring: HS256 by the shared secret, RS256 and ES256 by published keys.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, EncodingKey, Header,
    jwk::{Jwk, PublicKeyUse},
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, new_id};
use uuid::Uuid;

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

/// Publishes keys on loopback; gives the address and how often it was asked.
async fn publish(keys: Value) -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let answer = move || async move {
        counter.fetch_add(1, Ordering::Relaxed);
        Json(keys)
    };
    let app = Router::new().route("/jwks.json", get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/jwks.json"), asked)
}

fn claims(org: Uuid) -> Value {
    json!({
        "sub": Uuid::new_v4(), "aud": "authenticated", "email": "admin@example.com",
        "exp": chrono::Utc::now().timestamp() + 3600,
        "app_metadata": { "organizations": { org.to_string(): { "role": "owner" } } },
    })
}

fn header(algorithm: Algorithm, kid: &str) -> Header {
    Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) }
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("it signs")
}

/// Put together by hand, as no library would.
fn raw(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

async fn status(world: &World, org: Uuid, token: &str) -> u16 {
    let path = format!("/api/integrations/organizations/{org}/connections");
    let request = world.relay.request(Method::GET, &path).bearer_auth(token);
    let answer = world.relay.send(request).await;
    if answer.status == 401 {
        assert_eq!(answer.json()["error"], "Invalid or expired token", "nothing finer is told");
    }
    answer.status
}

/// I42: whatever is wrong with a token, it opens nothing, and the answer says no more than that.
#[tokio::test]
async fn i42_no_token_but_a_whole_current_one_of_a_known_key_is_let_in() {
    let (rsa, ec) = (pair(Algorithm::RS256, "rsa"), pair(Algorithm::ES256, "ec"));
    let stranger = pair(Algorithm::RS256, "rsa");
    let shared_secret =
        json!({ "kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode("x".repeat(32)) });
    let (url, asked) = publish(json!({ "keys": [rsa.jwk, ec.jwk, shared_secret] })).await;
    let world = World::builder().workers(0).env("SUPABASE_JWKS_URL", &url).start().await;
    let org = new_id();
    let good = claims(org);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let secret = EncodingKey::from_secret(world.relay.jwt_secret().as_bytes());
    let hs = |claims: &Value| signed(&Header::new(Algorithm::HS256), claims, &secret);
    let now = chrono::Utc::now().timestamp();

    assert_eq!(status(&world, org, &hs(&good)).await, 200);
    let rs = signed(&header(Algorithm::RS256, "rsa"), &good, &rsa.private);
    assert_eq!(status(&world, org, &rs).await, 200, "RS256");
    let es = signed(&header(Algorithm::ES256, "ec"), &good, &ec.private);
    assert_eq!(status(&world, org, &es).await, 200, "ES256");

    let pem_as_secret = EncodingKey::from_secret(rsa.public_pem.as_bytes());
    let oct_as_secret = EncodingKey::from_secret("x".repeat(32).as_bytes());
    let mut cut = hs(&good);
    cut.pop();
    cut.pop();
    let swapped = {
        let other = hs(&with("email", json!("else@example.com")));
        let mut parts: Vec<&str> = cut.split('.').collect();
        parts[1] = other.split('.').nth(1).expect("three parts");
        parts.join(".")
    };
    let padded = hs(&with("filler", json!("x".repeat(16 * 1024))));
    let mut critical = raw(&json!({ "alg": "HS256", "crit": ["x"], "x": 1 }), &good, b"");
    critical.push_str("AAAA");
    let table = [
        ("alg none", raw(&json!({ "alg": "none" }), &good, b"")),
        ("alg None", raw(&json!({ "alg": "None", "typ": "JWT" }), &good, b"")),
        ("no alg", raw(&json!({ "typ": "JWT" }), &good, b"")),
        ("RS key as HS secret", signed(&header(Algorithm::HS256, "rsa"), &good, &pem_as_secret)),
        ("published secret", signed(&header(Algorithm::HS256, "oct"), &good, &oct_as_secret)),
        ("other RSA key", signed(&header(Algorithm::RS256, "rsa"), &good, &stranger.private)),
        ("ES key under the RSA id", signed(&header(Algorithm::ES256, "rsa"), &good, &ec.private)),
        ("RSA key under the EC id", signed(&header(Algorithm::RS256, "ec"), &good, &rsa.private)),
        ("RS512", signed(&header(Algorithm::RS512, "rsa"), &good, &rsa.private)),
        ("HS512", signed(&Header::new(Algorithm::HS512), &good, &secret)),
        ("no kid", signed(&Header::new(Algorithm::RS256), &good, &rsa.private)),
        ("kid path", signed(&header(Algorithm::RS256, "../../x"), &good, &rsa.private)),
        ("kid query", signed(&header(Algorithm::RS256, "' or 1=1 --"), &good, &rsa.private)),
        ("expired", hs(&with("exp", json!(now - 3600)))),
        ("no exp", hs(&with("exp", Value::Null))),
        ("exp text", hs(&with("exp", json!("never")))),
        ("nbf future", hs(&with("nbf", json!(now + 3600)))),
        ("wrong aud", hs(&with("aud", json!("anon")))),
        ("no aud", hs(&with("aud", Value::Null))),
        ("no sub", hs(&with("sub", Value::Null))),
        ("odd sub", hs(&with("sub", json!("x")))),
        ("cut signature", cut),
        ("swapped claims", swapped),
        ("critical extension", critical),
        ("two parts", "a.b".to_owned()),
        ("past 8 KiB", padded),
    ];
    for (what, token) in &table {
        assert_eq!(status(&world, org, token).await, 401, "{what}");
    }
    // One that does not even fit a request's head.
    let path = format!("/api/integrations/organizations/{org}/connections");
    let request = world.relay.request(Method::GET, &path).bearer_auth("x".repeat(1 << 20));
    if let Ok(answer) = world.relay.try_send(request).await {
        assert!([400, 401, 431].contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(status(&world, org, &hs(&good)).await, 200, "it still serves");
    // Unknown key ids did not send us to the key server each time.
    let asked = asked.load(Ordering::Relaxed);
    assert!(asked <= 2, "the keys were fetched {asked} times");
    let log = world.apis[0].log();
    for (what, token) in &table {
        assert!(token.len() < 8 || !log.contains(token.as_str()), "{what} stands in the log");
    }
}

/// While the keys cannot be had, a token by them is neither good nor bad: 503, to be tried again.
#[tokio::test]
async fn without_the_published_keys_a_token_is_not_refused_but_deferred() {
    let rsa = pair(Algorithm::RS256, "rsa");
    let closed = tests::ClosedPort::take();
    let url = format!("http://127.0.0.1:{}/jwks.json", closed.port);
    let world = World::builder().workers(0).env("SUPABASE_JWKS_URL", &url).start().await;
    let org = new_id();
    let token = signed(&header(Algorithm::RS256, "rsa"), &claims(org), &rsa.private);
    let path = format!("/api/integrations/organizations/{org}/connections");
    let request = world.relay.request(Method::GET, &path).bearer_auth(token);
    let answer = world.relay.send(request).await.expect(503);
    assert_eq!(answer.code(), "auth_unavailable");
    assert!(answer.headers.contains_key("retry-after"));
    let request = world.relay.request(Method::GET, &path).bearer_auth(world.relay.admin_token(org));
    world.relay.send(request).await.expect(200);
}
