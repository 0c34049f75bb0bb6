//! What is asked of the API.

use std::{sync::LazyLock, time::Duration};

use metrics::{Counter, Histogram, counter, histogram};

use super::{
    handles::PerWord,
    labels::{self, words},
    metric::Metric,
};

pub(super) const METRICS: &[Metric] = &[
    Metric::counter("relay_http_requests_total", "Requests answered, by what they were for.")
        .by(&[words("surface", labels::SURFACE), words("status", labels::STATUS)]),
    Metric::histogram(
        "relay_http_request_seconds",
        "From a request's head to its answer's; without streams.",
    )
    .by(&[words("surface", labels::SURFACE)]),
];

static REQUESTS: LazyLock<PerWord<PerWord<Counter>>> = LazyLock::new(|| {
    PerWord::new(labels::SURFACE, |surface| {
        let of_surface = PerWord::new(
            labels::STATUS,
            move |status| counter!("relay_http_requests_total", "surface" => surface, "status" => status),
        );
        of_surface.begin();
        of_surface
    })
});
static SECONDS: LazyLock<PerWord<Histogram>> = LazyLock::new(|| {
    PerWord::new(
        labels::SURFACE,
        |surface| histogram!("relay_http_request_seconds", "surface" => surface),
    )
});

/// Begins counting at zero: for a process that serves the API.
pub fn http_begin() {
    REQUESTS.begin();
}

/// A request was answered. `took` is left out where the answer is a stream.
pub fn http_request(surface: &'static str, status: u16, took: Option<Duration>) {
    let status = match status {
        429 => "429",
        ..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    REQUESTS.of(surface).of(status).increment(1);
    if let Some(took) = took {
        SECONDS.of(surface).record(took.as_secs_f64());
    }
}
