//! In the place of [`super::trace`] in a program that was built without the feature `otlp`.

use anyhow::bail;

use crate::settings::Settings;

/// No export.
#[derive(Debug)]
pub(crate) struct Traces;

/// Refuses to begin where the settings ask for spans.
pub(crate) fn start_traces(settings: &Settings) -> anyhow::Result<Traces> {
    if settings.otlp_endpoint.is_some() {
        bail!("OTEL_EXPORTER_OTLP_ENDPOINT: this program was built without the feature `otlp`");
    }
    Ok(Traces)
}

impl Traces {
    pub(crate) async fn end(self) {}
}
