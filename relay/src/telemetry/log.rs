//! The log of a process, on standard error: for people, or a JSON object a line.
//!
//! The names in JSON are an interface, listed in docs/operations.md. What is said of the work that a line
//! belongs to, such as the delivery, stands in the same object as what the line itself says.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{JsonFields, Writer},
    },
    registry::LookupSpan,
};

use crate::settings::{LogFormat, Settings};

/// Starts writing the log to standard error. To be called once, before anything is worth logging.
pub(crate) fn init_logging(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.log_filter)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.fmt_fields(JsonFields::new()).event_format(Flat).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log is being written already: {error}"))
}

/// Everything that is said in one object without another in it.
struct Flat;

impl<S, N> FormatEvent<S, N> for Flat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        let mut line = Line(Map::new());
        let at = engine::clock::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        line.say("timestamp", at);
        line.say("level", about.level().as_str());
        line.say("target", about.target());
        event.record(&mut line);
        line.unwrap_log();
        // The innermost first: it knows best.
        for span in event
            .parent()
            .map_or_else(|| context.lookup_current(), |id| context.span(id))
            .into_iter()
            .flat_map(|span| span.scope())
        {
            let kept = span.extensions();
            let Some(fields) = kept.get::<FormattedFields<N>>() else { continue };
            let fields: Map<String, Value> = serde_json::from_str(fields).unwrap_or_default();
            fields.into_iter().for_each(|(name, value)| line.say(&name, value));
        }
        let line = serde_json::to_string(&line.0).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

struct Line(Map<String, Value>);

impl Line {
    /// What was said first stays.
    fn say(&mut self, name: &str, value: impl Into<Value>) {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), value.into());
        }
    }

    /// What a library says by way of the `log` crate has its target, and its place in the source, in
    /// fields of their own.
    fn unwrap_log(&mut self) {
        if let Some(target) = self.0.remove("log.target") {
            self.0.insert("target".to_owned(), target);
            self.0.retain(|name, _| !name.starts_with("log."));
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.say(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.say(field.name(), value);
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.say(field.name(), value);
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.say(field.name(), value);
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.say(field.name(), value);
    }

    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        self.say(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no writer panics").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The only line that is written, without its instant.
    fn written(said: impl FnOnce()) -> Value {
        let kept = Kept::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt()
            .fmt_fields(JsonFields::new())
            .event_format(Flat)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(log, said);
        let text = String::from_utf8(kept.0.lock().expect("no writer panics").clone());
        let text = text.expect("a log is text");
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Map<String, Value> = serde_json::from_str(&text).expect("it is JSON");
        let at = line.remove("timestamp");
        assert!(at.is_some_and(|at| at.as_str().is_some_and(|at| at.ends_with('Z'))), "{text}");
        Value::Object(line)
    }

    #[test]
    fn a_line_says_what_the_work_around_it_says() {
        let line = written(|| {
            let outer = tracing::error_span!("a", delivery.id = %7, provider = "outer", trace_id = tracing::field::Empty);
            let _outer = outer.enter();
            outer.record("trace_id", "4bf9");
            let _inner = tracing::error_span!("b", provider = "inner").entered();
            tracing::warn!(error = %"it \"failed\"\nbadly", rows = 3, "not done");
        });
        let expected = serde_json::json!({
            "level": "WARN", "target": module_path!(), "message": "not done",
            "error": "it \"failed\"\nbadly", "rows": 3, "delivery.id": "7", "provider": "inner",
            "trace_id": "4bf9",
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn what_is_said_by_way_of_the_log_crate_has_its_own_target() {
        let line = written(|| {
            tracing::warn!(log.target = "a::library", log.file = "/src/a.rs", log.line = 7, "odd");
        });
        let expected =
            serde_json::json!({ "level": "WARN", "target": "a::library", "message": "odd" });
        assert_eq!(line, expected);
    }
}
