//! Says an event in words: the title, text, severity and link that people see in any channel.

use url::Url;

use super::{Priority, RecordedEvent, Severity, TEST_PING, facts::Facts};

/// How long a title may be.
pub const TITLE_CHARS_MAX: usize = 255;
/// How long a text may be.
pub const BODY_CHARS_MAX: usize = 2_000;
/// Where links lead when no frontend is configured.
const DEPTEX: &str = "https://app.deptex.io";

/// An event in words. Plain text: each channel escapes it in its own way.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Notification {
    /// One line, at most [`TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// One line, at most [`BODY_CHARS_MAX`] characters.
    pub body: String,
    /// How bad it is.
    pub severity: Severity,
    /// The page of Deptex to look at.
    pub url: String,
}

/// Says an event in words. It reads a few texts from `data`, and does without those that are missing.
#[must_use]
pub fn headline(event: &RecordedEvent, frontend_url: Option<&Url>) -> Notification {
    let facts: Facts<'_> = serde_json::from_slice(&event.payload).unwrap_or_default();
    let severity = severity(event, &facts);
    Notification {
        title: line(&title(event, &facts, severity), TITLE_CHARS_MAX),
        body: line(&body(event, &facts), BODY_CHARS_MAX),
        severity,
        url: url(event, frontend_url),
    }
}

fn title(event: &RecordedEvent, facts: &Facts<'_>, severity: Severity) -> String {
    let known = |title: &str, name: Option<&str>| match name {
        Some(name) => format!("{title}: {name}"),
        None => title.to_owned(),
    };
    match event.kind.as_str() {
        "vulnerability.found" => {
            let what = match facts.get(&["severity"]).and_then(Severity::read) {
                Some(_) => format!("{} vulnerability", capitalized(severity.as_str())),
                None => "Vulnerability".to_owned(),
            };
            join([Some(what.as_str()), facts.vulnerability(), facts.in_package().as_deref()])
        }
        "vulnerability.resolved" => join([
            Some("Resolved: vulnerability"),
            facts.vulnerability(),
            facts.in_package().as_deref(),
        ]),
        "aegis.activity" => known("Aegis", facts.get(&["title", "summary", "message", "action"])),
        "administrative.member_added" => known("Member added", facts.person()),
        "administrative.member_invited" => known("Member invited", facts.person()),
        "administrative.member_removed" => known("Member removed", facts.person()),
        "administrative.settings_changed" => known("Settings changed", facts.get(&["setting"])),
        "malicious.package_detected" => {
            known("Malicious package detected", facts.package().as_deref())
        }
        "policy.violation" => known("Policy violation", facts.get(&["rule", "policy"])),
        "policy.code_updated" => {
            known("Policy code updated", facts.get(&["codeType", "code_type"]))
        }
        "project.status_changed" => {
            known("Project status", facts.get(&["new_status", "statusName", "status"]))
        }
        "project.created" => known("Project created", facts.project()),
        "project.deleted" => known("Project deleted", facts.project()),
        "sla.warning" => known("Deadline is near", facts.vulnerability()),
        "sla.breached" => known("Deadline has passed", facts.vulnerability()),
        "integration.connected" => known("Integration connected", facts.account()),
        "integration.disconnected" => known("Integration disconnected", facts.account()),
        "integration.health_degraded" => known("Integration is failing", facts.account()),
        "feed.sync_stale" => "Feeds of malicious packages are out of date".to_owned(),
        TEST_PING => "Test from Deptex".to_owned(),
        kind => known(&in_words(kind), facts.get(&["title"])),
    }
}

fn body(event: &RecordedEvent, facts: &Facts<'_>) -> String {
    let said = facts.get(&["message", "summary", "description"]);
    let used_by = facts.project().map(|project| format!(", used by {project}")).unwrap_or_default();
    let severity = facts.get(&["severity"]).map(|word| format!(" ({word})")).unwrap_or_default();
    let sentence = match event.kind.as_str() {
        "vulnerability.found" => {
            let id = facts.vulnerability().unwrap_or("A vulnerability");
            let package = facts.package().unwrap_or_else(|| "a dependency".to_owned());
            Some(format!("{id}{severity} was found in {package}{used_by}."))
        }
        "vulnerability.resolved" => {
            let id = facts.vulnerability().unwrap_or("A vulnerability");
            let package = facts.package().unwrap_or_else(|| "a dependency".to_owned());
            Some(format!("{id}{severity} is resolved in {package}{used_by}."))
        }
        "malicious.package_detected" => {
            let package = facts.package().unwrap_or_else(|| "A dependency".to_owned());
            Some(format!("{package} was recognised as malicious."))
        }
        "administrative.member_added" | "administrative.member_invited" => {
            facts.get(&["role"]).map(|role| format!("The role is {role}."))
        }
        "administrative.settings_changed" | "policy.code_updated" => facts
            .get(&["changed_by", "updated_by", "updatedBy"])
            .map(|person| format!("Changed by {person}.")),
        "sla.warning" | "sla.breached" => facts
            .get(&["sla_deadline_at"])
            .map(|at| format!("The deadline{severity} is {at}{used_by}.")),
        "integration.disconnected" | "integration.health_degraded" => {
            facts.get(&["reason"]).map(|reason| format!("Reason: {reason}."))
        }
        "project.created" => {
            Some(format!("{} was created.", facts.project().unwrap_or("A project")))
        }
        "project.deleted" => {
            Some(format!("{} was deleted.", facts.project().unwrap_or("A project")))
        }
        TEST_PING => Some("Deptex can reach this endpoint.".to_owned()),
        _ => None,
    };
    match (sentence, said) {
        (sentence, Some(said)) => join([sentence.as_deref(), Some(said)]),
        (Some(sentence), None) => sentence,
        (None, None) => match facts.project() {
            Some(project) => format!("{} in {project}.", in_words(&event.kind)),
            None => format!("{}.", in_words(&event.kind)),
        },
    }
}

/// What the data says; else what the kind usually means, raised by a critical or high priority.
fn severity(event: &RecordedEvent, facts: &Facts<'_>) -> Severity {
    if event.kind == "vulnerability.resolved" {
        return Severity::Info;
    }
    if let Some(severity) = facts.get(&["severity"]).and_then(Severity::read) {
        return severity;
    }
    let usual = match event.kind.as_str() {
        "malicious.package_detected" => Severity::Critical,
        "policy.violation" | "sla.breached" => Severity::High,
        "vulnerability.found"
        | "sla.warning"
        | "integration.health_degraded"
        | "feed.sync_stale" => Severity::Medium,
        _ => Severity::Info,
    };
    let raised = match event.priority.parse() {
        Ok(Priority::Critical) => Severity::Critical,
        Ok(Priority::High) => Severity::High,
        _ => Severity::Info,
    };
    usual.max(raised)
}

fn url(event: &RecordedEvent, frontend_url: Option<&Url>) -> String {
    let base = frontend_url.map_or(DEPTEX, Url::as_str).trim_end_matches('/');
    let organization = format!("{base}/organizations/{}", event.organization_id);
    let area = event.kind.split('.').next().unwrap_or_default();
    match (area, event.project_id) {
        ("integration" | "connection" | "test", _) => {
            format!("{organization}/settings/integrations")
        }
        ("administrative", _) => format!("{organization}/settings"),
        (_, None) => organization,
        _ if event.kind == "project.deleted" => organization,
        ("vulnerability" | "malicious" | "sla", Some(project)) => {
            format!("{organization}/projects/{project}/security")
        }
        ("policy", Some(project)) => format!("{organization}/projects/{project}/compliance"),
        (_, Some(project)) => format!("{organization}/projects/{project}/overview"),
    }
}

/// `release.candidate_built` → `Release: candidate built`.
fn in_words(kind: &str) -> String {
    capitalized(&kind.replace('.', ": ").replace('_', " "))
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn join<const N: usize>(parts: [Option<&str>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// One line of at most `max` characters, without those that control a terminal or turn text around.
fn line(text: &str, max: usize) -> String {
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut plain = text
        .chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .filter(|c| !c.is_control() && !turns(*c));
    let mut line: String = plain.by_ref().take(max).collect();
    if plain.next().is_some() {
        line.pop();
        line.push('…');
    }
    line.trim().to_owned()
}

#[cfg(test)]
pub(super) mod tests;
