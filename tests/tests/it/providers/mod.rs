//! Accounts at providers: connected, sent to, kept connected. The providers are pretended, strict,
//! and compare every request with what the real ones publish.

mod connect;
mod digest;
mod marks;
mod outage;
mod refusals;
mod slack;
mod tickets;
mod tokens;

use serde_json::{Value, json};
use tests::event;
use uuid::Uuid;

/// A finding that every channel has words for.
fn found(org: Uuid, marker: &str) -> Value {
    vulnerability(org, "vulnerability.found", marker)
}

/// The end of [`found`].
fn resolved(org: Uuid, marker: &str) -> Value {
    vulnerability(org, "vulnerability.resolved", marker)
}

fn vulnerability(org: Uuid, kind: &str, marker: &str) -> Value {
    let data = json!({
        "vulnerability_id": format!("CVE-2026-{marker}"), "severity": "critical",
        "package": "lodash", "version": "4.17.20", "project": "my-project", "marker": marker,
    });
    event(org, kind, data)
}
