//! The routes, one file for each resource. A handler translates: the engine decides.

pub(crate) mod access_token;
pub(crate) mod audit;
pub(crate) mod connection_history;
pub(crate) mod connection_list;
pub(crate) mod connection_settings;
pub(crate) mod connections;
pub(crate) mod custom_integrations;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod event_history;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod icons;
pub(crate) mod install;
pub(crate) mod limits;
pub(crate) mod live;
pub(crate) mod notifications;
pub(crate) mod overview;
pub(crate) mod preview;
pub(crate) mod providers;
pub(crate) mod replays;
pub(crate) mod scoped;
pub(crate) mod statistics;
pub(crate) mod token_lease;
pub(crate) mod why;

use serde::Serialize;
use utoipa::ToSchema;

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {
    /// Always true.
    #[schema(example = true)]
    pub(crate) success: bool,
}
