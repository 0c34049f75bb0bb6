//! An attempt's place in the trace of its event, and what every line of the log says while it is made.

use uuid::Uuid;

use super::attempt::{Prepared, Settled};
use crate::{
    event::RecordedEvent,
    ids::EventId,
    trace::{Kind, Open, Traceparent, Value},
};

/// The span of one attempt.
pub(super) struct Traced {
    open: Option<Open>,
    /// Told to a custom webhook: the attempt itself, or where nobody collects spans what the event came with.
    pub(super) sent: Option<Traceparent>,
    provider: &'static str,
}

impl Traced {
    pub(super) fn begin(prepared: &Prepared) -> Self {
        let parent = prepared.event.as_deref().and_then(trace_of);
        let open = Open::begin("deliver", Kind::Client, parent, || {
            // All attempts of an event that came without a trace are in one: that of the event's id.
            let EventId(id) = prepared.claimed.event_id;
            Uuid::as_u128(&id)
        });
        let sent = open.as_ref().map(Open::context).or(parent).cloned();
        Self { open, sent, provider: prepared.receiver.provider_id() }
    }

    /// What a line of the log is about. Of the highest level, so that no filter takes it from a line
    /// that is written.
    pub(super) fn of_log(&self, prepared: &Prepared) -> tracing::Span {
        let claimed = &prepared.claimed;
        tracing::error_span!(
            "attempt",
            delivery.id = %claimed.delivery_id,
            event.id = %claimed.event_id,
            connection.id = %claimed.connection_id,
            organization.id = %claimed.organization_id,
            provider = self.provider,
            trace_id = self.sent.as_ref().map(Traceparent::trace_id),
        )
    }

    /// Tells of it: the log in a line, and whoever collects spans.
    pub(super) fn end(self, settled: &Settled) {
        let settlement = settled.settlement.as_str();
        tracing::debug!(settlement, verdict = settled.verdict, "an attempt has ended");
        let Self { open: Some(open), provider, .. } = self else { return };
        let exchange = settled.exchange.as_ref();
        let class = exchange.map(|exchange| exchange.class());
        open.end(|| said_of(settled, provider), class.filter(|class| *class != "success"));
    }
}

fn trace_of(event: &RecordedEvent) -> Option<&Traceparent> {
    event.traceparent.as_ref()
}

fn said_of(settled: &Settled, provider: &str) -> Vec<(&'static str, Value)> {
    let claimed = &settled.claimed;
    let text = |text: &str| Value::Text(text.to_owned());
    let id = |id: Uuid| Value::Text(id.to_string());
    let mut said = vec![
        ("delivery.id", id(claimed.delivery_id.0)),
        ("event.id", id(claimed.event_id.0)),
        ("connection.id", id(claimed.connection_id.0)),
        ("organization.id", id(claimed.organization_id.0)),
        ("provider", text(provider)),
        ("attempt", Value::Number(claimed.next_attempt().into())),
        ("class", text(claimed.class.as_str())),
        ("settlement", text(settled.settlement.as_str())),
    ];
    said.extend(settled.verdict.map(|verdict| ("verdict", text(verdict))));
    let reason = settled.settlement.reason();
    said.extend(reason.map(|reason| ("reason", text(reason.as_str()))));
    if let Some(exchange) = &settled.exchange {
        said.extend(
            exchange.status.map(|s| ("http.response.status_code", Value::Number(s.into()))),
        );
        said.extend(exchange.error_class.map(|class| ("error.type", text(class))));
    }
    said
}
