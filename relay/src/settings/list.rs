//! The one list of settings: parsing, `relay settings` and docs/configuration.md all come from it. What
//! the providers need is not written here: the engine tells it.

use std::borrow::Cow;
use std::sync::LazyLock;

use engine::oauth::config::{self, ProviderSetting};

use super::Needs;
use super::providers::KEY_FILE;

/// A variable of the environment that Relay reads.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    /// An older name that is read when `name` is not set.
    pub(crate) alias: Option<&'static str>,
    /// As it would be written in the environment; empty means that there is none.
    pub(crate) default: &'static str,
    /// Whether its value may never be printed.
    pub(crate) secret: bool,
    pub(crate) required_by: &'static [Needs],
    /// Whole sentences, in Markdown.
    pub(crate) meaning: Cow<'static, str>,
    pub(crate) group: Group,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    Database,
    Http,
    Access,
    Secrets,
    Delivery,
    Providers,
    Process,
}

impl Group {
    pub(crate) const ALL: &[Self] = &[
        Self::Database,
        Self::Http,
        Self::Access,
        Self::Secrets,
        Self::Delivery,
        Self::Providers,
        Self::Process,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Database => "Database",
            Self::Http => "Addresses",
            Self::Access => "Who may call",
            Self::Secrets => "Encryption at rest",
            Self::Delivery => "Delivering",
            Self::Providers => "Providers",
            Self::Process => "The process",
        }
    }
}

const fn setting(group: Group, name: &'static str, meaning: &'static str) -> Setting {
    let meaning = Cow::Borrowed(meaning);
    Setting { name, alias: None, default: "", secret: false, required_by: &[], meaning, group }
}

impl From<ProviderSetting> for Setting {
    fn from(setting: ProviderSetting) -> Self {
        Self {
            name: setting.name,
            alias: setting.alias,
            default: setting.default.unwrap_or_default(),
            secret: setting.is_secret,
            required_by: &[],
            meaning: Cow::Owned(setting.meaning),
            group: Group::Providers,
        }
    }
}

impl Setting {
    const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    const fn alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    const fn required_by(mut self, required_by: &'static [Needs]) -> Self {
        self.required_by = required_by;
        self
    }
}

/// Relay's own, and then what the providers need.
pub(crate) static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    let providers = config::settings().into_iter().map(Setting::from);
    OWN.iter().cloned().chain(providers).chain([APP_KEY_FILE]).collect()
});

const APP_KEY_FILE: Setting = setting(
    Group::Providers,
    KEY_FILE,
    "A file with the private key of the GitHub App, PEM, read where `GITHUB_APP_PRIVATE_KEY` is not set.",
);

/// In the order of the documentation.
const OWN: &[Setting] = &[
    setting(
        Group::Database,
        "DATABASE_URL",
        "The Postgres (15 or newer) that holds everything: `postgres://user:password@host/database`. \
         Where it is not set, `relay dev` runs a private Postgres of its own.",
    )
    .secret()
    .required_by(&[Needs::Database, Needs::Keys, Needs::Api, Needs::Workers]),
    setting(
        Group::Database,
        "RELAY_DATABASE_CONNECTIONS",
        "How many connections to Postgres one process may open, over all of its pools.",
    )
    .default("40"),
    setting(
        Group::Database,
        "PG_BIN_DIR",
        "The directory of `postgres` and `initdb` for the private Postgres of `relay dev`. Where it \
         is not set, `PATH` and the usual places of the distributions are searched.",
    ),
    setting(Group::Http, "RELAY_LISTEN", "Where the API listens.").default("127.0.0.1:3001"),
    setting(
        Group::Http,
        "RELAY_METRICS_LISTEN",
        "Where `/metrics` is served for Prometheus, apart from the API, so that it can stay private.",
    )
    .default("127.0.0.1:9464"),
    setting(
        Group::Http,
        "FRONTEND_URL",
        "The web frontend's origin: the one that browsers may call the API from, and the base of \
         links in notifications.",
    )
    .default("http://localhost:3000"),
    setting(
        Group::Http,
        "BACKEND_URL",
        "The origin under which the outside world reaches this API, as in the address of an \
         uploaded icon.",
    )
    .default("http://localhost:3001"),
    setting(
        Group::Access,
        "RELAY_SERVICE_KEY",
        "The key that Deptex core sends in `X-Internal-Api-Key`, or as a bearer token, to emit \
         events. Several, separated by commas, are all accepted: that is how a key is rotated.",
    )
    .alias("INTERNAL_API_KEY")
    .secret()
    .required_by(&[Needs::Api]),
    setting(
        Group::Access,
        "SUPABASE_JWT_SECRET",
        "The HS256 secret that users' tokens are signed with. The API needs this or \
         `SUPABASE_JWKS_URL`.",
    )
    .secret(),
    setting(
        Group::Access,
        "SUPABASE_JWKS_URL",
        "Where the public keys for RS256 and ES256 tokens are published, such as \
         `https://<project>.supabase.co/auth/v1/.well-known/jwks.json`.",
    ),
    setting(
        Group::Access,
        "SUPABASE_JWT_ISSUER",
        "The `iss` that users' tokens must carry, such as `https://<project>.supabase.co/auth/v1`. \
         Not checked when unset.",
    ),
    setting(
        Group::Access,
        "RELAY_MEMBERSHIP",
        "Where a user's organizations and permissions come from: `claims`, the token's \
         `app_metadata.organizations`, or `postgres`, the core's tables in the same database.",
    )
    .default("claims"),
    setting(
        Group::Access,
        "RELAY_BIND_BROWSER",
        "`true` lets a consent at a provider end only in the browser that it began in, by a cookie of \
         the API. Set it wherever the frontend and the API are on one site, as `app.example.com` and \
         `api.example.com` are: browsers keep no such cookie otherwise, and nothing could be connected.",
    )
    .default("false"),
    setting(
        Group::Secrets,
        "RELAY_ENCRYPTION_KEY",
        "Seals the secrets of connections: 32 random bytes in base64, as from \
         `openssl rand -base64 32`. `relay dev` makes one and keeps it in its data directory. \
         Without the key the stored secrets are lost.",
    )
    .secret()
    .required_by(&[Needs::Api, Needs::Workers, Needs::Keys]),
    setting(
        Group::Secrets,
        "RELAY_ENCRYPTION_KEY_PREVIOUS",
        "Older keys, separated by commas, that may still open secrets but seal none.",
    )
    .secret(),
    setting(
        Group::Delivery,
        "RELAY_ALLOW_PRIVATE_NETWORKS",
        "Networks that webhooks may reach although they are private, separated by commas, such as \
         `10.0.0.0/8,127.0.0.0/8`. Everything private, local or reserved is refused otherwise.",
    ),
    setting(
        Group::Delivery,
        "RELAY_ALLOW_HTTP",
        "`true` accepts webhooks with `http://` addresses, which travel in the clear.",
    )
    .default("false"),
    setting(
        Group::Delivery,
        "RELAY_CA_FILE",
        "A PEM file of certificate authorities to trust for webhooks besides those of the system.",
    ),
    setting(
        Group::Delivery,
        "RELAY_DNS_SERVERS",
        "The name servers to look receivers up with, separated by commas, such as `10.0.0.2,10.0.0.3:5353`, \
         in place of those of `/etc/resolv.conf`. They must know the public internet, the root included: \
         by that Relay tells their failure, for which no delivery is charged, from a receiver's.",
    ),
    setting(
        Group::Delivery,
        "RELAY_RETRY_SCHEDULE",
        "How long to wait after each failed attempt, separated by commas; ±20 % are drawn by lot. A \
         delivery is dead after the last one. Set but empty means no retry.",
    )
    .default("5s,30s,2m,10m,30m,1h,3h,6h,12h,24h"),
    setting(
        Group::Delivery,
        "RELAY_LEASE",
        "How long a worker holds a delivery without a sign of life before another may take it over.",
    )
    .default("30s"),
    setting(
        Group::Delivery,
        "RELAY_WORKER_CONCURRENCY",
        "How many deliveries one worker process sends at a time.",
    )
    .default("256"),
    setting(
        Group::Delivery,
        "RELAY_CONNECTION_CONCURRENCY",
        "How many of them may be for one connection, so that a slow receiver delays nobody else.",
    )
    .default("64"),
    setting(
        Group::Delivery,
        "RELAY_BREAKER_OPEN",
        "How long a connection is left alone that failed ten times in a row, or half of the time; then \
         one request finds out whether it is well. Twice as long each time that it is not, up to sixty \
         times as long.",
    )
    .default("5s"),
    setting(
        Group::Delivery,
        "RELAY_DISABLE_AFTER",
        "How long a connection may take nothing until it is switched off; its organization's other \
         connections are warned at 50, 75 and 90 % of it. `0` means never.",
    )
    .default("5d"),
    setting(
        Group::Delivery,
        "RELAY_RETENTION",
        "How long product events and attempts are kept.",
    )
    .default("30d"),
    setting(
        Group::Process,
        "RELAY_DATA_DIR",
        "Where `relay dev` keeps its Postgres and its keys.",
    )
    .default("./.relay"),
    setting(Group::Process, "RELAY_LOG_FORMAT", "`text` for people, `json` for machines.")
        .default("text"),
    setting(
        Group::Process,
        "RUST_LOG",
        "What is logged, as in `info,engine=debug`; see \
         [the syntax](https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html#directives).",
    )
    .default("info"),
    setting(
        Group::Process,
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "Where an OpenTelemetry collector takes OTLP over HTTP, as in `http://localhost:4318`; spans are \
         posted to `/v1/traces` below it. Without it none is made. See [operations.md](operations.md#traces-and-logs).",
    ),
    setting(
        Group::Process,
        "OTEL_EXPORTER_OTLP_HEADERS",
        "Headers for the collector, as in `x-api-key=…`; several are separated by commas.",
    )
    .secret(),
    setting(Group::Process, "OTEL_SERVICE_NAME", "What the spans say they come from.")
        .default("deptex-relay"),
    setting(
        Group::Process,
        "OTEL_TRACES_SAMPLER_ARG",
        "The share of the traces that begin here that is told, from 0 to 1. Of a trace that the core \
         began, its `traceparent` says whether it is.",
    )
    .default("1"),
];
