//! Takes back what a replay promised that was called off, some at a time, in the caller's transaction.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Job;
use crate::db;

/// How many of its deliveries are looked at in one go.
const WITHDRAW_MAX: i64 = 2_000;

/// Takes back some more, in the order of their ids; after the last of them there is nothing left to do.
/// Nothing becomes due by it.
pub(super) async fn run(tx: &mut PgConnection, job: &Job) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        "select delivery_id from relay.outbox
         where replay_id = $1 and delivery_id > $2
         order by delivery_id limit $3",
        job.id.0,
        job.range.after,
        WITHDRAW_MAX,
    )
    .fetch_all(&mut *tx)
    .await?;
    let is_last = i64::try_from(ids.len()).is_ok_and(|found| found < WITHDRAW_MAX);
    // From here on every row is named.
    db::look_up_by_key(tx).await?;
    let withdrawn = withdraw(tx, job, &ids).await?;
    sqlx::query!(
        "update relay.replay_jobs
         set replayed = replayed - $2, position = coalesce($3, position), withdrawing = not $4,
             skipped_by_reason = case when $2 = 0 then skipped_by_reason
                 else skipped_by_reason || jsonb_build_object('withdrawn',
                          coalesce((skipped_by_reason ->> 'withdrawn')::bigint, 0) + $2) end,
             failures = 0, next_at = now()
         where id = $1",
        job.id.0,
        withdrawn,
        ids.last().copied(),
        is_last,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Of these, takes back what nobody else asked for and nobody has tried: without its row in the outbox a
/// delivery stands as its last attempt left it. What somebody has locked is about to be sent, or was
/// asked for by somebody else. Returns how many.
async fn withdraw(tx: &mut PgConnection, job: &Job, ids: &[Uuid]) -> Result<i64, sqlx::Error> {
    if ids.is_empty() {
        return Ok(0);
    }
    // An attempt is recorded after its delivery was promised; the day is for clocks that differ.
    // The replay is compared so that its index is of no use: each row is looked up by its key.
    let done = sqlx::query!(
        r#"
        with untried as materialized (
            select o.organization_id, o.delivery_id
            from unnest($2::uuid[], $3::uuid[]) as n(organization_id, delivery_id)
            join relay.outbox o
                on o.organization_id = n.organization_id and o.delivery_id = n.delivery_id
            cross join lateral (
                select a.settlement, a.number from relay.attempts a
                where a.organization_id = n.organization_id and a.delivery_id = n.delivery_id
                  and a.recorded_at >= relay.uuid7_time(n.delivery_id) - interval '1 day'
                order by a.number desc, a.recorded_at desc limit 1
            ) last
            where o.replay_id is not distinct from $1 and o.replay_promised and o.lease is null and o.crashes = 0
              and o.attempt = last.number and last.settlement not in ('retrying', 'parked')
            for update of o skip locked
        )
        delete from relay.outbox o using untried u
        where o.organization_id = u.organization_id and o.delivery_id = u.delivery_id
        "#,
        job.id.0,
        &vec![job.organization_id.0; ids.len()],
        ids,
    )
    .execute(tx)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(0))
}
