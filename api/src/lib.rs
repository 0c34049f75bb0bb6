//! HTTP in: routes, who may call them, and the document that describes them. The engine decides.
//!
//! `openapi` lists the routes; `routes` has a file for each resource; `auth` says who asks; `extract`
//! reads what they sent, `filters` what they look for; `frontend` knows where browsers are sent back to, `browser` knows them again;
//! `error` is the one shape of a refusal; `console` is the web console; `layers` holds what is true for every request, `surface` what is counted of them; `serve` listens.

mod auth;
mod body;
mod browser;
mod console;
mod csv;
mod docs_page;
mod error;
mod extract;
mod filters;
mod frontend;
mod layers;
mod openapi;
mod routes;
mod serve;
mod surface;

use std::{
    io,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    http::{StatusCode, header},
    routing::get,
};
use engine::{Engine, live::Live, metrics, pace::Limiter};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use self::{auth::Auth, error::ApiError};

pub use self::{
    auth::{AuthConfig, MembershipSource},
    console::{DemoSession, is_built as has_console},
};

/// What an operator sets.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// How callers are recognised.
    pub auth: AuthConfig,
    /// Where browsers may call from: the frontend. Only the origins of these URLs count.
    pub frontend_urls: Vec<Url>,
    /// How many requests of admins an organization has in a minute.
    pub requests_per_minute: u32,
    /// Whether a consent must end in the browser that it began in. The browser must be able to keep a
    /// cookie of this API: frontend and API on one site.
    pub bind_browsers: bool,
    /// What `relay dev` signs the console in with.
    pub demo_session: Option<DemoSession>,
}

/// What every handler gets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    engine: Engine,
    auth: Auth,
    limiter: Limiter,
    frontend_urls: Vec<Url>,
    bind_browsers: bool,
    demo_session: Option<DemoSession>,
    live: Live,
    /// Cancelled when serving ends: streams would not end by themselves.
    closing: CancellationToken,
}

impl App {
    /// An app over an engine.
    #[must_use]
    pub fn new(engine: Engine, config: ApiConfig) -> Self {
        let auth = Auth::new(config.auth, &engine.http);
        let limiter = Limiter::per_minute(config.requests_per_minute);
        let ApiConfig { frontend_urls, bind_browsers, demo_session, .. } = config;
        let (live, closing) = (Live::start(engine.clone()), CancellationToken::new());
        Self(Arc::new(Parts {
            engine,
            auth,
            limiter,
            frontend_urls,
            bind_browsers,
            demo_session,
            live,
            closing,
        }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Where browsers are sent back to.
    pub(crate) fn frontend(&self) -> &Url {
        static UNSET: LazyLock<Url> =
            LazyLock::new(|| Url::parse("http://localhost:3000").expect("it is a URL"));
        let configured = self.0.engine.config.frontend_url.as_ref();
        configured.or(self.0.frontend_urls.first()).unwrap_or(&UNSET)
    }

    pub(crate) fn binds_browsers(&self) -> bool {
        self.0.bind_browsers
    }

    pub(crate) fn demo_session(&self) -> Option<&DemoSession> {
        self.0.demo_session.as_ref()
    }

    /// Whether browsers reach this API over HTTPS.
    pub(crate) fn is_https(&self) -> bool {
        let own = self.0.engine.config.backend_url.as_ref();
        own.is_some_and(|url| url.scheme() == "https")
    }

    pub(crate) fn live(&self) -> &Live {
        &self.0.live
    }

    pub(crate) fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Takes one request from the allowance of an organization or a user.
    pub(crate) fn check_rate(&self, key: Uuid) -> Result<(), ApiError> {
        self.0.limiter.check(key).map_err(ApiError::rate_limited)
    }
}

/// Every route, with all that holds for each of them. Must be called inside a Tokio runtime.
pub fn router(app: App) -> Router {
    let (routes, document) = openapi::documented_routes().split_for_parts();
    let json = document.to_json().expect("the document is plain data");
    let page = docs_page::render(&serde_json::from_str(&json).expect("it was just written"));
    let frontend_urls = app.0.frontend_urls.clone();
    let pulse = app.engine().db.pulse();
    let routes = routes
        .route(
            "/openapi.json",
            get(|| async { ([(header::CONTENT_TYPE, "application/json")], json) }),
        )
        .merge(docs_page::routes(page))
        .merge(console::routes())
        .fallback(|| async {
            ApiError::new(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address")
        })
        .method_not_allowed_fallback(|| async {
            let message = "This address does not take this method";
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
        })
        .with_state(app);
    layers::wrap(routes, &frontend_urls, pulse)
}

/// Serves every route until `stop`, then lets the requests that are under way finish.
pub async fn serve(listener: TcpListener, app: App, stop: CancellationToken) -> io::Result<()> {
    metrics::http_begin();
    tokio::spawn(surface::look(app.engine().clone(), stop.clone()));
    let (closing, told) = (app.closing(), stop.clone());
    tokio::spawn(async move {
        told.cancelled().await;
        closing.cancel();
    });
    serve::serve(listener, router(app), stop).await
}

/// The OpenAPI document as JSON.
#[must_use]
pub fn openapi_json() -> String {
    openapi::documented_routes().into_openapi().to_json().expect("the document is plain data")
}
