//! A real HTTP server on loopback that answers by script and remembers every request.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::BytesMut;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, task::JoinHandle};

use super::{
    answer::{Answer, Stage, give},
    arrival::Arrival,
    wait::{LONG, wait_until},
    wire::{Wire, read_request, response},
};

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, VecDeque<Answer>>,
    secrets: HashMap<String, Vec<String>>,
    arrivals: Vec<Arrival>,
    /// How many were taken away before these.
    taken: usize,
}

impl State {
    fn answered(&mut self, index: usize, status: u16) {
        let place = index.checked_sub(self.taken);
        if let Some(arrival) = place.and_then(|place| self.arrivals.get_mut(place)) {
            arrival.answered = Some(status);
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stage: Stage,
    connections: AtomicU64,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server. Paths that no script names are answered 200.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// Starts on a free port.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// Starts on a free port with TLS.
    pub async fn start_tls(config: Arc<rustls::ServerConfig>) -> Self {
        Self::listen(Some(config)).await
    }

    async fn listen(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port exists");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            stage: Stage::default(),
            connections: AtomicU64::new(0),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let accepting = tokio::spawn(accept(listener, tls, shared.clone()));
        Self { address, scheme, shared, accepting }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How a path answers, request by request; the last answer serves all later ones.
    pub fn answer(&self, path: &str, script: impl IntoIterator<Item = Answer>) {
        let script: VecDeque<Answer> = script.into_iter().collect();
        assert!(!script.is_empty(), "a script has at least one answer");
        self.shared.state().scripts.insert(path.to_owned(), script);
    }

    /// Lets every held answer go, and those still to come.
    pub fn release(&self) {
        self.shared.stage.released.send_replace(true);
    }

    /// Holds again what is marked so.
    pub fn hold_again(&self) {
        self.shared.stage.released.send_replace(false);
    }

    /// Adds a secret by which arrivals on a path may verify. Those of [`super::client::Relay`]'s
    /// connections are added by the world.
    pub fn expect_secret(&self, path: &str, secret: &str) {
        self.shared.state().secrets.entry(path.to_owned()).or_default().push(secret.to_owned());
    }

    /// Verifies arrivals on a path no more.
    pub fn forget_secrets(&self, path: &str) {
        self.shared.state().secrets.remove(path);
    }

    /// What has arrived on a path, in order.
    #[must_use]
    pub fn arrivals(&self, path: &str) -> Vec<Arrival> {
        self.shared.state().arrivals.iter().filter(|a| a.path == path).cloned().collect()
    }

    /// How many requests have arrived on a path.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.shared.state().arrivals.iter().filter(|a| a.path == path).count()
    }

    /// Everything that has arrived.
    #[must_use]
    pub fn all(&self) -> Vec<Arrival> {
        self.shared.state().arrivals.clone()
    }

    /// Everything that has arrived, and forgets it: for tests that would else run out of memory. What
    /// becomes of an answer that is still under way is not told.
    #[must_use]
    pub fn take_all(&self) -> Vec<Arrival> {
        let mut state = self.shared.state();
        state.taken += state.arrivals.len();
        std::mem::take(&mut state.arrivals)
    }

    /// Waits until at least `count` requests have arrived on a path, and gives them.
    pub async fn wait_for(&self, path: &str, count: usize) -> Vec<Arrival> {
        wait_until(&format!("{count} requests on {path}"), LONG, || async {
            (self.count(path) >= count).then_some(())
        })
        .await;
        self.arrivals(path)
    }

    /// Bytes of endless and trickling bodies that were taken by the other side or the network.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.shared.stage.bytes_sent.load(Ordering::Relaxed)
    }

    /// Connections that were accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// What did not verify by any secret that its path knows; paths without a secret are passed over.
    #[must_use]
    pub fn unverified(&self) -> Vec<String> {
        let state = self.shared.state();
        let mut complaints = Vec::new();
        for arrival in &state.arrivals {
            let Some(secrets) = state.secrets.get(&arrival.path) else { continue };
            let mut refusals = secrets.iter().filter_map(|s| arrival.verify(s).err()).peekable();
            if secrets.len() == refusals.clone().count() {
                let first = refusals.next().unwrap_or_default();
                complaints.push(format!(
                    "{} {}: {first}",
                    arrival.path,
                    arrival.header("webhook-id")
                ));
            }
        }
        complaints
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    shared: Arc<Shared>,
) {
    while let Ok((socket, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let _ = socket.set_nodelay(true);
        let shared = shared.clone();
        match tls.clone() {
            None => drop(tokio::spawn(serve(socket, shared))),
            Some(config) => drop(tokio::spawn(async move {
                // A client that refuses the certificate is what some tests want.
                if let Ok(wire) = tokio_rustls::TlsAcceptor::from(config).accept(socket).await {
                    serve(wire, shared).await;
                }
            })),
        }
    }
}

async fn serve<W: Wire>(mut wire: W, shared: Arc<Shared>) {
    let mut buffer = BytesMut::with_capacity(8 * 1024);
    loop {
        let request = match read_request(&mut wire, &mut buffer).await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(_) => {
                // As servers do to whoever speaks something else, such as TLS to a plain port.
                let _ = wire.write_all(&response(400, &[], b"")).await;
                return;
            }
        };
        let mut arrival = Arrival {
            at: Instant::now(),
            wall: chrono::Utc::now(),
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            accepts: true,
            answered: None,
        };
        let (index, answer) = {
            let mut state = shared.state();
            let script = state.scripts.get_mut(&arrival.path);
            let answer = script.map_or_else(Answer::ok, |script| match script.len() {
                0 | 1 => script.front().cloned().unwrap_or_else(Answer::ok),
                _ => script.pop_front().unwrap_or_else(Answer::ok),
            });
            arrival.accepts = answer.accepts();
            state.arrivals.push(arrival);
            (state.taken + state.arrivals.len() - 1, answer)
        };
        match give(&mut wire, answer, &shared.stage).await {
            Some(status) => shared.state().answered(index, status),
            None => return,
        }
    }
}
