//! What Asana's answers mean.

use std::time::Duration;

use crate::provider::{Reply, SharedBy, Verdict, fold::NOT_FOUND};

/// What an answer means.
///
/// <https://developers.asana.com/docs/errors>
pub(super) fn verdict(reply: &Reply) -> Verdict {
    match reply.status {
        400 if names_unknown_id(reply) => Verdict::WrongDestination(NOT_FOUND.into()),
        402 => Verdict::WrongDestination("payment_required".into()),
        403 if messages(reply).contains("scope") => Verdict::Reauth("missing_scope".into()),
        // A token has one budget, whatever it is used for.
        429 => {
            let after = reply.retry_after().unwrap_or(Duration::from_secs(60));
            Verdict::hold(after, SharedBy::Installation)
        }
        _ => Verdict::from_status(reply),
    }
}

fn names_unknown_id(reply: &Reply) -> bool {
    let messages = messages(reply);
    ["unknown object", "not a recognized id", "does not exist", "not a valid gid"]
        .iter()
        .any(|said| messages.contains(said))
}

fn messages(reply: &Reply) -> String {
    let body = reply.json();
    let errors = body["errors"].as_array().into_iter().flatten();
    let texts = errors.filter_map(|error| error["message"].as_str());
    texts.collect::<Vec<_>>().join("\n").to_lowercase()
}
