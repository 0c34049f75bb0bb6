//! One attempt: prepared from what was claimed, sent, judged. No transaction while HTTP is under way.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tracing::Instrument as _;

use super::{
    digest::{self, Digest},
    exchange::{Exchange, kept_code, kept_text},
    fold,
    lane::in_lane,
    latency,
    patience::within_retention,
    receivers::{Readable, Receiver},
    state::{
        Consequence, DeliveryReason, OPERATOR_WAIT, Settlement, consequence, settle,
        settled_unsent, verdict_code, verdict_name,
    },
    tickets::{Taken, TicketKey},
    traced::Traced,
    webhook,
};
use crate::{
    clock,
    engine::Engine,
    event::RecordedEvent,
    ids::DeliveryId,
    metrics,
    outbox::Claimed,
    provider::{Delivered, Verdict},
    schedule,
    trace::Traceparent,
};

/// How long a provider is left alone that asks for peace and does not say for how long.
const PROVIDER_PAUSE: Duration = Duration::from_secs(30);

/// A claimed delivery with all that it takes to send it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was claimed.
    pub claimed: Claimed,
    /// To whom.
    pub receiver: Arc<Receiver>,
    /// Settings that its connection had once, where it is sent with those.
    pub original: Option<Arc<Value>>,
    /// What; `None` where the log no longer has it.
    pub event: Option<Arc<RecordedEvent>>,
    /// The ticket that it belongs to, where there are tickets.
    pub ticket_key: Option<TicketKey>,
    /// When it was claimed, by this process's monotonic clock.
    pub since: Instant,
}

/// What became of a claimed delivery: all that its settlement writes.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What was claimed, with the fence.
    pub claimed: Claimed,
    /// What follows.
    pub settlement: Settlement,
    /// Whether it goes on outside its lane, for others to go first.
    pub leaves_lane: bool,
    /// The requests that were made, if any were.
    pub exchange: Option<Exchange>,
    /// What the last answer meant, in a word.
    pub verdict: Option<&'static str>,
    /// What is kept of them for people who look, as stored.
    pub details: Option<String>,
    /// The provider's own code for what went wrong.
    pub code: Option<String>,
    /// What the provider made of it.
    pub external_id: Option<String>,
    /// Where people can look at that.
    pub external_url: Option<String>,
    /// The ticket that was taken for it.
    pub ticket: Option<Taken>,
    /// What it means for the connection.
    pub consequence: Option<Consequence>,
    /// Those behind it that its message spoke for.
    pub others: Vec<DeliveryId>,
    /// The version of the connection that was used.
    pub connection_version: i64,
    /// What it says about the receiver.
    pub outcome: schedule::Outcome,
}

/// How an attempt went, before it is said what follows.
pub(super) struct Attempted {
    pub(super) outcome: Outcome,
    pub(super) exchange: Option<Exchange>,
    pub(super) ticket: Option<Taken>,
}

pub(super) enum Outcome {
    /// The answers were judged.
    Judged(Verdict),
    /// It goes on later, and nobody is charged for that.
    Waits(Duration, DeliveryReason),
    /// There is no token until an admin connects again, in the provider's code; the connection has
    /// been told.
    LockedOut(String),
    /// It cannot be turned into a request.
    Unsendable,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, exchange: None, ticket: None }
    }
}

/// Makes one attempt, or settles without one where the connection or the history forbids it.
/// Always ends: within the deadlines of [`crate::http`], or a few of those where a provider needs
/// several calls.
pub async fn attempt(engine: &Engine, prepared: Prepared) -> Settled {
    let receiver = prepared.receiver.clone();
    let traced = Traced::begin(&prepared);
    let log = traced.of_log(&prepared);
    let settled = tried(engine, prepared, traced.sent.as_ref()).instrument(log.clone()).await;
    if settled.settlement == Settlement::Delivered {
        latency::count(&settled.claimed, &receiver);
    }
    let (event_id, retention) = (settled.claimed.event_id, engine.config.retention);
    let settlement = within_retention(settled.settlement, event_id, clock::now(), retention);
    let settled = Settled { settlement, ..settled };
    log.in_scope(|| traced.end(&settled));
    settled
}

async fn tried(engine: &Engine, prepared: Prepared, traceparent: Option<&Traceparent>) -> Settled {
    let Prepared { claimed, receiver, original, event, ticket_key, since } = prepared;
    let queued = claimed.late + since.elapsed();
    let receiver = engine.receivers.newest(receiver);
    let silent_because = receiver.connection.silent_because();
    if let Some(settlement) = settled_unsent(&claimed, silent_because, receiver.is_webhook()) {
        return unsent(claimed, &receiver, settlement);
    }
    let Some(event) = event else {
        return unsent(claimed, &receiver, Settlement::Dead(DeliveryReason::EventMissing));
    };
    let is_original = original.is_some();
    let receiver = original.map_or_else(|| receiver.clone(), |o| receiver.with_settings(&o).into());
    match receiver.readable() {
        Readable::Yes => {}
        Readable::NotHere => {
            metrics::operator_fault(&receiver.connection.provider, "unknown_encryption_key");
            let reason = DeliveryReason::SecretUnreadable;
            return unsent(claimed, &receiver, Settlement::Deferred(OPERATOR_WAIT, reason));
        }
        Readable::Never => {
            return unsent(claimed, &receiver, Settlement::Dead(DeliveryReason::SecretUnreadable));
        }
    }
    let Some(provider) = receiver.provider else {
        // Most likely we are older than those who connected it.
        let (name, reason) = (&receiver.connection.provider, DeliveryReason::OperatorFault);
        metrics::operator_fault(name, "unknown_provider");
        tracing::warn!(delivery.id = %claimed.delivery_id, provider = name, "a delivery to an unknown provider waits");
        return unsent(claimed, &receiver, Settlement::Deferred(OPERATOR_WAIT, reason));
    };
    crate::fault::point(&event.kind);
    metrics::delivery_lag(claimed.class.as_str(), claimed.late);
    let (event, others) = match digest::collect(engine, &claimed, &receiver, &event).await {
        Ok(Some(Digest { others, event })) => (Arc::new(event), others),
        Ok(None) => (event, Vec::new()),
        Err(error) => {
            tracing::warn!(delivery.id = %claimed.delivery_id, error = %error, "a digest was not collected");
            let settlement = Settlement::Deferred(fold::OWN_WAIT, DeliveryReason::OwnFault);
            return unsent(claimed, &receiver, settlement);
        }
    };
    let attempted = if receiver.is_webhook() {
        webhook::send(engine, &claimed, &receiver, &event, traceparent).await
    } else if receiver.keeps_tickets() && event.is_about_connection() {
        Outcome::Judged(Verdict::NothingToDo("not_for_tickets")).into()
    } else {
        // Boxed: it is large, and most attempts are the other kind.
        Box::pin(fold::send(engine, provider, &claimed, &receiver, &event, ticket_key)).await
    };
    let mut settled = conclude(claimed, &receiver, attempted, engine.config.breaker_open);
    // What is put off uncharged may be so a thousand times.
    let is_put_off = matches!(settled.settlement, Settlement::Deferred(..));
    let details = settled.exchange.as_mut().and_then(|exchange| {
        exchange.timing.queue = queued;
        metrics::phases(&exchange.timing);
        exchange.take_details(!is_put_off)
    });
    let settled = if is_original { about_the_past(settled) } else { settled };
    let others = digest::ends_with(&settled, others, receiver.schedule.span(), clock::now());
    Settled { others, details, ..settled }
}

/// How an address of once answers says nothing of where the connection's events go now; and where
/// nobody had chosen one then, nobody will.
fn about_the_past(settled: Settled) -> Settled {
    let is_of_account =
        |told: &Consequence| matches!(told, Consequence::Errored(_) | Consequence::Suspended(_));
    let settlement = match settled.settlement {
        Settlement::Parked(reason @ DeliveryReason::NoDestination) => Settlement::Dead(reason),
        other => other,
    };
    let consequence = settled.consequence.filter(is_of_account);
    Settled { settlement, consequence, outcome: schedule::Outcome::Nothing, ..settled }
}

fn unsent(claimed: Claimed, receiver: &Receiver, settlement: Settlement) -> Settled {
    Settled {
        claimed,
        settlement,
        leaves_lane: false,
        exchange: None,
        verdict: None,
        details: None,
        code: None,
        external_id: None,
        external_url: None,
        ticket: None,
        consequence: None,
        others: Vec::new(),
        connection_version: receiver.connection.version,
        outcome: schedule::Outcome::Nothing,
    }
}

/// Says what follows from how an attempt went. `pause` is how long a customer's endpoint is left alone
/// that asks for peace and does not say for how long.
fn conclude(
    claimed: Claimed,
    receiver: &Receiver,
    attempted: Attempted,
    pause: Duration,
) -> Settled {
    let Attempted { outcome, exchange, mut ticket } = attempted;
    let was_sent = exchange.is_some();
    let verdict = match outcome {
        // Nothing arrives that was not sent: a provider's slip of ours, never to be taken for success.
        Outcome::Judged(Verdict::Delivered(_)) if !was_sent => Verdict::NothingToDo("nothing_sent"),
        Outcome::Judged(verdict) => verdict,
        Outcome::Waits(wait, reason) => {
            let settlement = Settlement::Deferred(wait, reason);
            return Settled { exchange, ticket, ..unsent(claimed, receiver, settlement) };
        }
        Outcome::LockedOut(code) => {
            let settlement = Settlement::Parked(DeliveryReason::ReauthRequired);
            let code = Some(kept_code(&code));
            return Settled { exchange, code, ticket, ..unsent(claimed, receiver, settlement) };
        }
        Outcome::Unsendable => {
            let settlement = Settlement::Dead(DeliveryReason::Unsendable);
            return Settled { exchange, ticket, ..unsent(claimed, receiver, settlement) };
        }
    };
    let provider = receiver.provider_id();
    metrics::verdict(provider, verdict_name(&verdict));
    if let Verdict::OperatorFault(code) = &verdict {
        metrics::operator_fault(provider, code);
        tracing::error!(
            provider,
            code,
            "deliveries wait for the operator: a registration or setting is wrong"
        );
    }
    let (external_id, external_url) = made(&verdict, ticket.as_ref());
    if let Some(ticket) = &mut ticket {
        ticket.learn(&verdict);
    }
    let pause = if receiver.is_webhook() { pause } else { PROVIDER_PAUSE };
    let settlement = settle(&verdict, claimed.step, &receiver.schedule, rand::random());
    let (settlement, leaves_lane) = match receiver.connection.ordering {
        Some(ordering) if claimed.is_in_lane() => {
            in_lane(settlement, claimed.next_attempt(), ordering)
        }
        _ => (settlement, false),
    };
    Settled {
        leaves_lane,
        exchange,
        verdict: Some(verdict_name(&verdict)),
        code: verdict_code(&verdict).map(|code| kept_code(&code)),
        external_id,
        external_url,
        ticket,
        consequence: consequence(&verdict),
        outcome: match was_sent {
            true => schedule::Outcome::of(&verdict, pause),
            false => schedule::Outcome::Nothing,
        },
        ..unsent(claimed, receiver, settlement)
    }
}

/// The id and the page of what the provider made, or of the ticket that it added to.
fn made(verdict: &Verdict, taken: Option<&Taken>) -> (Option<String>, Option<String>) {
    let Verdict::Delivered(Delivered { external_id, url, ticket }) = verdict else {
        return (None, None);
    };
    let ticket = ticket.as_ref().or(taken.and_then(|taken| taken.known.as_ref()));
    let its_id = || ticket.map(|t| t.external_key.as_ref().unwrap_or(&t.external_id).clone());
    let kept = |text: String| kept_text(&text);
    (
        external_id.clone().or_else(its_id).map(kept),
        url.clone().or_else(|| ticket?.url.clone()).map(kept),
    )
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use uuid::Uuid;

    use super::{super::masks::Masks, *};
    use crate::{outbox::Class, provider::Ticket};

    fn concluded(outcome: Outcome, was_sent: bool) -> Settled {
        let id = Uuid::from_u128(1);
        let claimed = Claimed {
            organization_id: id.into(),
            delivery_id: id.into(),
            connection_id: id.into(),
            event_id: id.into(),
            shard: 0,
            class: Class::Live,
            lease: 1,
            attempt: 0,
            step: 0,
            crashes: 0,
            connection_version: 1,
            late: Duration::ZERO,
        };
        let answered = || {
            let masks = Masks::default();
            Exchange::answered(Instant::now(), 200, &HeaderMap::new(), b"{}", &masks)
        };
        let exchange = was_sent.then(answered);
        let attempted = Attempted { outcome, exchange, ticket: None };
        conclude(claimed, &Receiver::for_tests(1), attempted, Duration::from_secs(5))
    }

    #[test]
    fn nothing_has_arrived_that_was_not_sent() {
        let settled = concluded(Outcome::Judged(Verdict::delivered()), false);
        let reason = DeliveryReason::NothingToDo("nothing_sent");
        assert_eq!(settled.settlement, Settlement::Skipped(reason));
        let settled = concluded(Outcome::Judged(Verdict::delivered()), true);
        assert_eq!(settled.settlement, Settlement::Delivered);
    }

    #[test]
    fn a_connection_that_was_told_already_is_not_told_again() {
        let settled = concluded(Outcome::LockedOut("invalid_grant".into()), false);
        assert_eq!(settled.settlement, Settlement::Parked(DeliveryReason::ReauthRequired));
        assert_eq!((settled.code.as_deref(), settled.consequence), (Some("invalid_grant"), None));
        let settled = concluded(Outcome::Judged(Verdict::Reauth("token_revoked".into())), true);
        assert_eq!(settled.consequence, Some(Consequence::Errored("token_revoked".into())));
    }

    #[test]
    fn a_mere_wait_says_nothing_of_the_connection_and_leaves_no_code() {
        let settled =
            concluded(Outcome::Waits(Duration::from_secs(3), DeliveryReason::Held), false);
        let expected = Settlement::Deferred(Duration::from_secs(3), DeliveryReason::Held);
        assert_eq!(settled.settlement, expected);
        assert!(settled.exchange.is_none() && settled.code.is_none());
        assert!(settled.consequence.is_none());
    }

    #[test]
    fn people_see_what_was_made_or_the_ticket_that_it_went_into() {
        let ticket = Ticket {
            external_id: "10001".into(),
            external_key: Some("SEC-1".into()),
            url: Some("https://jira.example/SEC-1".into()),
            is_open: true,
        };
        let delivered = Delivered { ticket: Some(ticket), ..Delivered::default() };
        let settled = concluded(Outcome::Judged(Verdict::Delivered(delivered.clone())), true);
        assert_eq!(settled.external_id.as_deref(), Some("SEC-1"));
        assert_eq!(settled.external_url.as_deref(), Some("https://jira.example/SEC-1"));
        let of_its_own = Delivered { external_id: Some("c7".into()), ..delivered };
        let settled = concluded(Outcome::Judged(Verdict::Delivered(of_its_own)), true);
        assert_eq!(settled.external_id.as_deref(), Some("c7"));
    }
}
