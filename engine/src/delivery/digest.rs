//! One message for all that a connection collected: its first delivery speaks for those behind it.
//!
//! A connection with a digest keeps its deliveries in a lane, where nothing but the first is ever
//! claimed. So whoever has the lease of the first has the others as well, and settles all of them in
//! one transaction. Each keeps its own record of what became of it.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    attempt::Settled,
    patience::age,
    receivers::Receiver,
    state::{DeliveryReason, Settlement},
    store::micros,
};
use crate::{
    clock::Timestamp,
    engine::Engine,
    event::{DIGEST, Notification, RecordedEvent, Severity, headline},
    ids::DeliveryId,
    outbox::Claimed,
};

/// The most deliveries that one message speaks for.
const COLLECTED_MAX: i64 = 1_000;
/// How many of them it names.
const NAMED_MAX: usize = 10;

/// What one message says, and for whom.
#[derive(Debug)]
pub(super) struct Digest {
    /// The deliveries behind the first one.
    pub(super) others: Vec<DeliveryId>,
    /// All of them as one event.
    pub(super) event: RecordedEvent,
}

/// Collects what is due behind a claimed delivery, where its connection wants that. `None` where it
/// does not, or there is nothing: the delivery speaks for itself.
pub(super) async fn collect(
    engine: &Engine,
    claimed: &Claimed,
    receiver: &Receiver,
    first: &RecordedEvent,
) -> Result<Option<Digest>, sqlx::Error> {
    if receiver.connection.digest_minutes.is_none() || !claimed.is_in_lane() {
        return Ok(None);
    }
    // Boxed: it is large and rare.
    Box::pin(behind(engine, claimed, first)).await
}

async fn behind(
    engine: &Engine,
    claimed: &Claimed,
    first: &RecordedEvent,
) -> Result<Option<Digest>, sqlx::Error> {
    let waiting = sqlx::query!(
        r#"select delivery_id, event_id from relay.outbox
           where connection_id = $1 and shard >= 64 and event_id > $2 and due_at <= now()
             and lease is null
           order by event_id limit $3"#,
        claimed.connection_id.0,
        claimed.event_id.0,
        COLLECTED_MAX - 1,
    )
    .fetch_all(&engine.db.work)
    .await?;
    let Some(last) = waiting.last().map(|row| row.event_id) else { return Ok(None) };
    let deliveries: HashMap<Uuid, Uuid> =
        waiting.iter().map(|row| (row.event_id, row.delivery_id)).collect();
    let ids: Vec<Uuid> = waiting.iter().map(|row| row.event_id).collect();
    let mut others = Vec::with_capacity(ids.len());
    let mut said = vec![headline(first, engine.config.frontend_url.as_ref())];
    // One by one: each may be large, and only its words are kept.
    let mut events = sqlx::query_as!(
        RecordedEvent,
        r#"select id, organization_id, kind, payload::text as "payload!",
                  project_id as "project_id: _", team_id as "team_id: _", subject, priority, source,
                  occurred_at, hops, traceparent as "traceparent: _"
           from relay.event_log
           where category = 'product' and id = any($1) and id >= $2 and id <= $3
             and erased_at is null
           order by id"#,
        &ids,
        claimed.event_id.0,
        last,
    )
    .fetch(&engine.db.work);
    while let Some(event) = events.try_next().await? {
        let Some(delivery_id) = deliveries.get(&event.id.0) else { continue };
        others.push(DeliveryId(*delivery_id));
        said.push(headline(&event, engine.config.frontend_url.as_ref()));
    }
    Ok((!others.is_empty()).then(|| Digest { others, event: as_event(first, &said) }))
}

/// All of them as one event, which every provider writes in its own way: the gravest first.
fn as_event(first: &RecordedEvent, said: &[Notification]) -> RecordedEvent {
    let mut order: Vec<&Notification> = said.iter().collect();
    order.sort_by_key(|said| std::cmp::Reverse(said.severity));
    let worst = order.first().map_or(Severity::Info, |said| said.severity);
    let named: Vec<Value> = order
        .iter()
        .take(NAMED_MAX)
        .map(|said| json!({ "severity": said.severity, "title": said.title }))
        .collect();
    let more = said.len() - named.len();
    let payload = json!({
        "title": format!("{} events", said.len()),
        "severity": worst,
        "count": said.len(),
        "events": named,
        "more": more,
    });
    RecordedEvent {
        kind: DIGEST.to_owned(),
        payload: Bytes::from(payload.to_string()),
        project_id: None,
        team_id: None,
        subject: None,
        ..first.clone()
    }
}

/// Those of the others that end with the one that spoke for them. Who was not tried for as long as a
/// delivery is goes on: the next one speaks for them.
pub(super) fn ends_with(
    settled: &Settled,
    others: Vec<DeliveryId>,
    span: Duration,
    now: Timestamp,
) -> Vec<DeliveryId> {
    let is_old = |id: &DeliveryId| age(id.0, now) >= span;
    match settled.settlement {
        Settlement::Dead(DeliveryReason::RetriesExhausted) => {
            others.into_iter().filter(is_old).collect()
        }
        _ => others,
    }
}

/// Settles those that a delivery spoke for as it was settled itself, in the caller's transaction. What
/// is tried again, or parked, speaks for them again next time.
pub(super) async fn settle_others(
    tx: &mut PgConnection,
    settled: &[&Settled],
) -> Result<(), sqlx::Error> {
    // That one waited too long says nothing of the others.
    let ends = |one: &Settled| {
        one.settlement.is_final() && !matches!(one.settlement, Settlement::Expired(_))
    };
    for one in settled.iter().filter(|one| ends(one) && !one.others.is_empty()) {
        settle_behind(tx, one).await?;
    }
    Ok(())
}

async fn settle_behind(tx: &mut PgConnection, one: &Settled) -> Result<(), sqlx::Error> {
    let others: Vec<Uuid> = one.others.iter().map(|id| id.0).collect();
    let exchange = one.exchange.as_ref();
    sqlx::query!(
        r#"
        with gone as (
            delete from relay.outbox o
            using unnest($2::uuid[]) as other(delivery_id)
            -- Wherever it lies by now, unless somebody asked for it once more.
            where o.organization_id = $1 and o.delivery_id = other.delivery_id and o.class <> 2
              and o.lease is null
            returning o.organization_id, o.delivery_id, o.connection_id, o.event_id, o.class,
                      o.attempt + o.crashes + ($5::bigint is not null)::integer as number
        )
        insert into relay.attempts (
            organization_id, delivery_id, connection_id, event_id, class, number, settlement, reason,
            started_at, duration_us, status_code, error_class, error, connection_version,
            external_id, external_url
        )
        select organization_id, delivery_id, connection_id, event_id, class, number, $3, $4,
               now() - $5 * interval '1 microsecond', $6, $7, $8, $9, $10, $11, $12
        from gone
        "#,
        one.claimed.organization_id.0,
        &others,
        Settlement::as_str(one.settlement),
        one.settlement.reason().map(DeliveryReason::as_str),
        exchange.map(|exchange| micros(exchange.began.elapsed())),
        exchange.map(|exchange| micros(exchange.took)),
        exchange.and_then(|exchange| exchange.status).and_then(|status| i16::try_from(status).ok()),
        one.code.as_deref().or_else(|| exchange?.error_class),
        exchange.and_then(|exchange| exchange.error.as_deref()),
        one.connection_version,
        one.external_id.as_deref(),
        one.external_url.as_deref(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::recorded;

    #[test]
    fn the_gravest_come_first_and_all_are_counted() {
        let first = recorded("policy.violation", r#"{"rule":"no GPL"}"#);
        let said: Vec<Notification> = (0..30)
            .map(|n| {
                let severity = if n == 17 { "critical" } else { "low" };
                let data = json!({ "vulnerability_id": format!("CVE-{n}"), "severity": severity });
                headline(&recorded("vulnerability.found", &data.to_string()), None)
            })
            .collect();
        let event = as_event(&first, &said);
        let data: Value = serde_json::from_slice(&event.payload).expect("JSON");
        assert_eq!((&data["count"], &data["more"]), (&json!(30), &json!(20)));
        assert_eq!(data["events"].as_array().map(Vec::len), Some(NAMED_MAX));
        assert_eq!(data["events"][0]["severity"], "critical");
        let in_words = headline(&event, None);
        assert_eq!(in_words.title, "30 events");
        assert_eq!(in_words.severity, Severity::Critical);
    }
}
