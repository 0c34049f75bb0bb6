//! What the operator registered with the providers. Which settings there are is the engine's list;
//! here they are read, and a registration of which half is missing is complained of.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

use engine::oauth::config::{self, ProvidersConfig};
use engine::provider::{Connect, PROVIDERS};

use super::{Problem, Reader, listed, parse};

/// The setting with the path of the GitHub App's key.
pub(super) const KEY_FILE: &str = "GITHUB_APP_PRIVATE_KEY_PATH";
/// The setting with the key itself.
const KEY: &str = "GITHUB_APP_PRIVATE_KEY";

/// Reads every setting of every provider.
pub(super) fn read<L: Fn(&str) -> Option<OsString>>(env: &mut Reader<L>) -> ProvidersConfig {
    let mut values: HashMap<&'static str, String> = HashMap::new();
    for setting in config::settings() {
        if let Some(value) = env.optional(setting.name, parse::text) {
            values.insert(setting.name, value);
        }
    }
    let key_file = env.optional(KEY_FILE, parse::text);
    if let Some(key) = values.remove(KEY).or_else(|| key_file.and_then(|path| key_in(env, &path))) {
        match parse::private_key(&key) {
            Ok(key) => _ = values.insert(KEY, key),
            Err(expected) => env.complain(listed(KEY), expected),
        }
    }
    for (one, other) in PROVIDERS.iter().flat_map(|provider| pair(&provider.connect)) {
        if values.contains_key(one) && !values.contains_key(other) {
            let complaint = format!("is required where {one} is set");
            env.complain(listed(other), complaint);
        }
    }
    ProvidersConfig::new(values).unwrap_or_else(|malformed| {
        let problems = malformed.into_iter();
        env.problems
            .extend(problems.map(|one| Problem { name: one.name, complaint: one.problem.into() }));
        ProvidersConfig::default()
    })
}

fn key_in<L: Fn(&str) -> Option<OsString>>(env: &mut Reader<L>, path: &str) -> Option<String> {
    fs::read_to_string(path)
        .map_err(|_| env.complain(listed(KEY_FILE), "must be the path of a file that can be read"))
        .ok()
}

/// The settings of which neither makes sense without the other, both ways.
fn pair(connect: &Connect) -> Vec<(&'static str, &'static str)> {
    let client = match connect {
        Connect::OAuth2(oauth) => &oauth.client,
        Connect::GitHubApp(app) => &app.client,
        Connect::AccessToken(_) | Connect::Webhook => return Vec::new(),
    };
    vec![(client.id, client.secret), (client.secret, client.id)]
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use engine::provider::find;

    use super::super::{Needs, Settings, SettingsError};
    use super::*;

    const PEM: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";

    fn settings(env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(Needs::Nothing, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn complaints(env: &[(&str, &str)]) -> Vec<String> {
        let error = settings(env).expect_err("something is wrong").to_string();
        error.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn a_provider_is_configured_by_the_settings_that_it_names() {
        let slack = find("slack").expect("it is listed");
        let env = [("SLACK_CLIENT_ID", "1"), ("SLACK_CLIENT_SECRET", "2")];
        assert!(settings(&env).expect("well formed").providers.is_configured(slack));
        assert!(!settings(&[]).expect("well formed").providers.is_configured(slack));
    }

    #[test]
    fn half_a_registration_and_a_malformed_address_are_named_at_once_and_never_by_value() {
        let env = [
            ("SLACK_CLIENT_ID", "hunter2"),
            ("LINEAR_CLIENT_SECRET", "hunter2"),
            ("GITLAB_URL", "hunter2"),
            ("GITHUB_PRIVATE_KEY", "hunter2"),
            ("RELAY_LISTEN", "hunter2"),
        ];
        let found = complaints(&env);
        for expected in [
            "SLACK_CLIENT_SECRET is required where SLACK_CLIENT_ID is set",
            "LINEAR_CLIENT_ID is required where LINEAR_CLIENT_SECRET is set",
            "RELAY_GITLAB_URL ",
            "GITHUB_APP_PRIVATE_KEY must be",
            "RELAY_LISTEN must be",
        ] {
            assert!(found.iter().any(|line| line.starts_with(expected)), "{expected}: {found:?}");
        }
        assert_eq!(found.len(), 5, "{found:?}");
        assert!(!found.concat().contains("hunter2"), "{found:?}");
    }

    #[test]
    fn the_apps_key_comes_from_its_setting_its_older_name_or_a_file() {
        let key = |env: &[(&str, &str)]| {
            let providers = settings(env).expect("well formed").providers;
            providers.text(KEY).map(str::to_owned)
        };
        assert_eq!(key(&[(KEY, PEM)]).as_deref(), Some(PEM));
        assert_eq!(key(&[("GITHUB_PRIVATE_KEY", PEM)]).as_deref(), Some(PEM));
        let one_line = PEM.replace('\n', "\\n");
        assert_eq!(key(&[(KEY, &one_line)]).as_deref(), Some(PEM), "as .env files write it");
        let path = std::env::temp_dir().join(format!("relay-key-{}.pem", std::process::id()));
        let mut file = fs::File::create(&path).expect("a file");
        file.write_all(PEM.as_bytes()).expect("it is written");
        let path_text = path.to_str().expect("a plain path");
        assert_eq!(key(&[(KEY_FILE, path_text)]).as_deref(), Some(PEM));
        fs::remove_file(&path).expect("it is removed");
        let found = complaints(&[(KEY_FILE, path_text)]);
        assert!(found[0].starts_with("GITHUB_APP_PRIVATE_KEY_PATH must be"), "{found:?}");
        assert_eq!(key(&[]), None);
    }
}
