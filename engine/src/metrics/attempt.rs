//! One attempt: how late it began, where its time went, what the answer was.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{Counter, Histogram, counter, histogram};

use super::{
    handles::PerWord,
    labels::{self, PROVIDER, providers, words},
    metric::Metric,
};
use crate::delivery::Timing;

/// The phases of so many attempts are recorded in a second; of more they would tell nothing new.
const PHASES_A_SECOND: u64 = 100;

pub(super) const METRICS: &[Metric] = &[
    Metric::histogram(
        "relay_delivery_lag_seconds",
        "From the moment a delivery was due until this process had it.",
    )
    .by(&[words("class", labels::CLASS)]),
    Metric::histogram(
        "relay_delivery_seconds",
        "From the recording of an event until it was delivered; without replays and digests.",
    )
    .by(&[PROVIDER, words("class", labels::FIRST)]),
    Metric::histogram("relay_attempt_seconds", "Duration of one HTTP exchange.").by(&[PROVIDER]),
    Metric::histogram(
        "relay_attempt_phase_seconds",
        "Where the time of attempts went; of the first hundred of each second.",
    )
    .by(&[words("phase", labels::PHASE)]),
    Metric::counter("relay_attempts_total", "HTTP requests made, by class of answer.")
        .by(&[PROVIDER, words("class", labels::ANSWER)]),
    Metric::counter("relay_verdicts_total", "Attempts judged, by verdict.")
        .by(&[PROVIDER, words("verdict", labels::VERDICT)]),
];

type Histograms = LazyLock<PerWord<Histogram>>;
type PerProvider = LazyLock<PerWord<PerWord<Counter>>>;

static LAG: Histograms = LazyLock::new(|| {
    PerWord::new(labels::CLASS, |class| histogram!("relay_delivery_lag_seconds", "class" => class))
});
static DELIVERED: LazyLock<PerWord<PerWord<Histogram>>> = LazyLock::new(|| {
    PerWord::new(providers(), |provider| {
        PerWord::new(
            labels::FIRST,
            move |class| histogram!("relay_delivery_seconds", "provider" => provider, "class" => class),
        )
    })
});
static EXCHANGE: Histograms = LazyLock::new(|| {
    PerWord::new(
        providers(),
        |provider| histogram!("relay_attempt_seconds", "provider" => provider),
    )
});
static PHASES: Histograms = LazyLock::new(|| {
    PerWord::new(labels::PHASE, |phase| histogram!("relay_attempt_phase_seconds", "phase" => phase))
});
static ATTEMPTS: PerProvider = LazyLock::new(|| {
    PerWord::new(providers(), |provider| {
        PerWord::new(
            labels::ANSWER,
            move |class| counter!("relay_attempts_total", "provider" => provider, "class" => class),
        )
    })
});
static VERDICTS: PerProvider = LazyLock::new(|| {
    PerWord::new(providers(), |provider| {
        PerWord::new(
            labels::VERDICT,
            move |verdict| counter!("relay_verdicts_total", "provider" => provider, "verdict" => verdict),
        )
    })
});

/// How late a delivery was claimed.
pub fn delivery_lag(class: &'static str, lag: Duration) {
    LAG.of(class).record(lag.as_secs_f64());
}

/// How long it took until an event had arrived: at once, or after it had failed before.
pub fn delivered(provider: &str, class: &'static str, took: Duration) {
    DELIVERED.of(provider).of(class).record(took.as_secs_f64());
}

/// One HTTP request made for a delivery.
pub fn attempt(provider: &str, class: &'static str, took: Duration) {
    ATTEMPTS.of(provider).of(class).increment(1);
    EXCHANGE.of(provider).record(took.as_secs_f64());
}

/// What a provider's answers meant.
pub fn verdict(provider: &str, verdict: &'static str) {
    VERDICTS.of(provider).of(verdict).increment(1);
}

/// Where the time of an attempt went. A phase that an attempt did not have is not recorded for it.
pub fn phases(timing: &Timing) {
    static TAKEN: Allowance = Allowance(AtomicU64::new(0));
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    if !TAKEN.take(BEGAN.elapsed().as_secs()) {
        return;
    }
    let record = |phase, span: Duration| PHASES.of(phase).record(span.as_secs_f64());
    record("queue", timing.queue);
    if !timing.pace.is_zero() {
        record("pace", timing.pace);
    }
    if let Some(connect) = timing.wire.connect {
        record("connect", connect);
    }
    record("send", timing.wire.send);
    record("wait", timing.wire.wait);
}

/// How many were taken of a second's allowance, below the second that it is of.
struct Allowance(AtomicU64);

impl Allowance {
    fn take(&self, second: u64) -> bool {
        const SHIFT: u32 = 16;
        let now = self.0.load(Ordering::Relaxed);
        if now >> SHIFT != second {
            // Two that come at once may both begin the second: one more is recorded then.
            self.0.store((second << SHIFT) + 1, Ordering::Relaxed);
            return true;
        }
        if now & ((1 << SHIFT) - 1) >= PHASES_A_SECOND {
            return false;
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_an_allowance_of_its_own() {
        let allowance = Allowance(AtomicU64::new(0));
        for second in [0, 1, 7] {
            let taken = (0..1_000).filter(|_| allowance.take(second)).count();
            assert_eq!(taken, 100, "in second {second}");
        }
    }
}
