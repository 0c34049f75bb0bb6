//! A page of deliveries: found by [`search`](super::search), shown by [`rows`](super::rows).

use serde::Serialize;

use super::{DeliveryFilter, DeliveryView, PAGE_MAX, rows, search};
use crate::{
    db::DbError,
    engine::Engine,
    ids::{DeliveryId, OrganizationId},
    page,
};

/// Some deliveries, and where the next page begins.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Page {
    /// The newest first.
    pub items: Vec<DeliveryView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<DeliveryId>,
}

/// A page of an organization's deliveries, the newest first. Pages stay apart under inserts: the
/// cursor is an id, and ids grow with time. A page that has looked at many ends before it is full.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &DeliveryFilter,
) -> Result<Page, DbError> {
    let limit = usize::from(page::size(filter.limit, PAGE_MAX));
    let found = search::search(engine, organization_id, filter, limit).await?;
    let mut items = rows::by_id(engine, organization_id, &found.ids).await?;
    // What moved on since it was found is not what was asked for any more.
    items.retain(|item| item.status.parse().is_ok_and(|status| filter.takes(status)));
    Ok(Page { items, next: found.next })
}
