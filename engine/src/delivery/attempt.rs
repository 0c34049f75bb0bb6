//! One attempt: prepared from what was claimed, sent, judged. No database while HTTP is under way.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use uuid::Uuid;

use super::{
    receivers::Receiver,
    request::{self, Outgoing},
    state::{DeliveryReason, Settlement, Verdict, error_class, settle, settled_unsent},
};
use crate::{
    clock,
    engine::Engine,
    event::RecordedEvent,
    ids::EventId,
    metrics,
    outbox::{Claimed, Class},
};

/// How much of an answer is kept with the attempt.
pub const RESPONSE_KEPT_MAX: usize = 2_048;

/// A claimed delivery with all that it takes to send it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// What was claimed.
    pub claimed: Claimed,
    /// To whom.
    pub receiver: Arc<Receiver>,
    /// What; `None` where the log no longer has it.
    pub event: Option<Arc<RecordedEvent>>,
}

/// What became of a claimed delivery: all that its settlement writes.
#[derive(Clone, Debug)]
pub struct Settled {
    /// What was claimed, with the fence.
    pub claimed: Claimed,
    /// What follows.
    pub settlement: Settlement,
    /// The request that was made, if one was.
    pub exchange: Option<Exchange>,
    /// The version of the connection that was used.
    pub connection_version: i64,
}

/// One HTTP request and its answer, as recorded.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// When it began, by this process's monotonic clock.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// What kind of failure it was.
    pub error_class: Option<&'static str>,
    /// What exactly went wrong.
    pub error: Option<String>,
    /// The beginning of the answer's body.
    pub response_head: Option<String>,
}

/// Loads the receivers and events of claimed deliveries: two statements at most, whatever the number.
pub async fn prepare(engine: &Engine, claimed: Vec<Claimed>) -> Result<Vec<Prepared>, sqlx::Error> {
    let receivers = engine.receivers.of(engine, &claimed).await?;
    let events = load_events(engine, &claimed).await?;
    Ok(claimed
        .into_iter()
        .filter_map(|claimed| {
            let receiver = receivers.get(&claimed.connection_id)?.clone();
            let event = events.get(&claimed.event_id).cloned();
            Some(Prepared { claimed, receiver, event })
        })
        .collect())
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
    let rows = sqlx::query!(
        r#"select id, organization_id, kind, payload::text as "payload!", project_id, team_id,
                  subject, priority, source, occurred_at, hops
           from relay.event_log
           where category = 'product' and id = any($1) and id >= $2 and id <= $3"#,
        &ids,
        first,
        last,
    )
    .fetch_all(&engine.db.work)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let event = RecordedEvent {
                id: row.id.into(),
                organization_id: row.organization_id.into(),
                kind: row.kind,
                payload: Bytes::from(row.payload),
                project_id: row.project_id.map(Into::into),
                team_id: row.team_id.map(Into::into),
                subject: row.subject,
                priority: row.priority,
                source: row.source,
                occurred_at: row.occurred_at,
                hops: row.hops,
            };
            (event.id, Arc::new(event))
        })
        .collect())
}

/// Makes one attempt, or settles without one where the connection or the history forbids it.
/// Always ends, within the deadlines of [`crate::http`].
pub async fn attempt(engine: &Engine, prepared: Prepared) -> Settled {
    let Prepared { claimed, receiver, event } = prepared;
    let receiver = engine.receivers.newest(receiver);
    let connection_version = receiver.connection.version;
    let unsent = |claimed: Claimed, settlement: Settlement| Settled {
        claimed,
        settlement,
        exchange: None,
        connection_version,
    };
    if let Some(settlement) = settled_unsent(&claimed, receiver.connection.silent_because()) {
        return unsent(claimed, settlement);
    }
    let Some(event) = event else {
        return unsent(claimed, Settlement::Dead(DeliveryReason::EventMissing));
    };
    if !receiver.is_readable() {
        return unsent(claimed, Settlement::Dead(DeliveryReason::SecretUnreadable));
    }
    crate::fault::point(&event.kind);
    let now = clock::now();
    let request = request::build(&Outgoing {
        event: &event,
        delivery_id: claimed.delivery_id,
        attempt: claimed.next_attempt(),
        replay: claimed.class == Class::Replay,
        secrets: &receiver.secrets_at(now),
        webhook_url: receiver.webhook_url(),
        frontend_url: engine.config.frontend_url.as_ref(),
        now,
    });
    let request = match request {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(delivery.id = %claimed.delivery_id, error = %error, "a delivery cannot be sent");
            return unsent(claimed, Settlement::Dead(DeliveryReason::Unsendable));
        }
    };
    metrics::delivery_lag(claimed.late);
    let began = Instant::now();
    let answer = engine.http.post(request).await;
    let took = began.elapsed();
    let (verdict, exchange) = match answer {
        Ok(reply) => {
            let class = error_class(Some(reply.status), None);
            let kept = &reply.head[..reply.head.len().min(RESPONSE_KEPT_MAX)];
            let response_head =
                (!kept.is_empty()).then(|| String::from_utf8_lossy(kept).replace('\0', "\u{fffd}"));
            let exchange = Exchange {
                began,
                took,
                status: Some(reply.status),
                error_class: class,
                error: None,
                response_head,
            };
            (Verdict::from_reply(&reply, clock::now()), exchange)
        }
        Err(error) => {
            let exchange = Exchange {
                began,
                took,
                status: None,
                error_class: error_class(None, Some(error.failure)),
                error: Some(error.detail.chars().take(500).collect()),
                response_head: None,
            };
            (Verdict::from_failure(&error), exchange)
        }
    };
    metrics::attempt(
        &receiver.connection.provider,
        exchange.error_class.unwrap_or("success"),
        took,
    );
    let settlement = settle(verdict, claimed.step, &receiver.schedule, rand::random());
    Settled { claimed, settlement, exchange: Some(exchange), connection_version }
}
