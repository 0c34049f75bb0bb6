//! Moves replays on in the background, one batch in one transaction: what a batch makes due is committed
//! together with how far the replay has come. So a process that dies leaves a replay as it stood after
//! the last batch, and whoever comes next goes on from there.
//!
//! A replay's row is locked by whoever works on it, which is its lease and its fence at once: it ends
//! with the process, and nobody writes without it.

mod batch;
mod withdraw;

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgConnection;

use self::batch::Done;
use super::{
    audit::{self, Fact},
    candidates::{self, Beside, Range},
    job::{Configuration, ReplayStatus},
    selection::{Criteria, Selection},
};
use crate::{
    db,
    engine::Engine,
    ids::{OrganizationId, ReplayId},
    metrics,
    outbox::interval,
};

/// The most deliveries of one batch.
const BATCH_MAX: i64 = 500;
/// How many batches a second a slow replay has.
const BATCHES_A_SECOND: i64 = 4;
/// How many deliveries are looked through for one that is wanted.
const SCAN_FACTOR: i64 = 4;
/// The most that are looked through at once.
const SCAN_MAX: i64 = 2_000;
/// How many are counted at once.
const COUNT_MAX: i64 = 2_000;
/// How far a replay may catch up that could not keep its rate.
const CATCH_UP: Duration = Duration::from_secs(1);
/// How often it is looked whether there is room again.
const FULL_WAIT: Duration = Duration::from_millis(500);
/// How often in a row a replay may fail until it is given up.
const FAILURES_MAX: i32 = 5;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A replay was moved on.
    Moved,
    /// There was nothing to do.
    Idle,
}

/// A replay in the hands of whoever has its row locked.
struct Job {
    id: ReplayId,
    organization_id: OrganizationId,
    status: ReplayStatus,
    /// As it is stored. It may be a newer version's, which this one cannot read.
    selection: String,
    configuration: Configuration,
    rate: i64,
    range: Range,
}

impl Job {
    /// What it looks for.
    fn criteria(&self) -> Result<Criteria, sqlx::Error> {
        let selection: Result<Selection, _> = serde_json::from_str(&self.selection);
        selection
            .map(|selection| selection.criteria())
            .map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

/// Moves on the replay whose turn it is, by one batch. Several processes may call it: each has another
/// replay in hand.
pub async fn step(engine: &Engine) -> Result<Step, sqlx::Error> {
    let mut tx = engine.db.work.begin().await?;
    let Some(job) = take(&mut tx).await? else { return Ok(Step::Idle) };
    let moved = match job.status {
        ReplayStatus::Counting => count(&mut tx, &job).await.map(|()| Done::default()),
        ReplayStatus::Cancelled => withdraw::run(&mut tx, &job).await.map(|()| Done::default()),
        _ => batch::run(&mut tx, &job).await,
    };
    let moved = match moved {
        Ok(done) => tx.commit().await.map(|()| done),
        Err(error) => {
            drop(tx);
            Err(error)
        }
    };
    match moved {
        Ok(Done { replayed, skipped }) => {
            metrics::replayed(replayed.unsigned_abs(), skipped.unsigned_abs());
            if replayed > 0 {
                engine.made_due();
            }
            Ok(Step::Moved)
        }
        Err(error) if db::is_unavailable(&error) && !took_too_long(&error) => Err(error),
        Err(error) => {
            tracing::error!(replay.id = %job.id, error = %error, "a replay could not be moved on");
            fail(engine, &job).await?;
            Ok(Step::Moved)
        }
    }
}

/// Whether a statement ran into its timeout: that is the replay's doing, and must not stop the others.
fn took_too_long(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == "57014")
}

/// The replay whose turn it is; first those that were called off. One that somebody has in hand is
/// passed over.
async fn take(tx: &mut PgConnection) -> Result<Option<Job>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select id, organization_id, status, selection::text as "selection!",
                  configuration, rate_per_second, position, bound, created_at
           from relay.replay_jobs
           where (status in ('counting', 'running') or withdrawing) and next_at <= now()
           order by withdrawing desc, next_at limit 1
           for no key update skip locked"#
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Job {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        status: ReplayStatus::from_stored(&row.status),
        selection: row.selection,
        configuration: Configuration::from_stored(&row.configuration),
        rate: i64::from(row.rate_per_second),
        range: Range { after: row.position, bound: row.bound, at: row.created_at },
    }))
}

/// Counts some more of what a replay is about; after the last of it the replay begins.
async fn count(tx: &mut PgConnection, job: &Job) -> Result<(), sqlx::Error> {
    let criteria = job.criteria()?;
    let page = candidates::page(
        tx,
        job.organization_id,
        &criteria,
        Beside::Nothing,
        job.range,
        COUNT_MAX,
        COUNT_MAX,
    )
    .await?;
    let found = i64::try_from(page.candidates.len()).unwrap_or(0);
    let begin = candidates::range(tx, &criteria).await?.after;
    sqlx::query!(
        "update relay.replay_jobs
         set counted = counted + $2, position = coalesce($3::uuid, $4::uuid), failures = 0,
             total = case when $3::uuid is null then counted + $2 end,
             status = case when $3 is null then 'running' else status end,
             started_at = case when $3 is null then now() end,
             next_at = now()
         where id = $1",
        job.id.0,
        found,
        page.next,
        begin,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Puts a replay off that could not be moved on, or gives it up when that goes on; but what it promised
/// is taken back in the end, however often that fails.
async fn fail(engine: &Engine, job: &Job) -> Result<(), sqlx::Error> {
    let mut tx = engine.db.work.begin().await?;
    let row = sqlx::query!(
        "update relay.replay_jobs
         set failures = least(failures + 1, $2),
             next_at = now() + interval '1 second' * (failures + 1) * (failures + 1),
             status = case when failures + 1 >= $2 and not withdrawing then 'failed' else status end,
             finished_at = case when failures + 1 >= $2 and not withdrawing then now() else finished_at end,
             version = version + (failures + 1 >= $2 and not withdrawing)::integer
         where id = $1 and (status in ('counting', 'running') or withdrawing)
         returning status, version",
        job.id.0,
        FAILURES_MAX,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = row.filter(|row| row.status == "failed") {
        end(&mut tx, job, row.version, Fact::Failed, &json!({})).await?;
    }
    tx.commit().await
}

/// Records how a replay ended by itself.
async fn end(
    tx: &mut PgConnection,
    job: &Job,
    version: i64,
    fact: Fact,
    data: &Value,
) -> Result<(), sqlx::Error> {
    audit::record(tx, job.organization_id, job.id, version, fact, "system", data).await
}

/// Forgets replays that ended before retention began, with what was counted of them. Returns how many.
pub async fn tidy(engine: &Engine) -> Result<u64, sqlx::Error> {
    let done = sqlx::query!(
        r#"
        with old as (
            delete from relay.replay_jobs j
            where j.finished_at < now() - $1::interval
              and not exists (select from relay.outbox o where o.replay_id = j.id)
            returning j.id
        ),
        forgotten as (
            delete from relay.replay_arrivals a using old where a.replay_id = old.id
        )
        select count(*) as "count!" from old
        "#,
        interval(engine.config.retention),
    )
    .fetch_one(&engine.db.work)
    .await?;
    Ok(u64::try_from(done.count).unwrap_or(0))
}
