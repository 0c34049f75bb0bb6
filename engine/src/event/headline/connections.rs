//! Says in words how a connection is doing: what broke, since when, and what to do about it.

use crate::{clock::Timestamp, event::facts::Facts, provider};

/// The title and the sentence of a kind that tells how a connection is doing.
pub(super) fn said(kind: &str, facts: &Facts<'_>) -> Option<(&'static str, String)> {
    let name = facts.account().unwrap_or("A connection");
    let service = facts.get(&["provider"]).map(label);
    let at = service.map_or_else(|| name.to_owned(), |label| format!("{name} ({label})"));
    let service = service.unwrap_or("The provider");
    let reason = facts.get(&["reason"]).unwrap_or("unknown");
    let since = facts.get(&["failing_since"]).map(moment);
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    Some(match kind {
        "connection.failing" => {
            let percent = facts.get(&["percent"]).unwrap_or("half");
            let passed = format!(
                "{percent} % of the time after which Deptex switches it off has passed. Set the \
                 receiving side right."
            );
            ("Connection is failing", format!("{at} has taken no event{since}. {passed}"))
        }
        "connection.deliveries_exhausted" => (
            "Deliveries are being given up",
            format!(
                "{at} has taken no event{since}, and a delivery to it ran out of retries. Set the \
                 receiving side right; what was given up can be replayed."
            ),
        ),
        "connection.recovered" => ("Connection works again", format!("{at} takes events again.")),
        "connection.disabled" => {
            let why = match reason {
                "receiver_gone" => "its receiver answered that it is gone for good".to_owned(),
                "failing_too_long" => format!("it has taken no event{since}"),
                other => other.to_owned(),
            };
            let then =
                "Set the receiving side right and resume it; what it misses can be replayed.";
            ("Connection was switched off", format!("Deptex switched {at} off: {why}. {then}"))
        }
        "connection.errored" => (
            "Connection is broken",
            format!("{service} no longer lets Deptex in for {name} ({reason}). Connect it again."),
        ),
        "connection.suspended" => (
            "Connection is suspended",
            format!("{name} is switched off at {service} ({reason}). Once it is on, resume it."),
        ),
        "connection.destination_failing" => (
            "Destination takes no events",
            format!(
                "What was chosen for {at} does not take events ({reason}). Put it right, or choose \
                 another destination."
            ),
        ),
        _ => return None,
    })
}

fn label(provider: &str) -> &str {
    provider::find(provider).map_or(provider, |known| known.label)
}

/// A moment as people read it; what is no moment stays as it is.
fn moment(text: &str) -> String {
    text.parse::<Timestamp>()
        .map_or_else(|_| text.to_owned(), |at| at.format("%Y-%m-%d %H:%M UTC").to_string())
}
