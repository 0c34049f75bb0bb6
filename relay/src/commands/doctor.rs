//! `relay doctor`: looks at the settings and the database and says what to do.

use std::process::ExitCode;

use engine::{
    Engine,
    oauth::config::{self, ProvidersConfig},
    partitions::Health,
    provider::{Connect, PROVIDERS, Provider},
};
use serde::Serialize;

use crate::{
    settings::{Needs, Settings},
    wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    detail: String,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    match Settings::from_env(Needs::Nothing) {
        Err(error) => findings.push(bad("settings", error.to_string())),
        Ok(settings) => {
            findings.push(good("settings", "well formed"));
            findings.push(match (&settings.encryption_key, &settings.database_url) {
                (Some(_), _) => good("encryption key", "set"),
                (None, None) => good("encryption key", "kept by `relay dev`"),
                (None, Some(_)) => bad(
                    "encryption key",
                    "RELAY_ENCRYPTION_KEY is not set: secrets cannot be opened",
                ),
            });
            findings.extend(PROVIDERS.iter().filter_map(|one| look_at(one, &settings.providers)));
            match wiring::engine(&settings).await {
                Err(error) => findings.push(bad("database", format!("{error:#}"))),
                Ok(engine) => look_at_database(&engine, &mut findings).await,
            }
        }
    }
    for finding in &findings {
        if arguments.json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            let mark = if finding.good { "ok " } else { "BAD" };
            println!("{mark}  {:<20}  {}", finding.what, finding.detail);
        }
    }
    let healthy = findings.iter().all(|finding| finding.good);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A provider that nobody began to set up is no fault. Custom webhooks need nothing.
fn look_at(provider: &Provider, set: &ProvidersConfig) -> Option<Finding> {
    let settings = config::settings_of(provider);
    let begun = settings.iter().any(|setting| set.secret(setting.name).is_some());
    let missing = set.missing(provider);
    match provider.connect {
        Connect::Webhook | Connect::AccessToken(_) => None,
        _ if missing.is_empty() => Some(good(provider.label, "set up")),
        _ if begun => {
            let missing = missing.join(", ");
            Some(bad(provider.label, format!("cannot be connected: {missing} not set")))
        }
        _ => Some(good(provider.label, "not set up: cannot be connected")),
    }
}

async fn look_at_database(engine: &Engine, findings: &mut Vec<Finding>) {
    match engine.db.server_version().await {
        Ok(version) => findings.push(good("database", format!("Postgres {version}"))),
        Err(error) => return findings.push(bad("database", error.to_string())),
    }
    match engine.db.ready().await {
        Ok(()) => findings.push(good("schema", "up to date")),
        Err(error) => return findings.push(bad("schema", error.to_string())),
    }
    match engine::partitions::health(engine).await {
        Err(error) => findings.push(bad("partitions", error.to_string())),
        Ok(Health { outside, tomorrow, oldest_due, unreadable_key_ids }) => {
            findings.push(if tomorrow && outside == 0 {
                good("partitions", "made ahead")
            } else if outside > 0 {
                bad("partitions", format!("{outside} rows lie in a default partition"))
            } else {
                bad("partitions", "tomorrow has none: is a worker running?")
            });
            let late = oldest_due.as_secs();
            findings.push(if late < 60 {
                good("outbox", format!("oldest due delivery waits {late} s"))
            } else {
                bad("outbox", format!("a delivery has been due for {late} s: is a worker running?"))
            });
            findings.push(if unreadable_key_ids.is_empty() {
                good("secrets", "every one opens with a key at hand")
            } else {
                bad(
                    "secrets",
                    format!("sealed with keys that are not set: {}", unreadable_key_ids.join(", ")),
                )
            });
        }
    }
}

fn good(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, good: true, detail: detail.into() }
}

fn bad(what: &'static str, detail: impl Into<String>) -> Finding {
    Finding { what, good: false, detail: detail.into() }
}
