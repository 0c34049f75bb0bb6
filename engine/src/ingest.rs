//! Appends events and the promise of their deliveries, many callers to one commit.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    db::{self, Db},
    event::NewEvent,
    handoff::{Asked, Handed, Handoff, Leased},
    ids::EventId,
    metrics,
    outbox::{self, interval},
    trace::Traceparent,
};

/// How many group commits may be under way at once; while they are, the next group gathers.
const COMMITTERS: usize = 2;
/// The most events of one commit, but for a single caller's own batch.
const COMMIT_EVENTS_MAX: usize = 500;
/// A group of fewer waits for the commit under way instead of making one of its own beside it.
const COMMIT_EVENTS_WORTHWHILE: usize = 64;
/// For how long at most.
const GATHER_MAX: Duration = Duration::from_millis(5);
/// The most payload of one commit, but for a single caller's own batch.
const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How much payload may wait in memory before callers are turned away.
const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many callers may wait.
const QUEUE_CALLS_MAX: usize = 8_192;

/// What `append_and_lease` says of an event that is in the log now.
const RECORDED: &str = "recorded";

/// What became of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// Appended, with all its deliveries.
    New(EventId),
    /// The key was used before with the same content: the first event's id.
    Duplicate(EventId),
    /// The key was used before with other content; nothing was recorded.
    Conflict(EventId),
    /// The database refused this event alone.
    Refused(String),
}

/// Nothing is known to be recorded; a caller with an idempotency key may safely ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Too much is waiting already.
    #[error("too many events are waiting to be recorded; try again in a second")]
    Overloaded,
    /// The database did not confirm the commit.
    #[error("the database is not available; try again shortly")]
    Unavailable,
}

struct Call {
    events: Vec<NewEvent>,
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Recorded>, IngestError>>,
    _room: OwnedSemaphorePermit,
}

/// The way in for events. Cheap to clone; every clone shares the same committers.
#[derive(Clone, Debug)]
pub struct Ingest {
    calls: mpsc::Sender<Call>,
    room: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Ingest {
    /// Starts the committers. `recorded` is told after each commit that left deliveries to be claimed;
    /// the others go through `handoff`, under leases of this length.
    #[must_use]
    pub fn start(
        db: &Db,
        recorded: &[Arc<Notify>],
        handoff: &Arc<Handoff>,
        lease: Duration,
    ) -> Self {
        let (calls, queue) = mpsc::channel(QUEUE_CALLS_MAX);
        let queue = Arc::new(Mutex::new(queue));
        let waiting = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Gate::default());
        for _ in 0..COMMITTERS {
            let (pool, settling) = (db.ingest.clone(), db.settling.clone());
            let log = Log { pool, settling, handoff: handoff.clone(), lease };
            tokio::spawn(commit_groups(
                log,
                queue.clone(),
                waiting.clone(),
                recorded.to_vec(),
                gate.clone(),
            ));
        }
        Self { calls, room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)), waiting }
    }

    /// Records events in the order given and waits for their commit.
    ///
    /// A caller that goes away changes nothing: what was accepted is still committed whole.
    pub async fn record(&self, events: Vec<NewEvent>) -> Result<Vec<Recorded>, IngestError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let bytes: usize = events.iter().map(|event| event.data.get().len() + 512).sum();
        let permits = u32::try_from(bytes.min(QUEUE_BYTES_MAX)).unwrap_or(u32::MAX);
        let room = self
            .room
            .clone()
            .try_acquire_many_owned(permits)
            .map_err(|_| IngestError::Overloaded)?;
        let (answer, answered) = oneshot::channel();
        let waiting = self.waiting.fetch_add(events.len(), Ordering::Relaxed) + events.len();
        metrics::ingest_queue(waiting);
        let count = events.len();
        if self.calls.try_send(Call { events, bytes, answer, _room: room }).is_err() {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(IngestError::Overloaded);
        }
        answered.await.map_err(|_| IngestError::Unavailable)?
    }
}

async fn commit_groups(
    log: Log,
    queue: Arc<Mutex<mpsc::Receiver<Call>>>,
    waiting: Arc<AtomicUsize>,
    recorded: Vec<Arc<Notify>>,
    gate: Arc<Gate>,
) {
    loop {
        let mut group = Vec::new();
        {
            let mut queue = queue.lock().await;
            let Some(first) = queue.recv().await else { return };
            let (mut events, mut bytes) = (first.events.len(), first.bytes);
            group.push(first);
            let mut gather = || {
                while events < COMMIT_EVENTS_MAX && bytes < COMMIT_BYTES_MAX {
                    let Ok(next) = queue.try_recv() else { break };
                    events += next.events.len();
                    bytes += next.bytes;
                    group.push(next);
                }
                events
            };
            if gather() < COMMIT_EVENTS_WORTHWHILE && gate.is_busy() {
                // A commit costs about the same for few events as for many: these few wait for the
                // one under way, and for whoever joins them until then.
                gate.wait_briefly().await;
                gather();
            }
        }
        let _under_way = gate.enter();
        let events: usize = group.iter().map(|call| call.events.len()).sum();
        let left = waiting.fetch_sub(events, Ordering::Relaxed) - events;
        metrics::ingest_queue(left);
        if commit(&log, group).await {
            recorded.iter().for_each(|told| told.notify_one());
        }
    }
}

/// Knows whether a commit is under way.
#[derive(Debug, Default)]
struct Gate {
    under_way: AtomicUsize,
    ended: Notify,
}

impl Gate {
    fn is_busy(&self) -> bool {
        self.under_way.load(Ordering::Acquire) > 0
    }

    /// Waits until a commit ends, but never for long: it may be a large one.
    async fn wait_briefly(&self) {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        // Listening first, asking then: an end in between is not missed.
        ended.as_mut().enable();
        if self.is_busy() {
            let _ = tokio::time::timeout(GATHER_MAX, ended).await;
        }
    }

    fn enter(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        UnderWay(self)
    }
}

struct UnderWay<'a>(&'a Gate);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

/// Where events are written to, and who is given what can be sent at once.
struct Log {
    pool: PgPool,
    settling: PgPool,
    handoff: Arc<Handoff>,
    lease: Duration,
}

/// What a commit did.
struct Appended {
    recorded: Vec<Recorded>,
    /// Whether deliveries are left to be claimed.
    is_waiting: bool,
}

/// Commits a group and answers each of its callers. Says whether deliveries may be left to be claimed.
async fn commit(log: &Log, group: Vec<Call>) -> bool {
    let began = Instant::now();
    let events: Vec<&NewEvent> = group.iter().flat_map(|call| &call.events).collect();
    let count = events.len();
    let mut is_waiting = true;
    let outcome = match append(log, &events, log.handoff.ask()).await {
        Err(error) if count > 1 && (!db::is_unavailable(&error) || db::is_locked_out(&error)) => {
            tracing::warn!(error = %error, events = count, "a group commit was refused; trying its events one by one");
            one_by_one(log, &events).await
        }
        Ok(appended) => {
            is_waiting = appended.is_waiting;
            appended.recorded.into_iter().map(Ok).collect()
        }
        Err(error) if db::is_unavailable(&error) => {
            tracing::warn!(error = %error, events = count, "a group commit was not confirmed");
            vec![Err(IngestError::Unavailable); count]
        }
        Err(error) => vec![Ok(refused(&error)); count],
    };
    metrics::group_commit(began.elapsed(), count);
    count_outcomes(&outcome);
    let mut outcome = outcome.into_iter();
    for call in group {
        let answer: Result<Vec<_>, _> = outcome.by_ref().take(call.events.len()).collect();
        // A caller that went away does not hear it; the events stay recorded.
        let _ = call.answer.send(answer);
    }
    is_waiting
}

/// One event of a group is refused by the database, or its key is held by somebody else's open
/// transaction: each is tried alone, so that it fails alone.
async fn one_by_one(log: &Log, events: &[&NewEvent]) -> Vec<Result<Recorded, IngestError>> {
    let mut each = Vec::with_capacity(events.len());
    let mut held = HashSet::new();
    for event in events {
        let key = event.idempotency_key.as_deref().map(|key| (event.organization_id, key));
        if key.is_some_and(|key| held.contains(&key)) {
            each.push(Err(IngestError::Unavailable));
            continue;
        }
        each.push(match append(log, &[event], None).await {
            Ok(mut one) => one.recorded.pop().ok_or(IngestError::Unavailable),
            Err(error) if db::is_unavailable(&error) => {
                if db::is_locked_out(&error) {
                    held.extend(key);
                }
                Err(IngestError::Unavailable)
            }
            Err(error) => Ok(refused(&error)),
        });
    }
    each
}

fn refused(error: &sqlx::Error) -> Recorded {
    tracing::error!(error = %error, "the database refused an event");
    let constraint = error.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
    Recorded::Refused(constraint.unwrap_or("the database refused the event").to_owned())
}

fn count_outcomes(outcomes: &[Result<Recorded, IngestError>]) {
    let count = |wanted: fn(&Result<Recorded, IngestError>) -> bool| {
        outcomes.iter().filter(|outcome| wanted(outcome)).count() as u64
    };
    for (name, number) in [
        ("recorded", count(|o| matches!(o, Ok(Recorded::New(_))))),
        ("duplicate", count(|o| matches!(o, Ok(Recorded::Duplicate(_))))),
        ("conflict", count(|o| matches!(o, Ok(Recorded::Conflict(_))))),
        ("refused", count(|o| matches!(o, Ok(Recorded::Refused(_))))),
        ("unavailable", count(|o| o.is_err())),
    ] {
        if number > 0 {
            metrics::events_recorded(name, number);
        }
    }
}

/// One statement, one commit: the events, their keys, their deliveries and skipped records. What of
/// the deliveries the pump of this process asked for is handed over.
async fn append(
    log: &Log,
    events: &[&NewEvent],
    asked: Option<Asked>,
) -> Result<Appended, sqlx::Error> {
    fn all<'a, T>(events: &[&'a NewEvent], of: impl Fn(&'a NewEvent) -> T) -> Vec<T> {
        events.iter().map(|event| of(event)).collect()
    }
    let organization_ids: Vec<Uuid> = all(events, |e| e.organization_id.0);
    let kinds = all(events, |e| e.kind.as_str());
    let payloads = all(events, |e| e.data.get());
    let project_ids: Vec<Option<Uuid>> = all(events, |e| e.project_id.map(|id| id.0));
    let team_ids: Vec<Option<Uuid>> = all(events, |e| e.team_id.map(|id| id.0));
    let occurred_ats: Vec<Option<Timestamp>> = all(events, |e| e.occurred_at);
    let sources = all(events, |e| e.source.as_deref());
    let priorities = all(events, |e| e.priority.as_str());
    let keys = all(events, |e| e.idempotency_key.as_deref());
    let subjects = all(events, |e| e.subject.as_deref());
    let hops = all(events, |e| i16::from(e.hops));
    let traces = all(events, |e| e.traceparent.as_ref().map(Traceparent::as_str));
    let offer = asked.as_ref().map(|asked| &asked.offer);
    let asked_at = Instant::now();
    let done = sqlx::query!(
        r#"select answers as "answers!", outcomes as "outcomes!", moment as "moment!",
                  waiting as "waiting!", handed_events, handed_connections, handed_deliveries,
                  handed_leases, handed_versions
           from relay.append_and_lease(
               $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"#,
        &organization_ids,
        &kinds as &[&str],
        &payloads as &[&str],
        &project_ids as &[Option<Uuid>],
        &team_ids as &[Option<Uuid>],
        &occurred_ats as &[Option<Timestamp>],
        &sources as &[Option<&str>],
        &priorities as &[&str],
        &keys as &[Option<&str>],
        &subjects as &[Option<&str>],
        &hops,
        &traces as &[Option<&str>],
        offer.map(|offer| offer.worker.0),
        offer.map(|offer| &*offer.shards).unwrap_or_default(),
        interval(log.lease),
        offer.map(|offer| &*offer.busy).unwrap_or_default(),
        asked.as_ref().map_or(0, |asked| i32::try_from(asked.most()).unwrap_or(i32::MAX)),
    )
    .fetch_one(&log.pool)
    .await?;
    if let (Some(asked), Some(handed)) = (asked, done.handed_events) {
        let leased = Leased {
            events: handed,
            connections: done.handed_connections.unwrap_or_default(),
            deliveries: done.handed_deliveries.unwrap_or_default(),
            leases: done.handed_leases.unwrap_or_default(),
            versions: done.handed_versions.unwrap_or_default(),
        };
        let answers = done.answers.iter().zip(&done.outcomes).zip(events);
        let recorded = answers
            .filter(|((_, outcome), _)| *outcome == RECORDED)
            .map(|((id, _), event)| (*id, *event));
        let deliveries = leased.with_events(recorded, done.moment);
        let count = deliveries.len();
        match asked.hand_over(deliveries, asked_at) {
            Ok(()) => metrics::handed_over(count),
            Err(deliveries) => hand_back(log, &deliveries).await,
        }
    }
    let recorded = done.answers.iter().zip(&done.outcomes).map(|(id, outcome)| {
        let id = EventId(*id);
        match outcome.as_str() {
            RECORDED => Recorded::New(id),
            "duplicate" => Recorded::Duplicate(id),
            _ => Recorded::Conflict(id),
        }
    });
    Ok(Appended { recorded: recorded.collect(), is_waiting: done.waiting > 0 })
}

/// The pump has ended meanwhile: whoever looks next finds them.
async fn hand_back(log: &Log, deliveries: &[Handed]) {
    let held: Vec<_> = deliveries.iter().map(|handed| handed.claimed.held()).collect();
    if let Err(error) = outbox::release(&log.settling, &held).await {
        tracing::warn!(error = %error, held = held.len(), "deliveries were not handed back; their leases run out");
    }
}
