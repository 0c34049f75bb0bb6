//! Pretended providers, so that connecting can be tried without an account anywhere.

use std::collections::HashMap;

use anyhow::anyhow;
use engine::oauth::config::{self, ProvidersConfig};
use mock_providers::MockProviders;

use crate::settings::Settings;

/// Starts pretended providers and lets the settings point at them. `None` where the environment sets
/// up real ones: those are used then, and no others.
pub(super) async fn pretend(settings: &mut Settings) -> anyhow::Result<Option<MockProviders>> {
    let known = config::settings();
    let set = &settings.providers;
    if known.iter().any(|one| set.secret(one.name).is_some() || set.is_overridden(one.name)) {
        return Ok(None);
    }
    let mocks = mock_providers::demo(settings.backend_url.as_str()).await;
    let told: HashMap<String, String> = mocks.settings().into_iter().collect();
    let values = known.iter().filter_map(|one| Some((one.name, told.get(one.name)?.clone())));
    settings.providers = ProvidersConfig::new(values.collect())
        .map_err(|malformed| anyhow!("the pretended providers: {malformed:?}"))?;
    Ok(Some(mocks))
}
