//! How many deliveries of each event stand where.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    rows::WRITTEN_BEFORE_MAX,
    search::{MADE_AFTER_MAX, MADE_BEFORE_MAX},
};
use crate::{
    db::DbError,
    engine::Engine,
    id_time,
    ids::{EventId, OrganizationId},
};

/// How many deliveries of an event stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct StatusCounts {
    /// Waiting, being sent, or waiting to be tried again.
    pub pending: u32,
    /// Kept until somebody sets the connection right.
    pub parked: u32,
    /// The receiver has it.
    pub delivered: u32,
    /// Given up on.
    pub dead: u32,
    /// Not sent because of how the connection stood.
    pub skipped: u32,
    /// Its connection was removed.
    pub cancelled: u32,
    /// Of no use any more.
    pub expired: u32,
}

impl StatusCounts {
    fn add(&mut self, status: &str, count: u32) {
        let place = match status {
            "pending" => &mut self.pending,
            "parked" => &mut self.parked,
            "delivered" => &mut self.delivered,
            "dead" => &mut self.dead,
            "skipped" => &mut self.skipped,
            "cancelled" => &mut self.cancelled,
            "expired" => &mut self.expired,
            _ => return,
        };
        *place += count;
    }
}

/// Counts the deliveries of these events; an event without any is left out.
pub(crate) async fn by_event(
    engine: &Engine,
    organization_id: OrganizationId,
    events: &[EventId],
) -> Result<HashMap<EventId, StatusCounts>, DbError> {
    let ids: Vec<Uuid> = events.iter().map(|id| id.0).collect();
    let spans = spans(&ids);
    let Some((oldest, _)) = spans.first() else { return Ok(HashMap::new()) };
    let written_since = id_time::made_at(*oldest) - WRITTEN_BEFORE_MAX;
    let (from, before): (Vec<Uuid>, Vec<Uuid>) = spans.into_iter().unzip();
    let rows = sqlx::query!(
        r#"
        with span as materialized (
            select * from unnest($2::uuid[], $3::uuid[]) as s(from_id, before_id)
        ),
        promised as materialized (
            select o.delivery_id, o.event_id, o.shard from span s cross join lateral (
                select o.delivery_id, o.event_id, o.shard from relay.outbox o
                where o.organization_id = $1 and o.delivery_id >= s.from_id and o.delivery_id < s.before_id
            ) o where o.event_id = any($4)
        ),
        said as materialized (
            select a.delivery_id, a.event_id, a.settlement from span s cross join lateral (
                select distinct on (a.delivery_id) a.delivery_id, a.event_id, a.settlement
                from relay.attempts a
                where a.organization_id = $1 and a.delivery_id >= s.from_id and a.delivery_id < s.before_id
                  and a.recorded_at >= $5
                order by a.delivery_id desc, a.number desc, a.recorded_at desc
            ) a where a.event_id = any($4)
        )
        select coalesce(p.event_id, s.event_id) as "event_id!",
               case when p.delivery_id is null then s.settlement
                    when p.shard < 0 then 'parked' else 'pending' end as "status!",
               count(*) as "count!"
        from promised p full join said s on s.delivery_id = p.delivery_id
        group by 1, 2
        "#,
        organization_id.0,
        &from,
        &before,
        &ids,
        written_since,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let mut counts: HashMap<EventId, StatusCounts> = HashMap::with_capacity(events.len());
    for row in rows {
        let count = u32::try_from(row.count).unwrap_or(u32::MAX);
        counts.entry(row.event_id.into()).or_default().add(&row.status, count);
    }
    Ok(counts)
}

/// The ranges of ids that the deliveries of these events lie in, without any twice: the oldest first.
fn spans(events: &[Uuid]) -> Vec<(Uuid, Uuid)> {
    let mut events = events.to_vec();
    events.sort_unstable();
    let mut spans: Vec<(Uuid, Uuid)> = Vec::new();
    for event in events {
        let at = id_time::made_at(event);
        let (from, before) =
            (id_time::floor(at - MADE_BEFORE_MAX), id_time::floor(at + MADE_AFTER_MAX));
        match spans.last_mut() {
            Some((_, end)) if from <= *end => *end = before,
            _ => spans.push((from, before)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn spans_that_touch_are_read_once() {
        let event = |text: &str| id_time::floor(at(text));
        assert_eq!(spans(&[]), []);
        let near = [event("2026-02-25T12:00:00.700Z"), event("2026-02-25T12:00:00Z")];
        let found = spans(&near);
        assert_eq!(found.len(), 1);
        assert!(found[0].0 < near[1]);
        assert_eq!(id_time::made_at(found[0].1), at("2026-02-25T12:00:01.700Z"));
        assert_eq!(spans(&[near[0], event("2026-02-25T12:00:09Z")]).len(), 2);
    }
}
