//! Events through `POST /v1/events` to a verifying receiver, counted until the last has arrived.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use uuid::Uuid;

use crate::budgets::{Metric, Shape};
use crate::cpu::{Sample, Span, Usage, Watched};
use crate::event::EventWriter;
use crate::generator::{self, Plan, Sent};
use crate::latency::{Summary, round};
use crate::ledger::{Ledger, Reconciliation};
use crate::progress::Progress;
use crate::receiver::{Book, Receiver};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// After the last arrival: settlements are written, and a late duplicate shows itself.
const TRAILING_WORK: Duration = Duration::from_millis(500);
/// Enough to open connections, prepare statements and fill caches.
const WARM_UP_EVENTS_MAX: usize = 2_000;
const STRANGERS_SHARE_MAX: f64 = 0.10;
/// Of one core: past it the tool itself may be what limits the rate.
const OWN_THREAD_SHARE_MAX: f64 = 0.90;

/// How much load, and for how long.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub(crate) struct Load {
    /// Callers that each wait for their answer before the next request.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,
    /// Events in each round.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
    pub(crate) events: u32,
    /// Events a second whatever the answers (open loop); latencies then count from the intended time.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Events in each request.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) batch: u16,
    /// Webhooks that each get every event; none measures only the recording of events.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) connections: u16,
    /// Gives each event an idempotency key of its own.
    #[arg(long)]
    pub(crate) idempotency: bool,
    /// The receiver checks both signatures of every n-th request of each of its connections.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) verify_every: u64,
    /// Rounds; medians are taken over the valid ones.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) rounds: u8,
    /// Seconds after which a round sends no more.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) timeout: u16,
    /// Seconds that deliveries may take after the last answer.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) drain_timeout: u16,
}

fn rate(text: &str) -> anyhow::Result<f64> {
    let rate: f64 = text.parse()?;
    ensure!((0.1..=1e6).contains(&rate), "a rate is between 0.1 and 1,000,000");
    Ok(rate)
}

impl Load {
    pub(crate) fn shape(&self) -> Shape {
        Shape {
            concurrency: self.concurrency.into(),
            connections: self.connections.into(),
            rate: self.rate,
            batch: self.batch.into(),
        }
    }

    fn warm_up(&self) -> Self {
        let events = (self.events as usize / 10).clamp(1, WARM_UP_EVENTS_MAX);
        Self { events: u32::try_from(events).unwrap_or(1), rate: None, ..self.clone() }
    }
}

/// Where the load goes and who is watched meanwhile.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    pub(crate) target: SocketAddr,
    pub(crate) service_key: &'a str,
    pub(crate) organization_id: Uuid,
    pub(crate) receiver: &'a Receiver,
    pub(crate) watched: &'a [Watched],
    /// The floor program: bare answers, no signatures to check, all on one path.
    pub(crate) is_floor: bool,
    pub(crate) progress: &'a Progress,
}

/// One measured round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) ledger: Reconciliation,
    /// Requests whose two signatures were checked and right, and those turned away.
    pub(crate) verified: u64,
    pub(crate) rejected: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: u64,
    pub(crate) send_seconds: f64,
    /// From the first request to the last arrival.
    pub(crate) delivered_seconds: f64,
    pub(crate) arrival: Option<Summary>,
    pub(crate) answer: Option<Summary>,
    pub(crate) usages: Vec<Usage>,
    pub(crate) generator_cpu_seconds: f64,
    pub(crate) receiver_cpu_seconds: f64,
    pub(crate) busy_share: f64,
    pub(crate) strangers_share: f64,
    /// Why nothing may be concluded from this round's rates.
    pub(crate) invalid: Vec<String>,
    /// The first unwelcome thing that happened.
    pub(crate) first_trouble: Option<String>,
}

/// A short warm-up, then the rounds.
pub(crate) async fn measure(stage: &Stage<'_>, load: &Load) -> anyhow::Result<Vec<Round>> {
    let warm = stage.round(&load.warm_up(), "warm-up").await?;
    ensure!(
        stage.is_floor || (warm.ledger.is_clean() && warm.rejected == 0),
        "already the warm-up went wrong: {:?}; first trouble: {}",
        warm.ledger,
        warm.first_trouble.as_deref().unwrap_or("none seen by this tool")
    );
    let mut rounds = Vec::new();
    for number in 1..=load.rounds {
        rounds.push(stage.round(load, &format!("round {number} of {}", load.rounds)).await?);
    }
    Ok(rounds)
}

impl Stage<'_> {
    async fn round(&self, load: &Load, title: &str) -> anyhow::Result<Round> {
        let (events, per_event) = (load.events as usize, usize::from(load.connections));
        let run = Uuid::new_v4().as_fields().0;
        // The floor has one path for all that it delivers.
        self.receiver.begin(run, if self.is_floor { 1 } else { per_event }, events);
        let ledger = Arc::new(Ledger::new(events));
        let deadline = Instant::now() + Duration::from_secs(load.timeout.into());
        let plan = Plan {
            target: self.target,
            service_key: self.service_key.to_owned(),
            writer: EventWriter {
                organization_id: self.organization_id,
                run,
                with_idempotency: load.idempotency,
            },
            events,
            batch: load.batch.into(),
            concurrency: load.concurrency.into(),
            rate: load.rate,
            deadline,
            answers_are_bare: self.is_floor,
        };
        let (go, gone) = tokio::sync::oneshot::channel();
        let mut running = generator::start(plan, Arc::clone(&ledger), gone)?;
        let threads = [running.thread_id, self.receiver.thread_id()];
        let before = Sample::take(&threads)?;
        let _ = go.send(());

        let bar = self.progress.bar(&format!("{title}: sent"), events);
        let sent = loop {
            tokio::select! {
                sent = &mut running.sent => break sent.context("the generator's thread died")??,
                () = tokio::time::sleep(LOOK_EVERY) => bar.set_position(ledger.accepted() as u64),
            }
        };
        bar.finish_and_clear();
        let drain_until = Instant::now() + Duration::from_secs(load.drain_timeout.into());
        let expected = ledger.accepted() * per_event;
        let bar = self.progress.bar(&format!("{title}: arrived"), expected);
        while self.receiver.unique() < expected
            && self.receiver.rejected() == 0
            && Instant::now() < drain_until
        {
            bar.set_position(self.receiver.unique() as u64);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        bar.finish_and_clear();
        tokio::time::sleep(TRAILING_WORK).await;
        let span = Sample::take(&threads)?.since(&before, self.watched);
        running.release();
        let book = self.receiver.finish();
        Ok(Round::new(&ledger.reconcile(&book.arrivals), sent, book, span))
    }
}

impl Round {
    fn new(ledger: &Reconciliation, sent: Sent, book: Book, span: Span) -> Self {
        let delivered_ns = book.last_ns.saturating_sub(sent.began_ns);
        let mut result = Self {
            ledger: ledger.clone(),
            verified: book.verified,
            rejected: book.rejected,
            statuses: sent.statuses,
            errors: sent.errors,
            send_seconds: round(sent.elapsed.as_secs_f64()),
            delivered_seconds: round(delivered_ns as f64 / 1e9),
            arrival: book.latencies.and_then(|latencies| latencies.summary()),
            answer: sent.latencies.summary(),
            usages: span.usages,
            generator_cpu_seconds: span.threads[0],
            receiver_cpu_seconds: span.threads[1],
            busy_share: round(span.busy_share),
            strangers_share: round(span.strangers_share),
            invalid: Vec::new(),
            first_trouble: sent.first_trouble.or(book.first_rejection),
        };
        result.invalid = result.reasons();
        result
    }

    /// What costs are divided by: deliveries, or accepted events where nothing is delivered.
    pub(crate) fn work(&self) -> u64 {
        if self.ledger.unique > 0 { self.ledger.unique } else { self.ledger.accepted }
    }

    /// `None` for what this round did not measure.
    pub(crate) fn metric(&self, metric: Metric) -> Option<f64> {
        let per_second = |count: u64, seconds: f64| {
            (count > 0 && seconds > 0.0).then(|| round(count as f64 / seconds))
        };
        let cpu_seconds: f64 = self.usages.iter().map(|usage| usage.cpu_seconds).sum();
        let work = self.work();
        match metric {
            Metric::DeliveriesPerSecond => per_second(self.ledger.unique, self.delivered_seconds),
            Metric::AcceptedPerSecond => per_second(self.ledger.accepted, self.send_seconds),
            Metric::ArrivalP50Ms => self.arrival.map(|arrival| arrival.p50_ms),
            Metric::ArrivalP99Ms => self.arrival.map(|arrival| arrival.p99_ms),
            Metric::AnswerP50Ms => self.answer.map(|answer| answer.p50_ms),
            Metric::AnswerP99Ms => self.answer.map(|answer| answer.p99_ms),
            Metric::CpuMsPer1000 => (work > 0 && !self.usages.is_empty())
                .then(|| round(cpu_seconds * 1e6 / work as f64)),
            Metric::EngineRssMib => {
                let engine = self.usages.iter().filter(|usage| !usage.name.starts_with("postgres"));
                engine.map(|usage| round(usage.rss_mib)).reduce(f64::max)
            }
            // Known only once the floor was measured as well.
            Metric::FloorRatio | Metric::FloorP99Ratio => None,
        }
    }

    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.strangers_share > STRANGERS_SHARE_MAX {
            let share = self.strangers_share * 100.0;
            reasons.push(format!("strangers took {share:.0} % of the CPU"));
        }
        let seconds = self.delivered_seconds.max(self.send_seconds);
        for (name, cpu_seconds) in
            [("generator", self.generator_cpu_seconds), ("receiver", self.receiver_cpu_seconds)]
        {
            if cpu_seconds > OWN_THREAD_SHARE_MAX * seconds {
                reasons.push(format!("our {name} used a whole core, and may have been the limit"));
            }
        }
        reasons
    }
}
