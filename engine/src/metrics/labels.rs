//! The closed sets that labels come from.

use std::sync::LazyLock;

use super::metric::{Label, Values};
use crate::provider;

/// What anything is called that is not in the set.
pub(super) const OTHER: &str = "other";

pub(super) const CLASS: &[&str] = &["live", "retry", "replay"];
/// Those of [`CLASS`] that bring an event for the first time.
pub(super) const FIRST: &[&str] = &["live", "retry"];
pub(super) const QUEUED: &[&str] = &["live", "retry", "replay", "parked"];
pub(super) const RECORDED: &[&str] =
    &["recorded", "duplicate", "conflict", "refused", "unavailable"];
pub(super) const SETTLEMENT: &[&str] =
    &["delivered", "retrying", "deferred", "parked", "dead", "skipped", "cancelled", "expired"];
pub(super) const DEAD: &[&str] = &[
    "retries_exhausted",
    "gone",
    "poison",
    "event_missing",
    "unsendable",
    "secret_unreadable",
    "wrong_destination",
    "rejected",
    "no_destination",
];
/// How the connection stood, and what providers found that there was nothing to do for.
pub(super) const SKIPPED: &[&str] = &[
    "connection_paused",
    "connection_suspended",
    "connection_error",
    "already_closed",
    "no_ticket",
    "not_for_tickets",
    "nothing_sent",
    "nothing_to_mark",
    "nowhere",
    "ticket_gone",
];
pub(super) const PARKED: &[&str] = &[
    "reauth_required",
    "suspended_at_provider",
    "disconnected_at_provider",
    "no_destination",
    "connection_suspended",
    "connection_error",
    "head_of_line",
];
pub(super) const DEFERRED: &[&str] = &[
    "paced",
    "held",
    "ticket_busy",
    "token_unavailable",
    "operator_fault",
    "own_fault",
    "secret_unreadable",
];
pub(super) const SPANS: &[&str] = &["sent", "refused", "dropped"];
pub(super) const CLAIM: &[&str] = &["taken", "empty"];
pub(super) const STATEMENT: &[&str] = &["claim", "prepare", "settle", "release", "health"];
pub(super) const REPLAYS: &[&str] = &["counting", "running", "paused"];
pub(super) const REPLAYED: &[&str] = &["replayed", "skipped"];
pub(super) const ANSWER: &[&str] = &[
    "success",
    "http_3xx",
    "http_4xx",
    "http_5xx",
    "http_other",
    "rate_limited",
    "blocked",
    "dns",
    "connect",
    "tls",
    "tls_expired",
    "tls_hostname",
    "tls_untrusted",
    "timeout",
    "reset",
    "protocol",
];
pub(super) const VERDICT: &[&str] = &[
    "delivered",
    "nothing_to_do",
    "retry",
    "hold",
    "unauthorized",
    "reauth",
    "suspended",
    "disconnected",
    "wrong_destination",
    "rejected",
    "gone",
    "operator_fault",
    "no_destination",
];
pub(super) const PHASE: &[&str] = &["queue", "pace", "connect", "send", "wait"];
pub(super) const REFRESH: &[&str] =
    &["refreshed", "minted", "superseded", "later", "lost", "operator_fault", "not_stored"];
pub(super) const HOLD: &[&str] = &["throttled", "asked", "budget", "operator_fault"];
pub(super) const DISABLED: &[&str] = &[crate::health::FAILING_TOO_LONG, "receiver_gone"];
pub(super) const POOL: &[&str] = &["api", "ingest", "work", "settling", "claiming", "listening"];
pub(super) const USE: &[&str] = &["used", "idle"];
pub(super) const DAILY: &[&str] = &["event_log_product", "attempts", "idempotency_keys"];
pub(super) const BUSY_TABLE: &[&str] = &["outbox", "replay_jobs", "connection_health"];
pub(super) const HOLDER: &[&str] = &["client", "other_database", "slot", "prepared", "standby"];
pub(super) const SURFACE: &[&str] =
    &["ingest", "admin", "callback", "lease", "live", "console", "health"];
pub(super) const STATUS: &[&str] = &["2xx", "3xx", "4xx", "429", "5xx"];

static PROVIDER_IDS: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| provider::PROVIDERS.iter().map(|provider| provider.id).collect());

pub(super) const fn words(name: &'static str, words: &'static [&'static str]) -> Label {
    Label { name, values: Values::Words(words) }
}

pub(super) const PROVIDER: Label = Label { name: "provider", values: Values::Provider };

pub(super) const fn code(name: &'static str) -> Label {
    Label { name, values: Values::Code }
}

/// The providers that there are.
pub(super) fn providers() -> &'static [&'static str] {
    &PROVIDER_IDS
}

/// Providers are a closed set; anything else would be a label of the customer's making.
pub(super) fn provider_label(provider: &str) -> &'static str {
    known(providers(), provider)
}

/// A word of the set, or `other`.
pub(super) fn known(set: &'static [&'static str], word: &str) -> &'static str {
    set.iter().copied().find(|known| *known == word).unwrap_or(OTHER)
}

impl Values {
    /// Whether a label of this kind may say so.
    #[must_use]
    pub fn allow(&self, value: &str) -> bool {
        match self {
            Self::Words(set) => value == OTHER || set.contains(&value),
            Self::Provider => value == OTHER || providers().contains(&value),
            Self::Code => {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                (1..=40).contains(&value.len()) && value.chars().all(plain)
            }
            Self::Version => value == env!("CARGO_PKG_VERSION"),
        }
    }
}
