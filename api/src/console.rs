//! `/console`: the built web console, embedded in the program, and the session that `relay dev` lends it.
//!
//! A debug build reads the files when they are asked for, so that a new build shows without cargo.

use std::borrow::Cow;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, VARY,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use engine::{ids::OrganizationId, secret::Secret};
use rust_embed::{EmbeddedFile, RustEmbed};
use serde_json::json;

use crate::App;

/// Everything comes from here, nothing is written into the page, and no page may hold it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Assets are named by their content: a name never means anything else.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const PAGE: &str = "index.html";
const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Deptex Relay</title></head>\
    <body><h1>The console is not built</h1><p>This program was built without it. Run <code>make console</code> \
    (it needs Node.js 20), then build and start Relay again. The API works without it: <a href=\"/docs\">/docs</a>.</p></body></html>";

#[derive(RustEmbed)]
#[folder = "../console/dist"]
#[allow_missing = true]
struct Built;

/// Who a browser on this machine is, without signing in. For `relay dev` alone: it serves loopback only.
#[derive(Clone, Debug)]
pub struct DemoSession {
    /// An admin's token for the demo organization.
    pub token: Secret,
    /// The demo organization.
    pub organization_id: OrganizationId,
}

/// Whether this program has the console.
#[must_use]
pub fn is_built() -> bool {
    Built::get(PAGE).is_some()
}

/// The page at every address below `/console`, and its assets.
pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/console", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/console/", get(|headers: HeaderMap| async move { page(&headers) }))
        .route("/console/session", get(session))
        .route("/console/{*path}", get(file))
}

/// An asset, or the page: the console reads the address by itself.
async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let is_compressed = [".br", ".gz"].iter().any(|end| path.ends_with(end));
    match Built::get(&path) {
        Some(found) if path != PAGE && !is_compressed => answer(&path, found, &headers),
        // A missing asset must not look like the page to a browser that still has an older one.
        None if path.starts_with("assets/") => StatusCode::NOT_FOUND.into_response(),
        _ => page(&headers),
    }
}

fn page(headers: &HeaderMap) -> Response {
    match Built::get(PAGE) {
        Some(found) => answer(PAGE, found, headers),
        None => {
            let kind = (CONTENT_TYPE, "text/html; charset=utf-8");
            (StatusCode::NOT_FOUND, [kind], NOT_BUILT).into_response()
        }
    }
}

fn answer(path: &str, found: EmbeddedFile, asked: &HeaderMap) -> Response {
    let (encoding, data) = encoded(path, asked).unwrap_or(("", found.data));
    // Each encoding is a file of its own to whoever keeps it.
    let [a, b, c, d, ..] = found.metadata.sha256_hash();
    let tag = format!("\"{:08x}{encoding}\"", u32::from_be_bytes([a, b, c, d]));
    let fixed = HeaderValue::from_static;
    let mut headers = HeaderMap::new();
    let kept = if path.starts_with("assets/") { FOR_EVER } else { "no-cache" };
    headers.insert(CACHE_CONTROL, fixed(kept));
    headers.insert(CONTENT_SECURITY_POLICY, fixed(POLICY));
    headers.insert(VARY, fixed("accept-encoding"));
    let is_known = asked.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    headers.insert(ETAG, HeaderValue::try_from(tag).expect("hexadecimal digits fit a header"));
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, fixed(kind_of(path)));
    if !encoding.is_empty() {
        headers.insert(CONTENT_ENCODING, fixed(encoding));
    }
    (headers, data).into_response()
}

/// The file as it was compressed when the console was built, in the best way that the browser reads.
fn encoded(path: &str, asked: &HeaderMap) -> Option<(&'static str, Cow<'static, [u8]>)> {
    let accepted = asked.get(ACCEPT_ENCODING)?.to_str().ok()?;
    let takes = |name: &str| {
        accepted.split(',').any(|offer| {
            let (known, weight) = offer.split_once(';').unwrap_or((offer, ""));
            known.trim() == name && weight.trim() != "q=0"
        })
    };
    [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(name, _)| takes(name))
        .find_map(|(name, end)| Some((name, Built::get(&format!("{path}.{end}"))?.data)))
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" | "map" => "application/json",
        _ => "application/octet-stream",
    }
}

/// The session of `relay dev`. Anywhere else, and for a page of another site that made its name point
/// here, there is none: 204, because a refusal would stand in the browser's log of every other Relay.
async fn session(State(app): State<App>, headers: HeaderMap) -> Response {
    match app.demo_session() {
        Some(demo) if is_from_here(&headers) => Json(json!({
            "token": demo.token.reveal(),
            "organization_id": demo.organization_id,
        }))
        .into_response(),
        _ => StatusCode::NO_CONTENT.into_response(),
    }
}

/// Whether a page of this very address asks, and the address is this machine's own.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let is_own_page = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    let is_own_origin =
        text("origin").is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    ["localhost", "127.0.0.1", "[::1]"].contains(&name) && is_own_page && is_own_origin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let value = |text: &'static str| HeaderValue::from_static(text);
        list.iter()
            .map(|(name, text)| (axum::http::HeaderName::from_static(name), value(text)))
            .collect()
    }

    #[test]
    fn only_a_page_of_this_machine_gets_the_demo_session() {
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[("host", "127.0.0.1:3001")], true),
            (&[("host", "localhost:3001"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "[::1]:3001"), ("origin", "http://[::1]:3001")], true),
            (&[("host", "[::1]")], true),
            (&[("host", "evil.test:3001"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "127.0.0.1.evil.test")], false),
            (&[("host", "localhost:3001"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "localhost:3001"), ("origin", "http://localhost:3000")], false),
            (&[], false),
        ];
        for (given, expected) in table {
            assert_eq!(is_from_here(&headers(given)), expected, "{given:?}");
        }
    }

    #[tokio::test]
    async fn the_page_is_at_every_address_but_those_of_assets() {
        let plain = headers(&[]);
        for path in ["organizations/x/deliveries", "index.html", "../Cargo.toml", "index.html.br"] {
            let answer = file(Path(path.to_owned()), plain.clone()).await;
            let expected = if is_built() { StatusCode::OK } else { StatusCode::NOT_FOUND };
            assert_eq!(answer.status(), expected, "{path}");
            assert_eq!(answer.headers()[CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        }
        let gone = file(Path("assets/index-0.js".to_owned()), plain).await;
        assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn a_file_keeps_its_tag_and_says_how_long_it_holds() {
        let found = || EmbeddedFile {
            data: Cow::Borrowed(b"x"),
            metadata: rust_embed::Metadata::__rust_embed_new([7; 32], None, None),
        };
        let first = answer("assets/a.js", found(), &headers(&[]));
        assert_eq!(first.headers()[CACHE_CONTROL], FOR_EVER);
        assert_eq!(first.headers()[CONTENT_SECURITY_POLICY], POLICY);
        let page = answer(PAGE, found(), &headers(&[]));
        assert_eq!(page.headers()[CACHE_CONTROL], "no-cache");
        let again = answer(PAGE, found(), &headers(&[("if-none-match", "\"07070707\"")]));
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn nothing_may_be_written_into_the_page() {
        assert!(!POLICY.contains("unsafe") && !POLICY.contains('*') && !POLICY.contains("http"));
    }
}
