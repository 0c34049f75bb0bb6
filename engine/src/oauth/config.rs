//! What the operator registered with providers, and where providers are reached, by setting name.

use std::collections::HashMap;

use url::Url;

use crate::{
    provider::{Client, ClientSettings, Connect, CredentialOf, Hosts, PROVIDERS, Provider},
    secret::Secret,
};

/// Older names under which the core sets the same thing.
const ALIASES: &[(&str, &str)] =
    &[("RELAY_GITLAB_URL", "GITLAB_URL"), ("GITHUB_APP_PRIVATE_KEY", "GITHUB_PRIVATE_KEY")];
/// What a setting is where it is not set.
const DEFAULTS: &[(&str, &str)] = &[("GITHUB_APP_NAME", "deptex")];

/// A setting that some provider needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSetting {
    /// Its name in the environment.
    pub name: &'static str,
    /// An older name that is read when `name` is not set.
    pub alias: Option<&'static str>,
    /// What it is where it is not set; `None` where there is none.
    pub default: Option<&'static str>,
    /// Whether its value may never be printed.
    pub is_secret: bool,
    /// What it is for, in a sentence.
    pub meaning: String,
}

/// Every setting that the providers name, each once, in the providers' order.
#[must_use]
pub fn settings() -> Vec<ProviderSetting> {
    let mut all: Vec<ProviderSetting> = Vec::new();
    for setting in PROVIDERS.iter().flat_map(|provider| settings_of(provider)) {
        if all.iter().all(|known| known.name != setting.name) {
            all.push(setting);
        }
    }
    all
}

/// The settings of one provider.
#[must_use]
pub fn settings_of(provider: &Provider) -> Vec<ProviderSetting> {
    let label = provider.label;
    let setting = |name: &'static str, is_secret: bool, meaning: String| ProviderSetting {
        name,
        alias: ALIASES.iter().find(|(known, _)| *known == name).map(|(_, alias)| *alias),
        default: DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value),
        is_secret,
        meaning,
    };
    let client = |client: &ClientSettings| {
        [
            setting(client.id, false, format!("The client id of the {label} app.")),
            setting(client.secret, true, format!("The client secret of the {label} app.")),
        ]
    };
    let mut found = Vec::new();
    match &provider.connect {
        Connect::OAuth2(oauth) => found.extend(client(&oauth.client)),
        Connect::GitHubApp(app) => {
            found.push(setting(app.app_id, false, format!("The id of the {label} App.")));
            let name = format!("The name of the {label} App as its address has it.");
            found.push(setting(app.app_name, false, name));
            let key = format!("The private key of the {label} App, PEM.");
            found.push(setting(app.private_key, true, key));
            found.extend(client(&app.client));
        }
        Connect::AccessToken(_) | Connect::Webhook => {}
    }
    if let CredentialOf::Operator(name) = provider.credential {
        found.push(setting(name, true, format!("What messages to {label} are sent with.")));
    }
    for host in provider.hosts {
        let meaning =
            format!("Where {label} is reached, if not at {}: for tests and own servers.", host.url);
        let default = Some(host.url);
        found.push(ProviderSetting { default, ..setting(host.setting, false, meaning) });
    }
    found
}

/// A provider's setting holds what it cannot hold. Never tells the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct MalformedSetting {
    /// Which.
    pub name: &'static str,
    /// What is wrong, as the end of a sentence.
    pub problem: &'static str,
}

/// What is set, looked up by setting name. Prints names only.
#[derive(Clone, Default)]
pub struct ProvidersConfig {
    values: HashMap<&'static str, Secret>,
    hosts: HashMap<&'static str, Url>,
}

impl std::fmt::Debug for ProvidersConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.values.keys()).entries(self.hosts.keys()).finish()
    }
}

impl ProvidersConfig {
    /// From values by the names in [`settings`]; empty ones count as not set, unknown names are
    /// ignored. Reports everything malformed at once.
    pub fn new(values: HashMap<&'static str, String>) -> Result<Self, Vec<MalformedSetting>> {
        let mut config = Self::default();
        let mut malformed = Vec::new();
        let is_host = |name: &str| {
            PROVIDERS.iter().flat_map(|provider| provider.hosts).any(|host| host.setting == name)
        };
        for (name, value) in values {
            if value.trim().is_empty() {
                continue;
            }
            if !is_host(name) {
                config.values.insert(name, Secret::new(value));
                continue;
            }
            match checked_host(value.trim()) {
                Ok(url) => {
                    config.hosts.insert(name, url);
                }
                Err(problem) => malformed.push(MalformedSetting { name, problem }),
            }
        }
        malformed.sort_by_key(|malformed| malformed.name);
        if malformed.is_empty() { Ok(config) } else { Err(malformed) }
    }

    /// The operator's registration; `None` unless both halves are set.
    #[must_use]
    pub fn client(&self, settings: &ClientSettings) -> Option<Client> {
        let id = self.text(settings.id)?.to_owned();
        Some(Client { id, secret: self.secret(settings.secret)? })
    }

    /// Where a provider is reached, with what the operator changed.
    #[must_use]
    pub fn hosts(&self, provider: &Provider) -> Hosts {
        Hosts::of(provider, |setting| self.hosts.get(setting).cloned())
    }

    /// Whether the operator moved this address.
    #[must_use]
    pub fn is_overridden(&self, setting: &str) -> bool {
        self.hosts.contains_key(setting)
    }

    /// A secret by its setting.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.values.get(name).cloned()
    }

    /// A text by its setting, or its default.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let default = DEFAULTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        self.values.get(name).map(|value| value.reveal().trim()).or(default)
    }

    /// Whether everything is set that connecting this provider takes.
    #[must_use]
    pub fn is_configured(&self, provider: &Provider) -> bool {
        self.missing(provider).is_empty()
    }

    /// The settings that connecting this provider still lacks.
    #[must_use]
    pub fn missing(&self, provider: &Provider) -> Vec<&'static str> {
        let mut needed = match &provider.connect {
            Connect::OAuth2(oauth) => vec![oauth.client.id, oauth.client.secret],
            Connect::GitHubApp(app) => {
                vec![app.app_id, app.app_name, app.private_key, app.client.id, app.client.secret]
            }
            Connect::AccessToken(_) | Connect::Webhook => Vec::new(),
        };
        if let CredentialOf::Operator(name) = provider.credential {
            needed.push(name);
        }
        needed.retain(|name| self.text(name).is_none());
        needed
    }
}

fn checked_host(value: &str) -> Result<Url, &'static str> {
    let url = Url::parse(value).map_err(|_| "is not a URL")?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err("does not start with https:// or http://");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("has a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user name or a password");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(values: &[(&'static str, &str)]) -> Result<ProvidersConfig, Vec<MalformedSetting>> {
        ProvidersConfig::new(values.iter().map(|(k, v)| (*k, (*v).to_owned())).collect())
    }

    #[test]
    fn every_setting_is_listed_once_and_says_what_it_is_for() {
        let all = settings();
        for name in ["SLACK_CLIENT_ID", "DISCORD_BOT_TOKEN", "GITHUB_APP_PRIVATE_KEY"] {
            assert_eq!(all.iter().filter(|s| s.name == name).count(), 1, "{name}");
        }
        for setting in &all {
            assert_eq!(all.iter().filter(|s| s.name == setting.name).count(), 1, "{setting:?}");
            assert!(setting.meaning.ends_with('.'), "{setting:?}");
            let secret = setting.name.ends_with("_SECRET")
                || setting.name.ends_with("_TOKEN")
                || setting.name.ends_with("_PRIVATE_KEY");
            assert_eq!(setting.is_secret, secret, "{setting:?}");
        }
        let gitlab = all.iter().find(|s| s.name == "RELAY_GITLAB_URL").expect("it has a host");
        assert_eq!(gitlab.alias, Some("GITLAB_URL"));
    }

    #[test]
    fn half_a_registration_is_none() {
        let client = ClientSettings { id: "SLACK_CLIENT_ID", secret: "SLACK_CLIENT_SECRET" };
        let half = config(&[("SLACK_CLIENT_ID", "1"), ("SLACK_CLIENT_SECRET", " ")]);
        assert!(half.expect("well formed").client(&client).is_none());
        let whole = config(&[("SLACK_CLIENT_ID", "1"), ("SLACK_CLIENT_SECRET", "s3cret")]);
        let whole = whole.expect("well formed");
        assert_eq!(whole.client(&client).expect("a registration").id, "1");
        assert!(!format!("{whole:?}").contains("s3cret"), "{whole:?}");
    }

    #[test]
    fn a_moved_host_is_used_and_a_malformed_one_is_named() {
        let set = config(&[("RELAY_GITLAB_URL", "https://git.example.com/gitlab/")]);
        let set = set.expect("well formed");
        let gitlab = crate::provider::find("gitlab").expect("a provider");
        let url = set.hosts(gitlab).url("web", "/oauth/token");
        assert_eq!(url.as_str(), "https://git.example.com/gitlab/oauth/token");
        assert!(set.is_overridden("RELAY_GITLAB_URL") && !set.is_overridden("RELAY_SLACK_URL"));
        for bad in ["gitlab", "ftp://x", "https://x/?a=b", "https://u:p@x/"] {
            let malformed = config(&[("RELAY_GITLAB_URL", bad)]).expect_err(bad);
            assert_eq!(malformed[0].name, "RELAY_GITLAB_URL");
            assert!(!malformed[0].to_string().contains(bad), "{malformed:?}");
        }
    }

    #[test]
    fn a_provider_is_configured_once_all_of_it_is_set() {
        let slack = crate::provider::find("slack").expect("a provider");
        let custom = crate::provider::find("custom_notification").expect("a provider");
        let none = ProvidersConfig::default();
        assert!(!none.is_configured(slack) && none.is_configured(custom));
        let set = config(&[("SLACK_CLIENT_ID", "1"), ("SLACK_CLIENT_SECRET", "2")]);
        assert!(set.expect("well formed").is_configured(slack));
    }
}
