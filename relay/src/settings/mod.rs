//! What the environment says, read once: every complaint at once, by name and never by value.

mod document;
mod list;
mod parse;
mod providers;
#[cfg(test)]
mod providers_page;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine::oauth::config::ProvidersConfig;
use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

pub(crate) use self::document::markdown;
pub(crate) use self::list::{SETTINGS, Setting};
use self::parse::Expected;

/// What a command cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: `relay dev` makes what is missing.
    Nothing,
    /// A database: `relay migrate` and everything that looks into one.
    Database,
    /// A database, and the keys to open what is sealed in it.
    Keys,
    Api,
    Workers,
}

/// Where a user's organizations and permissions come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    Claims,
    Postgres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// The fields are as documented in [`SETTINGS`]. `Debug` hides the secrets.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// There whenever the command needs it; see [`Needs`].
    pub(crate) database_url: Option<SecretString>,
    pub(crate) database_connections: u32,
    pub(crate) pg_bin_dir: Option<PathBuf>,
    pub(crate) listen: SocketAddr,
    pub(crate) metrics_listen: SocketAddr,
    pub(crate) frontend_url: Url,
    pub(crate) backend_url: Url,
    pub(crate) service_keys: Vec<SecretString>,
    pub(crate) supabase_jwt_secret: Option<SecretString>,
    pub(crate) supabase_jwks_url: Option<Url>,
    pub(crate) supabase_jwt_issuer: Option<String>,
    pub(crate) membership: Membership,
    pub(crate) bind_browser: bool,
    /// Base64, checked to be 32 bytes.
    pub(crate) encryption_key: Option<SecretString>,
    pub(crate) encryption_keys_previous: Vec<SecretString>,
    pub(crate) allow_private_networks: Vec<IpNet>,
    pub(crate) allow_http: bool,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) dns_servers: Vec<SocketAddr>,
    pub(crate) retry_schedule: Vec<Duration>,
    pub(crate) lease: Duration,
    pub(crate) worker_concurrency: u32,
    pub(crate) connection_concurrency: u32,
    pub(crate) breaker_open: Duration,
    /// `None`: never.
    pub(crate) disable_after: Option<Duration>,
    pub(crate) retention: Duration,
    pub(crate) providers: ProvidersConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
    /// `None`: no span is made.
    pub(crate) otlp_endpoint: Option<Url>,
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) otlp_headers: Vec<(String, SecretString)>,
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) service_name: String,
    /// From 0 to 1.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nothing is exported"))]
    pub(crate) trace_ratio: f64,
}

impl Settings {
    /// Reads the environment; what `needs` cannot do without must be there.
    pub(crate) fn from_env(needs: Needs) -> Result<Self, SettingsError> {
        Self::read(needs, from_environment)
    }

    fn read(
        needs: Needs,
        look_up: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        let mut env = Reader { look_up, problems: Vec::new(), asked: Vec::new() };
        let settings = Self {
            database_url: env.optional("DATABASE_URL", parse::postgres_url),
            database_connections: env.or_default("RELAY_DATABASE_CONNECTIONS", parse::count),
            pg_bin_dir: env.optional("PG_BIN_DIR", parse::text).map(PathBuf::from),
            listen: env.or_default("RELAY_LISTEN", parse::address),
            metrics_listen: env.or_default("RELAY_METRICS_LISTEN", parse::address),
            frontend_url: env.or_default("FRONTEND_URL", parse::web_url),
            backend_url: env.or_default("BACKEND_URL", parse::web_url),
            service_keys: env.or_empty("RELAY_SERVICE_KEY", parse::secrets),
            supabase_jwt_secret: env.optional("SUPABASE_JWT_SECRET", parse::secret),
            supabase_jwks_url: env.optional("SUPABASE_JWKS_URL", parse::web_url),
            supabase_jwt_issuer: env.optional("SUPABASE_JWT_ISSUER", parse::text),
            membership: env.or_default("RELAY_MEMBERSHIP", parse::membership),
            bind_browser: env.or_default("RELAY_BIND_BROWSER", parse::yes_or_no),
            encryption_key: env.optional("RELAY_ENCRYPTION_KEY", parse::encryption_key),
            encryption_keys_previous: env
                .or_empty("RELAY_ENCRYPTION_KEY_PREVIOUS", parse::encryption_keys),
            allow_private_networks: env.or_empty("RELAY_ALLOW_PRIVATE_NETWORKS", parse::networks),
            allow_http: env.or_default("RELAY_ALLOW_HTTP", parse::yes_or_no),
            ca_file: env.optional("RELAY_CA_FILE", parse::text).map(PathBuf::from),
            dns_servers: env.or_empty("RELAY_DNS_SERVERS", parse::name_servers),
            retry_schedule: env.or_default("RELAY_RETRY_SCHEDULE", parse::schedule),
            lease: env.or_default("RELAY_LEASE", parse::lease),
            worker_concurrency: env.or_default("RELAY_WORKER_CONCURRENCY", parse::count),
            connection_concurrency: env.or_default("RELAY_CONNECTION_CONCURRENCY", parse::count),
            breaker_open: env.or_default("RELAY_BREAKER_OPEN", parse::duration),
            disable_after: env.or_default("RELAY_DISABLE_AFTER", parse::disable_after),
            retention: env.or_default("RELAY_RETENTION", parse::retention),
            providers: providers::read(&mut env),
            data_dir: PathBuf::from(env.or_default("RELAY_DATA_DIR", parse::text)),
            log_format: env.or_default("RELAY_LOG_FORMAT", parse::log_format),
            log_filter: env.or_default("RUST_LOG", parse::log_filter),
            otlp_endpoint: env.optional("OTEL_EXPORTER_OTLP_ENDPOINT", parse::collector_url),
            otlp_headers: env.or_empty("OTEL_EXPORTER_OTLP_HEADERS", parse::secret_pairs),
            service_name: env.or_default("OTEL_SERVICE_NAME", parse::text),
            trace_ratio: env.or_default("OTEL_TRACES_SAMPLER_ARG", parse::ratio),
        };
        env.require(needs);
        debug_assert_eq!(env.asked.len(), SETTINGS.len(), "each setting is read once");
        if env.problems.is_empty() { Ok(settings) } else { Err(SettingsError(env.problems)) }
    }
}

/// Whether the environment gives the setting a value, under either of its names.
pub(crate) fn is_set(setting: &Setting) -> bool {
    let set = |name: &str| from_environment(name).is_some_and(|value| !value.is_empty());
    set(setting.name) || setting.alias.is_some_and(set)
}

/// The same, by name.
pub(crate) fn is_set_by_name(name: &str) -> bool {
    is_set(listed(name))
}

/// Everything that is wrong with the environment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) struct SettingsError(Vec<Problem>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    name: &'static str,
    complaint: Cow<'static, str>,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings need attention (see docs/configuration.md):")?;
        for Problem { name, complaint } in &self.0 {
            write!(f, "\n  {name} {complaint}")?;
        }
        Ok(())
    }
}

struct Reader<L> {
    look_up: L,
    problems: Vec<Problem>,
    asked: Vec<&'static str>,
}

impl<L: Fn(&str) -> Option<OsString>> Reader<L> {
    fn optional<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, Expected>) -> Option<T> {
        let setting = listed(name);
        self.asked.push(setting.name);
        let value = self.value(setting).filter(|value| !value.is_empty())?;
        self.parsed(setting, &value, parse)
    }

    fn or_empty<T>(&mut self, name: &str, parse: fn(&str) -> Result<Vec<T>, Expected>) -> Vec<T> {
        self.optional(name, parse).unwrap_or_default()
    }

    fn or_default<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, Expected>) -> T {
        let setting = listed(name);
        self.asked.push(setting.name);
        let value = self.value(setting);
        // An empty variable is one that is not set, but for a list that is empty on purpose.
        let value = value.filter(|value| !value.is_empty() || name == "RELAY_RETRY_SCHEDULE");
        value
            .and_then(|value| self.parsed(setting, &value, parse))
            .unwrap_or_else(|| parse(setting.default).expect("the listed defaults are well formed"))
    }

    fn value(&mut self, setting: &Setting) -> Option<String> {
        let named = |name: &str| (self.look_up)(name).filter(|value| !value.is_empty());
        let value = named(setting.name)
            .or_else(|| setting.alias.and_then(named))
            .or_else(|| (self.look_up)(setting.name))?;
        match value.into_string() {
            Ok(text) => Some(text.trim().to_owned()),
            Err(_) => {
                self.complain(setting, "must be UTF-8");
                None
            }
        }
    }

    fn parsed<T>(
        &mut self,
        setting: &Setting,
        value: &str,
        parse: fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        parse(value).map_err(|expected| self.complain(setting, expected)).ok()
    }

    fn complain(&mut self, setting: &Setting, complaint: impl Into<Cow<'static, str>>) {
        self.problems.push(Problem { name: setting.name, complaint: complaint.into() });
    }

    fn require(&mut self, needs: Needs) {
        for setting in SETTINGS.iter().filter(|setting| setting.required_by.contains(&needs)) {
            if !self.has(setting.name) {
                self.complain(setting, "is required");
            }
        }
        let user_keys = ["SUPABASE_JWT_SECRET", "SUPABASE_JWKS_URL"];
        if needs == Needs::Api && !user_keys.iter().any(|name| self.has(name)) {
            self.complain(listed(user_keys[0]), "or SUPABASE_JWKS_URL is required");
        }
    }

    /// A malformed value counts: it is complained of already. One of only commas does not.
    fn has(&self, name: &str) -> bool {
        let setting = listed(name);
        let says = |name: &str| {
            let value = (self.look_up)(name).unwrap_or_default();
            !value.to_string_lossy().trim_matches([' ', ',']).is_empty()
        };
        says(setting.name) || setting.alias.is_some_and(says)
    }
}

fn listed(name: &str) -> &'static Setting {
    let found = SETTINGS.iter().find(|setting| setting.name == name);
    found.expect("every setting that is read is listed")
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads settings")]
fn from_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

    fn read(needs: Needs, env: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(needs, |name| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    fn problems(needs: Needs, env: &[(&str, &str)]) -> Vec<&'static str> {
        let error = read(needs, env).expect_err("something is wrong");
        error.0.iter().map(|problem| problem.name).collect()
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let settings = read(Needs::Nothing, &[]).expect("nothing is needed");
        assert_eq!(settings.listen.to_string(), "127.0.0.1:3001");
        assert_eq!(settings.metrics_listen.to_string(), "127.0.0.1:9464");
        assert_eq!(settings.retry_schedule.len(), 10);
        assert_eq!(settings.lease, Duration::from_secs(30));
        assert_eq!(settings.data_dir, PathBuf::from("./.relay"));
        assert_eq!(settings.membership, Membership::Claims);
        assert!(!settings.allow_http && settings.allow_private_networks.is_empty());
        assert!(settings.database_url.is_none() && settings.encryption_key.is_none());
    }

    #[test]
    fn each_command_is_told_all_that_it_misses() {
        for (needs, missing) in [
            (Needs::Database, &["DATABASE_URL"][..]),
            (Needs::Keys, &["DATABASE_URL", "RELAY_ENCRYPTION_KEY"][..]),
            (Needs::Workers, &["DATABASE_URL", "RELAY_ENCRYPTION_KEY"][..]),
            (
                Needs::Api,
                &[
                    "DATABASE_URL",
                    "RELAY_SERVICE_KEY",
                    "RELAY_ENCRYPTION_KEY",
                    "SUPABASE_JWT_SECRET",
                ][..],
            ),
        ] {
            assert_eq!(problems(needs, &[]), missing, "{needs:?}");
        }
    }

    #[test]
    fn malformed_and_missing_are_reported_at_once_by_name_and_never_by_value() {
        let env = [
            ("DATABASE_URL", "hunter2-database"),
            ("RELAY_LISTEN", "hunter2-listen"),
            ("RELAY_ENCRYPTION_KEY", "hunter2-key"),
            ("RELAY_LEASE", "hunter2-lease"),
            ("RELAY_SERVICE_KEY", " , "),
            ("SUPABASE_JWKS_URL", "https://example.com/jwks"),
        ];
        let names = problems(Needs::Api, &env);
        assert_eq!(
            names,
            [
                "DATABASE_URL",
                "RELAY_LISTEN",
                "RELAY_ENCRYPTION_KEY",
                "RELAY_LEASE",
                "RELAY_SERVICE_KEY"
            ]
        );
        let error = read(Needs::Api, &env).expect_err("all of that is wrong");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert!(error.to_string().contains("\n  RELAY_LEASE must be a time from 1s to 1h"));
    }

    #[test]
    fn an_empty_variable_is_an_unset_one_but_an_empty_schedule_means_no_retry() {
        let settings = read(Needs::Nothing, &[("RELAY_LISTEN", ""), ("RELAY_RETRY_SCHEDULE", "")])
            .expect("both are well formed");
        assert_eq!(settings.listen.port(), 3001);
        assert!(settings.retry_schedule.is_empty());
        assert_eq!(problems(Needs::Database, &[("DATABASE_URL", " ")]), ["DATABASE_URL"]);
    }

    #[test]
    fn the_service_key_may_come_by_its_older_name_and_may_be_several() {
        let keys = |env: &[(&str, &str)]| {
            let settings = read(Needs::Nothing, env).expect("well formed");
            let keys: Vec<String> =
                settings.service_keys.iter().map(|key| key.expose_secret().to_owned()).collect();
            keys
        };
        assert_eq!(keys(&[("INTERNAL_API_KEY", "old")]), ["old"]);
        assert_eq!(keys(&[("INTERNAL_API_KEY", "old"), ("RELAY_SERVICE_KEY", "")]), ["old"]);
        assert_eq!(keys(&[("INTERNAL_API_KEY", "old"), ("RELAY_SERVICE_KEY", "a, b")]), ["a", "b"]);
    }

    #[test]
    fn debug_hides_every_secret() {
        const PEM: &str = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----";
        let env: Vec<(&str, &str)> = SETTINGS
            .iter()
            .filter(|setting| setting.secret || setting.name.ends_with("_CLIENT_ID"))
            .map(|setting| match setting.name {
                "DATABASE_URL" => (setting.name, "postgres://u:hunter2@h/db"),
                "GITHUB_APP_PRIVATE_KEY" => (setting.name, PEM),
                "OTEL_EXPORTER_OTLP_HEADERS" => (setting.name, "x-api-key=hunter2"),
                name if name.starts_with("RELAY_ENCRYPTION_KEY") => (name, KEY),
                name => (name, "hunter2"),
            })
            .collect();
        let settings = read(Needs::Nothing, &env).expect("well formed");
        assert!(settings.encryption_key.is_some() && !settings.encryption_keys_previous.is_empty());
        assert!(settings.providers.secret("SLACK_CLIENT_SECRET").is_some());
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains(KEY), "{shown}");
    }
}
