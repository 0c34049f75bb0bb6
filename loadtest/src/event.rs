//! The events that are sent: realistic `vulnerability.found`, about 1 KiB, each with a mark inside.

use std::io::Write as _;
use std::sync::Arc;

use uuid::Uuid;

/// Stands before every mark, so that a receiver finds it wherever `data` ends up in a body.
const PREFIX: &[u8] = b"relay-load:";
const SEVERITIES: [&str; 4] = ["critical", "high", "medium", "low"];
const PACKAGES: [(&str, &str, &str); 6] = [
    ("lodash", "4.17.20", "4.17.21"),
    ("minimist", "1.2.5", "1.2.6"),
    ("axios", "1.5.1", "1.6.0"),
    ("jsonwebtoken", "8.5.1", "9.0.0"),
    ("semver", "7.5.1", "7.5.2"),
    ("express", "4.17.1", "4.17.3"),
];
const DESCRIPTION: &str = "Versions before the fix let a crafted object reach the prototype through a \
merge of untrusted input, which a remote caller can use to change how unrelated code behaves, to read \
properties it should not see, or to stop the service. The affected function is reachable from a public \
route of this project.";

/// What one event carries to its receiver: which run, which event, and when it was (to be) sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) run: u32,
    pub(crate) sequence: usize,
    pub(crate) emitted_ns: u64,
}

impl Mark {
    /// The mark in a webhook's body, if there is one.
    pub(crate) fn find(body: &[u8]) -> Option<Self> {
        let at = body.windows(PREFIX.len()).position(|window| window == PREFIX)?;
        let rest = &body[at + PREFIX.len()..];
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let mut parts = std::str::from_utf8(&rest[..end]).ok()?.split(':');
        let run = u32::from_str_radix(parts.next()?, 16).ok()?;
        let sequence = parts.next()?.parse().ok()?;
        let emitted_ns = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { run, sequence, emitted_ns })
    }
}

/// Writes the bodies of `POST /v1/events`.
#[derive(Debug, Clone)]
pub(crate) struct EventWriter {
    /// Whose events they are, in turn.
    pub(crate) organizations: Arc<[Uuid]>,
    pub(crate) run: u32,
    /// Gives each event its own idempotency key.
    pub(crate) with_idempotency: bool,
}

impl EventWriter {
    /// The `data` of one event, as JSON.
    pub(crate) fn data(&self, sequence: usize, emitted_ns: u64) -> String {
        let mut event = Vec::new();
        self.write(sequence, emitted_ns, &mut event);
        let event = String::from_utf8(event).expect("it is written from text");
        let data = event.split_once(r#""data":"#).and_then(|(_, rest)| rest.strip_suffix('}'));
        data.expect("an event ends with its data").to_owned()
    }

    /// Appends one event as JSON.
    pub(crate) fn write(&self, sequence: usize, emitted_ns: u64, out: &mut Vec<u8>) {
        let run = self.run;
        let organizations = &self.organizations;
        let organization_id = organizations[sequence % organizations.len()].as_hyphenated();
        let severity = SEVERITIES[sequence % SEVERITIES.len()];
        let (package, version, fixed) = PACKAGES[sequence % PACKAGES.len()];
        let number = 10_000 + sequence % 90_000;
        let key = if self.with_idempotency {
            format!(r#""idempotency_key":"load-{run:08x}-{sequence}","#)
        } else {
            String::new()
        };
        // The mark comes first in `data`, so that finding it again costs next to nothing.
        write!(
            out,
            concat!(
                r#"{{"type":"vulnerability.found","organization_id":"{}","source":"loadtest",{}"#,
                r#""data":{{"mark":"relay-load:{:08x}:{}:{}","vulnerability_id":"CVE-2026-{}","#,
                r#""severity":"{}","package":"{}","version":"{}","project":"checkout-service","#,
                r#""fixed_version":"{}","ecosystem":"npm","cvss_score":8.1,"depscore":74,"#,
                r#""epss_score":0.01337,"reachability":"function","is_direct":false,"#,
                r#""dependency_path":["checkout-service@3.14.0","cart-core@2.7.1","{}@{}"],"#,
                r#""title":"Prototype pollution in {}","description":"{}","#,
                r#""references":["https://nvd.nist.gov/vuln/detail/CVE-2026-{}"]}}}}"#,
            ),
            organization_id,
            key,
            run,
            sequence,
            emitted_ns,
            number,
            severity,
            package,
            version,
            fixed,
            package,
            version,
            package,
            DESCRIPTION,
            number,
        )
        .expect("a Vec grows as needed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(sequence: usize, with_idempotency: bool) -> Vec<u8> {
        let organizations = Arc::new([Uuid::nil(), Uuid::max()]);
        let writer = EventWriter { organizations, run: 0xabc, with_idempotency };
        let mut out = Vec::new();
        writer.write(sequence, 123_456_789, &mut out);
        out
    }

    #[test]
    fn an_event_is_json_of_about_one_kibibyte_with_what_the_catalogue_asks_for() {
        for with_idempotency in [false, true] {
            let body = body(49_999, with_idempotency);
            assert!((900..1_200).contains(&body.len()), "{} bytes", body.len());
            let event: serde_json::Value = serde_json::from_slice(&body).expect("valid JSON");
            for field in ["vulnerability_id", "severity", "package", "version", "project"] {
                assert!(event["data"][field].is_string(), "{field}");
            }
            assert_eq!(event["idempotency_key"].is_string(), with_idempotency);
        }
    }

    #[test]
    fn the_data_of_an_event_is_told_alone_too() {
        let organizations = Arc::new([Uuid::nil()]);
        let writer = EventWriter { organizations, run: 0xabc, with_idempotency: true };
        let (mut event, data) = (Vec::new(), writer.data(7, 5));
        writer.write(7, 5, &mut event);
        let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).expect("valid JSON");
        assert_eq!(json(&event)["data"], json(data.as_bytes()));
    }

    #[test]
    fn organizations_take_turns() {
        for (sequence, organization_id) in [(4, Uuid::nil()), (5, Uuid::max())] {
            let event: serde_json::Value =
                serde_json::from_slice(&body(sequence, false)).expect("valid JSON");
            assert_eq!(event["organization_id"], organization_id.to_string(), "{sequence}");
        }
    }

    #[test]
    fn a_receiver_finds_the_mark_again() {
        let wrapped = [b"{\"event\": \"x\", \"data\": ", &body(7, true)[..], b"}"].concat();
        let mark = Mark { run: 0xabc, sequence: 7, emitted_ns: 123_456_789 };
        assert_eq!(Mark::find(&wrapped), Some(mark));
    }

    #[test]
    fn a_body_without_a_whole_mark_has_none() {
        for body in ["", "{}", r#""relay-load:1:2""#, r#""relay-load:1:2:3:4""#, "relay-load:1:2:3"]
        {
            assert_eq!(Mark::find(body.as_bytes()), None, "{body}");
        }
    }
}
