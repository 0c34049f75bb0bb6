//! The verifying receiver: takes deliveries, believes none unsigned, and keeps the book of arrivals.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::book::{Book, Expected};
use crate::clock;
use crate::cpu;
use crate::door::{Door, Manner, Reply};
use crate::event::Mark;
use crate::http;
use crate::signature::{Signed, Verifier};
use crate::webhooks::Hook;

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
    /// By connection; one that is not here is prompt.
    doors: Mutex<Vec<Door>>,
    /// By connection; none for a sender that does not sign as Relay does.
    verifiers: Mutex<Vec<Option<Verifier>>>,
    verify_every: AtomicU64,
    rejected: AtomicU64,
}

/// What becomes of a request.
enum Answer {
    Now(Cow<'static, [u8]>),
    After(Duration, Option<usize>),
    Never(Option<usize>),
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

    /// Webhooks with these numbers that get everything.
    pub(crate) fn hooks(&self, numbers: Range<usize>) -> Vec<Hook> {
        numbers.map(|number| Hook::for_everything(self.url(number))).collect()
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

    /// How one connection's webhook behaves from now on; promptly where nothing was said.
    pub(crate) fn set_manner(&self, connection: usize, manner: Manner) {
        let mut doors = lock(&self.shared.doors);
        if doors.len() <= connection {
            doors.resize(connection + 1, Door::default());
        }
        doors[connection].set(manner);
    }

    /// Every webhook behaves promptly again.
    pub(crate) fn forget_manners(&self) {
        lock(&self.shared.doors).clear();
    }

    /// The most requests of one connection that were held at once since it got its manner.
    pub(crate) fn in_flight_max(&self, connection: usize) -> u32 {
        lock(&self.shared.doors).get(connection).map_or(0, Door::in_flight_max)
    }

    /// Whether requests of one connection came as on a ramp since it got its manner.
    pub(crate) fn kept_to_ramp(&self, connection: usize) -> bool {
        lock(&self.shared.doors).get(connection).is_none_or(Door::kept_to_ramp)
    }

    /// Opens an empty book; what still arrives of another round counts as unexpected in this one.
    pub(crate) fn begin(&self, lots: Vec<Expected>) {
        *lock(&self.shared.book) = Book::new(lots, clock::now_ns());
        self.shared.rejected.store(0, Relaxed);
    }

    /// Distinct deliveries of one lot so far.
    pub(crate) fn unique_of(&self, lot: usize) -> usize {
        lock(&self.shared.book).lots.get(lot).map_or(0, |lot| lot.arrivals.unique())
    }

    /// Requests turned away for their signature so far.
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
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
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
            let Ok(request) = http::request(&buffer[used..]) else { return };
            let Some(request) = request else { break };
            count += 1;
            used += request.used;
            match shared.take(request.path, &request.signed, count) {
                Answer::Now(answer) => answers.extend_from_slice(&answer),
                Answer::After(wait, connection) => {
                    tokio::time::sleep(wait).await;
                    shared.leave(connection);
                    answers.extend_from_slice(OK);
                }
                Answer::Never(connection) => {
                    // Until the other side has had enough.
                    while stream.read_buf(&mut Vec::new()).await.is_ok_and(|read| read > 0) {}
                    shared.leave(connection);
                    return;
                }
            }
        }
        buffer.drain(..used);
        if !answers.is_empty() && stream.write_all(&answers).await.is_err() {
            return;
        }
    }
}

impl Shared {
    /// Checks one request, asks its door, and enters it if it was taken.
    fn take(&self, path: &str, signed: &Signed<'_>, count: u64) -> Answer {
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
            return Answer::Now(UNAUTHORIZED.into());
        }
        book.verified += u64::from(is_checked);
        let (reply, in_flight) = self.knock(connection, now_ns);
        match reply {
            Reply::Take | Reply::TakeAfter(_) => {
                book.enter(Mark::find(signed.body), connection, delivery_id(signed.id), now_ns);
            }
            Reply::Refuse(_) | Reply::RefuseUntil { .. } => book.refuse(now_ns),
            Reply::Never => {}
        }
        if in_flight > 0 {
            book.hold(now_ns, in_flight);
        }
        match reply {
            Reply::Take => Answer::Now(OK.into()),
            Reply::TakeAfter(wait) => Answer::After(wait, connection),
            Reply::Never => Answer::Never(connection),
            Reply::Refuse(status) => Answer::Now(refusal(status, "")),
            Reply::RefuseUntil { seconds } => {
                Answer::Now(refusal(429, &format!("retry-after: {seconds}\r\n")))
            }
        }
    }

    /// What the connection's door says, and how many requests it holds now.
    fn knock(&self, connection: Option<usize>, now_ns: u64) -> (Reply, u32) {
        let mut doors = lock(&self.doors);
        let door = connection.and_then(|at| doors.get_mut(at));
        door.map_or((Reply::Take, 0), |door| (door.knock(now_ns), door.in_flight()))
    }

    fn leave(&self, connection: Option<usize>) {
        let mut doors = lock(&self.doors);
        if let Some(door) = connection.and_then(|at| doors.get_mut(at)) {
            door.leave();
        }
    }
}

fn refusal(status: u16, header: &str) -> Cow<'static, [u8]> {
    let text = format!("HTTP/1.1 {status} Refused\r\n{header}content-length: 0\r\n\r\n");
    text.into_bytes().into()
}

/// A UUID, or what the floor program sends: `msg_` and 32 hex digits.
fn delivery_id(header: &[u8]) -> Option<u128> {
    let text = std::str::from_utf8(header).ok()?;
    uuid::Uuid::try_parse(text.strip_prefix("msg_").unwrap_or(text)).ok().map(|id| id.as_u128())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
