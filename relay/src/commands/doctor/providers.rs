//! Which providers are set up, and whether they can be reached from here.

use engine::{
    Engine, checkup,
    oauth::config::{self, ProvidersConfig},
    provider::{Connect, PROVIDERS, Provider},
};

use super::finding::Finding;

pub(super) fn look_at_settings(set: &ProvidersConfig) -> Vec<Finding> {
    PROVIDERS.iter().filter_map(|provider| look_at(provider, set)).collect()
}

/// A provider that nobody began to set up is no fault. Custom webhooks need nothing.
fn look_at(provider: &Provider, set: &ProvidersConfig) -> Option<Finding> {
    let settings = config::settings_of(provider);
    let begun = settings.iter().any(|setting| set.secret(setting.name).is_some());
    let missing = set.missing(provider);
    match provider.connect {
        Connect::Webhook | Connect::AccessToken(_) => None,
        _ if missing.is_empty() => Some(Finding::good(provider.label, "set up")),
        _ if begun => {
            let missing = missing.join(", ");
            let detail = format!("cannot be connected: {missing} not set");
            let advice = "set them, or none of its settings; docs/providers.md says where from";
            Some(Finding::bad(provider.label, detail).advice(advice))
        }
        _ => Some(Finding::good(provider.label, "not set up: cannot be connected")),
    }
}

/// Asks those that are set up, all at once.
pub(super) async fn reach(engine: &Engine, set: &ProvidersConfig) -> Vec<Finding> {
    let is_asked = |provider: &&&'static Provider| {
        !matches!(provider.connect, Connect::Webhook | Connect::AccessToken(_))
            && set.is_configured(provider)
    };
    let asked: Vec<_> = PROVIDERS
        .iter()
        .filter(is_asked)
        .map(|provider| {
            let engine = engine.clone();
            (provider.label, tokio::spawn(async move { checkup::reach(&engine, provider).await }))
        })
        .collect();
    let mut findings = Vec::new();
    for (label, asking) in asked {
        match asking.await {
            Ok(reached) => findings.extend(reached.iter().map(|one| judge(label, one))),
            Err(error) => findings.push(Finding::bad(label, error.to_string())),
        }
    }
    findings
}

/// Any answer will do: what it says to a stranger tells nothing of our registration.
fn judge(label: &'static str, reached: &checkup::Reached) -> Finding {
    let url = &reached.url;
    match &reached.outcome {
        Ok(status) => Finding::good(label, format!("{url} answers ({status})")),
        Err(why) => Finding::bad(label, format!("{url} cannot be reached: {why}")).advice(format!(
            "look at DNS, the firewall and {}; deliveries to it are tried again until then",
            reached.setting
        )),
    }
}
