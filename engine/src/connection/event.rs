//! What can happen to a connection, and how the log keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    limits::{Ordering, RateLimit},
    state::Status,
};
use crate::{
    clock::Timestamp,
    ids::{DeliveryId, ProjectId, TeamId},
    provider::Destination,
};

/// What can happen to a connection. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "payload")]
pub enum ConnectionEvent {
    /// It was linked.
    #[serde(rename = "connection.connected")]
    Connected {
        /// The service.
        provider: String,
        /// The service's own id for it.
        installation_id: String,
        /// What people call it.
        display_name: String,
        /// What the provider needs to know.
        metadata: Value,
        /// The team it serves, if only one.
        team_id: Option<TeamId>,
        /// The project it serves, if only one.
        project_id: Option<ProjectId>,
        /// Patterns of the kinds it wants.
        event_types: Vec<String>,
        /// Conditions on the events it wants.
        conditions: Option<Value>,
    },
    /// It came with a table of the old core, before this log: what it was then.
    #[serde(rename = "connection.adopted")]
    Adopted {
        /// The service.
        provider: String,
        /// The service's own id for it.
        installation_id: String,
        /// What people call it.
        display_name: String,
        /// What the provider needs to know.
        metadata: Value,
        /// The team it serves, if only one.
        team_id: Option<TeamId>,
        /// The project it serves, if only one.
        project_id: Option<ProjectId>,
        /// Patterns of the kinds it wants.
        event_types: Vec<String>,
        /// Conditions on the events it wants.
        conditions: Option<Value>,
        /// How it stood.
        status: Status,
        /// Why it did not stand well.
        status_reason: Option<String>,
        /// Whether an admin had paused it.
        paused: bool,
        /// Its waits between attempts in seconds.
        retry_schedule: Option<Vec<i32>>,
        /// When it was first connected.
        created_at: Timestamp,
        /// When it was last connected.
        connected_at: Timestamp,
    },
    /// An admin went through the provider's pages again.
    #[serde(rename = "connection.reconnected")]
    Reconnected {
        /// The name from now on.
        display_name: String,
        /// The settings from now on.
        metadata: Value,
    },
    /// An admin chose where its events go.
    #[serde(rename = "connection.destination_chosen")]
    DestinationChosen {
        /// Where.
        destination: Destination,
    },
    /// What was chosen does not take events.
    #[serde(rename = "connection.destination_failing")]
    DestinationFailing {
        /// Why, as a stable code.
        reason: String,
    },
    /// Its access token was renewed.
    #[serde(rename = "connection.token_refreshed")]
    TokenRefreshed {
        /// Until when the new one holds, if the provider tells.
        expires_at: Option<Timestamp>,
    },
    /// The provider no longer lets us in: an admin must connect again.
    #[serde(rename = "connection.errored")]
    Errored {
        /// Why, as a stable code.
        reason: String,
    },
    /// It works again without anybody's doing.
    #[serde(rename = "connection.recovered")]
    Recovered {},
    /// The account is switched off at the provider.
    #[serde(rename = "connection.suspended")]
    Suspended {
        /// Why, as a stable code.
        reason: String,
    },
    /// After it was removed, its access was taken back at the provider, or not.
    #[serde(rename = "connection.revoked")]
    Revoked {
        /// `revoked`, `kept_shared`, `refused` or `unreachable`.
        outcome: String,
    },
    /// Its name or its settings changed.
    #[serde(rename = "connection.updated")]
    Updated {
        /// The name from now on.
        display_name: String,
        /// The settings from now on.
        metadata: Value,
    },
    /// It wants other events.
    #[serde(rename = "connection.subscription_changed")]
    SubscriptionChanged {
        /// Patterns from now on.
        event_types: Vec<String>,
        /// Conditions from now on.
        conditions: Option<Value>,
    },
    /// Its waits between attempts changed.
    #[serde(rename = "connection.retry_schedule_changed")]
    RetryScheduleChanged {
        /// Seconds; `None` for the default ones.
        seconds: Option<Vec<i32>>,
    },
    /// Other headers go with its requests.
    #[serde(rename = "connection.headers_changed")]
    HeadersChanged {
        /// Their names from now on; the values are secrets.
        names: Vec<String>,
    },
    /// It takes requests faster or slower.
    #[serde(rename = "connection.rate_limit_changed")]
    RateLimitChanged {
        /// At most so many; `None`: as fast as we may.
        limit: Option<RateLimit>,
    },
    /// Its deliveries go one after the other, or no longer do.
    #[serde(rename = "connection.ordering_changed")]
    OrderingChanged {
        /// In order; `None`: each on its own.
        ordering: Option<Ordering>,
    },
    /// Its events are gathered for longer or shorter, or no longer are.
    #[serde(rename = "connection.digest_changed")]
    DigestChanged {
        /// For how long; `None`: not at all.
        minutes: Option<u16>,
    },
    /// Its signing secret was replaced.
    #[serde(rename = "connection.secret_rotated")]
    SecretRotated {
        /// Number of the new secret.
        secret_version: i32,
        /// Until when the old one signs too; `None`: it died at once.
        overlap_until: Option<Timestamp>,
        /// What receivers verify with, where it is a key pair; none for a shared secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        public_key: Option<String>,
    },
    /// An admin paused it.
    #[serde(rename = "connection.paused")]
    Paused {},
    /// An admin let it go on.
    #[serde(rename = "connection.resumed")]
    Resumed {},
    /// Nothing was taken for a part of the time after which it is switched off.
    #[serde(rename = "connection.failing")]
    Failing {
        /// How much of that time has passed.
        percent: u8,
        /// Since when nothing was taken.
        failing_since: Timestamp,
    },
    /// A delivery was given up after its last attempt.
    #[serde(rename = "connection.deliveries_exhausted")]
    Exhausted {
        /// Which.
        delivery_id: DeliveryId,
    },
    /// We switched it off.
    #[serde(rename = "connection.disabled")]
    Disabled {
        /// Why, as a stable code.
        reason: String,
    },
    /// It was removed.
    #[serde(rename = "connection.disconnected")]
    Disconnected {
        /// How many promised deliveries were cancelled.
        cancelled: i64,
    },
    /// Somebody asked for a delivery once more.
    #[serde(rename = "connection.delivery_replayed")]
    DeliveryReplayed {
        /// Which.
        delivery_id: DeliveryId,
        /// Why, in the person's words.
        reason: Option<String>,
    },
}

/// A stored event could not be read back.
#[derive(Debug, thiserror::Error)]
#[error("the stored event {kind} cannot be read: {source}")]
pub struct UnreadableEvent {
    kind: String,
    source: serde_json::Error,
}

impl ConnectionEvent {
    /// The kind under which the log keeps it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connection.connected",
            Self::Adopted { .. } => "connection.adopted",
            Self::Reconnected { .. } => "connection.reconnected",
            Self::DestinationChosen { .. } => "connection.destination_chosen",
            Self::DestinationFailing { .. } => "connection.destination_failing",
            Self::TokenRefreshed { .. } => "connection.token_refreshed",
            Self::Errored { .. } => "connection.errored",
            Self::Recovered {} => "connection.recovered",
            Self::Suspended { .. } => "connection.suspended",
            Self::Revoked { .. } => "connection.revoked",
            Self::Updated { .. } => "connection.updated",
            Self::SubscriptionChanged { .. } => "connection.subscription_changed",
            Self::RetryScheduleChanged { .. } => "connection.retry_schedule_changed",
            Self::HeadersChanged { .. } => "connection.headers_changed",
            Self::RateLimitChanged { .. } => "connection.rate_limit_changed",
            Self::OrderingChanged { .. } => "connection.ordering_changed",
            Self::DigestChanged { .. } => "connection.digest_changed",
            Self::SecretRotated { .. } => "connection.secret_rotated",
            Self::Paused {} => "connection.paused",
            Self::Resumed {} => "connection.resumed",
            Self::Failing { .. } => "connection.failing",
            Self::Exhausted { .. } => "connection.deliveries_exhausted",
            Self::Disabled { .. } => "connection.disabled",
            Self::Disconnected { .. } => "connection.disconnected",
            Self::DeliveryReplayed { .. } => "connection.delivery_replayed",
        }
    }

    /// What the log keeps beside the kind.
    #[must_use]
    pub fn payload(&self) -> Value {
        match serde_json::to_value(self).expect("its fields are plain data") {
            Value::Object(mut tagged) => tagged.remove("payload").unwrap_or_else(|| json!({})),
            _ => json!({}),
        }
    }

    /// Reads an event back from the log.
    pub fn from_stored(kind: &str, payload: &Value) -> Result<Self, UnreadableEvent> {
        serde_json::from_value(json!({ "kind": kind, "payload": payload }))
            .map_err(|source| UnreadableEvent { kind: kind.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::limits::HeadOfLine;

    fn at(second: u32) -> Timestamp {
        format!("2026-02-25T12:00:{second:02}Z").parse().expect("a timestamp")
    }

    #[test]
    fn every_event_reads_back_as_it_was() {
        let destination =
            Destination { id: "C1".into(), name: "#ops".into(), settings: Value::Null };
        let events = [
            ConnectionEvent::Adopted {
                provider: "slack".into(),
                installation_id: "T1".into(),
                display_name: "Ops".into(),
                metadata: json!({ "team_name": "Ops" }),
                team_id: None,
                project_id: Some(ProjectId(uuid::Uuid::from_u128(7))),
                event_types: vec!["*".into()],
                conditions: None,
                status: Status::Error,
                status_reason: Some("invalid_grant".into()),
                paused: true,
                retry_schedule: Some(vec![1]),
                created_at: at(1),
                connected_at: at(2),
            },
            ConnectionEvent::Reconnected { display_name: "x".into(), metadata: json!({}) },
            ConnectionEvent::DestinationChosen { destination },
            ConnectionEvent::DestinationFailing { reason: "not_in_channel".into() },
            ConnectionEvent::TokenRefreshed { expires_at: Some(at(5)) },
            ConnectionEvent::Errored { reason: "invalid_grant".into() },
            ConnectionEvent::Recovered {},
            ConnectionEvent::Suspended { reason: "suspended_at_provider".into() },
            ConnectionEvent::Revoked { outcome: "revoked".into() },
            ConnectionEvent::Paused {},
            ConnectionEvent::Resumed {},
            ConnectionEvent::Disabled { reason: "receiver_gone".into() },
            ConnectionEvent::Disconnected { cancelled: 3 },
            ConnectionEvent::SecretRotated {
                secret_version: 2,
                overlap_until: Some(at(3)),
                public_key: None,
            },
            ConnectionEvent::SecretRotated {
                secret_version: 3,
                overlap_until: None,
                public_key: Some("whpk_AAAA".into()),
            },
            ConnectionEvent::RetryScheduleChanged { seconds: Some(vec![1, 2]) },
            ConnectionEvent::HeadersChanged { names: vec!["X-Team".into()] },
            ConnectionEvent::RateLimitChanged { limit: Some(RateLimit { count: 10, seconds: 1 }) },
            ConnectionEvent::OrderingChanged {
                ordering: Some(Ordering { policy: HeadOfLine::Park, after: Some(3) }),
            },
            ConnectionEvent::OrderingChanged { ordering: None },
            ConnectionEvent::DigestChanged { minutes: Some(15) },
            ConnectionEvent::Failing { percent: 50, failing_since: at(4) },
            ConnectionEvent::Exhausted { delivery_id: DeliveryId(uuid::Uuid::from_u128(9)) },
            ConnectionEvent::Updated { display_name: "x".into(), metadata: json!({ "a": 1 }) },
        ];
        for event in events {
            let read = ConnectionEvent::from_stored(event.kind(), &event.payload());
            assert_eq!(read.expect("readable"), event);
        }
        assert!(ConnectionEvent::from_stored("connection.unheard_of", &json!({})).is_err());
    }
}
