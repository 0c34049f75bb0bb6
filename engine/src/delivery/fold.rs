//! Sends to a provider: call by call, as its pure function asks for, until that says what the answers
//! mean. Each attempt begins anew with no answers, so that a half-finished one leaves nothing behind
//! but what the provider's marks tell.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use super::{
    attempt::{Attempted, Outcome},
    details::{Sent, Timing},
    exchange::Exchange,
    masks::Masks,
    receivers::Receiver,
    state::{DeliveryReason, OPERATOR_WAIT},
    store,
    tickets::{self, Take, Taken, TicketKey},
};
use crate::{
    clock,
    connection::tokens::{self, Freshness, TokenUnavailable},
    engine::Engine,
    event::{Notification, RecordedEvent, headline},
    http::{Failure, PAGE_BYTES_MAX, Route, SendError, Trace},
    metrics,
    outbox::{Claimed, Class},
    pace::{HOLD_MAX, INLINE_MAX, Payer, Turn},
    provider::{
        AccountAccess, Call, CredentialOf, Hold, Hosts, Outgoing, Provider, Reply, SharedBy, Step,
        Verdict,
    },
    secret::Secret,
};

/// The most calls that one attempt makes with one token.
const CALLS_MAX: usize = 8;
/// No call begins later than this after the first.
const LAST_CALL_AFTER: Duration = Duration::from_secs(60);
/// How much of an answer to a change is read: some repeat all that was sent.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long all who share a budget wait where the provider did not say.
const HOLD: Duration = Duration::from_secs(30);
/// What is so long ago is found by every look-up.
const LONG_AGO: Duration = Duration::from_secs(60 * 60);
/// The wait after our own database or name servers failed.
pub(super) const OWN_WAIT: Duration = Duration::from_secs(5);

/// Sends one event to a provider, when it is its turn.
pub(super) async fn send(
    engine: &Engine,
    provider: &'static Provider,
    claimed: &Claimed,
    receiver: &Receiver,
    event: &RecordedEvent,
    ticket_key: Option<TicketKey>,
) -> Attempted {
    let payer = Payer::new(provider, &receiver.connection, receiver.destination.as_ref());
    let asked = Instant::now();
    match engine.paces.turn(&payer, claimed.delivery_id, Instant::now()) {
        Turn::Go(wait) if wait.is_zero() => {}
        Turn::Go(wait) => {
            metrics::pace_wait(provider.id);
            tokio::time::sleep(wait).await;
        }
        Turn::Later { wait, is_held } => {
            metrics::pace_wait(provider.id);
            let reason = if is_held { DeliveryReason::Held } else { DeliveryReason::Paced };
            return Outcome::Waits(wait, reason).into();
        }
    }
    let paced = asked.elapsed();
    let mut ticket = match take_ticket(engine, claimed, ticket_key).await {
        Ok(ticket) => ticket,
        Err(outcome) => {
            if let Outcome::Waits(wait, _) = &outcome {
                engine.paces.give_back(claimed.delivery_id, Instant::now(), *wait);
            }
            return outcome.into();
        }
    };
    let unheard_for = match unheard_for(engine, claimed, ticket.as_ref()).await {
        Ok(unheard_for) => unheard_for,
        Err(error) => {
            tracing::warn!(delivery.id = %claimed.delivery_id, error = %error, "earlier attempts could not be looked up");
            let outcome = Outcome::Waits(OWN_WAIT, DeliveryReason::OwnFault);
            return Attempted { outcome, exchange: None, ticket };
        }
    };
    let hosts = engine.config.providers.hosts(provider);
    let mut fold = Fold {
        engine,
        provider,
        claimed,
        receiver,
        event,
        data: serde_json::from_slice(&event.payload).unwrap_or_default(),
        notification: headline(event, engine.config.frontend_url.as_ref()),
        hosts: &hosts,
        payer: &payer,
        ticket: ticket.as_ref(),
        unheard_for,
        may_have_created: false,
        began: None,
        calls: 0,
        holds: Vec::new(),
        timing: Timing { pace: paced, ..Timing::default() },
        exchange: None,
    };
    let outcome = fold.run().await;
    let now = Instant::now();
    match &outcome {
        // No call could be made: whoever has one to make takes the turn.
        Outcome::Waits(wait, _) if fold.calls == 0 => {
            engine.paces.give_back(claimed.delivery_id, now, *wait);
        }
        _ => engine.paces.spent(&payer, fold.calls, now),
    }
    match &outcome {
        Outcome::Judged(Verdict::Retry { after, hold: Some(shared_by) }) => {
            metrics::held("asked");
            engine.paces.hold(&payer, *shared_by, after.unwrap_or(HOLD), now);
        }
        Outcome::Judged(Verdict::OperatorFault(_)) => fold.leave_alone(),
        _ => {}
    }
    for (shared_by, until) in &fold.holds {
        metrics::held("budget");
        engine.paces.hold(&payer, *shared_by, until.saturating_duration_since(now), now);
    }
    let (mut exchange, may_have_created) = (fold.exchange, fold.may_have_created);
    if let Some(exchange) = &mut exchange {
        exchange.timing = fold.timing;
    }
    if let Some(ticket) = &mut ticket {
        ticket.may_have_created = may_have_created;
    }
    Attempted { outcome, exchange, ticket }
}

/// How long ago what this delivery is about to make may have been made unheard. Of a ticket that is
/// not open yet its row tells; of all else the attempts.
async fn unheard_for(
    engine: &Engine,
    claimed: &Claimed,
    ticket: Option<&Taken>,
) -> Result<Option<Duration>, sqlx::Error> {
    match ticket {
        Some(Taken { known: None, unheard_for, .. }) => Ok(*unheard_for),
        _ if claimed.next_attempt() <= 1 => Ok(None),
        // Of the attempt that crashed nothing is known, not even when it was.
        _ if claimed.crashes > 0 => Ok(Some(Duration::ZERO)),
        _ => Ok(Some(store::unheard_for(&engine.db.work, claimed).await?.unwrap_or(LONG_AGO))),
    }
}

/// Whether the answer to a call that creates proves that nothing was made. A refusal does, except
/// those that a call may meet although, or because, it was carried out: a time that ran out on the
/// way back, and a thing that is there already.
fn proves_nothing_made(status: u16) -> bool {
    matches!(status, 400..=499) && !matches!(status, 408 | 409 | 499)
}

async fn take_ticket(
    engine: &Engine,
    claimed: &Claimed,
    key: Option<TicketKey>,
) -> Result<Option<Taken>, Outcome> {
    let Some(key) = key else { return Ok(None) };
    match tickets::take(engine, claimed, key).await {
        Ok(Take::Taken(taken)) => Ok(Some(*taken)),
        Ok(Take::Busy(wait)) => Err(Outcome::Waits(wait, DeliveryReason::TicketBusy)),
        Err(error) => {
            tracing::warn!(delivery.id = %claimed.delivery_id, error = %error, "a ticket could not be looked up");
            Err(Outcome::Waits(OWN_WAIT, DeliveryReason::OwnFault))
        }
    }
}

/// One attempt at a provider.
struct Fold<'a> {
    engine: &'a Engine,
    provider: &'static Provider,
    claimed: &'a Claimed,
    receiver: &'a Receiver,
    event: &'a RecordedEvent,
    data: Value,
    notification: Notification,
    hosts: &'a Hosts,
    payer: &'a Payer,
    ticket: Option<&'a Taken>,
    unheard_for: Option<Duration>,
    /// Whether a call was made that creates, and whose answer does not prove the contrary.
    may_have_created: bool,
    /// When the first call began.
    began: Option<Instant>,
    calls: usize,
    /// Budgets that good answers want spared, and until when.
    holds: Vec<(SharedBy, Instant)>,
    /// Of all calls together.
    timing: Timing,
    exchange: Option<Exchange>,
}

impl Fold<'_> {
    /// All calls with the token at hand, and all once more with a new one where it was not taken.
    async fn run(&mut self) -> Outcome {
        let credential = match self.credential(Freshness::Valid).await {
            Ok(credential) => credential,
            Err(outcome) => return outcome,
        };
        match self.pass(&credential).await {
            Outcome::Judged(Verdict::Unauthorized) => {}
            outcome => return outcome,
        }
        let renewed = match self.credential(Freshness::Renewed { than: credential }).await {
            Ok(renewed) => renewed,
            Err(outcome) => return outcome,
        };
        match self.pass(&renewed).await {
            Outcome::Judged(Verdict::Unauthorized) => {
                Outcome::Judged(Verdict::Reauth("unauthorized".into()))
            }
            outcome => outcome,
        }
    }

    /// What requests carry. Whoever keeps the tokens has told the connection, or the operator, why
    /// there is none.
    async fn credential(&self, freshness: Freshness) -> Result<Secret, Outcome> {
        let access = tokens::access(self.engine, &self.receiver.connection, freshness);
        access.await.map_err(|unavailable| match unavailable {
            TokenUnavailable::Reauth(code) => Outcome::LockedOut(code),
            TokenUnavailable::Later(wait) => {
                Outcome::Waits(wait.max(OWN_WAIT), DeliveryReason::TokenUnavailable)
            }
            TokenUnavailable::Operator(_) => {
                if matches!(self.provider.credential, CredentialOf::Operator(_)) {
                    self.leave_alone();
                }
                Outcome::Waits(OPERATOR_WAIT, DeliveryReason::OperatorFault)
            }
        })
    }

    /// Nothing more for a while, for nobody: whoever else asked would hear the same, and some
    /// providers count that.
    fn leave_alone(&self) {
        let now = Instant::now();
        metrics::held("operator_fault");
        self.engine.paces.hold(self.payer, SharedBy::Provider, OPERATOR_WAIT, now);
    }

    /// Asks the provider's function what to do next until it is over.
    async fn pass(&mut self, credential: &Secret) -> Outcome {
        let mut replies: Vec<Reply> = Vec::new();
        let now = clock::now();
        // The same for all answers of a pass. Where all begins anew with another token, what the
        // first pass made is looked for.
        let unheard_for =
            if self.may_have_created { Some(Duration::ZERO) } else { self.unheard_for };
        loop {
            let out = Outgoing { unheard_for, ..self.outgoing(credential, now) };
            let call = match (self.provider.advance)(&out, &replies) {
                Step::End(verdict) => return Outcome::Judged(verdict),
                Step::Call(call) => call,
            };
            if replies.len() == CALLS_MAX {
                tracing::error!(provider = self.provider.id, event.kind = %self.event.kind, "an attempt never came to its end");
                return Outcome::Judged(Verdict::Rejected("endless".into()));
            }
            if !replies.is_empty()
                && let Err(outcome) = self.may_go_on().await
            {
                return outcome;
            }
            match self.call(&call, credential).await {
                Ok(reply) => replies.push(reply),
                Err(error) if error.failure == Failure::Resolver => {
                    return Outcome::Waits(OWN_WAIT, DeliveryReason::OwnFault);
                }
                // Whether it arrived is not known: the next attempt looks before it creates.
                Err(_) => return Outcome::Judged(Verdict::Retry { after: None, hold: None }),
            }
        }
    }

    /// Whether there is time for another call, and nobody asked us to wait meanwhile.
    async fn may_go_on(&mut self) -> Result<(), Outcome> {
        let began = self.began.unwrap_or_else(Instant::now);
        if began.elapsed() > LAST_CALL_AFTER {
            let detail = format!("not done within {} s", LAST_CALL_AFTER.as_secs());
            let error = SendError { failure: Failure::Timeout, detail };
            let last = self.exchange.take().and_then(|exchange| exchange.sent);
            self.exchange = Some(Exchange::failed(began, &error).of(last));
            return Err(Outcome::Judged(Verdict::Retry { after: None, hold: None }));
        }
        match self.engine.paces.held_for(self.payer, Instant::now()) {
            None => {}
            Some(wait) if wait <= INLINE_MAX => {
                let asked = Instant::now();
                tokio::time::sleep(wait).await;
                self.timing.pace += asked.elapsed();
            }
            Some(wait) => return Err(Outcome::Waits(wait, DeliveryReason::Held)),
        }
        Ok(())
    }

    async fn call(&mut self, call: &Call, credential: &Secret) -> Result<Reply, SendError> {
        let began = Instant::now();
        let first = *self.began.get_or_insert(began);
        self.calls += 1;
        let bytes_max = if call.method == Method::GET { PAGE_BYTES_MAX } else { ANSWER_BYTES_MAX };
        let route = Route::to(&call.url, self.hosts);
        let mut trace = Trace::default();
        let answer = self.engine.http.send_traced(call, route, bytes_max, &mut trace).await;
        self.timing.wire += trace.timing;
        // Nobody was asked for anything: there is nothing to record.
        if answer.as_ref().is_err_and(|error| error.failure == Failure::Resolver) {
            return answer;
        }
        let proves = |reply: &Reply| proves_nothing_made(reply.status);
        self.may_have_created |= call.creates && !answer.as_ref().is_ok_and(proves);
        let good = answer.as_ref().ok().filter(|reply| reply.is_success());
        if let Some(Hold { wait, shared_by }) = good.and_then(call.heeds) {
            // A customer's own server may say anything.
            self.holds.push((shared_by, Instant::now() + wait.min(HOLD_MAX)));
        }
        let masks = Masks::of_credential(credential);
        let exchange = match &answer {
            Ok(Reply { status, headers, body, .. }) => {
                Exchange::answered(first, *status, headers, body, &masks)
            }
            Err(error) => Exchange::failed(first, error),
        };
        let url = trace.url.as_ref().unwrap_or(&call.url);
        let sent = Sent::call(&call.method, url, &call.headers, &call.body, &masks);
        let exchange = exchange.of(Some(sent));
        metrics::attempt(self.provider.id, exchange.class(), began.elapsed());
        self.exchange = Some(exchange);
        answer
    }

    fn outgoing<'a>(&'a self, credential: &'a Secret, now: clock::Timestamp) -> Outgoing<'a> {
        let connection = &self.receiver.connection;
        Outgoing {
            event: self.event,
            notification: &self.notification,
            data: &self.data,
            delivery_id: self.claimed.delivery_id,
            attempt: self.claimed.next_attempt(),
            replay: self.claimed.class == Class::Replay,
            unheard_for: self.unheard_for,
            connection_id: connection.id,
            account: AccountAccess {
                credential,
                metadata: &connection.metadata,
                installation_id: &connection.installation_id,
                hosts: self.hosts,
            },
            destination: self.receiver.destination.as_ref(),
            ticket: self.ticket.and_then(|ticket| ticket.known.as_ref()),
            wish: tickets::wish(self.event),
            signing: &[],
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b35_only_a_refusal_proves_that_nothing_was_made() {
        for status in [400, 401, 403, 404, 422, 425, 429, 451] {
            assert!(proves_nothing_made(status), "{status}");
        }
        for status in [200, 201, 204, 301, 307, 408, 409, 499, 500, 502, 503, 504] {
            assert!(!proves_nothing_made(status), "{status}");
        }
    }
}
