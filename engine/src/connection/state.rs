//! What a connection is, and how each event changes it. No I/O, no clock.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    event::ConnectionEvent,
    limits::{Ordering, RateLimit},
};
use crate::{
    clock::Timestamp,
    ids::{ConnectionId, OrganizationId, ProjectId, TeamId},
    provider::Destination,
};

/// Where in the metadata the destination is kept.
pub(super) const DESTINATION: &str = "destination";
/// Where in the metadata it is kept why the destination does not take events.
const DESTINATION_PROBLEM: &str = "destination_problem";
/// Where in the metadata receivers find what verifies the signatures of a key pair.
const PUBLIC_KEY: &str = "public_key";
/// The provider whose metadata tells of a channel in words of its own.
const SLACK: &str = "slack";
/// The reason of a connection whose refresh token is no longer taken.
pub const INVALID_GRANT: &str = "invalid_grant";

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
    /// Names of the headers that its requests carry beside ours, sorted.
    pub header_names: Vec<String>,
    /// How fast it may be sent to, if not as fast as we may.
    pub rate_limit: Option<RateLimit>,
    /// In which order, if it matters. Never together with a digest.
    pub ordering: Option<Ordering>,
    /// For how long events are gathered into one message, if they are.
    pub digest_minutes: Option<u16>,
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
        match event.clone() {
            ConnectionEvent::Connected {
                provider,
                installation_id,
                display_name,
                metadata,
                team_id,
                project_id,
                event_types,
                conditions,
            } => Some(Self {
                id,
                organization_id,
                provider,
                installation_id,
                display_name,
                metadata,
                scope: Scope::from_columns(team_id.map(|id| id.0), project_id.map(|id| id.0)),
                status: Status::Connected,
                status_reason: None,
                paused: false,
                event_types,
                conditions,
                retry_schedule: None,
                header_names: Vec::new(),
                rate_limit: None,
                ordering: None,
                digest_minutes: None,
                created_at: at,
                connected_at: at,
                updated_at: at,
                version: 1,
            }),
            ConnectionEvent::Adopted {
                provider,
                installation_id,
                display_name,
                metadata,
                team_id,
                project_id,
                event_types,
                conditions,
                status,
                status_reason,
                paused,
                retry_schedule,
                created_at,
                connected_at,
            } => Some(Self {
                id,
                organization_id,
                provider,
                installation_id,
                display_name,
                metadata,
                scope: Scope::from_columns(team_id.map(|id| id.0), project_id.map(|id| id.0)),
                status,
                status_reason,
                paused,
                event_types,
                conditions,
                retry_schedule,
                header_names: Vec::new(),
                rate_limit: None,
                ordering: None,
                digest_minutes: None,
                created_at,
                connected_at,
                updated_at: at,
                version: 1,
            }),
            _ => None,
        }
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
                self.stands(Status::Connected, None);
                self.connected_at = at;
            }
            ConnectionEvent::Reconnected { display_name, metadata } => {
                self.display_name = display_name;
                self.metadata = metadata;
                self.show_channel();
                self.stands(Status::Connected, None);
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
            ConnectionEvent::HeadersChanged { names } => self.header_names = names,
            ConnectionEvent::RateLimitChanged { limit } => self.rate_limit = limit,
            ConnectionEvent::OrderingChanged { ordering } => self.ordering = ordering,
            ConnectionEvent::DigestChanged { minutes } => self.digest_minutes = minutes,
            ConnectionEvent::DestinationChosen { destination } => {
                self.note(DESTINATION, json!(destination));
                self.note(DESTINATION_PROBLEM, Value::Null);
                self.show_channel();
            }
            ConnectionEvent::DestinationFailing { reason } => {
                self.note(DESTINATION_PROBLEM, reason.into());
            }
            ConnectionEvent::SecretRotated { public_key, .. } => {
                self.note(PUBLIC_KEY, public_key.map_or(Value::Null, Value::String));
            }
            ConnectionEvent::Adopted { .. }
            | ConnectionEvent::TokenRefreshed { .. }
            | ConnectionEvent::Revoked { .. }
            | ConnectionEvent::Failing { .. }
            | ConnectionEvent::Exhausted { .. }
            | ConnectionEvent::DeliveryReplayed { .. } => {}
            ConnectionEvent::Paused {} => self.paused = true,
            ConnectionEvent::Resumed {} => {
                self.paused = false;
                self.stands(Status::Connected, None);
            }
            ConnectionEvent::Recovered {} => self.stands(Status::Connected, None),
            ConnectionEvent::Errored { reason } => self.stands(Status::Error, Some(reason)),
            ConnectionEvent::Disabled { reason } | ConnectionEvent::Suspended { reason } => {
                self.stands(Status::Suspended, Some(reason));
            }
            ConnectionEvent::Disconnected { .. } => {
                self.stands(Status::Disconnected, None);
                self.paused = false;
            }
        }
        self.version += 1;
        self.updated_at = at;
    }

    fn stands(&mut self, status: Status, reason: Option<String>) {
        self.status = status;
        self.status_reason = reason;
    }

    /// Slack's own words for where events go, which the frontend shows: as they came from the consent,
    /// they would name a channel that is no longer the chosen one.
    fn show_channel(&mut self) {
        let Some(chosen) = self.destination().filter(|_| self.provider == SLACK) else { return };
        if let Some(webhook) =
            self.metadata.get_mut("incoming_webhook").and_then(Value::as_object_mut)
        {
            webhook.insert("channel".to_owned(), json!(chosen.name));
            webhook.insert("channel_id".to_owned(), json!(chosen.id));
        }
        self.note("channel", chosen.name.into());
        self.note("channel_id", chosen.id.into());
    }

    /// Sets a key of the metadata; null removes it.
    fn note(&mut self, key: &str, value: Value) {
        if value.is_null() && self.metadata.get(key).is_none() {
            return;
        }
        if !self.metadata.is_object() {
            self.metadata = json!({});
        }
        let Some(metadata) = self.metadata.as_object_mut() else { return };
        if value.is_null() {
            metadata.remove(key);
        } else {
            metadata.insert(key.to_owned(), value);
        }
    }

    /// Where its events go, if that was chosen.
    #[must_use]
    pub fn destination(&self) -> Option<Destination> {
        let stored = self.metadata.get(DESTINATION)?;
        serde_json::from_value(stored.clone()).ok()
    }

    /// Why the chosen destination does not take events, if it does not.
    #[must_use]
    pub fn destination_problem(&self) -> Option<&str> {
        self.metadata.get(DESTINATION_PROBLEM).and_then(Value::as_str)
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
}
