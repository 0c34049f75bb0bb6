//! One batch: some deliveries are made due, and the replay is moved on, in the caller's transaction.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{BATCH_MAX, BATCHES_A_SECOND, CATCH_UP, FULL_WAIT, Job, SCAN_FACTOR, SCAN_MAX, end};
use crate::{
    db,
    outbox::interval,
    replay::{
        audit::Fact,
        candidates::{self, Beside},
        choose::{ALREADY_WAITING, BEING_SENT, Choice, choose},
    },
};

/// The most deliveries of one replay that wait in the outbox without having been tried.
const FRESH_MAX: i64 = 5_000;
/// The most of them that wait at all, those for connections in trouble among them.
const WAITING_MAX: i64 = 50_000;

/// What a batch did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub(super) replayed: i64,
    pub(super) skipped: i64,
}

/// What a batch does with its deliveries.
#[derive(Default)]
struct Sorted {
    promise: Vec<Again>,
    bring_forward: Vec<Again>,
    skipped: BTreeMap<&'static str, i64>,
}

/// A delivery that is to be made due.
struct Again {
    delivery_id: Uuid,
    connection_id: Uuid,
    event_id: Uuid,
    attempts: i32,
    connection_version: Option<i64>,
}

/// Moves a replay on. Returns how many were made due, and how many passed over.
pub(super) async fn run(tx: &mut PgConnection, job: &Job) -> Result<Done, sqlx::Error> {
    let room = room(tx, job).await?;
    if room <= 0 {
        sqlx::query!(
            "update relay.replay_jobs set next_at = now() + $2::interval where id = $1",
            job.id.0,
            interval(FULL_WAIT),
        )
        .execute(tx)
        .await?;
        return Ok(Done::default());
    }
    let limit =
        ((job.rate + BATCHES_A_SECOND - 1) / BATCHES_A_SECOND).clamp(1, BATCH_MAX).min(room);
    let page = candidates::page(
        tx,
        job.organization_id,
        &job.criteria()?,
        Beside::for_sending(job.configuration),
        job.range,
        (limit * SCAN_FACTOR).clamp(BATCH_MAX, SCAN_MAX),
        limit,
    )
    .await?;
    let considered = i64::try_from(page.candidates.len()).unwrap_or(0);
    let mut sorted = Sorted::default();
    for candidate in page.candidates {
        let again = Again {
            delivery_id: candidate.id.0,
            connection_id: candidate.connection_id.0,
            event_id: candidate.event_id.0,
            attempts: candidate.attempts,
            connection_version: candidate.connection_version,
        };
        match choose(&candidate, job.configuration) {
            Choice::Promise => sorted.promise.push(again),
            Choice::BringForward => sorted.bring_forward.push(again),
            Choice::Skip(reason) => *sorted.skipped.entry(reason).or_default() += 1,
        }
    }
    // From here on every row is named.
    db::look_up_by_key(tx).await?;
    let brought = bring_forward(tx, job, &sorted.bring_forward).await?;
    let promised = promise(tx, job, &sorted.promise).await?;
    // Whoever was quicker than we are has it.
    let mut note = |reason, asked: usize, done: i64| {
        let missed = i64::try_from(asked).unwrap_or(0) - done;
        if missed > 0 {
            *sorted.skipped.entry(reason).or_default() += missed;
        }
    };
    note(BEING_SENT, sorted.bring_forward.len(), brought);
    note(ALREADY_WAITING, sorted.promise.len(), promised);
    let replayed = brought + promised;
    moved_on(tx, job, page.next, considered, replayed, &sorted.skipped).await?;
    let skipped = sorted.skipped.values().sum();
    Ok(Done { replayed, skipped })
}

/// How many more deliveries of this replay may wait. Those that were tried and failed do not count, nor
/// do those for connections that may not be called now, up to a bound: others need not wait for them.
async fn room(tx: &mut PgConnection, job: &Job) -> Result<i64, sqlx::Error> {
    let row = sqlx::query!(
        r#"select count(*) as "waiting!",
                  count(*) filter (where w.step = 0 and coalesce(
                      h.breaker_open_until is null and (h.held_until is null or h.held_until < now()),
                      true)) as "fresh!"
           from (
               select o.connection_id, o.step from relay.outbox o where o.replay_id = $1 limit $2
           ) w
           left join relay.connection_health h on h.connection_id = w.connection_id"#,
        job.id.0,
        WAITING_MAX,
    )
    .fetch_one(tx)
    .await?;
    Ok((FRESH_MAX - row.fresh).min(WAITING_MAX - row.waiting))
}

/// Brings forward what waits already and nobody has at this moment. Returns how many. Two have asked for
/// them then, so that they stay when one of the two is called off.
async fn bring_forward(
    tx: &mut PgConnection,
    job: &Job,
    some: &[Again],
) -> Result<i64, sqlx::Error> {
    if some.is_empty() {
        return Ok(0);
    }
    let ids: Vec<Uuid> = some.iter().map(|one| one.delivery_id).collect();
    let versions: Vec<Option<i64>> = some.iter().map(|one| one.connection_version).collect();
    // Both columns are joined: as a constant the organization would have all that it has read. And
    // nothing is waited for: whoever has a row locked is about to send it, or settles it.
    let done = sqlx::query!(
        r#"
        with free as materialized (
            select o.organization_id, o.delivery_id, n.connection_version
            from unnest($2::uuid[], $3::uuid[], $4::bigint[])
                 as n(organization_id, delivery_id, connection_version)
            join relay.outbox o
                on o.organization_id = n.organization_id and o.delivery_id = n.delivery_id
            where o.lease_until is null or o.lease_until < now()
            for update of o skip locked
        )
        update relay.outbox o
        set due_at = now(), shard = relay.shard_of(o.connection_id), class = 2, step = 0,
            crashes = o.crashes + (o.lease is not null)::integer, lease = null, lease_until = null,
            waiting_for = null, replay_id = coalesce(o.replay_id, $1), replay_promised = false,
            connection_version = free.connection_version
        from free
        where o.organization_id = free.organization_id and o.delivery_id = free.delivery_id
        "#,
        job.id.0,
        &vec![job.organization_id.0; ids.len()],
        &ids,
        &versions as &[Option<i64>],
    )
    .execute(tx)
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(0))
}

/// Promises once more what came to an end, in the order of the page. Returns how many.
async fn promise(tx: &mut PgConnection, job: &Job, some: &[Again]) -> Result<i64, sqlx::Error> {
    if some.is_empty() {
        return Ok(0);
    }
    let all = |of: fn(&Again) -> Uuid| some.iter().map(of).collect::<Vec<Uuid>>();
    let attempts: Vec<i32> = some.iter().map(|one| one.attempts).collect();
    let versions: Vec<Option<i64>> = some.iter().map(|one| one.connection_version).collect();
    let done = sqlx::query!(
        r#"
        insert into relay.outbox (
            organization_id, delivery_id, connection_id, event_id, shard, class, attempt, due_at,
            replay_id, replay_promised, connection_version
        )
        select $2, n.delivery_id, n.connection_id, n.event_id, relay.shard_of(n.connection_id), 2,
               n.attempts, now() + n.place * interval '1 microsecond', $1, true, n.connection_version
        from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::integer[], $7::bigint[])
             with ordinality
             as n(delivery_id, connection_id, event_id, attempts, connection_version, place)
        on conflict do nothing
        "#,
        job.id.0,
        job.organization_id.0,
        &all(|one| one.delivery_id),
        &all(|one| one.connection_id),
        &all(|one| one.event_id),
        &attempts,
        &versions as &[Option<i64>],
    )
    .execute(&mut *tx)
    .await?;
    let overtaken = take_back_overtaken(tx, job, some).await?;
    Ok(i64::try_from(done.rows_affected().saturating_sub(overtaken)).unwrap_or(0))
}

/// Takes back what somebody else promised and sent between the look at the page and our promise: they
/// made a request that the page does not know of. Nobody can any longer, as the rows are ours now; so
/// this sees all of those. Returns how many.
async fn take_back_overtaken(
    tx: &mut PgConnection,
    job: &Job,
    some: &[Again],
) -> Result<u64, sqlx::Error> {
    let ids: Vec<Uuid> = some.iter().map(|one| one.delivery_id).collect();
    let attempts: Vec<i32> = some.iter().map(|one| one.attempts).collect();
    // The day is for whoever settled in a transaction that began long before ours, and bounds the look.
    // The replay is compared so that its index is of no use: each row is looked up by its key.
    let done = sqlx::query!(
        r#"
        with overtaken as materialized (
            select n.organization_id, n.delivery_id
            from unnest($2::uuid[], $3::uuid[], $4::integer[])
                 as n(organization_id, delivery_id, attempts)
            cross join lateral (
                select from relay.attempts a
                where a.organization_id = n.organization_id and a.delivery_id = n.delivery_id
                  and a.number > n.attempts and a.recorded_at >= now() - interval '1 day'
                limit 1
            ) later
        )
        delete from relay.outbox o using overtaken n
        where o.organization_id = n.organization_id and o.delivery_id = n.delivery_id
          and o.replay_id is not distinct from $1
        "#,
        job.id.0,
        &vec![job.organization_id.0; ids.len()],
        &ids,
        &attempts,
    )
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Writes how far the replay has come, and when its next batch is; after the last one it is over.
async fn moved_on(
    tx: &mut PgConnection,
    job: &Job,
    next: Option<Uuid>,
    considered: i64,
    replayed: i64,
    skipped: &BTreeMap<&'static str, i64>,
) -> Result<(), sqlx::Error> {
    let took = Duration::from_secs_f64(replayed as f64 / job.rate as f64);
    let row = sqlx::query!(
        r#"with arrived as (
               delete from relay.replay_arrivals a where a.replay_id = $1 returning a.deliveries
           )
           update relay.replay_jobs j
           set position = coalesce($2, j.position), considered = j.considered + $3,
               replayed = j.replayed + $4,
               delivered = j.delivered + (select coalesce(sum(a.deliveries), 0) from arrived a),
               skipped_by_reason = (
                   select coalesce(jsonb_object_agg(s.reason, s.count), '{}') from (
                       select e.key as reason, sum(e.value::bigint) as count
                       from (select * from jsonb_each_text(j.skipped_by_reason)
                             union all select * from jsonb_each_text($5)) e
                       group by e.key) s),
               failures = 0,
               next_at = greatest(j.next_at, now() - $7::interval) + $6::interval,
               status = case when $2::uuid is null then 'completed' else j.status end,
               total = case when $2 is null then j.considered + $3 else j.total end,
               finished_at = case when $2 is null then now() end,
               version = j.version + ($2 is null)::integer
           where j.id = $1
           returning j.status, j.version, j.considered, j.replayed"#,
        job.id.0,
        next,
        considered,
        replayed,
        Json(skipped) as _,
        interval(took),
        interval(CATCH_UP),
    )
    .fetch_one(&mut *tx)
    .await?;
    if row.status == "completed" {
        let data = json!({ "considered": row.considered, "replayed": row.replayed });
        end(tx, job, row.version, Fact::Completed, &data).await?;
    }
    Ok(())
}
