//! Tests of the words that people see.

use proptest::prelude::*;

use super::*;
use crate::{
    event::CATALOGUE,
    ids::{EventId, OrganizationId, ProjectId},
};

/// An event as the log keeps it, for tests.
pub(crate) fn recorded(kind: &str, data: &str) -> RecordedEvent {
    RecordedEvent {
        id: EventId(uuid::Uuid::nil()),
        organization_id: OrganizationId(uuid::Uuid::from_u128(7)),
        kind: kind.to_owned(),
        payload: bytes::Bytes::copy_from_slice(data.as_bytes()),
        project_id: None,
        team_id: None,
        subject: None,
        priority: "normal".to_owned(),
        source: None,
        occurred_at: "2026-02-25T12:00:00Z".parse().expect("a time"),
        hops: 0,
        traceparent: None,
    }
}

fn said(kind: &str, data: &str) -> (String, String, Severity) {
    let said = headline(&recorded(kind, data), None);
    (said.title, said.body, said.severity)
}

#[test]
fn how_a_connection_is_doing_is_said_with_what_to_do_about_it() {
    let about = r#""connection_id":"x","provider":"slack","display_name":"Ops""#;
    let since = r#""failing_since":"2026-02-25T12:00:00.123456Z""#;
    for (kind, more, title, body, severity) in [
        (
            "connection.failing",
            format!(r#","percent":75,{since}"#),
            "Connection is failing: Ops",
            "Ops (Slack) has taken no event since 2026-02-25 12:00 UTC. 75 % of the time after which \
             Deptex switches it off has passed. Set the receiving side right.",
            Severity::Medium,
        ),
        (
            "connection.deliveries_exhausted",
            format!(",{since}"),
            "Deliveries are being given up: Ops",
            "Ops (Slack) has taken no event since 2026-02-25 12:00 UTC, and a delivery to it ran out \
             of retries. Set the receiving side right; what was given up can be replayed.",
            Severity::Medium,
        ),
        (
            "connection.disabled",
            format!(r#","reason":"failing_too_long",{since}"#),
            "Connection was switched off: Ops",
            "Deptex switched Ops (Slack) off: it has taken no event since 2026-02-25 12:00 UTC. Set \
             the receiving side right and resume it; what it misses can be replayed.",
            Severity::High,
        ),
        (
            "connection.disabled",
            r#","reason":"receiver_gone""#.to_owned(),
            "Connection was switched off: Ops",
            "Deptex switched Ops (Slack) off: its receiver answered that it is gone for good. Set \
             the receiving side right and resume it; what it misses can be replayed.",
            Severity::High,
        ),
        (
            "connection.recovered",
            String::new(),
            "Connection works again: Ops",
            "Ops (Slack) takes events again.",
            Severity::Info,
        ),
        (
            "connection.errored",
            r#","reason":"invalid_grant""#.to_owned(),
            "Connection is broken: Ops",
            "Slack no longer lets Deptex in for Ops (invalid_grant). Connect it again.",
            Severity::High,
        ),
        (
            "connection.suspended",
            r#","reason":"account_inactive""#.to_owned(),
            "Connection is suspended: Ops",
            "Ops is switched off at Slack (account_inactive). Once it is on, resume it.",
            Severity::Medium,
        ),
        (
            "connection.destination_failing",
            r#","reason":"not_in_channel""#.to_owned(),
            "Destination takes no events: Ops",
            "What was chosen for Ops (Slack) does not take events (not_in_channel). Put it right, or \
             choose another destination.",
            Severity::Medium,
        ),
    ] {
        let (said_title, said_body, said_severity) = said(kind, &format!("{{{about}{more}}}"));
        assert_eq!((said_title.as_str(), said_body.as_str()), (title, body));
        assert_eq!(said_severity, severity, "{kind}");
    }
}

#[test]
fn a_notice_about_a_connection_leads_to_the_page_where_it_is_set() {
    let mut event = recorded("connection.failing", "{}");
    let page = |event: &RecordedEvent| headline(event, None).url;
    let organization = format!("https://app.deptex.io/organizations/{}", event.organization_id);
    assert_eq!(page(&event), format!("{organization}/settings/integrations"));
    let id = uuid::Uuid::from_u128(9);
    event.team_id = Some(id.into());
    assert_eq!(page(&event), format!("{organization}/teams/{id}/settings/notifications"));
    (event.team_id, event.project_id) = (None, Some(id.into()));
    assert_eq!(page(&event), format!("{organization}/projects/{id}/settings/notifications"));
}

#[test]
fn each_kind_is_said_in_words() {
    for (kind, data, title, body, severity) in [
        (
            "vulnerability.found",
            r#"{"vulnerability_id":"CVE-1","severity":"HIGH","package":"lodash","version":"4.17.20","project":"shop"}"#,
            "High vulnerability CVE-1 in lodash 4.17.20",
            "CVE-1 (HIGH) was found in lodash 4.17.20, used by shop.",
            Severity::High,
        ),
        (
            "vulnerability.found",
            "{}",
            "Vulnerability",
            "A vulnerability was found in a dependency.",
            Severity::Medium,
        ),
        (
            "vulnerability.found",
            r#"{"vulnerability_id":17,"severity":["high"],"package":{"a":1},"version":null,"project":true}"#,
            "Vulnerability 17",
            "17 was found in a dependency.",
            Severity::Medium,
        ),
        (
            "vulnerability.resolved",
            r#"{"vulnerability_id":"CVE-1","severity":"critical","package":"lodash","version":"5"}"#,
            "Resolved: vulnerability CVE-1 in lodash 5",
            "CVE-1 (critical) is resolved in lodash 5.",
            Severity::Info,
        ),
        (
            "aegis.activity",
            r#"{"action":"fix_proposed","summary":"Upgrade lodash"}"#,
            "Aegis: Upgrade lodash",
            "Upgrade lodash",
            Severity::Info,
        ),
        (
            "administrative.member_added",
            r#"{"email":"ada@example.com","role":"member"}"#,
            "Member added: ada@example.com",
            "The role is member.",
            Severity::Info,
        ),
        (
            "administrative.settings_changed",
            r#"{"setting":"name","changed_by":"ada"}"#,
            "Settings changed: name",
            "Changed by ada.",
            Severity::Info,
        ),
        (
            "project.created",
            r#"{"projectName":"shop","teamIds":[]}"#,
            "Project created: shop",
            "shop was created.",
            Severity::Info,
        ),
        (
            "sla.breached",
            r#"{"osv_id":"GHSA-1","severity":"moderate","sla_deadline_at":"2026-02-25"}"#,
            "GHSA-1 is overdue",
            "GHSA-1 (moderate) should have been fixed by 25 Feb 2026.",
            Severity::Medium,
        ),
        (
            "sla.warning",
            r#"{"osv_id":"GHSA-1","severity":"high","package":"lodash","project":"shop","sla_deadline_at":"2026-02-27T10:30:00+02:00"}"#,
            "GHSA-1 in lodash is due soon",
            "GHSA-1 (high) in lodash, used by shop, should be fixed by 27 Feb 2026, 08:30 UTC.",
            Severity::High,
        ),
        (
            "sla.warning",
            r#"{"sla_deadline_at":"tomorrow"}"#,
            "A vulnerability is due soon",
            "A vulnerability should be fixed by tomorrow.",
            Severity::Medium,
        ),
        (
            "sla.breached",
            "{}",
            "A vulnerability is overdue",
            "A vulnerability was not fixed in time.",
            Severity::High,
        ),
        (
            "project.status_changed",
            r#"{"project":"shop","statusName":"Not compliant"}"#,
            "shop is now “Not compliant”",
            "Deptex evaluated shop: its status is “Not compliant”.",
            Severity::Info,
        ),
        (
            "project.status_changed",
            "{}",
            "A project has a new status",
            "Project: status changed.",
            Severity::Info,
        ),
        (
            "malicious.package_detected",
            "{}",
            "Malicious package detected",
            "A dependency was recognised as malicious.",
            Severity::Critical,
        ),
        (
            "release.candidate_built",
            "{}",
            "Release: candidate built",
            "Release: candidate built.",
            Severity::Info,
        ),
        (
            "test.ping",
            r#"{"message":"Hello."}"#,
            "Hello from Deptex",
            "This is a test, and it works: Deptex can reach you here.",
            Severity::Info,
        ),
    ] {
        let expected = (title.to_owned(), body.to_owned(), severity);
        assert_eq!(said(kind, data), expected, "{kind} {data}");
    }
}

#[test]
fn every_kind_of_the_catalogue_has_words_even_without_data() {
    for info in CATALOGUE {
        for data in ["{}", "[]", "not JSON", info.example.unwrap_or("{}")] {
            let (title, body, _) = said(info.kind, data);
            assert!(!title.is_empty() && !body.is_empty(), "{}", info.kind);
        }
    }
}

#[test]
fn links_lead_to_the_page_of_the_project_or_organization() {
    let organization = "organizations/00000000-0000-0000-0000-000000000007";
    let project = "projects/00000000-0000-0000-0000-000000000009";
    let own: Url = "https://deptex.example.com/app/".parse().expect("a URL");
    for (kind, with_project, frontend, url) in [
        ("vulnerability.found", true, None, format!("{DEPTEX}/{organization}/{project}/security")),
        ("vulnerability.found", false, None, format!("{DEPTEX}/{organization}")),
        ("policy.violation", true, None, format!("{DEPTEX}/{organization}/{project}/compliance")),
        ("project.deleted", true, None, format!("{DEPTEX}/{organization}")),
        ("aegis.activity", true, None, format!("{DEPTEX}/{organization}/{project}/overview")),
        ("test.ping", false, None, format!("{DEPTEX}/{organization}/settings/integrations")),
        (
            "administrative.member_added",
            false,
            Some(&own),
            format!("https://deptex.example.com/app/{organization}/settings"),
        ),
    ] {
        let mut event = recorded(kind, "{}");
        event.project_id = with_project.then(|| ProjectId(uuid::Uuid::from_u128(9)));
        assert_eq!(headline(&event, frontend).url, url);
    }
}

#[test]
fn a_priority_raises_the_severity_and_the_data_decides_it() {
    let mut event = recorded("aegis.activity", "{}");
    event.priority = "critical".to_owned();
    assert_eq!(headline(&event, None).severity, Severity::Critical);
    event.payload = bytes::Bytes::from_static(br#"{"severity":"low"}"#);
    assert_eq!(headline(&event, None).severity, Severity::Low);
}

/// I46: nothing that steers a terminal or turns text around gets into what people read.
#[test]
fn i46_control_characters_do_not_reach_people() {
    let data = r#"{"package":"lo\u001b[31mdash\r\n\u202eevil\u0007","message":"a\tb"}"#;
    let (title, body, _) = said("vulnerability.found", data);
    assert_eq!(title, "Vulnerability in lo[31mdash  evil");
    assert_eq!(body, "A vulnerability was found in lo[31mdash  evil. a b");
}

proptest! {
    #[test]
    fn words_stay_within_their_limits(package in any::<String>(), version in "[é\\u{0}-\\u{1f}x]{0,3000}") {
        let data = serde_json::json!({"package": package, "version": version, "message": version});
        let (title, body, _) = said("vulnerability.found", &data.to_string());
        prop_assert!(title.chars().count() <= TITLE_CHARS_MAX);
        prop_assert!(body.chars().count() <= BODY_CHARS_MAX);
        prop_assert!(!title.chars().chain(body.chars()).any(char::is_control));
    }
}
