//! Deliveries by the number of their page, each with its event: as the core has always shown them.

use std::collections::HashMap;

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{DeliveryFilter, DeliveryView, rows, search};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{DeliveryId, EventId, OrganizationId},
};

/// How many deliveries are found and counted: of more it is not said that there are more.
pub const COUNTED_MAX: usize = 1_000;
/// What the events of a page may say together; of what is older than that it is left out.
const PAYLOADS_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// An event as its delivery shows it.
#[derive(Clone, Debug)]
pub struct EventOf {
    /// What happened.
    pub kind: String,
    /// What it says, byte for byte; `None` where the page would be too large.
    pub payload: Option<Box<RawValue>>,
    /// How much it matters.
    pub priority: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// A page by its number.
#[derive(Clone, Debug, Default)]
pub struct NumberedPage {
    /// The newest first.
    pub items: Vec<DeliveryView>,
    /// Those of their events that are still kept.
    pub events: HashMap<EventId, EventOf>,
    /// How many the filter finds, up to [`COUNTED_MAX`].
    pub total: usize,
}

/// The page `number`, from 1 on, of `size` deliveries each. It looks no further than the search of a list
/// does, nor for more than [`COUNTED_MAX`].
pub async fn numbered(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
    number: usize,
    size: usize,
) -> Result<NumberedPage, DbError> {
    let found = search::search(engine, organization_id, filter, COUNTED_MAX).await?.ids;
    let skipped = number.saturating_sub(1).saturating_mul(size);
    let ids = found.iter().copied().skip(skipped).take(size).collect::<Vec<_>>();
    let mut items = rows::by_id(engine, organization_id, &ids).await?;
    items.retain(|item| item.status.parse().is_ok_and(|status| filter.takes(status)));
    let events = events(engine, organization_id, &items).await?;
    Ok(NumberedPage { items, events, total: found.len() })
}

async fn events(
    engine: &Engine,
    organization_id: OrganizationId,
    items: &[DeliveryView],
) -> Result<HashMap<EventId, EventOf>, DbError> {
    if items.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = items.iter().map(|item| item.event_id.0).collect();
    let rows = sqlx::query!(
        r#"select id, kind, priority, recorded_at,
                  case when sum(octet_length(payload::text)) over (order by id desc) <= $3::bigint
                       then payload::text end as payload
           from relay.event_log
           where category = 'product' and organization_id = $1 and id = any($2)"#,
        organization_id.0,
        &ids,
        PAYLOADS_BYTES_MAX,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let event = rows.into_iter().map(|row| {
        let payload = row.payload.and_then(|text| RawValue::from_string(text).ok());
        let event = EventOf {
            kind: row.kind,
            payload,
            priority: row.priority,
            recorded_at: row.recorded_at,
        };
        (EventId(row.id), event)
    });
    Ok(event.collect())
}

/// One delivery without its history. `None` where it belongs to another organization.
pub async fn stands(
    engine: &Engine,
    organization_id: OrganizationId,
    id: DeliveryId,
) -> Result<Option<DeliveryView>, DbError> {
    Ok(rows::by_id(engine, organization_id, &[id]).await?.pop())
}
