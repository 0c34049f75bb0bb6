//! Accepts connections and serves them until told to stop, then lets what runs finish.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long a connection may idle before the head of its next request is there, sent slowly or not.
/// Longer than callers keep connections for reuse, so that they rarely meet one that just closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How much of a head is read; past it the answer is 431.
const HEAD_BYTES_MAX: usize = 128 * 1024;
/// How many headers a request may have; past it the answer is 431.
const HEADERS_MAX: usize = 100;
/// How long requests that are under way may take to finish once we stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(25);
/// How long to wait when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `stop`; returns when the last request is answered.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // One caller's broken connection, or too many of them: neither ends the service.
                tracing::warn!(error = %error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small: waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(server.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection ended early");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to finish them was over");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    async fn start(
        router: Router,
    ) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        (address, stop.clone(), tokio::spawn(serve(listener, router, stop)))
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_before_serving_ends() {
        let slow = Router::new().route(
            "/",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "done"
            }),
        );
        let (address, stop, serving) = start(slow).await;
        let mut idle = TcpStream::connect(address).await.expect("it listens");
        let mut caller = TcpStream::connect(address).await.expect("it listens");
        caller.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it takes a request");
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.cancel();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).await.expect("an answer, then the end");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
        serving.await.expect("no panic").expect("a clean end");
        let mut rest = Vec::new();
        assert_eq!(idle.read_to_end(&mut rest).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(address).await.is_err(), "it no longer listens");
    }

    /// I35: heads past the limits are refused before a route sees them.
    #[tokio::test]
    async fn i35_too_many_or_too_large_headers_are_refused() {
        let (address, stop, serving) =
            start(Router::new().route("/", get(|| async { "ok" }))).await;
        let many = "x-a: b\r\n".repeat(1000);
        let large = format!("x-a: {}\r\n", "b".repeat(1_000_000));
        for headers in [many, large] {
            let mut caller = TcpStream::connect(address).await.expect("it listens");
            let head = format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
            let _ = caller.write_all(head.as_bytes()).await;
            let mut answer = vec![0; 12];
            let _ = caller.read_exact(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            assert!(answer == "HTTP/1.1 431" || answer.starts_with('\0'), "{answer}");
        }
        stop.cancel();
        serving.await.expect("no panic").expect("a clean end");
    }
}
