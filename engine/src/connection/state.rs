//! What a connection is, what can happen to it, and how each event changes it. No I/O, no clock.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    ids::{ConnectionId, DeliveryId, OrganizationId, ProjectId, TeamId},
};

/// Which part of the organization a connection serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    Organization,
    /// Events of one team.
    Team(TeamId),
    /// Events of one project.
    Project(ProjectId),
}

impl Scope {
    /// From the stored columns.
    #[must_use]
    pub fn from_columns(team_id: Option<Uuid>, project_id: Option<Uuid>) -> Self {
        match (team_id, project_id) {
            (Some(team), _) => Self::Team(TeamId(team)),
            (None, Some(project)) => Self::Project(ProjectId(project)),
            (None, None) => Self::Organization,
        }
    }

    /// The `team_id` column.
    #[must_use]
    pub fn team_id(self) -> Option<TeamId> {
        if let Self::Team(id) = self { Some(id) } else { None }
    }

    /// The `project_id` column.
    #[must_use]
    pub fn project_id(self) -> Option<ProjectId> {
        if let Self::Project(id) = self { Some(id) } else { None }
    }
}

/// How a connection stands; the four words that the frontend knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Events are delivered.
    Connected,
    /// Removed. The row stays for history, invisible to the API.
    Disconnected,
    /// Broken until an admin acts.
    Error,
    /// Switched off by us.
    Suspended,
}

impl Status {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::Error => "error",
            Self::Suspended => "suspended",
        }
    }

    /// From the stored word, which a constraint keeps to the four.
    #[must_use]
    pub fn from_stored(text: &str) -> Self {
        match text {
            "connected" => Self::Connected,
            "disconnected" => Self::Disconnected,
            "suspended" => Self::Suspended,
            _ => Self::Error,
        }
    }
}

/// A linked account, as folded from its events.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// Also the id of its stream.
    pub id: ConnectionId,
    /// The owner.
    pub organization_id: OrganizationId,
    /// The service.
    pub provider: String,
    /// The service's own id for it, unique per organization and provider.
    pub installation_id: String,
    /// What people call it.
    pub display_name: String,
    /// What the provider needs to know, without secrets.
    pub metadata: Value,
    /// Which events concern it.
    pub scope: Scope,
    /// How it stands.
    pub status: Status,
    /// Why it does not stand well.
    pub status_reason: Option<String>,
    /// Whether an admin paused it.
    pub paused: bool,
    /// Patterns of the kinds it wants.
    pub event_types: Vec<String>,
    /// Conditions on the events it wants.
    pub conditions: Option<Value>,
    /// Waits between attempts in seconds, if not the default ones.
    pub retry_schedule: Option<Vec<i32>>,
    /// When it was first connected.
    pub created_at: Timestamp,
    /// When it was last connected.
    pub connected_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How many events it has had.
    pub version: i64,
}

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

impl Connection {
    /// The state after the first event of a stream; `None` for any other event.
    #[must_use]
    pub fn begin(
        id: ConnectionId,
        organization_id: OrganizationId,
        event: &ConnectionEvent,
        at: Timestamp,
    ) -> Option<Self> {
        let ConnectionEvent::Connected {
            provider,
            installation_id,
            display_name,
            metadata,
            team_id,
            project_id,
            event_types,
            conditions,
        } = event
        else {
            return None;
        };
        Some(Self {
            id,
            organization_id,
            provider: provider.clone(),
            installation_id: installation_id.clone(),
            display_name: display_name.clone(),
            metadata: metadata.clone(),
            scope: Scope::from_columns(team_id.map(|id| id.0), project_id.map(|id| id.0)),
            status: Status::Connected,
            status_reason: None,
            paused: false,
            event_types: event_types.clone(),
            conditions: conditions.clone(),
            retry_schedule: None,
            created_at: at,
            connected_at: at,
            updated_at: at,
            version: 1,
        })
    }

    /// The state after one more event. Cannot fail: what is recorded has happened.
    pub fn apply(&mut self, event: &ConnectionEvent, at: Timestamp) {
        match event.clone() {
            ConnectionEvent::Connected {
                display_name, metadata, event_types, conditions, ..
            } => {
                self.display_name = display_name;
                self.metadata = metadata;
                self.event_types = event_types;
                self.conditions = conditions;
                self.status = Status::Connected;
                self.status_reason = None;
                self.connected_at = at;
            }
            ConnectionEvent::Updated { display_name, metadata } => {
                self.display_name = display_name;
                self.metadata = metadata;
            }
            ConnectionEvent::SubscriptionChanged { event_types, conditions } => {
                self.event_types = event_types;
                self.conditions = conditions;
            }
            ConnectionEvent::RetryScheduleChanged { seconds } => self.retry_schedule = seconds,
            ConnectionEvent::SecretRotated { .. } | ConnectionEvent::DeliveryReplayed { .. } => {}
            ConnectionEvent::Paused {} => self.paused = true,
            ConnectionEvent::Resumed {} => {
                self.paused = false;
                self.status = Status::Connected;
                self.status_reason = None;
            }
            ConnectionEvent::Disabled { reason } => {
                self.status = Status::Suspended;
                self.status_reason = Some(reason);
            }
            ConnectionEvent::Disconnected { .. } => {
                self.status = Status::Disconnected;
                self.status_reason = None;
                self.paused = false;
            }
        }
        self.version += 1;
        self.updated_at = at;
    }

    /// Why nothing is sent to it now, as the reason on a skipped delivery; `None` when all is well.
    #[must_use]
    pub fn silent_because(&self) -> Option<&'static str> {
        match self.status {
            Status::Disconnected => Some("connection_disconnected"),
            Status::Error => Some("connection_error"),
            Status::Suspended => Some("connection_suspended"),
            Status::Connected if self.paused => Some("connection_paused"),
            Status::Connected => None,
        }
    }

    /// What pausing or resuming records; asking twice records nothing.
    #[must_use]
    pub fn set_paused(&self, paused: bool) -> Option<ConnectionEvent> {
        match (paused, self.paused, self.status) {
            (true, false, _) => Some(ConnectionEvent::Paused {}),
            (false, true, _) | (false, _, Status::Suspended | Status::Error) => {
                Some(ConnectionEvent::Resumed {})
            }
            _ => None,
        }
    }

    /// What a change of subscription records; asking twice records nothing.
    #[must_use]
    pub fn subscribe(
        &self,
        event_types: Vec<String>,
        conditions: Option<Value>,
    ) -> Option<ConnectionEvent> {
        (self.event_types != event_types || self.conditions != conditions)
            .then_some(ConnectionEvent::SubscriptionChanged { event_types, conditions })
    }

    /// What a change of name or settings records; asking twice records nothing.
    #[must_use]
    pub fn update(&self, display_name: String, metadata: Value) -> Option<ConnectionEvent> {
        (self.display_name != display_name || self.metadata != metadata)
            .then_some(ConnectionEvent::Updated { display_name, metadata })
    }

    /// What a change of the retry schedule records; asking twice records nothing.
    #[must_use]
    pub fn set_retry_schedule(&self, seconds: Option<Vec<i32>>) -> Option<ConnectionEvent> {
        (self.retry_schedule != seconds)
            .then_some(ConnectionEvent::RetryScheduleChanged { seconds })
    }

    /// What switching it off records; asking twice records nothing.
    #[must_use]
    pub fn disable(&self, reason: &str) -> Option<ConnectionEvent> {
        (self.status == Status::Connected)
            .then(|| ConnectionEvent::Disabled { reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u32) -> Timestamp {
        format!("2026-02-25T12:00:{second:02}Z").parse().expect("a timestamp")
    }

    fn connected() -> Connection {
        let event = ConnectionEvent::Connected {
            provider: "custom_notification".into(),
            installation_id: "x".into(),
            display_name: "Ops".into(),
            metadata: json!({ "webhook_url": "https://example.com" }),
            team_id: None,
            project_id: None,
            event_types: vec!["*".into()],
            conditions: None,
        };
        let id = Uuid::from_u128(1);
        Connection::begin(ConnectionId(id), OrganizationId(id), &event, at(0)).expect("a beginning")
    }

    #[test]
    fn asking_twice_records_one_event() {
        let mut connection = connected();
        let pause = connection.set_paused(true).expect("a change");
        connection.apply(&pause, at(1));
        assert_eq!(connection.set_paused(true), None);
        assert_eq!(connection.silent_because(), Some("connection_paused"));
        assert_eq!(connection.update("Ops".into(), connection.metadata.clone()), None);
        assert_eq!(connection.subscribe(vec!["*".into()], None), None);
        assert_eq!((connection.version, connection.updated_at), (2, at(1)));
    }

    #[test]
    fn resuming_lifts_a_pause_and_a_suspension() {
        let mut connection = connected();
        let off = connection.disable("receiver_gone").expect("a change");
        connection.apply(&off, at(1));
        assert_eq!(connection.disable("receiver_gone"), None);
        assert_eq!(connection.silent_because(), Some("connection_suspended"));
        let on = connection.set_paused(false).expect("a change");
        connection.apply(&on, at(2));
        assert_eq!(
            (connection.status, connection.status_reason.clone()),
            (Status::Connected, None)
        );
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
