//! What can happen to a connection, and how the log keeps it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    clock::Timestamp,
    ids::{DeliveryId, ProjectId, TeamId},
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
    /// Its signing secret was replaced.
    #[serde(rename = "connection.secret_rotated")]
    SecretRotated {
        /// Number of the new secret.
        secret_version: i32,
        /// Until when the old one signs too; `None`: it died at once.
        overlap_until: Option<Timestamp>,
    },
    /// An admin paused it.
    #[serde(rename = "connection.paused")]
    Paused {},
    /// An admin let it go on.
    #[serde(rename = "connection.resumed")]
    Resumed {},
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
            Self::Updated { .. } => "connection.updated",
            Self::SubscriptionChanged { .. } => "connection.subscription_changed",
            Self::RetryScheduleChanged { .. } => "connection.retry_schedule_changed",
            Self::SecretRotated { .. } => "connection.secret_rotated",
            Self::Paused {} => "connection.paused",
            Self::Resumed {} => "connection.resumed",
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

    fn at(second: u32) -> Timestamp {
        format!("2026-02-25T12:00:{second:02}Z").parse().expect("a timestamp")
    }

    #[test]
    fn every_event_reads_back_as_it_was() {
        let events = [
            ConnectionEvent::Paused {},
            ConnectionEvent::Resumed {},
            ConnectionEvent::Disabled { reason: "receiver_gone".into() },
            ConnectionEvent::Disconnected { cancelled: 3 },
            ConnectionEvent::SecretRotated { secret_version: 2, overlap_until: Some(at(3)) },
            ConnectionEvent::RetryScheduleChanged { seconds: Some(vec![1, 2]) },
            ConnectionEvent::Updated { display_name: "x".into(), metadata: json!({ "a": 1 }) },
        ];
        for event in events {
            let read = ConnectionEvent::from_stored(event.kind(), &event.payload());
            assert_eq!(read.expect("readable"), event);
        }
        assert!(ConnectionEvent::from_stored("connection.unheard_of", &json!({})).is_err());
    }
}
