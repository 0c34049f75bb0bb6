//! Every service that can be connected: one file and one line each.

mod asana;
mod bitbucket;
mod code_host;
mod contract;
#[cfg(any(test, feature = "contract-suite"))]
pub mod contract_suite;
pub(crate) mod custom;
mod discord;
mod fold;
mod github;
mod gitlab;
mod jira;
mod jira_cloud;
mod jira_data_center;
mod linear;
mod slack;
pub mod text;
mod ticket;

pub use contract::*;
use serde_json::Value;

/// Every service that can be connected, in the order that the console shows them.
pub const PROVIDERS: &[&Provider] = &[
    &github::GITHUB,
    &gitlab::GITLAB,
    &bitbucket::BITBUCKET,
    &slack::SLACK,
    &discord::DISCORD,
    &custom::NOTIFICATION,
    &jira_cloud::JIRA_CLOUD,
    &jira_data_center::JIRA_DATA_CENTER,
    &linear::LINEAR,
    &asana::ASANA,
    &custom::TICKETING,
];

/// The provider of a route or a catalogue entry.
#[must_use]
pub fn find(id: &str) -> Option<&'static Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.id == id)
}

/// The provider of a stored connection. Both kinds of Jira are stored as `jira`; the metadata tells
/// which one it is.
#[must_use]
pub fn of(provider_id: &str, metadata: &Value) -> Option<&'static Provider> {
    match (provider_id, metadata["type"].as_str()) {
        ("jira", Some("data_center")) => find("jira_data_center"),
        _ => find(provider_id),
    }
}
