//! What happens to connections: holds, breakers, tokens, consents.

use std::sync::LazyLock;

use metrics::{Counter, counter};

use super::{
    handles::PerWord,
    labels::{self, PROVIDER, code, known, provider_label, providers, words},
    metric::Metric,
    reading::read,
};

pub(super) const METRICS: &[Metric] = &[
    Metric::counter(
        "relay_holds_total",
        "Times that a receiver or a provider was left alone for a while, by why.",
    )
    .by(&[words("reason", labels::HOLD)]),
    Metric::counter("relay_pace_waits_total", "Deliveries that waited for their turn.")
        .by(&[PROVIDER]),
    Metric::counter(
        "relay_breakers_opened_total",
        "Times that a connection was left alone because it failed again and again.",
    ),
    Metric::gauge(
        "relay_breakers_open",
        "Connections that are left alone because they failed so much.",
    ),
    Metric::gauge("relay_connections_held", "Connections whose receivers asked us to wait."),
    Metric::gauge(
        "relay_connections_failing",
        "Connections that took nothing since they last failed.",
    ),
    Metric::counter("relay_connections_disabled_total", "Connections that we switched off.")
        .by(&[words("reason", labels::DISABLED)]),
    Metric::counter("relay_token_refreshes_total", "Access tokens renewed or minted.")
        .by(&[PROVIDER, words("outcome", labels::REFRESH)]),
    Metric::counter(
        "relay_callbacks_refused_total",
        "Returns from a provider's consent page that were refused, by why.",
    )
    .by(&[PROVIDER, code("reason")]),
    Metric::counter(
        "relay_operator_faults_total",
        "Calls that failed because of our own registration or key, by what is wrong.",
    )
    .by(&[PROVIDER, code("what")]),
];

static PACE_WAITS: LazyLock<PerWord<Counter>> = LazyLock::new(|| {
    PerWord::new(providers(), |provider| counter!("relay_pace_waits_total", "provider" => provider))
});

pub(super) fn begin() {
    for reason in labels::HOLD {
        counter!("relay_holds_total", "reason" => *reason).increment(0);
    }
    for reason in labels::DISABLED {
        counter!("relay_connections_disabled_total", "reason" => *reason).increment(0);
    }
    counter!("relay_breakers_opened_total").increment(0);
}

/// A receiver, or all who share a budget, are left alone for a while.
pub fn held(reason: &'static str) {
    counter!("relay_holds_total", "reason" => known(labels::HOLD, reason)).increment(1);
}

/// A delivery waits for its turn at a provider.
pub fn pace_wait(provider: &str) {
    PACE_WAITS.of(provider).increment(1);
}

/// A breaker opened, or stays open after a probe.
pub fn breaker_opened() {
    counter!("relay_breakers_opened_total").increment(1);
}

/// Connections in trouble, of all processes.
pub fn troubled_connections(failing: usize, held: usize, breakers_open: usize) {
    read("relay_connections_failing", failing as f64);
    read("relay_connections_held", held as f64);
    read("relay_breakers_open", breakers_open as f64);
}

/// A connection was switched off.
pub fn connection_disabled(reason: &str) {
    let reason = known(labels::DISABLED, reason);
    counter!("relay_connections_disabled_total", "reason" => reason).increment(1);
}

/// A token was renewed or minted, or was not.
pub fn token_refreshed(provider: &str, outcome: &'static str) {
    counter!(
        "relay_token_refreshes_total",
        "provider" => provider_label(provider), "outcome" => known(labels::REFRESH, outcome)
    )
    .increment(1);
}

/// Somebody came back from a consent page and was not let in.
pub fn callback_refused(provider: &str, reason: &'static str) {
    counter!(
        "relay_callbacks_refused_total",
        "provider" => provider_label(provider), "reason" => reason
    )
    .increment(1);
}

/// Something of the operator's is wrong: a registration, a setting, a key.
pub fn operator_fault(provider: &str, what: &'static str) {
    counter!(
        "relay_operator_faults_total",
        "provider" => provider_label(provider), "what" => what
    )
    .increment(1);
}
