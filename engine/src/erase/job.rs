//! How far an erasure is, kept in the transactions that erase; and what the log says of it.

use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{Asked, Counts, Step};
use crate::{audit, clock::Timestamp, engine::Engine, ids::OrganizationId};

/// An erasure that is under way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: Uuid,
    /// Where it was left.
    pub(super) step: Step,
    pub(super) salt: Vec<u8>,
    pub(super) started_at: Timestamp,
    /// Whether somebody was at it before.
    pub(super) is_resumed: bool,
}

/// Begins an erasure, or goes on with the one that is under way for the same. That somebody asked for
/// it is in the log before anything is erased.
pub(super) async fn begin(engine: &Engine, asked: &Asked) -> Result<Job, sqlx::Error> {
    let subject = asked.target.subject();
    let salt: [u8; 16] = rand::random();
    let (owner, scope) = (asked.organization_id, asked.target.scope());
    let mut tx = engine.db.api.begin().await?;
    let reason = audit::kept_reason(Some(&asked.reason)).unwrap_or_default();
    let begun = sqlx::query_scalar!(
        "insert into relay.erasures (
             id, organization_id, scope, subject_hash, salt, step, position, actor, reason)
         values (relay.uuid7(), $1, $2, sha256(convert_to($3, 'UTF8')), $4, $5, $6, $7, $8)
         on conflict do nothing returning id",
        owner.0,
        scope,
        subject,
        &salt[..],
        Step::Events.as_str(),
        Uuid::nil(),
        asked.actor.as_text(),
        reason,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(id) = begun {
        let data = json!({ "erasure_id": id, "scope": scope, "reason": reason });
        record(&mut tx, owner, "erasure.requested", &asked.actor.as_text(), &data).await?;
    }
    let row = sqlx::query!(
        r#"select id, step, salt as "salt!", started_at from relay.erasures
           where organization_id = $1 and scope = $2 and subject_hash is not distinct from sha256(convert_to($3, 'UTF8'))
             and finished_at is null"#,
        owner.0,
        scope,
        subject,
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Job {
        id: row.id,
        step: Step::from_stored(&row.step),
        salt: row.salt,
        started_at: row.started_at,
        is_resumed: begun.is_none(),
    })
}

/// Where a step goes on, with the job locked until the transaction ends. `None` where the job is at
/// another step: somebody else was faster.
pub(super) async fn place(
    tx: &mut PgConnection,
    job: &Job,
    step: Step,
) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select position from relay.erasures
         where id = $1 and step = $2 and finished_at is null for update",
        job.id,
        step.as_str(),
    )
    .fetch_optional(tx)
    .await
}

/// Remembers what a batch did, and where the next one begins: behind the last row, or with the next step.
pub(super) async fn advance(
    tx: &mut PgConnection,
    job: &Job,
    step: Step,
    next: Option<Uuid>,
    more: Counts,
) -> Result<(), sqlx::Error> {
    let following = super::STEPS.into_iter().skip_while(|one| *one != step).nth(1).unwrap_or(step);
    let (step, position) = match next {
        Some(position) => (step, position),
        // Behind the last step there is nothing: its end is remembered as its last id.
        None if following == step => (step, Uuid::max()),
        None => (following, Uuid::nil()),
    };
    sqlx::query!(
        "update relay.erasures set step = $2, position = $3 where id = $1",
        job.id,
        step.as_str(),
        position,
    )
    .execute(&mut *tx)
    .await?;
    add(tx, job, more).await
}

/// Begins another round at a step, where the one before has come to its end: of two who are there, one.
pub(super) async fn move_to(
    engine: &Engine,
    job: &Job,
    step: Step,
    position: Uuid,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update relay.erasures set step = $2, position = $3
         where id = $1 and finished_at is null and step = $4 and position = $5",
        job.id,
        step.as_str(),
        position,
        Step::Rest.as_str(),
        Uuid::max(),
    )
    .execute(&engine.db.api)
    .await?;
    Ok(())
}

/// Counts what was done outside of a step.
pub(super) async fn count(engine: &Engine, job: &Job, more: Counts) -> Result<(), sqlx::Error> {
    if more.is_nothing() {
        return Ok(());
    }
    add(&mut *engine.db.api.acquire().await?, job, more).await
}

async fn add(connection: &mut PgConnection, job: &Job, more: Counts) -> Result<(), sqlx::Error> {
    if more.is_nothing() {
        return Ok(());
    }
    sqlx::query!(
        "update relay.erasures e set counts = (
             select jsonb_object_agg(m.key, m.value::bigint + coalesce((e.counts ->> m.key)::bigint, 0))
             from jsonb_each_text($2) m)
         where id = $1",
        job.id,
        Json(more) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends it: whom it was about is forgotten, what it did is in the log. Of two who come to the end at
/// once, one says so.
pub(super) async fn finish(
    engine: &Engine,
    asked: &Asked,
    job: &Job,
) -> Result<Counts, sqlx::Error> {
    let mut tx = engine.db.api.begin().await?;
    let ended = sqlx::query!(
        "update relay.erasures set finished_at = clock_timestamp(), subject_hash = null, salt = null
         where id = $1 and finished_at is null",
        job.id,
    )
    .execute(&mut *tx)
    .await?;
    let row = sqlx::query!(
        r#"select counts as "counts: Json<Counts>", actor, reason from relay.erasures where id = $1"#,
        job.id,
    )
    .fetch_one(&mut *tx)
    .await?;
    let counts = row.counts.0;
    if ended.rows_affected() == 1 {
        let data = json!({
            "erasure_id": job.id, "scope": asked.target.scope(), "reason": row.reason, "counts": counts,
        });
        record(&mut tx, asked.organization_id, "erasure.completed", &row.actor, &data).await?;
    }
    tx.commit().await?;
    tracing::info!(erasure.id = %job.id, organization.id = %asked.organization_id, events = counts.events, attempts = counts.attempts, "erased");
    Ok(counts)
}

/// Facts of this kind are erased by no erasure: they say who erased, and nothing of what.
async fn record(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    kind: &str,
    actor: &str,
    data: &Value,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into relay.event_log (id, category, organization_id, kind, payload, actor, occurred_at)
         values (relay.uuid7(), 'audit', $1, $2, $3, $4, clock_timestamp())",
        organization_id.0,
        kind,
        Json(data) as _,
        actor,
    )
    .execute(tx)
    .await?;
    Ok(())
}
