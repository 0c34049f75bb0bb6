//! Sends to a custom webhook: one signed request, whose data is never read on the way.

use std::time::Instant;

use super::{
    attempt::{Attempted, Outcome},
    details::Sent,
    exchange::Exchange,
    fold::OWN_WAIT,
    masks::Masks,
    receivers::Receiver,
    request::{self, Webhook},
    state::DeliveryReason,
};
use crate::{
    clock,
    engine::Engine,
    event::{RecordedEvent, headline},
    http::{Failure, Trace},
    metrics,
    outbox::{Claimed, Class},
    provider::{Verdict, custom},
    retry::parse_retry_after,
    trace::Traceparent,
};

pub(super) async fn send(
    engine: &Engine,
    claimed: &Claimed,
    receiver: &Receiver,
    event: &RecordedEvent,
    traceparent: Option<&Traceparent>,
) -> Attempted {
    let now = clock::now();
    let request = request::build(&Webhook {
        event,
        notification: &headline(event, engine.config.frontend_url.as_ref()),
        delivery_id: claimed.delivery_id,
        attempt: claimed.next_attempt(),
        replay: claimed.class == Class::Replay,
        secrets: &receiver.secrets_at(now),
        webhook_url: receiver.webhook_url(),
        traceparent,
        now,
    });
    let mut request = match request {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(delivery.id = %claimed.delivery_id, error = %error, "a delivery cannot be sent");
            return Outcome::Unsendable.into();
        }
    };
    let own = receiver.headers();
    request::add_headers(&mut request.headers, own);
    let sent = Sent::webhook(&request, own);
    let mut trace = Trace::default();
    let began = Instant::now();
    let (verdict, exchange) = match engine.http.post_traced(request, &mut trace).await {
        Ok(reply) => {
            let masks = Masks::of_headers(own);
            let exchange =
                Exchange::answered(began, reply.status, &reply.headers, &reply.head, &masks);
            let after = reply.retry_after();
            let after = after.and_then(|value| parse_retry_after(value, clock::now()));
            (custom::verdict(reply.status, after), exchange)
        }
        // Nobody was asked for anything: nothing is recorded, and nobody charged.
        Err(error) if error.failure == Failure::Resolver => {
            return Outcome::Waits(OWN_WAIT, DeliveryReason::OwnFault).into();
        }
        Err(error) => (Verdict::Retry { after: None, hold: None }, Exchange::failed(began, &error)),
    };
    let mut exchange = exchange.of(Some(sent));
    exchange.timing.wire = trace.timing;
    metrics::attempt(&receiver.connection.provider, exchange.class(), exchange.took);
    Attempted { outcome: Outcome::Judged(verdict), exchange: Some(exchange), ticket: None }
}
