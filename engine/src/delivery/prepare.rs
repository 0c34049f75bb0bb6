//! What it takes to send claimed deliveries, loaded for many at once: receivers, events, turns of tickets.

use std::{collections::HashMap, sync::Arc, time::Instant};

use uuid::Uuid;

use super::{
    attempt::Prepared,
    tickets::{self, TicketKey},
};
use crate::{engine::Engine, event::RecordedEvent, handoff::Handed, ids::EventId, outbox::Claimed};

/// Loads the receivers and events of claimed deliveries, and lines up those with tickets: three
/// statements at most, whatever the number.
pub async fn prepare(engine: &Engine, claimed: Vec<Claimed>) -> Result<Vec<Prepared>, sqlx::Error> {
    let since = Instant::now();
    let events = load_events(engine, &claimed).await?;
    prepare_with(engine, claimed, &events, since).await
}

/// The same for what was handed over: its events are here already.
pub async fn prepare_handed(
    engine: &Engine,
    handed: Vec<Handed>,
) -> Result<Vec<Prepared>, sqlx::Error> {
    let events = handed.iter().map(|one| (one.event.id, one.event.clone())).collect();
    let claimed = handed.into_iter().map(|one| one.claimed).collect();
    prepare_with(engine, claimed, &events, Instant::now()).await
}

async fn prepare_with(
    engine: &Engine,
    claimed: Vec<Claimed>,
    events: &HashMap<EventId, Arc<RecordedEvent>>,
    since: Instant,
) -> Result<Vec<Prepared>, sqlx::Error> {
    let receivers = engine.receivers.of(engine, &claimed).await?;
    let originals = engine.receivers.1.of(engine, &claimed).await?;
    let prepared: Vec<Prepared> = claimed
        .into_iter()
        .filter_map(|claimed| {
            let receiver = receivers.get(&claimed.connection_id)?.clone();
            let event = events.get(&claimed.event_id).cloned();
            let ticketed = event.as_ref().filter(|_| receiver.keeps_tickets());
            let ticket_key = ticketed.and_then(|e| TicketKey::of(e, claimed.connection_id));
            let original = originals.get(&claimed.delivery_id).cloned();
            Some(Prepared { claimed, receiver, original, event, ticket_key, since })
        })
        .collect();
    let waiting: Vec<_> =
        prepared.iter().filter_map(|p| Some((&p.claimed, p.ticket_key.as_ref()?))).collect();
    tickets::line_up(engine, &waiting).await?;
    Ok(prepared)
}

async fn load_events(
    engine: &Engine,
    claimed: &[Claimed],
) -> Result<HashMap<EventId, Arc<RecordedEvent>>, sqlx::Error> {
    let mut ids: Vec<Uuid> = claimed.iter().map(|delivery| delivery.event_id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else {
        return Ok(HashMap::new());
    };
    // The range lets the planner leave out the days that none of them can lie in.
    let events = sqlx::query_as!(
        RecordedEvent,
        r#"select id, organization_id, kind, payload::text as "payload!",
                  project_id as "project_id: _", team_id as "team_id: _", subject, priority, source,
                  occurred_at, hops, traceparent as "traceparent: _"
           from relay.event_log
           where category = 'product' and id = any($1) and id >= $2 and id <= $3
             and erased_at is null"#,
        &ids,
        first,
        last,
    )
    .fetch_all(&engine.db.work)
    .await?;
    Ok(events.into_iter().map(|event| (event.id, Arc::new(event))).collect())
}
