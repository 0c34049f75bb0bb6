//! Which deliveries somebody wants sent again. Pure.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use uuid::Uuid;

use super::ReplaysError;
use crate::{
    clock::Timestamp,
    delivery::DeliveryStatus,
    ids::{ConnectionId, DeliveryId},
};

/// The most deliveries that can be named one by one.
pub const IDS_MAX: usize = 1_000;
/// The longest text of a filter, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// What did not arrive, waits for nothing, and could still be sent: what is meant where nothing is said.
const UNDELIVERED: [DeliveryStatus; 3] =
    [DeliveryStatus::Dead, DeliveryStatus::Skipped, DeliveryStatus::Expired];
/// Why a delivery was skipped that its connection missed.
const MISSED_BECAUSE: [&str; 3] = ["connection_paused", "connection_suspended", "connection_error"];

/// Which deliveries: some that are named, or all that a filter fits. A filter that is not known is not
/// passed over: without it more would be selected than was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// These, whatever their status; nothing else is said then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_ids: Option<Vec<DeliveryId>>,
    /// Those in one of these statuses; where nothing is said, those that did not arrive.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "statuses")]
    pub status: Option<Vec<DeliveryStatus>>,
    /// To this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_id: Option<ConnectionId>,
    /// To connections of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Of this kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Of events with this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Whose last failure was of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Promised at this moment or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Promised before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Given up on at this moment or later, whenever they were promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_since: Option<Timestamp>,
    /// Not sent, at this moment or later, because the connection was off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_since: Option<Timestamp>,
}

/// Statuses by their names, as they are shown.
fn statuses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<DeliveryStatus>>, D::Error> {
    let names: Option<Vec<String>> = Option::deserialize(deserializer)?;
    let read = |names: Vec<String>| names.iter().map(|name| name.parse()).collect();
    names.map(read).transpose().map_err(D::Error::custom)
}

/// A selection as a search: every part of it holds at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Criteria {
    /// Named one by one, in order; none where a filter selects.
    pub(super) ids: Vec<Uuid>,
    /// Any where deliveries are named.
    pub(super) statuses: Vec<&'static str>,
    pub(super) reasons: Option<Vec<&'static str>>,
    pub(super) recorded_since: Option<Timestamp>,
    pub(super) connection_id: Option<Uuid>,
    pub(super) provider: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) error_class: Option<String>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Selection {
    /// The search that is meant, or why there is none. Events are kept for `retention`.
    pub(super) fn check(&self, now: Timestamp, retention: Duration) -> Result<(), ReplaysError> {
        self.check_form()?;
        let kept_since = chrono::Duration::from_std(retention)
            .ok()
            .and_then(|retention| now.checked_sub_signed(retention));
        if kept_since.is_some_and(|kept_since| self.until.is_some_and(|until| until < kept_since)) {
            let message = "Everything in this time is older than what is kept";
            return Err(ReplaysError::refused("too_old", message));
        }
        Ok(())
    }

    fn check_form(&self) -> Result<(), ReplaysError> {
        let refused = |message: &str| Err(ReplaysError::refused("invalid_selection", message));
        if *self == Self::default() {
            let message = "Say which deliveries: some by their ids, or those that a filter fits";
            return Err(ReplaysError::refused("selection_required", message));
        }
        if let Some(ids) = &self.delivery_ids {
            if ids.is_empty() || ids.len() > IDS_MAX {
                return refused("delivery_ids must name 1 to 1000 deliveries");
            }
            if (Self { delivery_ids: None, ..self.clone() }) != Self::default() {
                return refused("delivery_ids stand alone: leave out the other filters");
            }
        }
        let ways =
            [self.status.is_some(), self.failed_since.is_some(), self.missed_since.is_some()];
        if ways.iter().filter(|is_given| **is_given).count() > 1 {
            return refused("Give one of status, failed_since and missed_since");
        }
        if self.status.as_ref().is_some_and(Vec::is_empty) {
            return refused("status must name at least one status");
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && until <= since
        {
            return refused("until must be later than since");
        }
        let texts = [&self.provider, &self.event, &self.subject, &self.error_class];
        let is_wrong =
            |text: &String| text.is_empty() || text.len() > TEXT_BYTES_MAX || text.contains('\0');
        if texts.into_iter().flatten().any(is_wrong) {
            return refused(
                "provider, event, subject and error_class must be 1 to 512 bytes of text",
            );
        }
        Ok(())
    }

    /// What to look for.
    pub(super) fn criteria(&self) -> Criteria {
        let mut ids: Vec<Uuid> = self.delivery_ids.iter().flatten().map(|id| id.0).collect();
        ids.sort_unstable();
        ids.dedup();
        let named = self.status.as_deref().unwrap_or(&UNDELIVERED);
        let statuses = match (self.failed_since, self.missed_since) {
            (Some(_), _) => &[DeliveryStatus::Dead][..],
            (_, Some(_)) => &[DeliveryStatus::Skipped][..],
            _ if ids.is_empty() => named,
            _ => &DeliveryStatus::ALL,
        };
        Criteria {
            ids,
            statuses: statuses.iter().map(|status| status.as_str()).collect(),
            reasons: self.missed_since.map(|_| MISSED_BECAUSE.to_vec()),
            recorded_since: self.failed_since.or(self.missed_since),
            connection_id: self.connection_id.map(|id| id.0),
            provider: self.provider.clone(),
            kind: self.event.clone(),
            subject: self.subject.clone(),
            error_class: self.error_class.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn read(text: serde_json::Value) -> Selection {
        serde_json::from_value(text).expect("a selection")
    }

    fn refused(selection: &serde_json::Value) -> &'static str {
        let now = at("2026-11-23T00:00:00Z");
        match read(selection.clone()).check(now, 30 * DAY) {
            Err(ReplaysError::Refused { code, .. }) => code,
            other => panic!("{selection}: {other:?}"),
        }
    }

    #[test]
    fn b40b_what_selects_nothing_or_two_things_at_once_is_refused() {
        let id = Uuid::from_u128(7);
        let since = "2026-11-20T00:00:00Z";
        for (selection, code) in [
            (json!({}), "selection_required"),
            (json!({ "delivery_ids": [] }), "invalid_selection"),
            (json!({ "delivery_ids": vec![id; IDS_MAX + 1] }), "invalid_selection"),
            (json!({ "delivery_ids": [id], "since": since }), "invalid_selection"),
            (json!({ "status": [] }), "invalid_selection"),
            (json!({ "status": ["dead"], "failed_since": since }), "invalid_selection"),
            (json!({ "missed_since": since, "failed_since": since }), "invalid_selection"),
            (json!({ "since": since, "until": since }), "invalid_selection"),
            (json!({ "event": "" }), "invalid_selection"),
            (json!({ "subject": "a\u{0}b" }), "invalid_selection"),
            (json!({ "provider": "x".repeat(513) }), "invalid_selection"),
            (json!({ "until": "2026-10-20T00:00:00Z" }), "too_old"),
        ] {
            assert_eq!(refused(&selection), code, "{selection}");
        }
        let partly_old = read(json!({ "since": "2020-01-01T00:00:00Z" }));
        assert!(partly_old.check(at(since), 30 * DAY).is_ok());
        for unknown in [json!({ "status": ["lost"] }), json!({ "since": since, "color": "red" })] {
            assert!(serde_json::from_value::<Selection>(unknown.clone()).is_err(), "{unknown}");
        }
    }

    #[test]
    fn b40b_a_shorthand_means_a_status_and_when_it_came_to_that() {
        let failed = read(json!({ "failed_since": "2026-11-20T00:00:00Z" })).criteria();
        assert_eq!(failed.statuses, ["dead"]);
        assert_eq!(failed.recorded_since, Some(at("2026-11-20T00:00:00Z")));
        assert_eq!((failed.since, failed.reasons), (None, None));
        let missed = read(json!({ "missed_since": "2026-11-20T00:00:00Z" })).criteria();
        assert_eq!(missed.statuses, ["skipped"]);
        let off = vec!["connection_paused", "connection_suspended", "connection_error"];
        assert_eq!(missed.reasons, Some(off));
        let plain = read(json!({ "since": "2026-11-20T00:00:00Z" })).criteria();
        assert_eq!(plain.statuses, ["dead", "skipped", "expired"], "what arrived is not meant");
        assert_eq!(plain.recorded_since, None);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let named = read(json!({ "delivery_ids": [b, a, b] })).criteria();
        assert_eq!(named.ids, [a, b]);
        assert!(named.statuses.contains(&"delivered") && named.statuses.contains(&"pending"));
    }

    #[test]
    fn a_selection_is_stored_as_it_was_asked_for() {
        let asked = json!({ "status": ["dead", "expired"], "event": "a.b", "since": "2026-11-20T00:00:00Z" });
        assert_eq!(serde_json::to_value(read(asked.clone())).expect("JSON"), asked);
    }
}
