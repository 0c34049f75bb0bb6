//! Spans, on their way to the operator's collector: OTLP over HTTP, off until an address is set.
//!
//! Nothing waits for the collector. What it does not take in time is dropped or refused, and counted.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use engine::{
    metrics,
    trace::{self, Kind, Span, Value},
};
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use secrecy::ExposeSecret as _;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::settings::Settings;

/// How many spans may wait for the collector.
const ROOM: usize = 8_192;
/// The most spans of one request.
const BATCH_MAX: usize = 512;
/// How long a few wait for others to go with them.
const GATHER_MAX: Duration = Duration::from_secs(1);
/// How long a process that ends waits for the collector to take the last of them.
const END_MAX: Duration = Duration::from_secs(5);

/// The export under way, if there is one.
#[derive(Debug)]
#[must_use = "what is gathered when the process ends is told by `end`"]
pub(crate) struct Traces(Option<(JoinHandle<()>, CancellationToken)>);

/// Begins to export spans, if the settings say where to. To be called once, after the metrics.
pub(crate) fn start_traces(settings: &Settings) -> anyhow::Result<Traces> {
    let Some(endpoint) = &settings.otlp_endpoint else { return Ok(Traces(None)) };
    let headers: HashMap<String, String> = settings
        .otlp_headers
        .iter()
        .map(|(name, value)| (name.clone(), value.expose_secret().to_owned()))
        .collect();
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(traces_of(endpoint))
        .with_headers(headers)
        .build()
        .context("OTEL_EXPORTER_OTLP_ENDPOINT: spans cannot be exported")?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder_empty().with_service_name(settings.service_name.clone());
    exporter.set_resource(&resource.with_attribute(version).build());
    metrics::spans_begin();
    let spans = trace::collect(settings.trace_ratio, ROOM);
    let stop = CancellationToken::new();
    let exporting = tokio::spawn(export(exporter, spans, stop.clone()));
    tracing::info!(ratio = settings.trace_ratio, "spans are exported");
    Ok(Traces(Some((exporting, stop))))
}

impl Traces {
    /// Tells the collector what is left, for so long and no longer.
    pub(crate) async fn end(self) {
        let Self(Some((exporting, stop))) = self else { return };
        stop.cancel();
        if tokio::time::timeout(END_MAX, exporting).await.is_err() {
            tracing::warn!("the last spans were not taken in time");
        }
    }
}

/// [Where a collector takes traces](https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp).
fn traces_of(endpoint: &Url) -> String {
    format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/'))
}

/// Until `stop`; then all that has been gathered goes as well.
async fn export(exporter: SpanExporter, mut spans: mpsc::Receiver<Span>, stop: CancellationToken) {
    let mut is_failing = false;
    loop {
        let (batch, is_over) = gather(&mut spans, &stop).await;
        if batch.is_empty() && is_over {
            return;
        }
        if !batch.is_empty() {
            is_failing = send(&exporter, batch, is_failing).await;
        }
    }
}

/// The next batch, which may be empty, and whether nothing is waited for any more.
async fn gather(spans: &mut mpsc::Receiver<Span>, stop: &CancellationToken) -> (Vec<Span>, bool) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    let gathering = tokio::time::timeout(GATHER_MAX, async {
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            spans.recv_many(&mut batch, room).await;
        }
    });
    let is_over = stop.run_until_cancelled(gathering).await.is_none();
    // One that is taken out goes: there must be room for it first.
    while batch.len() < BATCH_MAX
        && let Ok(span) = spans.try_recv()
    {
        batch.push(span);
    }
    (batch, is_over)
}

/// One request. Says whether it failed; the log tells only of the first of those that do.
async fn send(exporter: &SpanExporter, batch: Vec<Span>, was_failing: bool) -> bool {
    let count = batch.len() as u64;
    match exporter.export(batch.into_iter().map(as_otel).collect()).await {
        Ok(()) => metrics::spans("sent", count),
        Err(error) => {
            metrics::spans("refused", count);
            if !was_failing {
                tracing::warn!(error = %error, spans = count, "the collector does not take spans");
            }
            return true;
        }
    }
    if was_failing {
        tracing::info!("the collector takes spans again");
    }
    false
}

fn as_otel(span: Span) -> SpanData {
    let span_id = |text: &str| SpanId::from_hex(text).unwrap_or(SpanId::INVALID);
    let trace_id = TraceId::from_hex(span.context.trace_id()).unwrap_or(TraceId::INVALID);
    let flags = TraceFlags::SAMPLED;
    let itself = span_id(span.context.span_id());
    let attribute = |(name, value): (&'static str, Value)| match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    };
    SpanData {
        span_context: SpanContext::new(trace_id, itself, flags, false, TraceState::NONE),
        parent_span_is_remote: span.parent.is_some(),
        parent_span_id: span.parent.as_deref().map_or(SpanId::INVALID, span_id),
        span_kind: match span.kind {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        },
        name: span.name.into(),
        start_time: SystemTime::from(span.began),
        end_time: SystemTime::from(span.ended),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("relay").build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_traces_is_added_to_the_address_of_the_collector() {
        for (endpoint, expected) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("https://collector.example/otlp/", "https://collector.example/otlp/v1/traces"),
        ] {
            assert_eq!(traces_of(&endpoint.parse().expect("a URL")), expected);
        }
    }

    #[tokio::test]
    async fn every_span_is_in_one_of_the_batches() {
        let now = engine::clock::now();
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let span = Span {
            name: "deliver",
            kind: Kind::Client,
            context: trace::Traceparent::parse(context).expect("it is one"),
            parent: None,
            began: now,
            ended: now,
            attributes: Vec::new(),
            failed: None,
        };
        let (waiting, mut spans) = mpsc::channel(ROOM);
        for _ in 0..2 * BATCH_MAX + 1 {
            waiting.try_send(span.clone()).expect("there is room");
        }
        let stop = CancellationToken::new();
        let mut gathered = Vec::new();
        for _ in 0..4 {
            let (batch, is_over) = gather(&mut spans, &stop).await;
            gathered.push((batch.len(), is_over));
            stop.cancel();
        }
        assert_eq!(gathered, [(BATCH_MAX, false), (BATCH_MAX, true), (1, true), (0, true)]);
    }
}
