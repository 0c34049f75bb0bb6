//! What holds for every request: its id, its deadline, who may call from a browser, what is logged.

use std::time::Duration;

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{
        HeaderName, HeaderValue, Method, StatusCode,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, ETAG,
            IF_MATCH, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use engine::{db::Pulse, walls};
use tower_http::{
    cors::{AllowOrigin, CorsLayer},
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer},
    sensitive_headers::SetSensitiveRequestHeadersLayer,
    set_header::SetResponseHeaderLayer,
    trace::{DefaultOnResponse, TraceLayer},
};
use tracing::{Instrument, Level, Span};
use url::Url;

use crate::{error::ApiError, surface};

/// How long a request may take, its body included.
const DEADLINE: Duration = Duration::from_secs(30);
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_CHARS_MAX: usize = 64;

/// Wraps the routes. What comes last here sees a request first.
pub(crate) fn wrap(router: Router, origins: &[Url], pulse: Pulse) -> Router {
    let unless_set = SetResponseHeaderLayer::if_not_present;
    let fixed = HeaderValue::from_static;
    router
        .layer(from_fn_with_state(pulse, answer_in_time))
        .layer(cors(origins))
        .layer(unless_set(CACHE_CONTROL, fixed("no-store")))
        .layer(unless_set(
            CONTENT_SECURITY_POLICY,
            fixed("default-src 'none'; frame-ancestors 'none'"),
        ))
        .layer(unless_set(X_CONTENT_TYPE_OPTIONS, fixed("nosniff")))
        .layer(unless_set(X_FRAME_OPTIONS, fixed("DENY")))
        .layer(unless_set(REFERRER_POLICY, fixed("no-referrer")))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(span)
                .on_request(())
                .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                .on_failure(()),
        )
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(drop_odd_request_id))
        .layer(SetSensitiveRequestHeadersLayer::new([
            AUTHORIZATION,
            COOKIE,
            HeaderName::from_static("x-internal-api-key"),
        ]))
        .layer(from_fn(surface::count))
}

/// Neither the query string nor any header: both can hold what is not for a log.
fn span<B>(request: &axum::http::Request<B>) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok()).unwrap_or_default();
    tracing::info_span!(
        "request",
        http.method = %request.method(),
        http.path = request.uri().path(),
        request.id = id,
        trace_id = tracing::field::Empty,
    )
}

/// A caller's own request id is kept if it is one that can stand in a log line.
async fn drop_odd_request_id(mut request: Request, next: Next) -> Response {
    let fine = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
        (1..=REQUEST_ID_CHARS_MAX).contains(&bytes.len()) && bytes.iter().all(plain)
    };
    if request.headers().get(REQUEST_ID).is_some_and(|value| !fine(value)) {
        request.headers_mut().remove(REQUEST_ID);
    }
    next.run(request).await
}

/// Runs the handler in a task of its own and waits so long; less long, if the database has stopped
/// answering. A caller who leaves, or a deadline that passes, must not cancel a database call in the
/// middle: that would spoil its pooled connection.
async fn answer_in_time(State(pulse): State<Pulse>, request: Request, next: Next) -> Response {
    let asks_database =
        request.extensions().get::<MatchedPath>().is_some_and(|path| asks_database(path.as_str()));
    if asks_database && !pulse.is_felt() {
        let message = "The database is not available. Please try again";
        return ApiError::unavailable("database_unavailable", message).into_response();
    }
    let handling = tokio::spawn(walls::request(next.run(request)).in_current_span());
    tokio::select! {
        biased;
        done = handling => match done {
            Ok(response) => response,
            Err(died) => ApiError::internal(&died).into_response(),
        },
        () = pulse.lost(), if asks_database => ApiError::unavailable(
            "database_unavailable",
            "The database does not answer. A change may still be made: look before you try again",
        )
        .into_response(),
        () = tokio::time::sleep(DEADLINE) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "timeout",
            "This takes too long. It may still be done: look before you try again",
        )
        .into_response(),
    }
}

/// Whether nothing can come of a request to this route while the database is away.
fn asks_database(route: &str) -> bool {
    let beginnings = ["/api/", "/v1/", "/internal/", "/readyz"];
    beginnings.iter().any(|start| route.starts_with(start)) && route != "/v1/event-types"
}

/// Browsers may call from the frontend, and from nowhere else.
fn cors(origins: &[Url]) -> CorsLayer {
    let origins = origins.iter().filter_map(|url| {
        // `null` is what an opaque origin turns into, and any sandboxed page may claim it.
        let origin = url.origin().ascii_serialization();
        (origin != "null").then(|| HeaderValue::from_str(&origin).expect("an origin is ASCII"))
    });
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([
            Method::GET,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ])
        .allow_headers([
            CONTENT_TYPE,
            AUTHORIZATION,
            HeaderName::from_static("x-requested-with"),
            IF_MATCH,
        ])
        .expose_headers([ETAG, RETRY_AFTER, REQUEST_ID])
        .max_age(Duration::from_secs(600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

    fn router(pulse: Pulse) -> Router {
        let frontend = Url::parse("https://app.example/dashboard").expect("a URL");
        let routes = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/panic", get(|| async { panic!("secret detail") as &str }))
            .route("/api/{org}/things", get(|| async { "ok" }))
            .route("/api/{org}/slow", get(std::future::pending::<&str>));
        wrap(routes, &[frontend], pulse)
    }

    async fn call(method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        router(Pulse::fixed(true)).oneshot(request).await.expect("it answers")
    }

    #[tokio::test]
    async fn only_the_frontends_origin_is_echoed() {
        let ours = call("GET", "/", &[("origin", "https://app.example")]).await;
        assert_eq!(ours.headers()["access-control-allow-origin"], "https://app.example");
        assert_eq!(ours.headers()["access-control-allow-credentials"], "true");
        for other in [
            "https://app.example.evil.test",
            "http://app.example",
            "null",
            "https://app.example:8443",
        ] {
            let answer = call("GET", "/", &[("origin", other)]).await;
            assert!(answer.headers().get("access-control-allow-origin").is_none(), "{other}");
        }
    }

    #[tokio::test]
    async fn a_preflight_names_the_methods_and_headers_of_the_core() {
        let asked = [
            ("origin", "https://app.example"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-headers", "content-type,authorization,x-requested-with"),
        ];
        let answer = call("OPTIONS", "/", &asked).await;
        assert!(answer.status().is_success());
        let allowed = |name: &str| answer.headers()[name].to_str().expect("text").to_lowercase();
        for method in ["get", "post", "put", "patch", "delete"] {
            assert!(allowed("access-control-allow-methods").contains(method), "{method}");
        }
        for header in ["content-type", "authorization", "x-requested-with", "if-match"] {
            assert!(allowed("access-control-allow-headers").contains(header), "{header}");
        }
    }

    #[tokio::test]
    async fn every_answer_carries_an_id_and_tells_browsers_to_be_careful() {
        let answer = call("GET", "/", &[]).await;
        assert_eq!(answer.headers()["x-request-id"].len(), 36);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers()[name], value);
        }
        let kept = call("GET", "/", &[("x-request-id", "core-42")]).await;
        assert_eq!(kept.headers()["x-request-id"], "core-42");
        for odd in ["", "with space", "\u{1b}[31m", &"a".repeat(65)] {
            let Ok(_) = HeaderValue::from_str(odd) else { continue };
            let answer = call("GET", "/", &[("x-request-id", odd)]).await;
            assert_eq!(answer.headers()["x-request-id"].len(), 36, "{odd:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing() {
        let answer = call("GET", "/panic", &[]).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.expect("a body");
        let text = std::str::from_utf8(&body).expect("text");
        assert!(text.contains("\"internal\"") && !text.contains("secret detail"), "{text}");
    }

    /// F10: while the database is away, whoever needs it hears so at once, and nobody else does.
    #[tokio::test]
    async fn f10_without_a_database_only_its_routes_are_refused_and_those_at_once() {
        let away = router(Pulse::fixed(false));
        for (path, status) in [("/api/1/things", 503), ("/api/1/slow", 503), ("/", 200)] {
            let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
            let answer = away.clone().oneshot(request).await.expect("it answers");
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert_eq!(answer.headers().contains_key(RETRY_AFTER), status == 503, "{path}");
        }
        assert_eq!(call("GET", "/api/1/things", &[]).await.status(), StatusCode::OK);
        for (route, asks) in [
            ("/readyz", true),
            ("/v1/events", true),
            ("/internal/connections/{id}/token", true),
            ("/healthz", false),
            ("/v1/event-types", false),
            ("/console/{*path}", false),
            ("/openapi.json", false),
        ] {
            assert_eq!(asks_database(route), asks, "{route}");
        }
    }
}
