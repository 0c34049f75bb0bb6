//! Receives webhooks of Deptex: verifies them, keeps each once, answers. The work is done elsewhere, from INBOX.

use std::{
    env, fs, io,
    io::Write as _,
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Between our clock and theirs.
const SECONDS_MAX: u64 = 5 * 60;
const BYTES_MAX: usize = 1024 * 1024;

struct Settings {
    /// Two of them while you change over.
    secrets: Vec<String>,
    inbox: String,
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Whether it is the HMAC of these parts; compared in constant time.
fn is_mac(key: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.verify_slice(given).is_ok()
}

/// Standard Webhooks: the delivery's id, if one of our secrets signed id, time and body just now.
fn signed_now(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let (id, sent_at) = (header(headers, "webhook-id"), header(headers, "webhook-timestamp"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    if now.abs_diff(sent_at.parse().ok()?) > SECONDS_MAX {
        return None;
    }
    let signed = [id.as_bytes(), b".", sent_at.as_bytes(), b".", body];
    let given = header(headers, "webhook-signature").split(' ');
    let given: Vec<Vec<u8>> = given
        .filter_map(|one| one.strip_prefix("v1,"))
        .filter_map(|one| STANDARD.decode(one).ok())
        .collect();
    let keys = secrets.iter().filter_map(|secret| secret.strip_prefix("whsec_"));
    keys.filter_map(|key| STANDARD.decode(key).ok())
        .any(|key| given.iter().any(|one| is_mac(&key, &signed, one)))
        .then(|| id.to_owned())
}

/// X-Deptex-Signature covers the body alone: the id must be the one in there, and no time is known.
fn signed(secrets: &[String], headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let given = header(headers, "x-deptex-signature").strip_prefix("sha256=")?;
    let given = hex::decode(given).ok()?;
    if !secrets.iter().any(|secret| is_mac(secret.as_bytes(), &[body], &given)) {
        return None;
    }
    let event: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(event["delivery_id"].as_str().unwrap_or("test").to_owned())
}

/// Whole or not at all, and under its id: one that is there already stays as it is.
fn keep(inbox: &str, id: &str, body: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{inbox}/.{}-{count}", process::id());
    let mut file = fs::File::create(&name)?;
    let kept = file
        .write_all(body)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&name, format!("{inbox}/{id}.json")));
    fs::remove_file(&name)?;
    match kept {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        kept => kept,
    }
}

type Verify = fn(&[String], &HeaderMap, &[u8]) -> Option<String>;

/// `body` is the bytes as they came: nothing is parsed yet.
fn receive(verify: Verify, settings: &Settings, headers: &HeaderMap, body: &[u8]) -> StatusCode {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match verify(&settings.secrets, headers, body) {
        Some(id) if (1..=64).contains(&id.len()) && id.chars().all(is_plain) => {
            match keep(&settings.inbox, &id, body) {
                Ok(()) => StatusCode::NO_CONTENT,
                Err(error) => {
                    eprintln!("{error}");
                    StatusCode::INTERNAL_SERVER_ERROR // Deptex will try again.
                }
            }
        }
        _ => StatusCode::UNAUTHORIZED,
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let setting = |name, otherwise: &str| env::var(name).unwrap_or_else(|_| otherwise.to_owned());
    let settings = Arc::new(Settings {
        secrets: setting("DEPTEX_SECRETS", "").split_whitespace().map(str::to_owned).collect(),
        inbox: setting("INBOX", "inbox"),
    });
    fs::create_dir_all(&settings.inbox)?;
    let route = |verify: Verify| {
        post(
            move |State(settings): State<Arc<Settings>>, headers: HeaderMap, body: Bytes| async move {
                receive(verify, &settings, &headers, &body)
            },
        )
    };
    let router = Router::new()
        .route("/webhooks", route(signed_now))
        .route("/webhooks/simple", route(signed))
        .layer(DefaultBodyLimit::max(BYTES_MAX))
        .with_state(settings);
    let port = setting("PORT", "8080");
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, router).await
}
