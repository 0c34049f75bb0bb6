//! Whether this process lives, and whether it can work: asked of workers as of an API, on the metrics'
//! address. `relay health` asks it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use engine::Engine;
use tokio_util::sync::CancellationToken;

/// Probes give up after a few seconds: an answer must be there before.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// What the probes look at. The engine is there once it has reached its database.
#[derive(Clone)]
pub(crate) struct Probes {
    engine: Arc<OnceLock<Engine>>,
    stop: CancellationToken,
}

impl Probes {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        Self { engine: Arc::default(), stop }
    }

    /// From now on `GET /readyz` asks this engine's database.
    pub(crate) fn watch(&self, engine: &Engine) {
        // A process has one engine: a second one is never given.
        let _ = self.engine.set(engine.clone());
    }

    /// `GET /healthz` asks nothing else: a database that is away must not get this process restarted.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(ready))
            .with_state(self.clone())
    }
}

async fn ready(State(probes): State<Probes>) -> (StatusCode, String) {
    let unready = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    if probes.stop.is_cancelled() {
        return unready("stopping");
    }
    let Some(engine) = probes.engine.get() else { return unready("waiting for the database") };
    match tokio::time::timeout(READY_TIMEOUT, engine.db.ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok\n".to_owned()),
        Ok(Err(error)) => unready(&error.to_string()),
        Err(_) => unready("the database does not answer"),
    }
}
