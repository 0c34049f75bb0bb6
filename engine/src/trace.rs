//! Which trace work belongs to (W3C Trace Context), and the spans of it, told to whoever collects them.
//!
//! A span says what was done for whom, by ids and words from closed sets: never a header, a body, an
//! address or a secret.

use std::sync::OnceLock;

use tokio::sync::mpsc;

use crate::{
    clock::{self, Timestamp},
    metrics,
};

/// A span of somebody's, by which others become its children: `00-<trace>-<span>-<flags>`, as in the
/// header of that name.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(transparent)]
pub struct Traceparent(String);

/// The only version whose meaning is known.
const VERSION: &str = "00";

impl Traceparent {
    /// Reads one. What is malformed is as good as none: nothing is ever refused for its trace.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let mut part = |digits: usize| {
            let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            parts.next().filter(|part| part.len() == digits && part.bytes().all(hex))
        };
        let (version, trace, span, _) = (part(2)?, part(32)?, part(16)?, part(2)?);
        let is_said = |id: &str| id.bytes().any(|byte| byte != b'0');
        let is_one = version == VERSION && is_said(trace) && is_said(span);
        (is_one && parts.next().is_none()).then(|| Self(text.to_owned()))
    }

    /// As it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace, in 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The span, in 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.0[36..52]
    }

    /// Whether the spans of this trace are wanted.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        u8::from_str_radix(self.flags(), 16).is_ok_and(|flags| flags & 1 == 1)
    }

    fn flags(&self) -> &str {
        &self.0[53..55]
    }

    fn of(trace_id: &str, flags: &str) -> Self {
        // Zero is no span's id.
        let span = rand::random::<u64>().max(1);
        Self(format!("{VERSION}-{trace_id}-{span:016x}-{flags}"))
    }

    /// Of the flags, those whose meaning is known go on: sampled, and a random trace.
    fn child(&self) -> Self {
        const KNOWN: u8 = 0b11;
        let flags = u8::from_str_radix(self.flags(), 16).unwrap_or(0) & KNOWN;
        Self::of(self.trace_id(), &format!("{flags:02x}"))
    }

    fn root(trace: u128, ratio: f64) -> Self {
        let flags = if is_wanted(trace, ratio) { "01" } else { "00" };
        Self::of(&format!("{:032x}", trace.max(1)), flags)
    }
}

/// Whether a trace is among the share that is wanted: told by its id alone, so that all processes say
/// the same. [The last 56 bits](https://www.w3.org/TR/trace-context-2/#random-trace-id-flag) are random.
fn is_wanted(trace: u128, ratio: f64) -> bool {
    const BITS: u32 = 56;
    let place = u64::try_from(trace & ((1 << BITS) - 1)).unwrap_or(u64::MAX);
    (place as f64) < ratio * (1_u64 << BITS) as f64
}

/// What a span was in its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody asked us.
    Server,
    /// We asked somebody.
    Client,
}

/// What is said of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// An id, or a word.
    Text(String),
    /// A count, or a status.
    Number(i64),
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// What was done.
    pub name: &'static str,
    /// In which role.
    pub kind: Kind,
    /// Itself.
    pub context: Traceparent,
    /// The id of the span that it is a part of.
    pub parent: Option<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What is said of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it failed, in a word; `None`: it did not.
    pub failed: Option<&'static str>,
}

#[derive(Debug)]
struct Collector {
    spans: mpsc::Sender<Span>,
    ratio: f64,
}

/// As with metrics and the log, a process has one.
static COLLECTOR: OnceLock<Collector> = OnceLock::new();

/// From now on spans are made, and given to the receiver: of traces that begin here this share, of
/// others those that are asked for. Nobody waits for it: those that find `room` of them waiting are
/// dropped, and counted.
///
/// # Panics
///
/// If somebody collects them already.
#[must_use]
pub fn collect(ratio: f64, room: usize) -> mpsc::Receiver<Span> {
    let (spans, receiver) = mpsc::channel(room);
    assert!(COLLECTOR.set(Collector { spans, ratio }).is_ok(), "spans are collected once");
    receiver
}

/// A span under way.
#[derive(Debug)]
pub struct Open {
    name: &'static str,
    kind: Kind,
    context: Traceparent,
    parent: Option<String>,
    began: Timestamp,
}

impl Open {
    /// Begins a span below `parent`, or else the first of a trace with this id. `None` where nobody
    /// collects spans.
    #[must_use]
    pub fn begin(
        name: &'static str,
        kind: Kind,
        parent: Option<&Traceparent>,
        trace: impl FnOnce() -> u128,
    ) -> Option<Self> {
        let collector = COLLECTOR.get()?;
        let context = match parent {
            Some(parent) => parent.child(),
            None => Traceparent::root(trace(), collector.ratio),
        };
        let parent = parent.map(|parent| parent.span_id().to_owned());
        Some(Self { name, kind, context, parent, began: clock::now() })
    }

    /// By which others become its children.
    #[must_use]
    pub fn context(&self) -> &Traceparent {
        &self.context
    }

    /// Ends it, and tells of it if its trace is wanted.
    pub fn end(
        self,
        attributes: impl FnOnce() -> Vec<(&'static str, Value)>,
        failed: Option<&'static str>,
    ) {
        let Some(collector) = COLLECTOR.get().filter(|_| self.context.is_sampled()) else { return };
        let Self { name, kind, context, parent, began } = self;
        let (attributes, ended) = (attributes(), clock::now());
        let span = Span { name, kind, context, parent, began, ended, attributes, failed };
        if collector.spans.try_send(span).is_err() {
            metrics::spans("dropped", 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_the_standard_allows_is_a_traceparent() {
        assert_eq!(Traceparent::parse(GIVEN).map(|read| read.0).as_deref(), Some(GIVEN));
        for odd in [
            "",
            "-",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Traceparent::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_and_is_a_span_of_its_own() {
        let parent = Traceparent::parse(GIVEN).expect("it is one");
        let child = parent.child();
        assert_eq!(child.trace_id(), parent.trace_id());
        assert!(child.is_sampled() && child.span_id() != parent.span_id());
        assert_eq!(Traceparent::parse(child.as_str()), Some(child.clone()));
        let unwanted = Traceparent::parse(&GIVEN.replace("-01", "-00")).expect("it is one");
        assert!(!unwanted.child().is_sampled());
        let odd = Traceparent::parse(&GIVEN.replace("-01", "-ff")).expect("it is one");
        assert_eq!(odd.child().flags(), "03", "what nobody knows is not passed on");
    }

    #[test]
    fn a_share_of_the_traces_that_begin_here_is_wanted() {
        let wanted = |ratio| {
            (0..2_000).filter(|_| Traceparent::root(rand::random(), ratio).is_sampled()).count()
        };
        assert_eq!((wanted(0.0), wanted(1.0)), (0, 2_000));
        assert!((300..700).contains(&wanted(0.25)), "about a quarter");
        let trace = rand::random();
        let again = |_| Traceparent::root(trace, 0.5).is_sampled();
        assert!((0..50).map(again).all(|wanted| wanted == again(0)), "told by the id alone");
        assert!(Traceparent::parse(Traceparent::root(0, 1.0).as_str()).is_some());
    }
}
