//! What a connection is, and how each event changes it. No I/O, no clock.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::event::ConnectionEvent;
use crate::{
    clock::Timestamp,
    ids::{ConnectionId, OrganizationId, ProjectId, TeamId},
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
    use serde_json::json;

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
}
