//! The metrics of a process, served on an address of their own.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Histogram samples wait in memory until they are sorted into buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// From a fast local answer to the longest exchange allowed, and on to the waits of a backlog.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0, 7200.0,
];
const BYTES: &[f64] =
    &[256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 8_388_608.0];
/// Rows in a batch, and other small numbers of things.
const COUNTS: &[f64] =
    &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0];

/// Collects what the metrics functions record from now on. To be called once, before any of them.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    let handle = builder()?.install_recorder().context("metrics are being collected already")?;
    metrics_process::Collector::default().describe();
    Ok(handle)
}

/// A histogram without buckets would become a summary, whose quantiles cannot be added up: the
/// seconds serve whatever no suffix claims.
fn builder() -> anyhow::Result<PrometheusBuilder> {
    Ok(PrometheusBuilder::new()
        .with_recommended_naming(true)
        .set_buckets(SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), BYTES)?
        .set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_rows".to_owned()), COUNTS)?)
}

/// Listens on `address` and returns a future that serves `GET /metrics`, and what is to stand beside
/// it, until `stop`. Listening comes first, so that an address in use is known before anything else
/// starts; with port 0 the returned address tells which one it became.
pub(crate) async fn metrics_server(
    address: SocketAddr,
    handle: PrometheusHandle,
    beside: Router,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, impl Future<Output = std::io::Result<()>> + Send)> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("RELAY_METRICS_LISTEN: cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let upkeep = upkeep(handle.clone(), stop.clone());
    let serve = axum::serve(listener, routes(handle).merge(beside))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    Ok((address, async move { tokio::join!(async { serve.await }, upkeep).0 }))
}

fn routes(handle: PrometheusHandle) -> Router {
    let process = metrics_process::Collector::default();
    let render = move || async move {
        process.collect();
        ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
    };
    Router::new().route("/metrics", get(render))
}

async fn upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn scrape(address: SocketAddr) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers in text");
        answer
    }

    #[expect(clippy::disallowed_macros, reason = "what is tested is the recorder beneath them")]
    #[tokio::test]
    async fn metrics_are_served_until_the_stop_and_histograms_have_buckets() {
        let handle = install_metrics().expect("the only recorder of this test program");
        metrics::histogram!("test_duration_seconds").record(0.3);
        metrics::histogram!("test_batch_size").record(7.0);
        let stop = CancellationToken::new();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, server) = metrics_server(nowhere, handle, Router::new(), stop.clone())
            .await
            .expect("a free port exists");
        let server = tokio::spawn(server);
        let answer = scrape(address).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("test_duration_seconds_bucket{le=\"0.5\"} 1"), "{answer}");
        assert!(answer.contains("test_batch_size_bucket{le=\"10\"} 1"), "{answer}");
        assert!(answer.contains("process_resident_memory_bytes"), "{answer}");
        stop.cancel();
        server.await.expect("no panic").expect("a clean end");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_by_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let address = taken.local_addr().expect("it is bound");
        let handle = builder().expect("the buckets are sound").build_recorder().handle();
        let refused =
            metrics_server(address, handle, Router::new(), CancellationToken::new()).await;
        let error = refused.err().expect("two cannot listen there").to_string();
        assert!(error.starts_with("RELAY_METRICS_LISTEN"), "{error}");
    }
}
