//! The trace that a recording belongs to: the caller's, or else one that begins with it.

use axum::http::{HeaderMap, StatusCode};
use engine::trace::{Kind, Open, Traceparent, Value};

/// The recording of one request's events.
pub(super) struct Traced {
    open: Option<Open>,
    /// Kept on each event: attempts go on from here.
    pub(super) traceparent: Option<Traceparent>,
}

impl Traced {
    pub(super) fn begin(headers: &HeaderMap) -> Self {
        let given = given(headers);
        let root = || uuid::Uuid::new_v4().as_u128();
        let open = Open::begin("POST /v1/events", Kind::Server, given.as_ref(), root);
        let traceparent = open.as_ref().map(|open| open.context().clone()).or(given);
        if let Some(traceparent) = &traceparent {
            tracing::Span::current().record("trace_id", traceparent.trace_id());
        }
        Self { open, traceparent }
    }

    pub(super) fn end(self, events: usize, status: StatusCode) {
        let Some(open) = self.open else { return };
        let said = || {
            let number = |number: usize| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
            vec![
                ("events", number(events)),
                ("http.response.status_code", Value::Number(status.as_u16().into())),
            ]
        };
        open.end(said, status.is_server_error().then_some("not recorded"));
    }
}

/// The caller's span. Two of them contradict each other, and count as none.
fn given(headers: &HeaderMap) -> Option<Traceparent> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    Traceparent::parse(value.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    #[test]
    fn a_caller_has_one_traceparent_or_none() {
        const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let of = |values: &[&'static str]| {
            let name = HeaderName::from_static("traceparent");
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&name, HeaderValue::from_static(value));
            }
            given(&headers).map(|given| given.as_str().to_owned())
        };
        assert_eq!(of(&[ONE]).as_deref(), Some(ONE));
        for odd in [&[][..], &[ONE, ONE], &["nonsense"], &["", ONE]] {
            assert_eq!(of(odd), None, "{odd:?}");
        }
    }
}
