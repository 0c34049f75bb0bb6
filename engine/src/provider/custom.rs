//! Custom webhooks: the customer's own endpoint, signed with a secret that we generate.

use std::time::Duration;

use serde_json::Value;

use super::contract::{
    Call, Category, Connect, CredentialOf, Outgoing, Pace, Provider, Reply, SharedBy, Step, Verdict,
};
use crate::{
    delivery::request::{self, Unsendable, Webhook},
    http,
};

/// People are told.
pub(super) const NOTIFICATION: Provider =
    custom("custom_notification", "Custom notification", Category::Notification);
/// Tickets are made, by whatever the customer has at the other end.
pub(super) const TICKETING: Provider =
    custom("custom_ticketing", "Custom ticketing", Category::Ticketing);

const fn custom(id: &'static str, label: &'static str, category: Category) -> Provider {
    Provider {
        id,
        label,
        category,
        hosts: &[],
        connect: Connect::Webhook,
        credential: CredentialOf::Connection,
        destinations: None,
        pace: Pace::AS_FAST_AS_IT_ANSWERS,
        event_types: &["*"],
        advance,
        limits: "The event's data as it is, at most 256 KiB.",
    }
}

fn advance(out: &Outgoing<'_>, replies: &[Reply]) -> Step {
    match replies.last() {
        Some(reply) => Step::End(verdict(reply.status, reply.retry_after())),
        None => match call(out) {
            Ok(call) => Step::Call(call),
            Err(_) => Step::End(Verdict::Rejected("unsendable".into())),
        },
    }
}

fn call(out: &Outgoing<'_>) -> Result<Call, Unsendable> {
    let request = request::build(&Webhook {
        event: out.event,
        notification: out.notification,
        delivery_id: out.delivery_id,
        attempt: out.attempt,
        replay: out.replay,
        secrets: out.signing,
        webhook_url: out.account.metadata.get("webhook_url").and_then(Value::as_str),
        traceparent: None,
        now: out.now,
    })?;
    let mut call = Call::post(request.url).header("user-agent", http::USER_AGENT);
    call.headers.extend(request.headers);
    call.body = request.body;
    Ok(call)
}

/// What a receiver's status means: 2xx is success, 410 is for good, everything else comes back; with 429
/// and 503 it asks to be left alone as a whole.
pub(crate) fn verdict(status: u16, retry_after: Option<Duration>) -> Verdict {
    match status {
        200..=299 => Verdict::delivered(),
        410 => Verdict::Gone,
        429 | 503 => Verdict::Retry { after: retry_after, hold: Some(SharedBy::Destination) },
        _ => Verdict::Retry { after: retry_after, hold: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_is_success_and_only_410_is_for_good() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(verdict(status, None), Verdict::delivered());
        }
        assert_eq!(verdict(410, None), Verdict::Gone);
        // B6: a redirect is a failure like any other.
        for status in [301, 302, 307, 308, 400, 401, 404, 500, 502, 504] {
            let after = Some(Duration::from_secs(7));
            assert_eq!(verdict(status, after), Verdict::Retry { after, hold: None }, "{status}");
        }
    }

    #[test]
    fn f21_who_asks_for_peace_is_left_alone_as_a_whole() {
        for (status, after) in [(429, Some(Duration::from_secs(7))), (503, None)] {
            let hold = Some(SharedBy::Destination);
            assert_eq!(verdict(status, after), Verdict::Retry { after, hold }, "{status}");
        }
    }
}
