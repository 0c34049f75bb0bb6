//! The verifying receiver: takes deliveries, believes none unsigned, and keeps the book of arrivals.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::clock;
use crate::cpu;
use crate::event::Mark;
use crate::http;
use crate::latency::Latencies;
use crate::ledger::Arrivals;
use crate::signature::{Signed, Verifier};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

/// A receiver on a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    thread_id: u32,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    book: Mutex<Book>,
    /// By connection; none for a sender that does not sign as Relay does.
    verifiers: Mutex<Vec<Option<Verifier>>>,
    verify_every: AtomicU64,
    unique: AtomicUsize,
    rejected: AtomicU64,
}

/// One round, as the receiver saw it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    run: u32,
    pub(crate) arrivals: Arrivals,
    pub(crate) latencies: Option<Latencies>,
    /// Requests of which both signatures were checked and found right.
    pub(crate) verified: u64,
    /// Requests that were turned away, and why the first one was.
    pub(crate) rejected: u64,
    pub(crate) first_rejection: Option<String>,
    pub(crate) last_ns: u64,
}

impl Receiver {
    /// Listens on a free port of the loopback interface.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { verify_every: AtomicU64::new(1), ..Shared::default() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("receiver".into()).spawn(move || {
            let _ = tell.send(cpu::this_thread());
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, of_thread) => {}
                    _ = stopped => {}
                }
            });
        })?;
        let thread_id = told.recv().context("the receiver's thread did not start")??;
        Ok(Self { address, thread_id, shared, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn thread_id(&self) -> u32 {
        self.thread_id
    }

    /// The address for a connection's webhook.
    pub(crate) fn url(&self, connection: usize) -> String {
        format!("http://{}/hook/{connection}", self.address)
    }

    /// From now on checks both signatures of every `verify_every`-th request.
    pub(crate) fn expect_signatures(&self, verifiers: Vec<Verifier>, verify_every: u64) {
        *lock(&self.shared.verifiers) = verifiers.into_iter().map(Some).collect();
        self.shared.verify_every.store(verify_every.max(1), Relaxed);
    }

    /// From now on takes everything on one connection, unsigned: for the floor program.
    pub(crate) fn expect_no_signatures(&self) {
        *lock(&self.shared.verifiers) = vec![None];
    }

    /// Opens an empty book; what still arrives of another round counts as unexpected in this one.
    pub(crate) fn begin(&self, run: u32, connections: usize, events: usize) {
        let arrivals = Arrivals::new(connections, events);
        let latencies = Some(Latencies::new());
        *lock(&self.shared.book) = Book { run, arrivals, latencies, ..Book::default() };
        self.shared.unique.store(0, Relaxed);
        self.shared.rejected.store(0, Relaxed);
    }

    /// Distinct deliveries so far.
    pub(crate) fn unique(&self) -> usize {
        self.shared.unique.load(Relaxed)
    }

    /// Requests turned away so far.
    pub(crate) fn rejected(&self) -> u64 {
        self.shared.rejected.load(Relaxed)
    }

    /// Closes the book and hands it over.
    pub(crate) fn finish(&self) -> Book {
        std::mem::take(&mut *lock(&self.shared.book))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the runtime has its I/O enabled");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&shared)))),
            // Out of file descriptors: the next one may find some.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

/// Answers every request of a connection, until either side has had enough.
async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut count = 0;
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let mut used = 0;
        let mut answers = Vec::new();
        loop {
            match http::request(&buffer[used..]) {
                Ok(Some(request)) => {
                    count += 1;
                    answers.extend_from_slice(shared.take(request.path, &request.signed, count));
                    used += request.used;
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        buffer.drain(..used);
        if !answers.is_empty() && stream.write_all(&answers).await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Checks and enters one request; answers what to reply.
    fn take(&self, path: &str, signed: &Signed<'_>, count: u64) -> &'static [u8] {
        let now_ns = clock::now_ns();
        let connection = path.strip_prefix("/hook/").map_or(Some(0), |tail| tail.parse().ok());
        let verifiers = lock(&self.verifiers);
        let verifier = connection.and_then(|at: usize| verifiers.get(at)).and_then(Option::as_ref);
        let is_checked =
            verifier.is_some() && count.is_multiple_of(self.verify_every.load(Relaxed));
        let verdict = match verifier {
            Some(verifier) if is_checked => verifier.verify(signed, clock::unix_seconds()),
            _ => Ok(()),
        };
        drop(verifiers);
        let mut book = lock(&self.book);
        if let Err(refusal) = verdict {
            book.rejected += 1;
            book.first_rejection.get_or_insert_with(|| format!("{refusal:?} on {path}"));
            self.rejected.fetch_add(1, Relaxed);
            return UNAUTHORIZED;
        }
        book.verified += u64::from(is_checked);
        book.last_ns = now_ns;
        let mark = Mark::find(signed.body).filter(|mark| mark.run == book.run);
        match (mark, connection, delivery_id(signed.id)) {
            (Some(mark), Some(connection), Some(id)) => {
                if book.arrivals.enter(connection, mark.sequence, id) {
                    let latency = now_ns.saturating_sub(mark.emitted_ns);
                    book.latencies.get_or_insert_with(Latencies::new).record_ns(latency);
                }
            }
            _ => book.arrivals.stray(),
        }
        self.unique.store(book.arrivals.unique(), Relaxed);
        OK
    }
}

/// A UUID, or what the floor program sends: `msg_` and 32 hex digits.
fn delivery_id(header: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(header).ok()?;
    uuid::Uuid::try_parse(text.strip_prefix("msg_").unwrap_or(text)).ok().map(|id| id.as_u128())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
