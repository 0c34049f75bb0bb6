//! `relay doctor`: looks at the settings, the database and the providers, and says what to do.

mod database;
mod finding;
mod providers;

use std::process::ExitCode;

use url::{Host, Url};

use self::finding::{Finding, Level};
use crate::{
    settings::{Needs, Settings},
    wiring,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// Leaves the providers alone: whether they can be reached is not looked at.
    #[arg(long)]
    offline: bool,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    match Settings::from_env(Needs::Nothing) {
        Err(error) => findings.push(
            Finding::bad("settings", error.to_string())
                .advice("set them right; docs/configuration.md has all of them"),
        ),
        Ok(settings) => {
            findings.extend(look_at_settings(&settings));
            findings.extend(providers::look_at_settings(&settings.providers));
            match wiring::engine(&settings).await {
                Err(error) => findings.push(database::unreachable(&format!("{error:#}"))),
                Ok(engine) => {
                    database::look(&engine, settings.membership, &mut findings).await;
                    if !arguments.offline {
                        findings.extend(providers::reach(&engine, &settings.providers).await);
                    }
                }
            }
        }
    }
    for finding in &findings {
        if arguments.json {
            println!("{}", serde_json::to_string(finding)?);
        } else {
            println!("{finding}");
        }
    }
    let healthy = findings.iter().all(|finding| finding.level != Level::Bad);
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn look_at_settings(settings: &Settings) -> Vec<Finding> {
    let mut findings = vec![Finding::good("settings", "well formed")];
    findings.push(match (&settings.encryption_key, &settings.database_url) {
        (Some(_), _) => Finding::good("encryption key", "set"),
        (None, None) => Finding::good("encryption key", "kept by `relay dev`"),
        (None, Some(_)) => Finding::bad(
            "encryption key",
            "RELAY_ENCRYPTION_KEY is not set: secrets cannot be opened",
        )
        .advice("give this command the settings of the processes; a lost key cannot be helped"),
    });
    if settings.database_url.is_some() && is_local(&settings.backend_url) {
        findings.push(
            Finding::warn("addresses", "BACKEND_URL is on localhost: no provider can call back")
                .advice("set it to the address under which the outside world reaches the API"),
        );
    }
    findings
}

/// Whether only this machine finds itself there.
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_alone_is_recognised() {
        let judged = |url: &str| is_local(&url.parse().expect("a URL"));
        for url in
            ["http://localhost:3001", "http://127.0.0.1:3001", "http://[::1]", "http://0.0.0.0"]
        {
            assert!(judged(url), "{url}");
        }
        for url in ["https://relay.example.com", "http://10.1.2.3", "http://localhost.example.com"]
        {
            assert!(!judged(url), "{url}");
        }
    }
}
