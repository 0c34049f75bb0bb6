//! One measured round: what came of each lot, how long it took, what it cost, and whether it counts.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::book::Book;
use crate::budgets::Metric;
use crate::cpu::{Span, Usage};
use crate::generator::Sent;
use crate::latency::{Latencies, Summary, round};
use crate::ledger::Reconciliation;
use crate::timeline::Point;

const STRANGERS_SHARE_MAX: f64 = 0.10;
/// Of one core: past it the tool itself may be what limits the rate.
const OWN_THREAD_SHARE_MAX: f64 = 0.90;

/// What the sender knows of one lot once it is over.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) parts: Vec<&'static str>,
    pub(crate) ledger: Reconciliation,
    /// `None` for a lot that was never started.
    pub(crate) sent: Option<Sent>,
}

/// One measured round.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) ledger: Reconciliation,
    /// Requests whose two signatures were checked and right, and those turned away.
    pub(crate) verified: u64,
    pub(crate) rejected: u64,
    /// Requests that the receiver refused because the scenario says so.
    pub(crate) refused: u64,
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: u64,
    pub(crate) send_seconds: f64,
    /// From the first request, or from where the scenario begins to count, to the last arrival.
    pub(crate) delivered_seconds: f64,
    pub(crate) arrival: Option<Summary>,
    pub(crate) answer: Option<Summary>,
    pub(crate) usages: Vec<Usage>,
    pub(crate) generator_cpu_seconds: f64,
    pub(crate) receiver_cpu_seconds: f64,
    pub(crate) busy_share: f64,
    pub(crate) strangers_share: f64,
    pub(crate) parts: Vec<Part>,
    /// The latency of the part that the others are compared with, where the round has one.
    pub(crate) baseline: Option<Summary>,
    /// Deliveries of that part: they came before the counting began.
    pub(crate) uncounted: u64,
    pub(crate) timeline: Timeline,
    /// What the scenario wants to be true of every round.
    pub(crate) checks: Vec<Check>,
    /// What else there is to say.
    pub(crate) notes: Vec<String>,
    /// Why nothing may be concluded from this round's rates.
    pub(crate) invalid: Vec<String>,
    /// The first unwelcome thing that happened.
    pub(crate) first_trouble: Option<String>,
}

/// Events whose latency is told apart from the others'.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) arrival: Option<Summary>,
    /// Milliseconds by quantile.
    pub(crate) curve: Vec<(f64, f64)>,
    /// When its last event came, counted from the beginning of the round.
    pub(crate) last_seconds: f64,
    #[serde(skip)]
    latencies: Latencies,
}

/// The round by steps of a quarter of a second.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Timeline {
    /// When rates begin to count.
    pub(crate) counts_from_seconds: f64,
    pub(crate) lots: Vec<LotLine>,
    pub(crate) refused: Vec<u64>,
    pub(crate) in_flight: Vec<u32>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct LotLine {
    pub(crate) name: String,
    pub(crate) ledger: Reconciliation,
    /// Nothing where the lot was not sent, but prepared.
    pub(crate) accepted: Vec<u64>,
    pub(crate) points: Vec<Point>,
}

/// Something that has to be true of a round, in words and figures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Check {
    pub(crate) what: String,
    pub(crate) holds: bool,
}

impl Round {
    /// `outcomes` are in the order of the book's lots.
    pub(crate) fn new(
        outcomes: Vec<Outcome>,
        book: Book,
        span: Span,
        counts_from_ns: Option<u64>,
    ) -> Self {
        let origin_ns = book.began_ns;
        let since = |from_ns: u64, to_ns: u64| round(to_ns.saturating_sub(from_ns) as f64 / 1e9);
        let began = outcomes.iter().filter_map(|outcome| outcome.sent.as_ref()?.began_ns.into());
        let first_sent_ns = began.min().unwrap_or(origin_ns);
        let counts_from_ns = counts_from_ns.unwrap_or(first_sent_ns);
        let mut ledger = Reconciliation { unexpected: book.strays, ..Reconciliation::default() };
        ledger.arrived += book.strays;
        let mut answers = Latencies::new();
        let mut result = Self {
            ledger,
            verified: book.verified,
            rejected: book.rejected,
            refused: book.refused.iter().sum(),
            statuses: BTreeMap::new(),
            errors: 0,
            send_seconds: 0.0,
            delivered_seconds: since(counts_from_ns, book.last_ns),
            arrival: None,
            answer: None,
            usages: span.usages,
            generator_cpu_seconds: span.threads[1..].iter().fold(0.0, |sum, one| sum + one),
            receiver_cpu_seconds: span.threads[0],
            busy_share: round(span.busy_share),
            strangers_share: round(span.strangers_share),
            parts: Vec::new(),
            baseline: None,
            uncounted: 0,
            timeline: Timeline {
                counts_from_seconds: since(origin_ns, counts_from_ns),
                lots: Vec::new(),
                refused: book.refused,
                in_flight: book.in_flight,
            },
            checks: Vec::new(),
            notes: Vec::new(),
            invalid: Vec::new(),
            first_trouble: None,
        };
        for (outcome, lot) in outcomes.into_iter().zip(book.lots) {
            result.ledger.add(&outcome.ledger);
            // How old something is that was prepared says nothing.
            let timed = if outcome.sent.is_some() { outcome.parts } else { Vec::new() };
            for (name, (latencies, last_ns)) in timed.into_iter().zip(&lot.parts) {
                let name = name.to_owned();
                let (arrival, curve) = (latencies.summary(), latencies.curve());
                let last_seconds = since(origin_ns, *last_ns);
                let latencies = latencies.clone();
                result.parts.push(Part { name, arrival, curve, last_seconds, latencies });
            }
            let mut accepted = Vec::new();
            if let Some(sent) = outcome.sent {
                answers.add(&sent.latencies);
                result.errors += sent.errors;
                for (status, count) in sent.statuses {
                    *result.statuses.entry(status).or_default() += count;
                }
                let sent_until = since(first_sent_ns, sent.began_ns) + sent.elapsed.as_secs_f64();
                result.send_seconds = result.send_seconds.max(round(sent_until));
                result.first_trouble = result.first_trouble.take().or(sent.first_trouble);
                accepted = sent.accepted;
            }
            let name = outcome.name.to_owned();
            let (ledger, points) = (outcome.ledger, lot.points());
            result.timeline.lots.push(LotLine { name, ledger, accepted, points });
        }
        result.answer = answers.summary();
        result.first_trouble = result.first_trouble.take().or(book.first_rejection);
        let busiest = span.threads[1..].iter().copied().fold(0.0, f64::max);
        result.invalid = result.reasons(busiest);
        result.watch(|_| true);
        result
    }

    /// Lets the arrival latency be that of these parts only.
    pub(crate) fn watch(&mut self, is_watched: impl Fn(&str) -> bool) {
        let mut latencies = Latencies::new();
        for part in self.parts.iter().filter(|part| is_watched(&part.name)) {
            latencies.add(&part.latencies);
        }
        self.arrival = latencies.summary();
    }

    /// Takes one part for what the others are compared with. It counts for no rate, so it has to be over
    /// where the counting begins.
    pub(crate) fn compare_with(&mut self, name: &str) {
        let part = self.part(name).map(|part| (part.arrival, part.latencies.count()));
        (self.baseline, self.uncounted) = part.unwrap_or_default();
    }

    pub(crate) fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }

    /// Enters something that has to be true.
    pub(crate) fn check(&mut self, what: String, holds: bool) {
        self.checks.push(Check { what, holds });
    }

    pub(crate) fn note(&mut self, what: String) {
        self.notes.push(what);
    }

    /// What costs are divided by: deliveries, or accepted events where nothing is delivered.
    pub(crate) fn work(&self) -> u64 {
        if self.ledger.unique > 0 { self.delivered() } else { self.ledger.accepted }
    }

    /// Distinct deliveries that rates are of.
    fn delivered(&self) -> u64 {
        self.ledger.unique.saturating_sub(self.uncounted)
    }

    /// Events that were sent and accepted; what was prepared is none of them.
    fn accepted(&self) -> u64 {
        self.timeline.lots.iter().flat_map(|lot| &lot.accepted).sum()
    }

    /// `None` for what this round did not measure.
    pub(crate) fn metric(&self, metric: Metric) -> Option<f64> {
        let per_second = |count: u64, seconds: f64| {
            (count > 0 && seconds > 0.0).then(|| round(count as f64 / seconds))
        };
        let cpu_seconds: f64 = self.usages.iter().map(|usage| usage.cpu_seconds).sum();
        let work = self.work();
        let engine = self.usages.iter().filter(|usage| !usage.name.starts_with("postgres"));
        match metric {
            Metric::DeliveriesPerSecond => per_second(self.delivered(), self.delivered_seconds),
            Metric::AcceptedPerSecond => per_second(self.accepted(), self.send_seconds),
            Metric::ArrivalP50Ms => self.arrival.map(|arrival| arrival.p50_ms),
            Metric::ArrivalP99Ms => self.arrival.map(|arrival| arrival.p99_ms),
            Metric::AnswerP50Ms => self.answer.map(|answer| answer.p50_ms),
            Metric::AnswerP99Ms => self.answer.map(|answer| answer.p99_ms),
            Metric::CpuMsPer1000 => (work > 0 && !self.usages.is_empty())
                .then(|| round(cpu_seconds * 1e6 / work as f64)),
            Metric::EngineRssMib => engine.map(|usage| round(usage.rss_mib)).reduce(f64::max),
            Metric::EnginePeakMib => engine.map(|usage| round(usage.peak_mib)).reduce(f64::max),
            Metric::BaselineP99Ratio => self
                .arrival
                .zip(self.baseline)
                .map(|(ours, other)| round(ours.p99_ms / other.p99_ms)),
            // Known only once the other one was measured as well.
            Metric::FloorRatio | Metric::FloorP99Ratio | Metric::BaselineRatio => None,
        }
    }

    /// `busiest` are the processor seconds of the busiest generator.
    fn reasons(&self, busiest: f64) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.strangers_share > STRANGERS_SHARE_MAX {
            let share = self.strangers_share * 100.0;
            reasons.push(format!("strangers took {share:.0} % of the CPU"));
        }
        let seconds = self.delivered_seconds.max(self.send_seconds);
        for (name, cpu_seconds) in [("generator", busiest), ("receiver", self.receiver_cpu_seconds)]
        {
            if cpu_seconds > OWN_THREAD_SHARE_MAX * seconds {
                reasons.push(format!("our {name} used a whole core, and may have been the limit"));
            }
        }
        reasons
    }
}
