//! The duty to bring one event to one connection: `state` decides, `store` settles, `attempt` sends.
//!
//! `prepare` loads what it takes for many at once. An attempt is one request for a custom webhook (`webhook`, made by `request`), and as many calls as
//! the provider's function asks for elsewhere (`fold`). What is not due until somebody sets the
//! connection right is `parking`'s, and what belongs into one ticket is `tickets`'. What people see of an
//! attempt is in `details`, with nothing in it that `masks` takes out.

pub mod attempt;
mod details;
mod digest;
pub mod exchange;
mod fold;
mod follow_up;
mod home;
mod lane;
mod latency;
mod masks;
mod originals;
mod parking;
mod patience;
pub mod prepare;
mod read;
pub mod receivers;
pub mod replay;
pub mod request;
pub mod state;
pub mod store;
mod sweep;
pub mod tickets;
mod traced;
mod webhook;

pub use details::Timing;
pub use follow_up::{follow_up, has_follow_up};
pub(crate) use home::move_home;
pub use parking::expire_parked;
pub(crate) use parking::{park, resume};
pub(crate) use read::by_event;
pub use read::{
    AttemptView, COUNTED_MAX, DeliveryDetail, DeliveryFilter, DeliveryStatus, DeliveryView,
    EventOf, NumberedPage, PAGE_MAX, Page, RequestView, ResponseView, StatusCounts, TimingView,
    find, list, numbered, stands,
};
pub use replay::{ReplayError, replay};
pub use state::{Consequence, DeliveryReason, Settlement};
pub(crate) use store::{cancel, cancel_these};
pub use sweep::{Swept, sweep};
