//! A collector of spans: what it was told, read from the bytes of OTLP by no code of Relay's.

use std::collections::BTreeMap;

use tests::{Answer, LONG, Receiver, wait_until};

const PATH: &str = "/v1/traces";

/// Takes spans, and remembers every byte.
pub(crate) struct Collector(pub(crate) Receiver);

/// One span as it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) id: String,
    /// Empty where it is the first of its trace.
    pub(crate) parent: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) failed: bool,
}

impl Span {
    pub(crate) fn says(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        Self(Receiver::start().await)
    }

    /// For `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) fn endpoint(&self) -> String {
        self.0.url("")
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.0.answer(PATH, [answer]);
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        self.0.arrivals(PATH).iter().flat_map(|arrival| spans(&arrival.body)).collect()
    }

    pub(crate) fn of(&self, trace_id: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace_id == trace_id).collect()
    }

    /// Waits until it was told of so many spans of a trace.
    pub(crate) async fn wait_for(&self, trace_id: &str, count: usize) -> Vec<Span> {
        wait_until(&format!("{count} spans of {trace_id}"), LONG, || async {
            Some(self.of(trace_id)).filter(|spans| spans.len() >= count)
        })
        .await
    }
}

/// A field of a message: its number, and what is in it.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a number ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return value;
        }
    }
    unreachable!("a number ends")
}

/// [The fields of a message](https://protobuf.dev/programming-guides/encoding/).
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let length = match tag & 7 {
            0 => {
                found.push((tag >> 3, Field::Number(varint(&mut bytes))));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)).expect("a length fits"),
            5 => 4,
            other => panic!("protobuf has no wire type {other}"),
        };
        let (taken, rest) = bytes.split_at(length);
        bytes = rest;
        found.push((tag >> 3, Field::Bytes(taken)));
    }
    found
}

fn under(bytes: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
    fields(bytes).into_iter().filter_map(move |(found, field)| match field {
        Field::Bytes(inner) if found == number => Some(inner),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("a text is UTF-8")
}

fn attributes<'a>(all: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, String> {
    let value = |bytes: &[u8]| match fields(bytes).pop() {
        Some((1, Field::Bytes(said))) => text(said),
        Some((_, Field::Number(number))) => number.to_string(),
        _ => panic!("an attribute says a text or a number"),
    };
    let pair = |one: &[u8]| {
        let name = under(one, 1).next().map(text).expect("an attribute has a name");
        (name, under(one, 2).next().map(value).unwrap_or_default())
    };
    all.map(pair).collect()
}

/// Those of [a request](https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto).
fn spans(request: &[u8]) -> Vec<Span> {
    let mut all = Vec::new();
    for resource_spans in under(request, 1) {
        let resource = under(resource_spans, 1).next().unwrap_or_default();
        let service = attributes(under(resource, 1)).remove("service.name").unwrap_or_default();
        for scope_spans in under(resource_spans, 2) {
            for span in under(scope_spans, 2) {
                let hex = |number| under(span, number).next().map(hex::encode).unwrap_or_default();
                let status = under(span, 15).next().unwrap_or_default();
                let is_error = |field: &(u64, Field<'_>)| matches!(field, (3, Field::Number(2)));
                all.push(Span {
                    service: service.clone(),
                    name: under(span, 5).next().map(text).unwrap_or_default(),
                    trace_id: hex(1),
                    id: hex(2),
                    parent: hex(4),
                    attributes: attributes(under(span, 9)),
                    failed: fields(status).iter().any(is_error),
                });
            }
        }
    }
    all
}
