//! Erasing what an organization, or a person in one, left behind: what was said goes, that it was said
//! stays. Rows, kinds, times and counts are kept; payloads, names, addresses and secrets are not.
//!
//! An erasure goes through one table after the other in batches. Each batch commits together with how
//! far it came (`job`), so that one that was interrupted, however, goes on where it was when the same
//! is asked for again. `events` blanks what was reported and cancels what is promised of it, `facts`
//! what was done to connections and by whom, `rest` the attempts and the small tables.

mod events;
mod facts;
mod job;
mod rest;
mod target;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use self::job::Job;
pub use self::target::{Subject, SubjectRefused, Target};
use crate::{
    connection::{self, Actor, ConnectionError, Scope, store},
    db::DbError,
    engine::Engine,
    id_time,
    ids::{ConnectionId, OrganizationId},
    replay::{self, ReplayStatus, ReplaysError},
};

/// What came in while an erasure went on is looked for so often.
const ROUNDS_MAX: usize = 5;
/// Whoever began to record something before an erasure began has committed it after so long.
const COMMITTED_WITHIN: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// How often it is looked whether what was under way has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How long what was under way may take beyond its lease.
const UNDER_WAY_MAX: Duration = Duration::from_secs(60);

/// What is to be erased, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Asked {
    /// In which organization.
    pub organization_id: OrganizationId,
    /// All of it, or one subject.
    pub target: Target,
    /// Who asked for it.
    pub actor: Actor,
    /// Why: kept in the log for ever, so it must not say what is erased.
    pub reason: String,
}

/// How much was erased, by what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Connections that were removed.
    pub connections: u64,
    /// Promised deliveries that were cancelled.
    pub deliveries: u64,
    /// Reported events whose payload was blanked.
    pub events: u64,
    /// Facts about connections, replays and audits that say less now.
    pub facts: u64,
    /// Attempts whose texts were blanked.
    pub attempts: u64,
    /// Rows of other tables: tickets, pictures, keys of callers, consents under way, replays.
    pub others: u64,
}

impl Counts {
    fn add(&mut self, more: Self) {
        self.connections += more.connections;
        self.deliveries += more.deliveries;
        self.events += more.events;
        self.facts += more.facts;
        self.attempts += more.attempts;
        self.others += more.others;
    }

    /// Whether there was nothing to erase.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What an erasure did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Erased {
    /// How much.
    pub counts: Counts,
    /// Connections that live and whose settings name the subject: those are an admin's to change.
    pub kept: Vec<ConnectionId>,
}

/// An erasure did not come to its end. Asking for the same again goes on where it stopped.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The reason would keep what is erased, or there is none.
    #[error("{0}")]
    Reason(&'static str),
    /// Requests that carry what is to be erased are still under way.
    #[error("{0} deliveries are still being sent: ask again in a minute")]
    StillSending(u64),
    /// A connection could not be removed.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// A replay could not be called off.
    #[error(transparent)]
    Replay(#[from] ReplaysError),
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for EraseError {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// One table after the other, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    Events,
    Promises,
    Streams,
    Facts,
    Attempts,
    Rest,
}

const STEPS: [Step; 6] =
    [Step::Events, Step::Promises, Step::Streams, Step::Facts, Step::Attempts, Step::Rest];

impl Step {
    fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Promises => "promises",
            Self::Streams => "streams",
            Self::Facts => "facts",
            Self::Attempts => "attempts",
            Self::Rest => "rest",
        }
    }

    fn from_stored(text: &str) -> Self {
        STEPS.into_iter().find(|step| step.as_str() == text).unwrap_or(Self::Events)
    }
}

/// What one batch did.
#[derive(Debug, Default)]
struct Batch {
    /// How many rows it looked at.
    looked: u64,
    counts: Counts,
    /// Where the next one begins; `None` when the step is over.
    next: Option<Uuid>,
    /// How many deliveries have to end before the step can be over.
    under_way: u64,
    kept: Vec<ConnectionId>,
}

/// Which rows a batch is about.
#[derive(Clone, Copy, Debug)]
struct Asking<'a> {
    organization_id: OrganizationId,
    /// `None`: all there is.
    subject: Option<&'a str>,
    salt: &'a [u8],
    /// Rows behind this one.
    after: Uuid,
    /// Nothing of it will be committed.
    is_rehearsal: bool,
}

/// How many rows an erasure will look at, for whoever shows how far it is.
pub async fn rows(engine: &Engine, organization_id: OrganizationId) -> Result<u64, DbError> {
    let mut tx = engine.db.api.begin().await?;
    take_time(&mut tx).await?;
    let count = sqlx::query_scalar!(
        r#"select (select count(*) from relay.event_log where organization_id = $1)
                  + (select count(*) from relay.attempts where organization_id = $1) as "count!""#,
        organization_id.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Every organization that anything was ever recorded of, in the order of ids.
pub async fn organizations(engine: &Engine) -> Result<Vec<OrganizationId>, DbError> {
    let mut tx = engine.db.api.begin().await?;
    take_time(&mut tx).await?;
    let found = sqlx::query_scalar!(
        r#"select distinct organization_id as "id!" from relay.event_log order by 1"#
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok(found.into_iter().map(OrganizationId).collect())
}

/// What an erasure would do now. Every statement is run, and nothing is committed; what is promised in
/// the meantime is not counted. `progress` hears of rows that were looked at.
pub async fn rehearse(
    engine: &Engine,
    organization_id: OrganizationId,
    target: &Target,
    mut progress: impl FnMut(u64),
) -> Result<Erased, EraseError> {
    let mut erased = Erased::default();
    if target.subject().is_none() {
        let all = store::list(&engine.db, organization_id).await?;
        erased.counts.connections = all.len() as u64;
    }
    for step in STEPS {
        let mut after = Some(Uuid::nil());
        while let Some(from) = after {
            let mut tx = engine.db.api.begin().await?;
            let asking = Asking {
                organization_id,
                subject: target.subject(),
                salt: &[],
                after: from,
                is_rehearsal: true,
            };
            let batch = run(&mut tx, step, &asking).await?;
            tx.rollback().await?;
            erased.counts.add(batch.counts);
            erased.kept.extend(batch.kept);
            progress(batch.looked);
            after = batch.next;
        }
    }
    Ok(erased)
}

/// Erases. One that was interrupted goes on where it was; one that is over finds what came since, or
/// nothing. Several processes may do it at once. `progress` hears of rows that were looked at.
pub async fn erase(
    engine: &Engine,
    asked: &Asked,
    mut progress: impl FnMut(u64),
) -> Result<Erased, EraseError> {
    check_reason(asked)?;
    let job = job::begin(engine, asked).await?;
    tracing::info!(erasure.id = %job.id, organization.id = %asked.organization_id, scope = asked.target.scope(), is_resumed = job.is_resumed, "erasing");
    let mut kept = Vec::new();
    let mut begin_at = STEPS.iter().position(|step| *step == job.step).unwrap_or(0);
    for round in 0..ROUNDS_MAX {
        let removed = remove_connections(engine, asked, &job).await?;
        for step in &STEPS[begin_at..] {
            let found = walk(engine, asked, &job, *step, &mut kept, &mut progress).await?;
            let is_late_look = round > 0 && *step == Step::Events;
            if is_late_look && found.is_nothing() && removed == 0 {
                return finish(engine, asked, &job, kept).await;
            }
        }
        begin_at = 0;
        // What was being recorded while it began may have come in behind it.
        let late = id_time::floor(job.started_at - COMMITTED_WITHIN);
        job::move_to(engine, &job, Step::Events, late).await?;
    }
    tracing::warn!(erasure.id = %job.id, organization.id = %asked.organization_id, "it is still being reported about what was erased");
    finish(engine, asked, &job, kept).await
}

fn check_reason(asked: &Asked) -> Result<(), EraseError> {
    let reason = asked.reason.to_lowercase();
    if reason.trim().is_empty() {
        return Err(EraseError::Reason("say why: the log keeps who erased what, and the reason"));
    }
    if asked.target.subject().is_some_and(|subject| reason.contains(&subject.to_lowercase())) {
        return Err(EraseError::Reason(
            "the reason is kept for ever: it must not name the subject",
        ));
    }
    Ok(())
}

/// Does one step to its end, from where it was left.
async fn walk(
    engine: &Engine,
    asked: &Asked,
    job: &Job,
    step: Step,
    kept: &mut Vec<ConnectionId>,
    progress: &mut impl FnMut(u64),
) -> Result<Counts, EraseError> {
    let mut found = Counts::default();
    let patience = engine.config.lease + UNDER_WAY_MAX;
    let mut waiting_since = Instant::now();
    loop {
        let mut tx = engine.db.api.begin().await?;
        // Whoever else works on it waits here, and goes on behind us.
        let Some(after) = job::place(&mut tx, job, step).await? else { return Ok(found) };
        let asking = Asking {
            organization_id: asked.organization_id,
            subject: asked.target.subject(),
            salt: &job.salt,
            after,
            is_rehearsal: false,
        };
        let batch = run(&mut tx, step, &asking).await?;
        let is_waiting = batch.next.is_none() && batch.under_way > 0;
        let next = if is_waiting { Some(after) } else { batch.next };
        job::advance(&mut tx, job, step, next, batch.counts).await?;
        tx.commit().await?;
        found.add(batch.counts);
        kept.extend(batch.kept);
        progress(batch.looked);
        match next {
            None => return Ok(found),
            Some(_) if is_waiting && waiting_since.elapsed() > patience => {
                return Err(EraseError::StillSending(batch.under_way));
            }
            Some(_) if is_waiting => tokio::time::sleep(LOOK_AGAIN).await,
            Some(_) => waiting_since = Instant::now(),
        }
    }
}

async fn run(tx: &mut PgConnection, step: Step, asking: &Asking<'_>) -> Result<Batch, EraseError> {
    take_time(tx).await?;
    // The log and the attempts let nobody else change a row.
    sqlx::query("select set_config('relay.erasing', 'on', true)").execute(&mut *tx).await?;
    Ok(match step {
        Step::Events => events::blank(tx, asking).await?,
        Step::Promises => events::cancel_promises(tx, asking).await?,
        Step::Streams => facts::blank_stream(tx, asking).await?,
        Step::Facts => facts::blank_facts(tx, asking).await?,
        Step::Attempts => rest::blank_attempts(tx, asking).await?,
        Step::Rest => rest::delete(tx, asking).await?,
    })
}

/// Large payloads take their time.
async fn take_time(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select set_config('statement_timeout', '10min', true)").execute(tx).await?;
    Ok(())
}

/// Before an organization is erased, nothing is sent to it any more: its connections are removed as an
/// admin removes them, with their access taken back where there is a way, and its replays called off.
async fn remove_connections(engine: &Engine, asked: &Asked, job: &Job) -> Result<u64, EraseError> {
    if asked.target.subject().is_some() {
        return Ok(0);
    }
    let owner = asked.organization_id;
    let promised = events::promised_to(engine, owner).await?;
    let mut removed = 0;
    for view in store::list(&engine.db, owner).await? {
        let scope =
            Scope::from_columns(view.team_id.map(|id| id.0), view.project_id.map(|id| id.0));
        match connection::disconnect(engine, owner, view.id, Some(scope), &asked.actor).await {
            Ok(_) => removed += 1,
            // Somebody else's removal came first.
            Err(ConnectionError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for status in [ReplayStatus::Counting, ReplayStatus::Running, ReplayStatus::Paused] {
        for found in replay::list(engine, owner, Some(status), None, 0).await?.items {
            let change =
                replay::Change { status: Some(ReplayStatus::Cancelled), rate_per_second: None };
            replay::change(engine, owner, found.id, change, &asked.actor).await?;
        }
    }
    let deliveries = promised.saturating_sub(events::promised_to(engine, owner).await?);
    let counts = Counts { connections: removed, deliveries, ..Counts::default() };
    job::count(engine, job, counts).await?;
    Ok(removed)
}

async fn finish(
    engine: &Engine,
    asked: &Asked,
    job: &Job,
    mut kept: Vec<ConnectionId>,
) -> Result<Erased, EraseError> {
    let counts = job::finish(engine, asked, job).await?;
    kept.sort_unstable();
    kept.dedup();
    Ok(Erased { counts, kept })
}
