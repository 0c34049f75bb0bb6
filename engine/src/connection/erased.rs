//! What is left of the events of a connection that was erased. Pure.

use serde_json::{Value, json};

use super::ConnectionEvent;
use crate::{ids::ConnectionId, provider::Destination};

/// What stands where a name stood.
const ERASED: &str = "erased";

impl ConnectionEvent {
    /// The same without what people wrote or a provider told of them: names, addresses, settings,
    /// conditions, headers, reasons. What happened, to which service and for which kinds of events, stays.
    #[must_use]
    pub(crate) fn erased(&self, id: ConnectionId) -> Self {
        let display_name = ERASED.to_owned();
        // No two connections of an organization are of the same installation.
        let installation_id = format!("{ERASED}:{id}");
        let metadata = json!({});
        match self.clone() {
            Self::Connected { provider, team_id, project_id, event_types, .. } => Self::Connected {
                provider,
                installation_id,
                display_name,
                metadata,
                team_id,
                project_id,
                event_types,
                conditions: None,
            },
            Self::Adopted {
                provider,
                team_id,
                project_id,
                event_types,
                status,
                status_reason,
                paused,
                retry_schedule,
                created_at,
                connected_at,
                ..
            } => Self::Adopted {
                provider,
                installation_id,
                display_name,
                metadata,
                team_id,
                project_id,
                event_types,
                conditions: None,
                status,
                status_reason: status_reason.map(|_| ERASED.to_owned()),
                paused,
                retry_schedule,
                created_at,
                connected_at,
            },
            Self::Reconnected { .. } => Self::Reconnected { display_name, metadata },
            Self::Updated { .. } => Self::Updated { display_name, metadata },
            Self::DestinationChosen { .. } => Self::DestinationChosen {
                destination: Destination {
                    id: ERASED.to_owned(),
                    name: ERASED.to_owned(),
                    settings: Value::Null,
                },
            },
            Self::SubscriptionChanged { event_types, .. } => {
                Self::SubscriptionChanged { event_types, conditions: None }
            }
            Self::HeadersChanged { .. } => Self::HeadersChanged { names: Vec::new() },
            Self::SecretRotated { secret_version, overlap_until, .. } => {
                Self::SecretRotated { secret_version, overlap_until, public_key: None }
            }
            Self::DeliveryReplayed { delivery_id, .. } => {
                Self::DeliveryReplayed { delivery_id, reason: None }
            }
            // Codes, numbers and times: what was never anybody's.
            other @ (Self::DestinationFailing { .. }
            | Self::TokenRefreshed { .. }
            | Self::Errored { .. }
            | Self::Recovered {}
            | Self::Suspended { .. }
            | Self::Revoked { .. }
            | Self::RetryScheduleChanged { .. }
            | Self::RateLimitChanged { .. }
            | Self::OrderingChanged { .. }
            | Self::DigestChanged { .. }
            | Self::Paused {}
            | Self::Resumed {}
            | Self::Failing { .. }
            | Self::Exhausted { .. }
            | Self::Disabled { .. }
            | Self::Disconnected { .. }) => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::DeliveryId;

    const CANARY: &str = "ada@example.com";

    fn stored(kind: &str, payload: &Value) -> ConnectionEvent {
        ConnectionEvent::from_stored(kind, payload).expect("readable")
    }

    #[test]
    fn nothing_that_somebody_wrote_is_left_and_all_of_it_reads_back() {
        let id = ConnectionId(Uuid::from_u128(7));
        let link = json!({
            "provider": "slack", "installation_id": CANARY, "display_name": CANARY,
            "metadata": { "channel": CANARY }, "event_types": ["member.*"],
            "conditions": { "data.email": CANARY },
        });
        let mut adopted = link.clone();
        for (name, value) in [
            ("status", json!("error")),
            ("status_reason", json!(CANARY)),
            ("paused", json!(false)),
            ("created_at", json!("2026-02-25T12:00:00Z")),
            ("connected_at", json!("2026-02-25T12:00:00Z")),
        ] {
            adopted[name] = value;
        }
        let named = json!({ "display_name": CANARY, "metadata": { "a": CANARY } });
        let chosen = json!({ "destination": { "id": CANARY, "name": CANARY, "settings": CANARY } });
        let wants = json!({ "event_types": ["a.b"], "conditions": { "data.a": CANARY } });
        let rotated = json!({ "secret_version": 2, "public_key": CANARY });
        let replayed = json!({ "delivery_id": Uuid::nil(), "reason": CANARY });
        for (kind, payload) in [
            ("connection.connected", link),
            ("connection.adopted", adopted),
            ("connection.reconnected", named.clone()),
            ("connection.updated", named),
            ("connection.destination_chosen", chosen),
            ("connection.subscription_changed", wants),
            ("connection.headers_changed", json!({ "names": [CANARY] })),
            ("connection.secret_rotated", rotated),
            ("connection.delivery_replayed", replayed),
        ] {
            let erased = stored(kind, &payload).erased(id);
            assert!(!erased.payload().to_string().contains(CANARY), "{kind}");
            assert_eq!(stored(kind, &erased.payload()), erased, "{kind}");
            assert_eq!(erased.erased(id), erased, "erasing twice is harmless: {kind}");
        }
    }

    #[test]
    fn what_happened_stays() {
        let id = ConnectionId(Uuid::from_u128(7));
        let delivery_id = DeliveryId(Uuid::from_u128(9));
        let replayed = ConnectionEvent::DeliveryReplayed { delivery_id, reason: Some("x".into()) };
        let expected = ConnectionEvent::DeliveryReplayed { delivery_id, reason: None };
        assert_eq!(replayed.erased(id), expected);
        let disconnected = ConnectionEvent::Disconnected { cancelled: 3 };
        assert_eq!(disconnected.erased(id), disconnected);
    }
}
