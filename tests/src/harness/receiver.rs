//! A real HTTP server on loopback that answers by script and remembers every request.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, sync::watch, task::JoinHandle};

use super::{
    signature,
    wait::{LONG, wait_until},
    wire::{Wire, read_request, response},
};

/// What a receiver does with one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers.
    Reply {
        /// The status.
        status: u16,
        /// Beside `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Bytes,
    },
    /// Answers after a while.
    Later(Duration, Box<Answer>),
    /// Answers once [`Receiver::release`] is called.
    Held(Box<Answer>),
    /// A good status, then one byte of body every tenth of a second, for ever.
    Trickle,
    /// A good status, then body as fast as it is taken, for ever.
    Endless,
    /// Headers without end.
    EndlessHeaders,
    /// Half a response, then a reset connection.
    Reset,
    /// Half a response, then an orderly close.
    HalfClose,
    /// Something that is not HTTP.
    Gibberish,
    /// Nothing, ever; the connection stays open.
    Silence,
}

impl Answer {
    /// 200 without a body.
    #[must_use]
    pub fn ok() -> Self {
        Self::status(200)
    }

    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        match self {
            Self::Reply { status, mut headers, body } => {
                headers.push((name.to_owned(), value.to_owned()));
                Self::Reply { status, headers, body }
            }
            other => other,
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        match self {
            Self::Reply { status, headers, .. } => {
                Self::Reply { status, headers, body: body.into() }
            }
            other => other,
        }
    }

    /// The same after a while.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::Later(delay, Box::new(self))
    }

    /// The same once [`Receiver::release`] is called.
    #[must_use]
    pub fn held(self) -> Self {
        Self::Held(Box::new(self))
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// When it was complete.
    pub at: Instant,
    /// The same by the wall clock.
    pub wall: chrono::DateTime<chrono::Utc>,
    /// `POST`, one hopes.
    pub method: String,
    /// With its query.
    pub path: String,
    /// As sent, in order.
    pub headers: Vec<(String, String)>,
    /// The exact bytes.
    pub body: Bytes,
    /// The status that was answered, once the last byte of the answer was written.
    pub answered: Option<u16>,
}

impl Arrival {
    /// A header's value, whatever the case of its name; empty if it was not sent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("Relay sends JSON")
    }

    /// `X-Deptex-Delivery`.
    #[must_use]
    pub fn delivery_id(&self) -> uuid::Uuid {
        self.header("x-deptex-delivery").parse().expect("every delivery carries its id")
    }

    /// `X-Deptex-Attempt`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.header("x-deptex-attempt")
            .parse()
            .expect("every delivery carries its attempt's number")
    }

    /// `data.marker`, by which tests tell events apart.
    #[must_use]
    pub fn marker(&self) -> String {
        self.json()["data"]["marker"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks both signatures by a secret.
    pub fn verify(&self, secret: &str) -> Result<(), String> {
        signature::verify_deptex(secret, self.header("x-deptex-signature"), &self.body)?;
        signature::verify_standard(
            secret,
            self.header("webhook-id"),
            self.header("webhook-timestamp"),
            self.header("webhook-signature"),
            &self.body,
            self.wall.timestamp(),
        )
    }
}

#[derive(Debug, Default)]
struct State {
    scripts: HashMap<String, VecDeque<Answer>>,
    secrets: HashMap<String, Vec<String>>,
    arrivals: Vec<Arrival>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    released: watch::Sender<bool>,
    bytes_sent: AtomicU64,
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
            released: watch::Sender::new(false),
            bytes_sent: AtomicU64::new(0),
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
        self.shared.released.send_replace(true);
    }

    /// Holds again what is marked so.
    pub fn hold_again(&self) {
        self.shared.released.send_replace(false);
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
        self.shared.bytes_sent.load(Ordering::Relaxed)
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
        let arrival = Arrival {
            at: Instant::now(),
            wall: chrono::Utc::now(),
            method: request.method,
            path: request.path,
            headers: request.headers,
            body: request.body,
            answered: None,
        };
        let (index, answer) = {
            let mut state = shared.state();
            let script = state.scripts.get_mut(&arrival.path);
            let answer = script.map_or_else(Answer::ok, |script| match script.len() {
                0 | 1 => script.front().cloned().unwrap_or_else(Answer::ok),
                _ => script.pop_front().unwrap_or_else(Answer::ok),
            });
            state.arrivals.push(arrival);
            (state.arrivals.len() - 1, answer)
        };
        match give(&mut wire, answer, &shared).await {
            Some(status) => shared.state().arrivals[index].answered = Some(status),
            None => return,
        }
    }
}

/// Gives an answer. The status if the connection can go on, `None` if it is at its end.
async fn give<W: Wire>(wire: &mut W, mut answer: Answer, shared: &Shared) -> Option<u16> {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n";
    loop {
        answer = match answer {
            Answer::Later(delay, next) => {
                tokio::time::sleep(delay).await;
                *next
            }
            Answer::Held(next) => {
                let _ = shared.released.subscribe().wait_for(|released| *released).await;
                *next
            }
            Answer::Reply { status, headers, body } => {
                wire.write_all(&response(status, &headers, &body)).await.ok()?;
                wire.flush().await.ok()?;
                return Some(status);
            }
            Answer::Trickle => {
                wire.write_all(HEAD).await.ok()?;
                loop {
                    wire.write_all(b".").await.ok()?;
                    wire.flush().await.ok()?;
                    shared.bytes_sent.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            Answer::Endless => {
                wire.write_all(HEAD).await.ok()?;
                pour(wire, &[b'.'; 16 * 1024], shared).await?;
                return None;
            }
            Answer::EndlessHeaders => {
                wire.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
                pour(wire, &b"x-filler: 0123456789\r\n".repeat(500), shared).await?;
                return None;
            }
            Answer::Reset => {
                wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.ok()?;
                wire.flush().await.ok()?;
                // The half must be on its way before the reset overtakes it.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let _ = wire.socket().set_zero_linger();
                return None;
            }
            Answer::HalfClose => {
                wire.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await.ok()?;
                wire.shutdown().await.ok()?;
                return None;
            }
            Answer::Gibberish => {
                wire.write_all(b"* OK IMAP4 ready when you are\r\n\r\n").await.ok()?;
                return None;
            }
            Answer::Silence => {
                std::future::pending::<()>().await;
                return None;
            }
        };
    }
}

async fn pour<W: Wire>(wire: &mut W, piece: &[u8], shared: &Shared) -> Option<()> {
    loop {
        wire.write_all(piece).await.ok()?;
        shared.bytes_sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
}

/// A port of this machine on which connections are refused; it stays ours while the value lives.
#[derive(Debug)]
pub struct ClosedPort {
    _socket: tokio::net::TcpSocket,
    /// Its number.
    pub port: u16,
}

impl ClosedPort {
    /// Takes one.
    #[must_use]
    pub fn take() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket can be had");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port exists");
        let port = socket.local_addr().expect("it is bound").port();
        Self { _socket: socket, port }
    }
}
