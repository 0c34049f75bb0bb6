//! Replays as JSON: what is asked for, what would happen, and how one stands.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use engine::{
    delivery::DeliveryStatus,
    ids::{ConnectionId, DeliveryId, ReplayId},
    replay::{self, Configuration, Preview, Replay, ReplayStatus, Selection},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::ApiError;

/// Which deliveries: some by their ids, or all that every given filter fits.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ReplaySelection)]
pub(crate) struct SelectionBody {
    /// 1 to 1000 deliveries, whatever their status; it stands alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Uuid>>)]
    delivery_ids: Option<Vec<DeliveryId>>,
    /// In one of these statuses; `dead`, `skipped` and `expired` if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["dead"]))]
    status: Option<Vec<String>>,
    /// To this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    connection_id: Option<ConnectionId>,
    /// To connections of this service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "slack")]
    provider: Option<String>,
    /// Of this kind of event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "vulnerability.found")]
    event: Option<String>,
    /// Of events with this subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// Whose last failure was of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    /// Promised at this instant or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// Promised before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<DateTime<Utc>>,
    /// Given up on (`dead`) at this instant or later, whenever they were promised.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_since: Option<DateTime<Utc>>,
    /// Skipped at this instant or later because the connection was paused, disabled or in error.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed_since: Option<DateTime<Utc>>,
}

impl SelectionBody {
    pub(super) fn read(self) -> Result<Selection, ApiError> {
        let known = |name: &String| name.parse::<DeliveryStatus>();
        let status = self.status.map(|names| names.iter().map(known).collect()).transpose();
        let unknown = |error: <DeliveryStatus as std::str::FromStr>::Err| {
            ApiError::unprocessable("invalid_selection", error.to_string())
        };
        Ok(Selection {
            delivery_ids: self.delivery_ids,
            status: status.map_err(unknown)?,
            connection_id: self.connection_id,
            provider: self.provider,
            event: self.event,
            subject: self.subject,
            error_class: self.error_class,
            since: self.since,
            until: self.until,
            failed_since: self.failed_since,
            missed_since: self.missed_since,
        })
    }
}

impl From<Selection> for SelectionBody {
    fn from(selection: Selection) -> Self {
        let names = |list: Vec<DeliveryStatus>| list.iter().map(ToString::to_string).collect();
        Self {
            delivery_ids: selection.delivery_ids,
            status: selection.status.map(names),
            connection_id: selection.connection_id,
            provider: selection.provider,
            event: selection.event,
            subject: selection.subject,
            error_class: selection.error_class,
            since: selection.since,
            until: selection.until,
            failed_since: selection.failed_since,
            missed_since: selection.missed_since,
        }
    }
}

/// With which settings of its connection a delivery is sent again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReplayConfiguration)]
pub(crate) enum ConfigurationBody {
    /// As they are when it is sent.
    #[default]
    Current,
    /// As they were when it was tried last: the address, the destination. Secrets are today's.
    Original,
}

impl From<ConfigurationBody> for Configuration {
    fn from(body: ConfigurationBody) -> Self {
        match body {
            ConfigurationBody::Current => Self::Current,
            ConfigurationBody::Original => Self::Original,
        }
    }
}

/// What to send again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = NewReplay)]
pub(crate) struct NewReplayBody {
    #[schema(required = true)]
    pub(super) selection: SelectionBody,
    pub(super) configuration: ConfigurationBody,
    /// How many are made due in a second: 1 to 10000, 100 by default.
    #[schema(value_type = Option<u32>, example = 100)]
    pub(super) rate_per_second: Option<u32>,
    /// Kept in the log with who asked; at most 500 characters of it.
    pub(super) reason: Option<String>,
    /// Only tells what would be sent again.
    pub(super) dry_run: bool,
}

/// What a replay would do.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayPreview {
    /// How many deliveries are selected.
    #[schema(example = 1200)]
    total: i64,
    /// Whether all of them were counted: of a great many only the first ones are.
    is_exact: bool,
    /// The most first.
    by_connection: Vec<ReplayPreviewConnection>,
    /// Why they stand as they do, or their status; the most first.
    by_reason: Vec<ReplayPreviewReason>,
    /// How many of them cannot be sent again, since their events are no longer kept.
    too_old: i64,
}

/// What a replay would do for one connection.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayPreviewConnection {
    #[schema(value_type = Uuid)]
    connection_id: ConnectionId,
    name: String,
    provider: String,
    count: i64,
    /// Whether the connection takes deliveries now.
    can_replay: bool,
    /// Why it does not.
    #[schema(example = "connection_paused")]
    blocked_because: Option<String>,
}

/// How many deliveries stand as they do for one reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayPreviewReason {
    #[schema(example = "retries_exhausted")]
    reason: String,
    count: i64,
}

impl From<Preview> for ReplayPreview {
    fn from(preview: Preview) -> Self {
        let of_connection = |one: replay::OfConnection| ReplayPreviewConnection {
            connection_id: one.connection_id,
            name: one.name,
            provider: one.provider,
            count: one.count,
            can_replay: one.blocked_because.is_none(),
            blocked_because: one.blocked_because.map(|blocked| blocked.as_str().to_owned()),
        };
        let of_reason =
            |one: replay::OfReason| ReplayPreviewReason { reason: one.reason, count: one.count };
        Self {
            total: preview.total,
            is_exact: preview.is_exact,
            by_connection: preview.by_connection.into_iter().map(of_connection).collect(),
            by_reason: preview.by_reason.into_iter().map(of_reason).collect(),
            too_old: preview.too_old,
        }
    }
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ReplayStatus)]
pub(crate) enum ReplayStatusBody {
    /// It is found out how many deliveries it is about.
    Counting,
    /// They are made due, some at a time.
    Running,
    /// It waits until somebody lets it go on.
    Paused,
    /// All of them were seen to.
    Completed,
    /// Somebody called it off.
    Cancelled,
    /// It could not go on, through a fault of ours.
    Failed,
}

impl From<ReplayStatus> for ReplayStatusBody {
    fn from(status: ReplayStatus) -> Self {
        match status {
            ReplayStatus::Counting => Self::Counting,
            ReplayStatus::Running => Self::Running,
            ReplayStatus::Paused => Self::Paused,
            ReplayStatus::Completed => Self::Completed,
            ReplayStatus::Cancelled => Self::Cancelled,
            ReplayStatus::Failed => Self::Failed,
        }
    }
}

/// Many deliveries made due again, as it stands.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Replay)]
pub(crate) struct ReplayItem {
    #[schema(value_type = Uuid)]
    id: ReplayId,
    status: ReplayStatusBody,
    selection: SelectionBody,
    configuration: ConfigurationBody,
    /// How many are made due in a second.
    rate_per_second: i32,
    reason: Option<String>,
    /// How many deliveries it is about; null until they were counted.
    total: Option<i64>,
    /// How many of them were looked at.
    considered: i64,
    /// How many of those were made due.
    replayed: i64,
    /// How many of those were not.
    skipped: i64,
    /// Why not: `event_expired`, `connection_paused`, `being_sent`, ….
    #[schema(example = json!({ "event_expired": 3 }))]
    skipped_by_reason: BTreeMap<String, i64>,
    /// `user:<id>`, or `system` for the command line.
    created_by: String,
    /// What was promised later is not looked at.
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    /// How many seconds it still takes at this rate; null where that cannot be said.
    eta_seconds: Option<i64>,
    /// How many of those that were made due have arrived.
    delivered: i64,
    /// How many of them are still waiting to be sent, or to be tried again.
    still_waiting: i64,
}

impl From<Replay> for ReplayItem {
    fn from(replay: Replay) -> Self {
        Self {
            id: replay.id,
            status: replay.status.into(),
            selection: replay.selection.into(),
            configuration: match replay.configuration {
                Configuration::Current => ConfigurationBody::Current,
                Configuration::Original => ConfigurationBody::Original,
            },
            rate_per_second: replay.rate_per_second,
            reason: replay.reason,
            total: replay.total,
            considered: replay.considered,
            replayed: replay.replayed,
            skipped: replay.skipped,
            skipped_by_reason: replay.skipped_by_reason,
            created_by: replay.created_by,
            created_at: replay.created_at,
            started_at: replay.started_at,
            finished_at: replay.finished_at,
            paused_at: replay.paused_at,
            eta_seconds: replay.eta_seconds,
            delivered: replay.delivered,
            still_waiting: replay.still_waiting,
        }
    }
}

/// A page of replays, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayPage {
    pub(super) items: Vec<ReplayItem>,
    /// For the next page; null on the last one.
    pub(super) next_cursor: Option<String>,
}

/// What to change of a replay; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = ReplayChange)]
pub(crate) struct ReplayChangeBody {
    /// `paused`, `running` or `cancelled`.
    pub(super) status: Option<ReplayStatusBody>,
    /// 1 to 10000.
    #[schema(example = 50)]
    pub(super) rate_per_second: Option<u32>,
}

impl From<ReplayStatusBody> for ReplayStatus {
    fn from(body: ReplayStatusBody) -> Self {
        match body {
            ReplayStatusBody::Counting => Self::Counting,
            ReplayStatusBody::Running => Self::Running,
            ReplayStatusBody::Paused => Self::Paused,
            ReplayStatusBody::Completed => Self::Completed,
            ReplayStatusBody::Cancelled => Self::Cancelled,
            ReplayStatusBody::Failed => Self::Failed,
        }
    }
}
