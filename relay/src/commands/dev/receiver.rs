//! A receiver to try things with: prints each webhook and whether its signatures verify.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use engine::{
    Engine, clock, connection,
    delivery::receivers,
    ids::OrganizationId,
    secret::{Secret, same_secret},
    signing,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::frontend;
use crate::text;

#[derive(Clone)]
struct Demo {
    engine: Engine,
    organization_id: OrganizationId,
}

/// Listens at an address, or at a free port beside it when that one is taken.
pub(super) async fn listen(wanted: SocketAddr) -> anyhow::Result<TcpListener> {
    match TcpListener::bind(wanted).await {
        Ok(listener) => Ok(listener),
        Err(_) => {
            TcpListener::bind((wanted.ip(), 0)).await.context("no port for the demo receiver")
        }
    }
}

/// Receives until `stop`. At every other address it stands in for the frontend.
pub(super) fn start(
    listener: TcpListener,
    engine: Engine,
    organization_id: OrganizationId,
    stop: CancellationToken,
) {
    let routes = Router::new()
        .route("/hook", post(receive))
        .fallback(frontend::page)
        .with_state(Demo { engine, organization_id });
    tokio::spawn(async move {
        let stopped = async move { stop.cancelled().await };
        if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(stopped).await {
            tracing::warn!(%error, "the demo receiver stopped");
        }
    });
}

async fn receive(State(demo): State<Demo>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = header("x-deptex-event");
    match verify(&demo, &headers, &body).await {
        Ok(name) => {
            println!(
                "{}",
                text::inert(&format!(
                    "← {kind}  for “{name}”  delivery {}  attempt {}  signature verified (X-Deptex-Signature and Standard Webhooks)",
                    header("x-deptex-delivery"),
                    header("x-deptex-attempt"),
                ))
            );
            println!("{}", text::inert(&format!("  {}", String::from_utf8_lossy(&body))));
            StatusCode::OK
        }
        Err(why) => {
            println!("{}", text::inert(&format!("← {kind}  REFUSED: {why}")));
            StatusCode::UNAUTHORIZED
        }
    }
}

/// The name of the connection whose secret made both signatures.
async fn verify(demo: &Demo, headers: &HeaderMap, body: &[u8]) -> anyhow::Result<String> {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let timestamp: i64 = header("webhook-timestamp").parse().context("no webhook-timestamp")?;
    anyhow::ensure!(
        (clock::now().timestamp() - timestamp).abs() <= 300,
        "the timestamp is too old"
    );
    let connections = connection::list(&demo.engine, demo.organization_id).await?;
    let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
    let known = receivers::load(&demo.engine, &ids).await?;
    for connection in &connections {
        let secrets: Vec<Secret> =
            known.get(&connection.id).map(|r| r.secrets_at(clock::now())).unwrap_or_default();
        let signed = secrets.iter().any(|secret| {
            let standard = signing::standard_signature(
                std::slice::from_ref(secret),
                header("webhook-id"),
                timestamp,
                body,
            );
            same_secret(&signing::deptex_signature(secret, body), header("x-deptex-signature"))
                && header("webhook-signature").split(' ').any(|given| same_secret(given, &standard))
        });
        if signed {
            return Ok(connection.display_name.clone());
        }
    }
    anyhow::bail!("no connection of the demo organization made this signature")
}
