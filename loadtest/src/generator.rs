//! The sender: events over keep-alive connections, as fast as answers come or at a fixed rate.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

use crate::clock;
use crate::cpu;
use crate::event::EventWriter;
use crate::http::{self, Response};
use crate::latency::Latencies;
use crate::ledger::{Fate, Ledger};

/// After a connection could not be opened.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
/// Enough of an unwelcome answer to understand it.
const EXCERPT_BYTES_MAX: usize = 300;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) target: SocketAddr,
    pub(crate) service_key: String,
    pub(crate) writer: EventWriter,
    pub(crate) events: usize,
    /// Events in one request; more than one are sent as an array.
    pub(crate) batch: usize,
    pub(crate) concurrency: usize,
    /// Requests are due at this many events a second, whatever the answers; as fast as answers come
    /// without it.
    pub(crate) rate: Option<f64>,
    /// Nothing is sent after it, nor waited for.
    pub(crate) deadline: Instant,
    /// Whether a 202 is believed without a body that says so: for the floor program.
    pub(crate) answers_are_bare: bool,
}

/// What came of it; the fate of each event is in the ledger.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) began_ns: u64,
    pub(crate) elapsed: Duration,
    /// Until the 202; from the intended time at a fixed rate.
    pub(crate) latencies: Latencies,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// Requests without any answer.
    pub(crate) errors: u64,
    pub(crate) first_trouble: Option<String>,
}

/// A sender at work on a thread of its own.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) thread_id: u32,
    pub(crate) sent: oneshot::Receiver<anyhow::Result<Sent>>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Lets the thread go, which stays for its CPU counters to be read at the end of a round.
    pub(crate) fn release(&self) {
        self.thread.thread().unpark();
    }
}

/// The answer to one event.
#[derive(Debug, Deserialize)]
struct Stored {
    id: Option<uuid::Uuid>,
    #[serde(default)]
    duplicate: bool,
}

#[derive(Debug, Deserialize)]
struct Results {
    results: Vec<Stored>,
}

/// Prepares the sender; it begins once `go` says so, so that counters can be read first.
pub(crate) fn start(
    plan: Plan,
    ledger: Arc<Ledger>,
    go: oneshot::Receiver<()>,
) -> anyhow::Result<Running> {
    let (tell_sent, sent) = oneshot::channel();
    let (tell, told) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("generator".into()).spawn(move || {
        let _ = tell.send(cpu::this_thread());
        let outcome = LocalSet::new().block_on(&runtime, async {
            go.await.context("the load was called off")?;
            Ok(send(plan, ledger).await)
        });
        let _ = tell_sent.send(outcome);
        std::thread::park_timeout(Duration::from_secs(3_600));
    })?;
    let thread_id = told.recv().context("the generator's thread did not start")??;
    Ok(Running { thread_id, sent, thread })
}

async fn send(plan: Plan, ledger: Arc<Ledger>) -> Sent {
    let began = Instant::now();
    let requests = plan.events.div_ceil(plan.batch);
    let due = Arc::new(Semaphore::new(0));
    if let Some(rate) = plan.rate {
        let (due, per_second) = (Arc::clone(&due), rate / plan.batch as f64);
        std::thread::spawn(move || tick(began, requests, per_second, &due));
    }
    let concurrency = plan.concurrency;
    let deadline = plan.deadline;
    let shared = Rc::new(Sender {
        began,
        requests,
        due: Arc::clone(&due),
        next: Cell::new(0),
        tally: RefCell::new(Tally::new()),
        ledger,
        plan,
    });
    let callers: Vec<_> = (0..concurrency)
        .map(|_| {
            let sender = Rc::clone(&shared);
            tokio::task::spawn_local(tokio::time::timeout_at(deadline.into(), async move {
                sender.call_until_done().await;
            }))
        })
        .collect();
    for caller in callers {
        // At the deadline what is under way stays in doubt, as the ledger has it already.
        let _ = caller.await;
    }
    due.close();
    let elapsed = began.elapsed();
    let tally = shared.tally.replace(Tally::new());
    Sent {
        began_ns: clock::ns(began),
        elapsed,
        latencies: tally.latencies,
        statuses: tally.statuses,
        errors: tally.errors,
        first_trouble: tally.first_trouble,
    }
}

/// Makes requests due at a steady pace. The runtime's timer has steps of a millisecond, too coarse
/// for latencies of one; a thread's sleep is exact to some ten microseconds.
fn tick(began: Instant, requests: usize, per_second: f64, due: &Semaphore) {
    let mut released = 0;
    while released < requests && !due.is_closed() {
        let by_now = (began.elapsed().as_secs_f64() * per_second) as usize + 1;
        let ready = by_now.min(requests).saturating_sub(released);
        if ready > 0 {
            due.add_permits(ready);
            released += ready;
        }
        let next = began + Duration::from_secs_f64(released as f64 / per_second);
        let wait = next.saturating_duration_since(Instant::now());
        // In short naps, so that an early end is noticed.
        std::thread::sleep(wait.min(Duration::from_millis(100)));
    }
}

struct Sender {
    plan: Plan,
    ledger: Arc<Ledger>,
    began: Instant,
    requests: usize,
    due: Arc<Semaphore>,
    next: Cell<usize>,
    tally: RefCell<Tally>,
}

struct Tally {
    latencies: Latencies,
    statuses: BTreeMap<u16, u64>,
    errors: u64,
    first_trouble: Option<String>,
}

impl Tally {
    fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            statuses: BTreeMap::new(),
            errors: 0,
            first_trouble: None,
        }
    }
}

impl Sender {
    /// One caller: takes the next request, sends it, waits for its answer.
    async fn call_until_done(&self) {
        let mut stream = None;
        let (mut body, mut head, mut buffer) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((number, begun)) = self.take().await {
            let events = self.events_of(number);
            self.write(&mut head, &mut body, events.clone(), clock::ns(begun));
            let mut open = match stream.take() {
                Some(open) => open,
                None => match self.connect().await {
                    Ok(open) => open,
                    Err(error) => {
                        // Never sent, so nothing is in doubt.
                        self.trouble(format!("cannot connect: {error:#}"));
                        tokio::time::sleep(RECONNECT_PAUSE).await;
                        continue;
                    }
                },
            };
            for sequence in events.clone() {
                self.ledger.set(sequence, Fate::InDoubt);
            }
            match http::exchange(&mut open, &head, &mut buffer).await {
                Ok(answer) => {
                    let elapsed = begun.elapsed();
                    self.enter(&answer, events, elapsed);
                    if !answer.is_last {
                        stream = Some(open);
                    }
                }
                Err(error) => self.trouble(format!("no answer: {error:#}")),
            }
        }
    }

    /// The number of the next request, and the instant that its latency counts from.
    async fn take(&self) -> Option<(usize, Instant)> {
        if self.plan.rate.is_some() && self.next.get() < self.requests {
            self.due.acquire().await.ok()?.forget();
        }
        let number = self.next.get();
        if self.requests <= number {
            return None;
        }
        self.next.set(number + 1);
        let begun = self.plan.rate.map_or_else(Instant::now, |rate| {
            let due = (number * self.plan.batch) as f64 / rate;
            self.began + Duration::from_secs_f64(due)
        });
        if self.requests == number + 1 {
            // Nothing more will become due: lets the waiting callers end.
            self.due.close();
        }
        Some((number, begun))
    }

    fn events_of(&self, number: usize) -> std::ops::Range<usize> {
        let first = number * self.plan.batch;
        first..(first + self.plan.batch).min(self.plan.events)
    }

    async fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.plan.target).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The whole request in `out`; `body` is only scratch space.
    fn write(
        &self,
        out: &mut Vec<u8>,
        body: &mut Vec<u8>,
        events: std::ops::Range<usize>,
        emitted_ns: u64,
    ) {
        let plan = &self.plan;
        body.clear();
        if plan.batch == 1 {
            plan.writer.write(events.start, emitted_ns, body);
        } else {
            for sequence in events {
                body.push(if body.is_empty() { b'[' } else { b',' });
                plan.writer.write(sequence, emitted_ns, body);
            }
            body.push(b']');
        }
        out.clear();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             x-internal-api-key: {}\r\ncontent-length: {}\r\n\r\n",
            plan.target,
            plan.service_key,
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body);
    }

    fn enter(&self, answer: &Response<'_>, events: std::ops::Range<usize>, elapsed: Duration) {
        let count = events.len();
        let fates = fates(answer, count, self.plan.batch > 1, self.plan.answers_are_bare);
        if fates.iter().any(|fate| *fate != Fate::Accepted) {
            let body = String::from_utf8_lossy(answer.body);
            let excerpt: String = body.chars().take(EXCERPT_BYTES_MAX).collect();
            let mut tally = self.tally.borrow_mut();
            tally.first_trouble.get_or_insert_with(|| format!("HTTP {}: {excerpt}", answer.status));
        }
        for (sequence, fate) in events.zip(fates) {
            self.ledger.set(sequence, fate);
        }
        let mut tally = self.tally.borrow_mut();
        *tally.statuses.entry(answer.status).or_default() += 1;
        tally.latencies.record_ns(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    fn trouble(&self, what: String) {
        let mut tally = self.tally.borrow_mut();
        tally.errors += 1;
        tally.first_trouble.get_or_insert(what);
    }
}

/// What an answer means for each of `count` events.
fn fates(answer: &Response<'_>, count: usize, is_batch: bool, is_bare: bool) -> Vec<Fate> {
    match answer.status {
        202 if is_bare => vec![Fate::Accepted; count],
        202 if is_batch => match serde_json::from_slice::<Results>(answer.body) {
            Ok(Results { results }) if results.len() == count => results.iter().map(fate).collect(),
            _ => vec![Fate::InDoubt; count],
        },
        202 => match serde_json::from_slice::<Stored>(answer.body) {
            Ok(stored) => vec![fate(&stored); count],
            Err(_) => vec![Fate::InDoubt; count],
        },
        400..500 => vec![Fate::Refused; count],
        _ => vec![Fate::InDoubt; count],
    }
}

/// A key of ours taken for another's is a refusal: the event that was sent is not the one stored.
fn fate(stored: &Stored) -> Fate {
    if stored.id.is_some() && !stored.duplicate { Fate::Accepted } else { Fate::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn of(status: u16, body: &str, is_batch: bool) -> Vec<Fate> {
        let count = if is_batch { 2 } else { 1 };
        fates(&Response { status, body: body.as_bytes(), is_last: false }, count, is_batch, false)
    }

    #[test]
    fn only_a_202_with_an_id_is_an_acknowledgement() {
        let stored = format!(r#"{{"id":"{ID}","duplicate":false}}"#);
        let repeated = format!(r#"{{"id":"{ID}","duplicate":true}}"#);
        for (status, body, fate) in [
            (202, stored.as_str(), Fate::Accepted),
            (202, repeated.as_str(), Fate::Refused),
            (202, "{}", Fate::Refused),
            (202, "", Fate::InDoubt),
            (200, stored.as_str(), Fate::InDoubt),
            (422, "{}", Fate::Refused),
            (503, "{}", Fate::InDoubt),
        ] {
            assert_eq!(of(status, body, false), [fate], "{status} {body}");
        }
    }

    #[test]
    fn each_event_of_a_batch_has_its_own_answer() {
        let mixed = format!(
            r#"{{"results":[{{"id":"{ID}","duplicate":false}},{{"index":1,"error":"no","code":"x"}}]}}"#
        );
        assert_eq!(of(202, &mixed, true), [Fate::Accepted, Fate::Refused]);
        assert_eq!(of(202, r#"{"results":[]}"#, true), [Fate::InDoubt; 2]);
    }

    #[test]
    fn ticks_never_release_more_than_there_is_and_release_it_all() {
        let due = Semaphore::new(0);
        tick(Instant::now(), 50, 10_000.0, &due);
        assert_eq!(due.available_permits(), 50);
    }
}
