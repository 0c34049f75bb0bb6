//! Shows deliveries and their attempts to the people of one organization.

mod attempts;
mod counts;
mod filter;
mod list;
mod numbered;
mod rows;
mod search;
mod sent;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    event::{RecordedEvent, history},
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
};

pub use attempts::{AttemptView, ResponseView, TimingView};
pub use counts::StatusCounts;
pub(crate) use counts::by_event;
pub use filter::{DeliveryFilter, DeliveryStatus, PAGE_MAX};
pub use list::{Page, list};
pub use numbered::{COUNTED_MAX, EventOf, NumberedPage, numbered, stands};
pub use sent::RequestView;

/// A delivery as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryView {
    /// Its id, the same that the receiver sees.
    pub id: DeliveryId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// The connection's service.
    pub provider: String,
    /// The connection's name.
    pub connection_name: String,
    /// What.
    pub event_id: EventId,
    /// The kind of event; `None` once the event is no longer kept.
    pub event: Option<String>,
    /// The event's subject.
    pub subject: Option<String>,
    /// Where it stands.
    pub status: String,
    /// Requests made so far.
    pub attempts: i32,
    /// When it is due next.
    pub next_due_at: Option<Timestamp>,
    /// The last answer's status.
    pub status_code: Option<i16>,
    /// The last failure's class, or the provider's own code for it.
    pub error_class: Option<String>,
    /// The last failure in words.
    pub error: Option<String>,
    /// Why it ended as it did, or what it waits for.
    pub reason: Option<String>,
    /// The provider's id of what was made of it, `SEC-12`.
    pub external_id: Option<String>,
    /// Where to look at that.
    pub external_url: Option<String>,
    /// `live`, `retry` or `replay`.
    pub class: String,
    /// When it was promised.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// A delivery with its history.
#[derive(Clone, Debug, Serialize)]
pub struct DeliveryDetail {
    /// The delivery as it stands.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Its newest attempts, the first one first.
    #[serde(rename = "attempt_list")]
    pub attempts: Vec<AttemptView>,
    /// How many older ones there are.
    pub attempts_omitted: i64,
    /// The event's data, byte for byte; `None` once the event is no longer kept.
    pub data: Option<Box<RawValue>>,
}

/// One delivery with its attempts. `None` where it belongs to another organization.
pub async fn find(
    engine: &Engine,
    organization_id: OrganizationId,
    id: DeliveryId,
) -> Result<Option<DeliveryDetail>, DbError> {
    let Some(delivery) = rows::by_id(engine, organization_id, &[id]).await?.pop() else {
        return Ok(None);
    };
    let event = history::recorded(engine, organization_id, delivery.event_id).await?;
    let (attempts, attempts_omitted) =
        attempts::of(engine, organization_id, id, event.as_ref()).await?;
    let data = event.and_then(RecordedEvent::into_data);
    Ok(Some(DeliveryDetail { delivery, attempts, attempts_omitted, data }))
}
