//! The sender: events over keep-alive connections, as fast as answers come or on a schedule.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::LocalSet;

use crate::answer::fates;
use crate::clock;
use crate::cpu;
use crate::event::EventWriter;
use crate::http::{self, Response};
use crate::latency::Latencies;
use crate::ledger::{Fate, Ledger};
use crate::schedule::Schedule;
use crate::timeline;

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
    /// When events are due, whatever the answers; as fast as answers come without it.
    pub(crate) schedule: Option<Schedule>,
    /// Where the steps that accepted events are counted in begin.
    pub(crate) origin_ns: u64,
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
    /// Until the 202; from the intended time on a schedule.
    pub(crate) latencies: Latencies,
    /// Events by the step that their 202 came in.
    pub(crate) accepted: Vec<u64>,
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
    due: Arc<Semaphore>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Lets nothing more become due: what is under way is waited for.
    pub(crate) fn call_off(&self) {
        self.due.close();
    }

    /// Lets the thread go, which stays for its CPU counters to be read at the end of a round.
    pub(crate) fn release(&self) {
        self.thread.thread().unpark();
    }
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
    let due = Arc::new(Semaphore::new(0));
    let of_thread = Arc::clone(&due);
    let thread = std::thread::Builder::new().name("generator".into()).spawn(move || {
        let _ = tell.send(cpu::this_thread());
        let outcome = LocalSet::new().block_on(&runtime, async {
            go.await.context("the load was called off")?;
            Ok(send(plan, ledger, of_thread).await)
        });
        let _ = tell_sent.send(outcome);
        std::thread::park_timeout(Duration::from_secs(3_600));
    })?;
    let thread_id = told.recv().context("the generator's thread did not start")??;
    Ok(Running { thread_id, sent, due, thread })
}

async fn send(plan: Plan, ledger: Arc<Ledger>, due: Arc<Semaphore>) -> Sent {
    let began = Instant::now();
    let requests = plan.events.div_ceil(plan.batch);
    if let Some(schedule) = plan.schedule.clone() {
        let (due, batch) = (Arc::clone(&due), plan.batch);
        std::thread::spawn(move || tick(began, requests, &schedule, batch, &due));
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
        accepted: tally.accepted,
        statuses: tally.statuses,
        errors: tally.errors,
        first_trouble: tally.first_trouble,
    }
}

/// Makes requests due as the schedule says. The runtime's timer has steps of a millisecond, too coarse
/// for latencies of one; a thread's sleep is exact to some ten microseconds.
fn tick(began: Instant, requests: usize, schedule: &Schedule, batch: usize, due: &Semaphore) {
    let mut released = 0;
    while released < requests && !due.is_closed() {
        let by_now = schedule.due_by(began.elapsed()).div_ceil(batch);
        let ready = by_now.min(requests).saturating_sub(released);
        if ready > 0 {
            due.add_permits(ready);
            released += ready;
        }
        let next = began + schedule.due(released * batch);
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
    accepted: Vec<u64>,
    statuses: BTreeMap<u16, u64>,
    errors: u64,
    first_trouble: Option<String>,
}

impl Tally {
    fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            accepted: Vec::new(),
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
        if self.plan.schedule.is_some() && self.next.get() < self.requests {
            self.due.acquire().await.ok()?.forget();
        }
        let number = self.next.get();
        if self.requests <= number {
            return None;
        }
        self.next.set(number + 1);
        let begun = self.plan.schedule.as_ref().map_or_else(Instant::now, |schedule| {
            self.began + schedule.due(number * self.plan.batch)
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
        let accepted = fates.iter().filter(|fate| **fate == Fate::Accepted).count();
        for (sequence, fate) in events.zip(fates) {
            self.ledger.set(sequence, fate);
        }
        let step = timeline::step(self.plan.origin_ns, clock::now_ns());
        let mut tally = self.tally.borrow_mut();
        *timeline::slot(&mut tally.accepted, step) += accepted as u64;
        *tally.statuses.entry(answer.status).or_default() += 1;
        tally.latencies.record_ns(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    fn trouble(&self, what: String) {
        let mut tally = self.tally.borrow_mut();
        tally.errors += 1;
        tally.first_trouble.get_or_insert(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_never_release_more_than_there_is_and_release_it_all() {
        let due = Semaphore::new(0);
        tick(Instant::now(), 50, &Schedule::steady(10_000.0), 1, &due);
        assert_eq!(due.available_permits(), 50);
    }

    #[test]
    fn a_batch_is_due_with_its_first_event() {
        let due = Semaphore::new(0);
        let schedule = Schedule::steady(100_000.0);
        let began = Instant::now();
        tick(began, 5, &schedule, 100, &due);
        assert!(began.elapsed() >= schedule.due(400));
        assert_eq!(due.available_permits(), 5);
    }
}
