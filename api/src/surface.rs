//! What is counted of requests: by what they are for, told from the route that they matched and never
//! from the address that was asked for.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use engine::{
    Engine, metrics,
    observe::{LOOK_EVERY, Observer, Scope},
};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// What requests to a route are for. An address where there is nothing is `other`.
fn of_route(route: &str) -> &'static str {
    match route {
        "/v1/events" => "ingest",
        "/healthz" | "/readyz" => "health",
        "/openapi.json" => "console",
        _ if route.starts_with("/internal/") => "lease",
        _ if route.ends_with("/{callback}") => "callback",
        _ if route.ends_with("/live") => "live",
        _ if ["/console", "/docs"].iter().any(|start| route.starts_with(start)) => "console",
        _ if ["/api/", "/v1/"].iter().any(|start| route.starts_with(start)) => "admin",
        _ => "other",
    }
}

/// Whether the answer goes on after its head, for as long as there is something to tell.
fn is_stream(route: &str) -> bool {
    ["/live", "/export"].iter().any(|end| route.ends_with(end))
}

/// Counts a request and how long its answer took.
pub(crate) async fn count(request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = next.run(request).await;
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let took = (!is_stream(route)).then(|| began.elapsed());
    metrics::http_request(of_route(route), answer.status().as_u16(), took);
    answer
}

/// Looks again and again whether the database answers this process.
pub(crate) async fn look(engine: Engine, stop: CancellationToken) {
    let mut observer = Observer::new(&engine, Scope::Process);
    let mut due = tokio::time::interval(LOOK_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(due.tick()).await.is_some() {
        observer.look().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_for_something() {
        let document: serde_json::Value =
            serde_json::from_str(&crate::openapi_json()).expect("it is JSON");
        let paths = document["paths"].as_object().expect("paths");
        assert!(paths.len() > 30);
        for route in paths.keys() {
            assert_ne!(of_route(route), "other", "{route}");
        }
        for (route, surface, streams) in [
            ("/v1/events", "ingest", false),
            ("/v1/event-types", "admin", false),
            ("/internal/connections/{id}/token", "lease", false),
            ("/api/integrations/{provider}/{callback}", "callback", false),
            ("/api/integrations/{provider}/install", "admin", false),
            ("/api/organizations/{org}/live", "live", true),
            ("/api/organizations/{org}/deliveries/export", "admin", true),
            ("/console/{*path}", "console", false),
            ("/docs/style.css", "console", false),
            ("/readyz", "health", false),
            ("", "other", false),
            ("/v2/events", "other", false),
        ] {
            assert_eq!((of_route(route), is_stream(route)), (surface, streams), "{route}");
        }
    }
}
