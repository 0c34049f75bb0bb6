//! The statements of a search: one for each way to candidates, and one judgement for all of them.

use uuid::Uuid;

use super::{MADE_AFTER_MAX, MADE_BEFORE_MAX, Source, Step, Wanted};
use crate::{db::DbError, delivery::read::rows::WRITTEN_BEFORE_MAX, engine::Engine, id_time};

struct Row {
    found: Option<Uuid>,
    reached: Option<Uuid>,
}

/// Looks at the next candidates of a source, and takes at most `limit` of them.
pub(super) async fn step(
    engine: &Engine,
    source: Source,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
) -> Result<Step, DbError> {
    let rows = match source {
        Source::ExternalId => of_external_id(engine, wanted, candidates, limit).await?,
        Source::ErrorClass => of_error_class(engine, wanted, candidates, limit).await?,
        Source::NotArrived => of_what_did_not_arrive(engine, wanted, candidates, limit).await?,
        Source::Connections => of_connections(engine, wanted, candidates, limit).await?,
        Source::Events | Source::All => of_all(engine, wanted, candidates, limit, true).await?,
        Source::Promised => of_all(engine, wanted, candidates, limit, false).await?,
    };
    let reached = rows.first().and_then(|row| row.reached);
    Ok(Step { ids: rows.into_iter().filter_map(|row| row.found).collect(), reached })
}

/// Writes a statement. The first texts say `promised` (rows of the outbox), `said` (the last word of
/// each delivery), and `reached` (below that, not everything was looked at); the last one asks whether
/// it is a wanted event.
///
/// $1 organization, $2 before, $3 from, $4 candidates, $5 statuses, $6 connections, $7 event, $8 kind,
/// $9 subject, $10 error class, $11 external id, $12 class, $13 limit, $14 attempts written since,
/// $15 events before, $16 events from, $17 whether attempts are looked at.
macro_rules! judged {
    ($of:expr, $($source:literal)+, $event:literal) => {{
        let (engine, wanted, candidates, limit, with_attempts): (&Engine, &Wanted<'_>, i64, i64, bool) = $of;
        sqlx::query_as!(
            Row,
            "with " $(+ $source)+ + ",
            standing as (
                select coalesce(p.delivery_id, s.delivery_id) as delivery_id,
                       coalesce(p.connection_id, s.connection_id) as connection_id,
                       coalesce(p.event_id, s.event_id) as event_id,
                       case when p.delivery_id is null then s.settlement
                            when p.shard < 0 then 'parked' else 'pending' end as status,
                       coalesce(p.class, s.class) as class, s.error_class, s.external_id
                from promised p full join said s on s.delivery_id = p.delivery_id
                where p.delivery_id is not null or s.settlement not in ('retrying', 'parked')
            ),
            found as (
                select d.delivery_id from standing d
                where d.delivery_id >= coalesce((select r.delivery_id from reached r), $3)
                  and ($5::text[] is null or d.status = any($5))
                  and ($6::uuid[] is null or d.connection_id = any($6))
                  and ($7::uuid is null or d.event_id = $7)
                  and ($10::text is null or d.error_class = $10)
                  and ($11::text is null or d.external_id = $11)
                  and ($12::smallint is null or d.class = $12)
                  and (($8::text is null and $9::text is null) or " + $event + ")
                order by d.delivery_id desc limit $13
            )
            select f.delivery_id as \"found?\", r.delivery_id as \"reached?\"
            from (select $14::timestamptz, $15::uuid, $16::uuid, $17::boolean) one
            left join reached r on true left join found f on true
            order by f.delivery_id desc",
            wanted.organization_id,
            wanted.before,
            wanted.from,
            candidates,
            wanted.statuses.as_deref() as Option<&[&str]>,
            wanted.connections.as_deref(),
            wanted.event_id,
            wanted.kind,
            wanted.subject,
            wanted.error_class,
            wanted.external_id,
            wanted.class,
            limit,
            id_time::made_at(wanted.from) - WRITTEN_BEFORE_MAX,
            id_time::floor(id_time::made_at(wanted.before) + MADE_BEFORE_MAX * 2),
            id_time::floor(id_time::made_at(wanted.from) - MADE_AFTER_MAX),
            with_attempts,
        )
        .fetch_all(&engine.db.api)
        .await?
    }};
}

async fn of_all(
    engine: &Engine,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
    with_attempts: bool,
) -> Result<Vec<Row>, DbError> {
    // The events of the same time are read along, if something is asked of them: row by row it would
    // take longer.
    Ok(judged!(
        (engine, wanted, candidates, limit, with_attempts),
        "promised as materialized (
            select o.delivery_id, o.connection_id, o.event_id, o.class, o.shard
            from relay.outbox o
            where o.organization_id = $1 and o.delivery_id < $2 and o.delivery_id >= $3
            order by o.delivery_id desc limit $4::bigint
        ),
        written as materialized (
            select a.delivery_id, a.number, a.recorded_at, a.connection_id, a.event_id, a.class,
                   a.settlement, a.error_class, a.external_id
            from relay.attempts a
            where $17 and a.organization_id = $1 and a.delivery_id < $2 and a.delivery_id >= $3
              and a.recorded_at >= $14
            order by a.delivery_id desc limit $4
        ),
        said as materialized (
            select distinct on (w.delivery_id) w.* from (
                select * from written
                union all
                -- Where all that was read is of one delivery, its last word may not be among it.
                select l.* from (
                    select delivery_id from written group by delivery_id having count(*) >= $4
                ) m cross join lateral (
                    select a.delivery_id, a.number, a.recorded_at, a.connection_id, a.event_id, a.class,
                           a.settlement, a.error_class, a.external_id
                    from relay.attempts a
                    where a.organization_id = $1 and a.delivery_id = m.delivery_id and a.recorded_at >= $14
                    order by a.number desc, a.recorded_at desc limit 1
                ) l
            ) w
            order by w.delivery_id desc, w.number desc, w.recorded_at desc
        ),
        happened as materialized (
            select e.id, ($8::text is null or e.kind = $8) and ($9::text is null or e.subject = $9) as is_wanted
            from relay.event_log_product e
            where ($8 is not null or $9 is not null)
              and e.organization_id = $1 and e.id < $15 and e.id >= $16
            order by e.id desc limit $4 * 2
        ),"
        "reached as materialized (
            select r.delivery_id from (
                select (select p.delivery_id from promised p order by p.delivery_id limit 1) as delivery_id
                where (select count(*) from promised) >= $4
                union all
                -- Of the last delivery there may be more than was read, unless it is the only one.
                select l.delivery_id from (
                    select x.delivery_id from (
                        select s.delivery_id from said s order by s.delivery_id limit 2
                    ) x order by x.delivery_id desc limit 1
                ) l
                where (select count(*) from written) >= $4
                union all
                select relay.uuid7_floor(relay.uuid7_time(
                    (select h.id from happened h order by h.id limit 1)) + interval '1001 milliseconds')
                where (select count(*) from happened) >= $4 * 2
            ) r order by r.delivery_id desc limit 1
        )",
        "d.event_id in (select h.id from happened h where h.is_wanted)"
    ))
}

async fn of_connections(
    engine: &Engine,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    // They are known to be the organization's: to ask for it once more would offer the index of all of
    // its deliveries.
    Ok(judged!(
        (engine, wanted, candidates, limit, true),
        "promised as materialized (
            select o.delivery_id, o.connection_id, o.event_id, o.class, o.shard
            from relay.outbox o
            where o.organization_id = $1 and o.delivery_id < $2 and o.delivery_id >= $3
            order by o.delivery_id desc limit greatest($4::bigint, 8192)
        ),
        written as materialized (
            select w.* from unnest($6::uuid[]) c (connection_id) cross join lateral (
                select a.delivery_id, a.number, a.recorded_at, a.connection_id, a.event_id, a.class,
                       a.settlement, a.error_class, a.external_id
                from relay.attempts a
                where a.connection_id = c.connection_id and a.delivery_id < $2 and a.delivery_id >= $3
                  and a.recorded_at >= $14
                order by a.delivery_id desc limit greatest($4 / cardinality($6), 16)
            ) w
        ),
        said as materialized (
            select distinct on (w.delivery_id) w.* from (
                select * from written
                union all
                -- Where all that was read of one is of one delivery, its last word may not be among it.
                select l.* from (
                    select connection_id, delivery_id from written group by connection_id, delivery_id
                    having count(*) >= greatest($4 / cardinality($6), 16)
                ) m cross join lateral (
                    select a.delivery_id, a.number, a.recorded_at, a.connection_id, a.event_id, a.class,
                           a.settlement, a.error_class, a.external_id
                    from relay.attempts a
                    where a.organization_id = $1 and a.delivery_id = m.delivery_id and a.recorded_at >= $14
                    order by a.number desc, a.recorded_at desc limit 1
                ) l
            ) w
            order by w.delivery_id desc, w.number desc, w.recorded_at desc
        ),"
        "reached as materialized (
            select r.delivery_id from (
                select (select p.delivery_id from promised p order by p.delivery_id limit 1) as delivery_id
                where (select count(*) from promised) >= greatest($4, 8192)
                union all
                -- Of the last delivery of each there may be more than was read, unless it is the only one.
                select (
                    select x.delivery_id from (
                        select s.delivery_id from said s where s.connection_id = w.connection_id
                        order by s.delivery_id limit 2
                    ) x order by x.delivery_id desc limit 1)
                from written w group by w.connection_id
                having count(*) >= greatest($4 / cardinality($6), 16)
            ) r order by r.delivery_id desc limit 1
        )",
        "exists (
            select from relay.event_log e
            where e.category = 'product' and e.id = d.event_id
              and ($8::text is null or e.kind = $8) and ($9::text is null or e.subject = $9))"
    ))
}

/// The same for candidates that an index finds by one of their attempts, of which the last word is still
/// to be looked up. The texts say which attempts, and which of them are worth the looking.
macro_rules! judged_of_candidates {
    ($of:expr, $which:literal, $worth:literal) => {
        judged!(
            $of,
            "candidates as materialized (
                select a.delivery_id, relay.uuid7_time(a.delivery_id) - interval '1 day' as written_since,
                       bool_or(($6::uuid[] is null or a.connection_id = any($6)) and " $worth ") as is_worth
                from relay.attempts a
                where a.organization_id = $1 and a.delivery_id < $2 and a.delivery_id >= $3
                  and a.recorded_at >= $14 and " $which "
                group by a.delivery_id order by a.delivery_id desc limit $4::bigint
            ),
            promised as materialized (
                select o.delivery_id, o.connection_id, o.event_id, o.class, o.shard
                from candidates c
                join relay.outbox o on o.organization_id = $1 and o.delivery_id = c.delivery_id
                where c.is_worth
            ),
            said as materialized (
                select s.* from candidates c cross join lateral (
                    select a.delivery_id, a.connection_id, a.event_id, a.class, a.settlement,
                           a.error_class, a.external_id
                    from relay.attempts a
                    where a.organization_id = $1 and a.delivery_id = c.delivery_id
                      and a.recorded_at >= c.written_since
                    order by a.number desc, a.recorded_at desc limit 1
                ) s where c.is_worth
            ),
            reached as materialized (
                select c.delivery_id from candidates c
                where (select count(*) from candidates) >= $4 order by c.delivery_id limit 1
            )",
            "exists (
                select from relay.event_log e
                where e.category = 'product' and e.id = d.event_id
                  and ($8::text is null or e.kind = $8) and ($9::text is null or e.subject = $9))"
        )
    };
}

async fn of_what_did_not_arrive(
    engine: &Engine,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    // As attempts_not_arrived has it.
    Ok(judged_of_candidates!(
        (engine, wanted, candidates, limit, true),
        "a.settlement in ('dead', 'skipped', 'expired', 'cancelled')",
        "($5::text[] is null or a.settlement = any($5))"
    ))
}

async fn of_error_class(
    engine: &Engine,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    Ok(judged_of_candidates!(
        (engine, wanted, candidates, limit, true),
        "a.error_class = $10",
        "true"
    ))
}

async fn of_external_id(
    engine: &Engine,
    wanted: &Wanted<'_>,
    candidates: i64,
    limit: i64,
) -> Result<Vec<Row>, DbError> {
    Ok(judged_of_candidates!(
        (engine, wanted, candidates, limit, true),
        "a.external_id = $11",
        "true"
    ))
}
