//! The duty to bring one event to one connection: `state` decides, `store` settles, `attempt` sends.

pub mod attempt;
mod read;
pub mod receivers;
pub mod replay;
pub mod request;
pub mod state;
pub mod store;

pub use read::{
    AttemptView, DeliveryDetail, DeliveryFilter, DeliveryStatus, DeliveryView, PAGE_MAX, Page,
    find, list,
};
pub use replay::{ReplayError, replay};
pub use state::{DeliveryReason, Settlement, Verdict};
pub(crate) use store::cancel;
