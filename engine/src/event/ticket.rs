//! Says which events belong to one ticket: those that tell of the same thing.

use std::borrow::Cow;

use super::{RecordedEvent, facts::Facts};

impl RecordedEvent {
    /// Whether it tells how one of the organization's connections is doing: for people, and nothing
    /// that anybody would open a ticket for.
    #[must_use]
    pub fn is_about_connection(&self) -> bool {
        self.kind.starts_with("connection.")
    }

    /// What its ticket is about, the same for everything that is told of one thing; `None` for an
    /// event that stands for itself.
    ///
    /// The reporter's own subject goes first. Else a finding is known by what was found, in which
    /// package, of which project; versions are left out, since a resolved one names another.
    #[must_use]
    pub fn ticket_subject(&self) -> Option<Cow<'_, str>> {
        if self.is_about_connection() {
            return None;
        }
        if let Some(subject) = self.subject.as_deref().filter(|subject| !subject.is_empty()) {
            return Some(Cow::Borrowed(subject));
        }
        let kind = self.kind.as_str();
        let (area, _) = kind.split_once('.')?;
        if !matches!(area, "vulnerability" | "malicious") && kind != "policy.violation" {
            return None;
        }
        let facts: Facts<'_> = serde_json::from_slice(&self.payload).ok()?;
        let package = facts.get(&["package", "dependency_name"]);
        let found = match area {
            "vulnerability" => facts.vulnerability()?,
            "malicious" => package.map(|_| facts.vulnerability().unwrap_or("malicious"))?,
            _ => facts.get(&["rule", "policy"])?,
        };
        let project = match self.project_id {
            Some(id) => Cow::Owned(id.to_string()),
            None => Cow::Borrowed(facts.project().unwrap_or_default()),
        };
        Some(Cow::Owned(format!("{found}|{}|{project}", package.unwrap_or_default())))
    }
}

#[cfg(test)]
mod tests {

    use crate::{event::headline::tests::recorded, ids::ProjectId};

    #[test]
    fn what_is_told_of_one_thing_has_one_subject() {
        let found = recorded(
            "vulnerability.found",
            r#"{"vulnerability_id":"CVE-1","package":"lodash","version":"4.17.20","project":"shop"}"#,
        );
        let resolved = recorded(
            "vulnerability.resolved",
            r#"{"osv_id":"CVE-1","dependency_name":"lodash","version":"4.17.21","project_name":"shop"}"#,
        );
        assert_eq!(found.ticket_subject().as_deref(), Some("CVE-1|lodash|shop"));
        assert_eq!(found.ticket_subject(), resolved.ticket_subject());
        let mut elsewhere = found.clone();
        elsewhere.project_id = Some(ProjectId(uuid::Uuid::from_u128(1)));
        assert_ne!(elsewhere.ticket_subject(), found.ticket_subject());
    }

    #[test]
    fn the_reporters_own_subject_goes_first() {
        let mut event = recorded("vulnerability.found", r#"{"vulnerability_id":"CVE-1"}"#);
        event.subject = Some("SHOP-7".into());
        assert_eq!(event.ticket_subject().as_deref(), Some("SHOP-7"));
        event.subject = Some(String::new());
        assert_eq!(event.ticket_subject().as_deref(), Some("CVE-1||"));
        event.kind = "connection.failing".into();
        event.subject = Some("b3c1".into());
        assert_eq!(event.ticket_subject(), None, "a connection is no finding");
    }

    #[test]
    fn an_event_that_stands_for_itself_has_none() {
        for (kind, data, subject) in [
            ("malicious.package_detected", r#"{"package":"evil"}"#, Some("malicious|evil|")),
            ("malicious.package_detected", "{}", None),
            ("policy.violation", r#"{"rule":"licence","project":"p"}"#, Some("licence||p")),
            ("policy.violation", r#"{"project":"p"}"#, None),
            ("policy.code_updated", r#"{"policy":"x"}"#, None),
            ("vulnerability.found", r#"{"package":"lodash"}"#, None),
            ("test.ping", "{}", None),
            ("aegis.activity", r#"{"project":"p"}"#, None),
        ] {
            assert_eq!(recorded(kind, data).ticket_subject().as_deref(), subject, "{kind} {data}");
        }
    }
}
