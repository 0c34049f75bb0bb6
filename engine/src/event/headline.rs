//! Says an event in words: the title, text, severity and link that people see in any channel.

mod connections;

use url::Url;

use super::{DIGEST, Priority, RecordedEvent, Severity, TEST_PING, facts::Facts};

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
            let project = facts.project().unwrap_or("A project");
            match status(facts) {
                Some(status) => format!("{project} is now “{status}”"),
                None => format!("{project} has a new status"),
            }
        }
        "project.created" => known("Project created", facts.project()),
        "project.deleted" => known("Project deleted", facts.project()),
        "sla.warning" => format!("{} is due soon", overdue(facts)),
        "sla.breached" => format!("{} is overdue", overdue(facts)),
        "integration.connected" => known("Integration connected", facts.account()),
        "integration.disconnected" => known("Integration disconnected", facts.account()),
        "integration.health_degraded" => known("Integration is failing", facts.account()),
        "feed.sync_stale" => "Feeds of malicious packages are out of date".to_owned(),
        TEST_PING => "Hello from Deptex".to_owned(),
        DIGEST => facts.get(&["title"]).unwrap_or("Several events").to_owned(),
        kind => match connections::said(kind, facts) {
            Some((title, _)) => known(title, facts.account()),
            None => known(&in_words(kind), facts.get(&["title"])),
        },
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
        "project.status_changed" => status(facts).map(|status| {
            let project = facts.project().unwrap_or("a project");
            format!("Deptex evaluated {project}: its status is “{status}”.")
        }),
        "sla.warning" | "sla.breached" => {
            let id = facts.vulnerability().unwrap_or("A vulnerability");
            let package = facts.in_package().map(|package| format!(" {package}"));
            let what = format!("{id}{severity}{}{used_by}", package.unwrap_or_default());
            let comma = if used_by.is_empty() { "" } else { "," };
            let by = facts.get(&["sla_deadline_at"]).map(moment);
            Some(match (event.kind == "sla.breached", by) {
                (false, Some(by)) => format!("{what}{comma} should be fixed by {by}."),
                (false, None) => format!("{what}{comma} should be fixed soon."),
                (true, Some(by)) => format!("{what}{comma} should have been fixed by {by}."),
                (true, None) => format!("{what}{comma} was not fixed in time."),
            })
        }
        "integration.disconnected" | "integration.health_degraded" => {
            facts.get(&["reason"]).map(|reason| format!("Reason: {reason}."))
        }
        "project.created" => {
            Some(format!("{} was created.", facts.project().unwrap_or("A project")))
        }
        "project.deleted" => {
            Some(format!("{} was deleted.", facts.project().unwrap_or("A project")))
        }
        // Its events are told line by line.
        DIGEST => Some(String::new()),
        TEST_PING => return "This is a test, and it works: Deptex can reach you here.".to_owned(),
        kind => connections::said(kind, facts).map(|(_, sentence)| sentence),
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

fn status<'a>(facts: &'a Facts<'_>) -> Option<&'a str> {
    facts.get(&["new_status", "statusName", "status"])
}

/// What has a deadline.
fn overdue(facts: &Facts<'_>) -> String {
    let id = facts.vulnerability().unwrap_or("A vulnerability");
    join([Some(id), facts.in_package().as_deref()])
}

/// A moment as people write it; as it came, where it is none.
fn moment(text: &str) -> String {
    let at = text.parse::<crate::clock::Timestamp>();
    let at = at.map(|at| at.format("%-d %b %Y, %H:%M UTC").to_string());
    let day = || text.parse::<chrono::NaiveDate>().map(|day| day.format("%-d %b %Y").to_string());
    at.or_else(|_| day()).unwrap_or_else(|_| text.to_owned())
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
        "policy.violation" | "sla.breached" | "connection.disabled" | "connection.errored" => {
            Severity::High
        }
        "vulnerability.found"
        | "sla.warning"
        | "connection.failing"
        | "connection.deliveries_exhausted"
        | "connection.suspended"
        | "connection.destination_failing"
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
        ("connection", Some(project)) => {
            format!("{organization}/projects/{project}/settings/notifications")
        }
        ("connection", None) if let Some(team) = event.team_id => {
            format!("{organization}/teams/{team}/settings/notifications")
        }
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
