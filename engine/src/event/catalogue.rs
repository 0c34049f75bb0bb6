//! The kinds of events that Deptex reports, what their data looks like, and the core's older names.
//!
//! The catalogue informs people and tools. It refuses nothing: an event of another kind, or with
//! other data, is recorded and delivered all the same.

mod schemas;

use self::schemas::{
    AEGIS_ACTIVITY, CONNECTION_DELIVERIES_EXHAUSTED, CONNECTION_DESTINATION_FAILING,
    CONNECTION_DISABLED, CONNECTION_ERRORED, CONNECTION_FAILING, CONNECTION_RECOVERED,
    CONNECTION_SUSPENDED, MEMBER_ADDED, SETTINGS_CHANGED, TEST, VULNERABILITY_FOUND,
    VULNERABILITY_RESOLVED,
};

/// What is known of a kind.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct KindInfo {
    /// Its name.
    pub kind: &'static str,
    /// Older names that are taken for it, in events and in subscriptions.
    pub aliases: &'static [&'static str],
    /// When it is reported, in a sentence.
    pub description: &'static str,
    /// A JSON Schema (draft 2020-12) of its `data`.
    pub schema: Option<&'static str>,
    /// A `data` that fits the schema.
    pub example: Option<&'static str>,
}

/// The kind that the test of a connection sends.
pub const TEST_PING: &str = "test.ping";

/// The core's older names and the kinds that they stand for; `relay.kind_aliases` holds the same.
pub const ALIASES: &[(&str, &str)] = &[
    ("vulnerability_discovered", "vulnerability.found"),
    ("vulnerability_resolved", "vulnerability.resolved"),
    ("malicious_package_detected", "malicious.package_detected"),
    ("policy_violation", "policy.violation"),
    ("policy_code_updated", "policy.code_updated"),
    ("status_changed", "project.status_changed"),
    ("project_created", "project.created"),
    ("project_deleted", "project.deleted"),
    ("sla_warning", "sla.warning"),
    ("sla_breached", "sla.breached"),
    ("integration_connected", "integration.connected"),
    ("integration_disconnected", "integration.disconnected"),
    ("integration_health_degraded", "integration.health_degraded"),
    ("member_invited", "administrative.member_invited"),
    ("member_removed", "administrative.member_removed"),
    ("feed_sync_stale", "feed.sync_stale"),
];

/// The kind that an older name stands for.
#[must_use]
pub fn canonical(alias: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(known, _)| *known == alias).map(|(_, kind)| *kind)
}

const fn plain(
    kind: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
) -> KindInfo {
    KindInfo { kind, aliases, description, schema: None, example: None }
}

/// Every kind that Deptex reports today.
pub const CATALOGUE: &[KindInfo] = &[
    KindInfo {
        kind: "vulnerability.found",
        aliases: &["vulnerability_discovered"],
        description: "A new vulnerability was detected.",
        schema: Some(VULNERABILITY_FOUND),
        example: Some(
            r#"{"vulnerability_id":"CVE-2026-XXXX","severity":"critical","package":"lodash","version":"4.17.20","project":"my-project"}"#,
        ),
    },
    KindInfo {
        kind: "vulnerability.resolved",
        aliases: &["vulnerability_resolved"],
        description: "A vulnerability was resolved.",
        schema: Some(VULNERABILITY_RESOLVED),
        example: Some(
            r#"{"vulnerability_id":"CVE-2026-XXXX","severity":"critical","package":"lodash","version":"4.17.21","project":"my-project"}"#,
        ),
    },
    KindInfo {
        kind: "aegis.activity",
        aliases: &[],
        description: "The AI agent acted, or recommends something.",
        schema: Some(AEGIS_ACTIVITY),
        example: Some(
            r#"{"action":"fix_proposed","summary":"Upgrade lodash to 4.17.21","project":"my-project"}"#,
        ),
    },
    KindInfo {
        kind: "administrative.member_added",
        aliases: &[],
        description: "A member was added to the organization.",
        schema: Some(MEMBER_ADDED),
        example: Some(r#"{"email":"ada@example.com","role":"member"}"#),
    },
    KindInfo {
        kind: "administrative.settings_changed",
        aliases: &[],
        description: "Settings of the organization were modified.",
        schema: Some(SETTINGS_CHANGED),
        example: Some(r#"{"setting":"name","changed_by":"ada@example.com"}"#),
    },
    plain(
        "malicious.package_detected",
        &["malicious_package_detected"],
        "A dependency was recognised as malicious.",
    ),
    plain("policy.violation", &["policy_violation"], "A project violates a policy."),
    plain("policy.code_updated", &["policy_code_updated"], "The code of a policy was edited."),
    plain(
        "project.status_changed",
        &["status_changed"],
        "A project was evaluated and has a status.",
    ),
    plain("project.created", &["project_created"], "A project was created."),
    plain("project.deleted", &["project_deleted"], "A project was deleted."),
    plain("sla.warning", &["sla_warning"], "The deadline for a vulnerability is near."),
    plain("sla.breached", &["sla_breached"], "The deadline for a vulnerability has passed."),
    plain("integration.connected", &["integration_connected"], "An account was linked."),
    plain("integration.disconnected", &["integration_disconnected"], "An account was unlinked."),
    plain(
        "integration.health_degraded",
        &["integration_health_degraded"],
        "Deliveries to a linked account keep failing.",
    ),
    plain(
        "administrative.member_invited",
        &["member_invited"],
        "Somebody was invited to the organization.",
    ),
    plain(
        "administrative.member_removed",
        &["member_removed"],
        "A member left the organization or was removed from it.",
    ),
    plain("feed.sync_stale", &["feed_sync_stale"], "Feeds of malicious packages are out of date."),
    KindInfo {
        kind: "connection.failing",
        aliases: &[],
        description: "A connection has taken nothing for 50, 75 or 90 % of the time after which it is switched off.",
        schema: Some(CONNECTION_FAILING),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","percent":50,"failing_since":"2026-02-25T12:00:00Z"}"#,
        ),
    },
    KindInfo {
        kind: "connection.deliveries_exhausted",
        aliases: &[],
        description: "A delivery to a failing connection ran out of retries, the first since it began to fail.",
        schema: Some(CONNECTION_DELIVERIES_EXHAUSTED),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","delivery_id":"019c9a52-6f0e-7a3e-9f57-0d8c53f9a003","failing_since":"2026-02-25T12:00:00Z"}"#,
        ),
    },
    KindInfo {
        kind: "connection.recovered",
        aliases: &[],
        description: "A connection works again, after others were told that it did not.",
        schema: Some(CONNECTION_RECOVERED),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","failing_since":"2026-02-25T12:00:00Z"}"#,
        ),
    },
    KindInfo {
        kind: "connection.disabled",
        aliases: &[],
        description: "Deptex switched a connection off: it took nothing for too long, or its receiver said that it is gone.",
        schema: Some(CONNECTION_DISABLED),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","reason":"failing_too_long","failing_since":"2026-02-25T12:00:00Z"}"#,
        ),
    },
    KindInfo {
        kind: "connection.errored",
        aliases: &[],
        description: "A provider no longer lets Deptex in: an admin has to connect again.",
        schema: Some(CONNECTION_ERRORED),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","reason":"invalid_grant"}"#,
        ),
    },
    KindInfo {
        kind: "connection.suspended",
        aliases: &[],
        description: "An account is switched off at its provider.",
        schema: Some(CONNECTION_SUSPENDED),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"github","display_name":"acme","reason":"suspended"}"#,
        ),
    },
    KindInfo {
        kind: "connection.destination_failing",
        aliases: &[],
        description: "The channel, project or repository that was chosen does not take events.",
        schema: Some(CONNECTION_DESTINATION_FAILING),
        example: Some(
            r#"{"connection_id":"5b0c8a52-6f0e-4a3e-9f57-0d8c53f9a002","provider":"slack","display_name":"Ops","reason":"not_in_channel"}"#,
        ),
    },
    KindInfo {
        kind: TEST_PING,
        aliases: &[],
        description: "An admin tests a connection. Sent to that connection only, never recorded.",
        schema: Some(TEST),
        example: Some(r#"{"message":"This is a test from Deptex."}"#),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;
    use crate::event::EventKind;

    #[test]
    fn every_kind_is_grammatical_and_listed_once() {
        let mut seen = HashSet::new();
        for info in CATALOGUE {
            assert!(EventKind::is_grammatical(info.kind), "{}", info.kind);
            assert!(seen.insert(info.kind), "{} twice", info.kind);
            assert!(info.description.ends_with('.'));
        }
    }

    #[test]
    fn the_catalogue_and_the_list_of_aliases_agree() {
        let in_catalogue: HashSet<(&str, &str)> = CATALOGUE
            .iter()
            .flat_map(|info| info.aliases.iter().map(|alias| (*alias, info.kind)))
            .collect();
        assert_eq!(in_catalogue, ALIASES.iter().copied().collect());
        assert_eq!(in_catalogue.len(), ALIASES.len());
        assert!(ALIASES.iter().all(|(alias, _)| !EventKind::is_grammatical(alias)));
    }

    #[test]
    fn every_schema_is_json_and_its_example_has_what_it_requires() {
        for info in CATALOGUE {
            let (Some(schema), Some(example)) = (info.schema, info.example) else {
                assert!(info.schema.is_none() && info.example.is_none());
                continue;
            };
            let schema: Value = serde_json::from_str(schema).expect(info.kind);
            let example: Value = serde_json::from_str(example).expect(info.kind);
            assert_eq!(schema["title"], info.kind);
            for name in schema["required"].as_array().expect("a list") {
                let name = name.as_str().expect("a name");
                assert!(example.get(name).is_some(), "{}: {name}", info.kind);
                assert!(schema["properties"].get(name).is_some(), "{}: {name}", info.kind);
            }
        }
    }

    #[test]
    fn the_guide_lists_every_kind_with_its_older_name_and_every_code() {
        let guide = include_str!("../../../docs/events.md");
        for info in CATALOGUE {
            let alias = info.aliases.first().map(|alias| format!("`{alias}` ")).unwrap_or_default();
            let row = format!("| `{}` | {alias}|", info.kind);
            assert!(guide.contains(&row), "docs/events.md lacks {row}");
        }
        for (code, _) in crate::event::CODES {
            assert!(guide.contains(&format!("`{code}`")), "docs/events.md lacks {code}");
        }
    }
}
