//! One round under way: lots of events are sent, looked for at the receiver, and reconciled.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use uuid::Uuid;

use crate::arrivals::Audience;
use crate::book::Expected;
use crate::clock;
use crate::cpu::{Sample, Watched};
use crate::event::EventWriter;
use crate::generator::{self, Plan, Running, Sent};
use crate::ledger::{Fate, Ledger};
use crate::load::Load;
use crate::progress::Progress;
use crate::receiver::Receiver;
use crate::round::{Outcome, Round};
use crate::schedule::Schedule;

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After the last arrival: settlements are written, and a late duplicate shows itself.
const TRAILING_WORK: Duration = Duration::from_millis(500);

/// Where the load goes.
#[derive(Debug, Clone)]
pub(crate) struct Stage<'a> {
    pub(crate) target: std::net::SocketAddr,
    pub(crate) service_key: String,
    pub(crate) receiver: &'a Receiver,
    /// The floor program: bare answers, no signatures to check, all on one path.
    pub(crate) is_floor: bool,
    pub(crate) progress: Progress,
}

/// Events that are sent together, and are told apart from the others of a round.
#[derive(Debug, Clone)]
pub(crate) struct Lot {
    pub(crate) name: &'static str,
    pub(crate) organizations: Arc<[Uuid]>,
    pub(crate) audience: Audience,
    pub(crate) events: usize,
    /// Names of its parts, and how many events there are before the end of each; none for one part.
    pub(crate) parts: Vec<(&'static str, usize)>,
    /// When events are due; as fast as answers come without it.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) concurrency: usize,
    pub(crate) batch: usize,
    pub(crate) idempotency: bool,
    /// The run that its events are marked with, where they are in Relay already and none is sent.
    pub(crate) prepared: Option<u32>,
}

impl Lot {
    /// All that the load says, from one organization to the first of the receiver's connections.
    pub(crate) fn of(load: &Load, organization_id: Uuid) -> Self {
        Self {
            name: "events",
            organizations: Arc::new([organization_id]),
            audience: Audience::All(load.connections.into()),
            events: load.events as usize,
            parts: Vec::new(),
            schedule: load.schedule(),
            concurrency: load.concurrency.into(),
            batch: load.batch.into(),
            idempotency: load.idempotency,
            prepared: None,
        }
    }

    /// What is prepared counts as accepted.
    fn ledger(&self) -> Ledger {
        let ledger = Ledger::new(self.events);
        for sequence in (0..self.events).filter(|_| self.prepared.is_some()) {
            ledger.set(sequence, Fate::Accepted);
        }
        ledger
    }

    /// The lot's name with its only part, or its parts.
    fn all_parts(&self) -> Vec<(&'static str, usize)> {
        if self.parts.is_empty() { vec![(self.name, self.events)] } else { self.parts.clone() }
    }
}

/// What tells the events of a lot from all others.
pub(crate) fn new_run() -> u32 {
    Uuid::new_v4().as_fields().0
}

/// One lot of a trial.
#[derive(Debug)]
struct Sending {
    lot: Lot,
    run: u32,
    ledger: Arc<Ledger>,
    running: Option<Running>,
    sent: Option<Sent>,
    is_called_off: bool,
}

/// A round from the first request to the last arrival.
#[derive(Debug)]
pub(crate) struct Trial<'a> {
    stage: Stage<'a>,
    title: String,
    lots: Vec<Sending>,
    before: Sample,
    origin_ns: u64,
    deadline: Instant,
    drain_timeout: Duration,
    counts_from: CountsFrom,
}

/// Where rates begin to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CountsFrom {
    FirstRequest,
    FirstArrival,
    Ns(u64),
}

impl<'a> Trial<'a> {
    /// Opens the receiver's book for these lots; nothing is sent yet.
    pub(crate) fn open(
        stage: Stage<'a>,
        title: &str,
        lots: Vec<Lot>,
        load: &Load,
    ) -> anyhow::Result<Self> {
        let sending = lots.into_iter().map(|lot| Sending {
            run: lot.prepared.unwrap_or_else(new_run),
            ledger: Arc::new(lot.ledger()),
            running: None,
            sent: None,
            is_called_off: false,
            lot,
        });
        let lots: Vec<Sending> = sending.collect();
        let expected = lots.iter().map(|sending| Expected {
            run: sending.run,
            // The floor has one path for all that it delivers.
            audience: if stage.is_floor { Audience::All(1) } else { sending.lot.audience },
            events: sending.lot.events,
            part_ends: sending.lot.all_parts().iter().map(|(_, end)| *end).collect(),
        });
        stage.receiver.begin(expected.collect());
        let before = Sample::take(&[stage.receiver.thread_id()])?;
        Ok(Self {
            stage,
            title: title.to_owned(),
            lots,
            before,
            origin_ns: clock::now_ns(),
            deadline: Instant::now() + Duration::from_secs(load.timeout.into()),
            drain_timeout: Duration::from_secs(load.drain_timeout.into()),
            counts_from: CountsFrom::FirstRequest,
        })
    }

    /// Sends a lot to its end.
    pub(crate) async fn send(&mut self, at: usize) -> anyhow::Result<()> {
        self.start(at)?;
        self.sent(at).await
    }

    /// Begins to send a lot, beside what else is under way.
    pub(crate) fn start(&mut self, at: usize) -> anyhow::Result<()> {
        let Sending { lot, run, ledger, .. } = &self.lots[at];
        let plan = Plan {
            target: self.stage.target,
            service_key: self.stage.service_key.clone(),
            writer: EventWriter {
                organizations: Arc::clone(&lot.organizations),
                run: *run,
                with_idempotency: lot.idempotency,
            },
            events: lot.events,
            batch: lot.batch,
            concurrency: lot.concurrency,
            schedule: lot.schedule.clone(),
            origin_ns: self.origin_ns,
            deadline: self.deadline,
            answers_are_bare: self.stage.is_floor,
        };
        let (go, gone) = tokio::sync::oneshot::channel();
        let running = generator::start(plan, Arc::clone(ledger), gone)?;
        let _ = go.send(());
        self.lots[at].running = Some(running);
        Ok(())
    }

    /// Lets no more events of a lot become due. What was not sent is missed by nobody.
    pub(crate) fn call_off(&mut self, at: usize) {
        self.lots[at].is_called_off = true;
        if let Some(running) = &self.lots[at].running {
            running.call_off();
        }
    }

    /// Waits until the last answer to a lot that was started.
    pub(crate) async fn sent(&mut self, at: usize) -> anyhow::Result<()> {
        let Sending { lot, ledger, running, sent, .. } = &mut self.lots[at];
        let running = running.as_mut().context("the lot was started before")?;
        let title = format!("{}: {} sent", self.title, lot.name);
        let bar = self.stage.progress.bar(&title, lot.events);
        *sent = Some(loop {
            tokio::select! {
                sent = &mut running.sent => break sent.context("the generator's thread died")??,
                () = tokio::time::sleep(LOOK_EVERY) => bar.set_position(ledger.accepted() as u64),
            }
        });
        bar.finish_and_clear();
        Ok(())
    }

    /// Waits until what was accepted of a lot has arrived, or the patience for it has run out.
    pub(crate) async fn arrived(&self, at: usize) {
        let receiver = self.stage.receiver;
        let drain_until = Instant::now() + self.drain_timeout;
        let expected = self.expected(at);
        let title = format!("{}: {} arrived", self.title, self.lots[at].lot.name);
        let bar = self.stage.progress.bar(&title, expected);
        loop {
            let unique = receiver.unique_of(at);
            bar.set_position(unique as u64);
            // What was turned away for its signature is not waited for: it would only be tried again.
            let settled = unique + usize::try_from(receiver.rejected()).unwrap_or(usize::MAX);
            if expected <= settled || drain_until <= Instant::now() {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bar.finish_and_clear();
    }

    /// Whether all that was accepted of a lot has arrived.
    pub(crate) fn has_arrived(&self, at: usize) -> bool {
        self.expected(at) <= self.stage.receiver.unique_of(at)
    }

    /// From here on rates and processor time count: what was before only prepared it.
    pub(crate) fn counts_from_here(&mut self) -> anyhow::Result<()> {
        self.before = Sample::take(&[self.stage.receiver.thread_id()])?;
        self.counts_from = CountsFrom::Ns(clock::now_ns());
        Ok(())
    }

    /// From here on processor time counts, and rates from the first arrival.
    pub(crate) fn counts_from_first_arrival(&mut self) -> anyhow::Result<()> {
        self.counts_from_here()?;
        self.counts_from = CountsFrom::FirstArrival;
        Ok(())
    }

    /// Closes the book and compares it with what was sent.
    pub(crate) async fn finish(self, watched: &[Watched]) -> anyhow::Result<Round> {
        tokio::time::sleep(TRAILING_WORK).await;
        let running = || self.lots.iter().filter_map(|sending| sending.running.as_ref());
        let mut threads = vec![self.stage.receiver.thread_id()];
        // Sent before the counting began, so its processor time belongs to the preparation.
        if self.counts_from == CountsFrom::FirstRequest {
            threads.extend(running().map(|running| running.thread_id));
        }
        let span = Sample::take(&threads)?.since(&self.before, watched);
        running().for_each(Running::release);
        let book = self.stage.receiver.finish();
        ensure!(book.lots.len() == self.lots.len(), "the receiver's book was closed twice");
        let mut outcomes = Vec::new();
        for (sending, lot_book) in self.lots.into_iter().zip(&book.lots) {
            let reconciled = sending.ledger.reconcile(&lot_book.arrivals);
            let ledger =
                if sending.is_called_off { reconciled.without_unsent() } else { reconciled };
            outcomes.push(Outcome {
                name: sending.lot.name,
                parts: sending.lot.all_parts().into_iter().map(|(name, _)| name).collect(),
                ledger,
                sent: sending.sent,
            });
        }
        let counts_from_ns = match self.counts_from {
            CountsFrom::FirstRequest => None,
            CountsFrom::FirstArrival => book.first_ns,
            CountsFrom::Ns(ns) => Some(ns),
        };
        Ok(Round::new(outcomes, book, span, counts_from_ns))
    }

    fn expected(&self, at: usize) -> usize {
        let Sending { lot, ledger, .. } = &self.lots[at];
        ledger.accepted() * lot.audience.per_event()
    }
}
