//! Remembers connections in trouble: `relay.connection_health`.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{
    changes::{Breaker, News},
    rule::{Failing, QUIET_MAX, Standing},
};
use crate::{
    clock::Timestamp,
    ids::{ConnectionId, OrganizationId},
    outbox::interval,
    schedule::Trouble,
};

/// A connection in trouble, as it stands at a moment of the database's.
#[derive(Clone, Debug)]
pub(super) struct Troubled {
    pub(super) organization_id: OrganizationId,
    pub(super) connection_id: ConnectionId,
    pub(super) standing: Standing,
    pub(super) now: Timestamp,
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// Writes what became better. Returns those whose failing was told, so that its end is told as well;
/// until then their rows stay.
pub(super) async fn ease(
    pool: &PgPool,
    news: &[News],
) -> Result<Vec<(OrganizationId, ConnectionId)>, sqlx::Error> {
    let better = |news: &&News| news.has_recovered || news.breaker == Some(Breaker::Closed);
    let better: Vec<&News> = news.iter().filter(better).collect();
    if better.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = better.iter().map(|news| news.connection_id.0).collect();
    let recovered: Vec<bool> = better.iter().map(|news| news.has_recovered).collect();
    let closed: Vec<bool> =
        better.iter().map(|news| news.breaker == Some(Breaker::Closed)).collect();
    let rows = sqlx::query!(
        r#"
        update relay.connection_health h set
            recovered_at = case when v.recovered and (h.warned > 0 or h.exhausted_at is not null)
                then coalesce(h.recovered_at, now()) else h.recovered_at end,
            failing_since = case when v.recovered and h.warned = 0 and h.exhausted_at is null
                then null else h.failing_since end,
            failed_at = case when v.recovered and h.warned = 0 and h.exhausted_at is null
                then null else h.failed_at end,
            breaker_openings = case when v.closed then 0 else h.breaker_openings end,
            breaker_open_until = case when not v.closed then h.breaker_open_until end,
            updated_at = now()
        from unnest($1::uuid[], $2::boolean[], $3::boolean[]) as v(connection_id, recovered, closed)
        where h.connection_id = v.connection_id
        returning h.organization_id, h.connection_id, h.recovered_at is not null as "is_told!"
        "#,
        &ids,
        &recovered,
        &closed,
    )
    .fetch_all(pool)
    .await?;
    sqlx::query!(
        "delete from relay.connection_health
         where connection_id = any($1) and failing_since is null and breaker_openings = 0
           and (held_until is null or held_until <= now())",
        &ids,
    )
    .execute(pool)
    .await?;
    let told = rows.into_iter().filter(|row| row.is_told);
    Ok(told.map(|row| (row.organization_id.into(), row.connection_id.into())).collect())
}

/// Writes what became worse, of connections that anything is sent to. What was silent for longer than
/// the mark holds fails for the first time again.
pub(super) async fn trouble(pool: &PgPool, news: &[News]) -> Result<(), sqlx::Error> {
    let worse: Vec<&News> = news.iter().filter(|news| news.is_trouble()).collect();
    if worse.is_empty() {
        return Ok(());
    }
    let opened = |news: &News| match news.breaker {
        Some(Breaker::Opened { lasts, openings }) => Some((micros(lasts), openings)),
        _ => None,
    };
    let organization_ids: Vec<Uuid> = worse.iter().map(|news| news.organization_id.0).collect();
    let ids: Vec<Uuid> = worse.iter().map(|news| news.connection_id.0).collect();
    let failing: Vec<bool> = worse.iter().map(|news| news.is_failing).collect();
    let held: Vec<Option<i64>> =
        worse.iter().map(|news| news.held.map(|(wait, _)| micros(wait))).collect();
    let because: Vec<Option<&str>> =
        worse.iter().map(|news| news.held.map(|(_, because)| because)).collect();
    let open: Vec<Option<i64>> = worse.iter().map(|news| opened(news).map(|(us, _)| us)).collect();
    let openings: Vec<Option<i16>> = worse
        .iter()
        .map(|news| opened(news).map(|(_, n)| i16::try_from(n).unwrap_or(i16::MAX)))
        .collect();
    sqlx::query!(
        r#"
        insert into relay.connection_health as h (
            connection_id, organization_id, shard, failing_since, failed_at, held_until,
            held_because, breaker_openings, breaker_open_until)
        select v.connection_id, v.organization_id, relay.shard_of(v.connection_id),
               case when v.failing then now() end, case when v.failing then now() end,
               coalesce(now() + v.held_us * interval '1 microsecond', old.held_until),
               coalesce(v.held_because, old.held_because),
               coalesce(v.openings, old.breaker_openings, 0::smallint),
               coalesce(now() + v.open_us * interval '1 microsecond', old.breaker_open_until)
        from unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::bigint[], $5::text[], $6::bigint[],
                    $7::smallint[])
             as v(connection_id, organization_id, failing, held_us, held_because, open_us, openings)
        join relay.organization_integrations c
            on c.id = v.connection_id and c.status = 'connected' and not c.paused
        left join relay.connection_health old on old.connection_id = v.connection_id
        order by v.connection_id
        on conflict (connection_id) do update set
            (failing_since, failed_at, warned, exhausted_at, recovered_at) = (
                select case when anew then excluded.failing_since else h.failing_since end,
                       -- Of two writers the one that waited may have begun earlier.
                       greatest(excluded.failed_at, h.failed_at,
                                case when anew then excluded.failing_since end),
                       case when anew then 0 else h.warned end,
                       case when anew then null else h.exhausted_at end,
                       case when anew then null else h.recovered_at end
                from (select excluded.failing_since is not null
                             -- Whose recovery is still to be told keeps its row until it is.
                             and h.recovered_at is null
                             and (h.failing_since is null
                                  or h.failed_at < now() - $8::interval) as anew) a
            ),
            held_until = excluded.held_until, held_because = excluded.held_because,
            breaker_openings = excluded.breaker_openings,
            breaker_open_until = excluded.breaker_open_until, updated_at = now()
        "#,
        &ids,
        &organization_ids,
        &failing,
        &held as &[Option<i64>],
        &because as &[Option<&str>],
        &open as &[Option<i64>],
        &openings as &[Option<i16>],
        interval(QUIET_MAX),
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// What is known of the connections of some shards.
pub(super) async fn of_shards(
    pool: &PgPool,
    shards: &[i16],
) -> Result<Vec<(ConnectionId, Trouble)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select connection_id, failing_since is not null and recovered_at is null as "failing!",
                  (extract(epoch from held_until - now()) * 1000000)::bigint as held_us, held_because,
                  (extract(epoch from breaker_open_until - now()) * 1000000)::bigint as open_us,
                  breaker_openings
           from relay.connection_health where shard = any($1)"#,
        shards,
    )
    .fetch_all(pool)
    .await?;
    let span = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0));
    let trouble = rows.into_iter().map(|row| {
        let held = row.held_us.filter(|us| *us > 0).map(span);
        let trouble = Trouble {
            failing: row.failing,
            held_for: held.zip(row.held_because),
            open_for: row.open_us.map(span),
            openings: u16::try_from(row.breaker_openings).unwrap_or(0),
        };
        (row.connection_id.into(), trouble)
    });
    Ok(trouble.collect())
}

/// Every connection in trouble, or that one if it is. What ran out of retries is looked for where it
/// is not told yet; what tells of another connection's trouble does not count.
pub(super) async fn troubled(
    connection: &mut PgConnection,
    only: Option<ConnectionId>,
) -> Result<Vec<Troubled>, sqlx::Error> {
    let (first, last) = only.map_or((Uuid::nil(), Uuid::max()), |id| (id.0, id.0));
    let rows = sqlx::query!(
        r#"
        select h.organization_id, h.connection_id, h.failing_since, h.failed_at, h.warned,
               h.exhausted_at is not null as "is_exhaustion_told!",
               h.recovered_at is not null as "is_over!",
               coalesce(h.held_until > now(), false) as "is_held!",
               coalesce(h.breaker_open_until > now() - interval '1 day', false) as "is_broken!",
               coalesce(c.status = 'connected' and not c.paused, false) as "is_on!",
               x.delivery_id as "exhausted?", clock_timestamp() as "now!"
        from relay.connection_health h
        left join relay.organization_integrations c on c.id = h.connection_id
        left join lateral (
            select a.delivery_id from relay.attempts a
            where h.failing_since is not null and h.exhausted_at is null
              and a.connection_id = h.connection_id and a.settlement = 'dead'
              and a.reason = 'retries_exhausted'
              and a.recorded_at >= h.failing_since - interval '5 seconds'
              -- A look-up of its own for each, which no plan can turn into reading the log.
              and coalesce((select e.kind from relay.event_log e
                            where e.category = 'product' and e.id = a.event_id), '')
                  not like 'connection.%'
            order by a.recorded_at limit 1
        ) x on true
        where h.connection_id between $1 and $2
        order by h.connection_id
        "#,
        first,
        last,
    )
    .fetch_all(connection)
    .await?;
    let troubled = rows.into_iter().map(|row| Troubled {
        organization_id: row.organization_id.into(),
        connection_id: row.connection_id.into(),
        standing: Standing {
            is_on: row.is_on,
            failing: row.failing_since.zip(row.failed_at).map(|(since, last)| Failing {
                since,
                last,
                warned: u8::try_from(row.warned).unwrap_or(0),
                is_exhaustion_told: row.is_exhaustion_told,
                exhausted: row.exhausted.map(Into::into),
                is_over: row.is_over,
            }),
            is_held: row.is_held,
            is_broken: row.is_broken,
        },
        now: row.now,
    });
    Ok(troubled.collect())
}

/// Keeps others from a connection's row until the transaction ends.
pub(super) async fn hold(tx: &mut PgConnection, id: ConnectionId) -> Result<(), sqlx::Error> {
    sqlx::query!("select from relay.connection_health where connection_id = $1 for update", id.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Since when a connection has been failing.
pub(super) async fn failing_since(
    tx: &mut PgConnection,
    id: ConnectionId,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let since = sqlx::query_scalar!(
        "select failing_since from relay.connection_health where connection_id = $1",
        id.0
    )
    .fetch_optional(tx)
    .await?;
    Ok(since.flatten())
}

/// Notes what was told of a time of failing.
pub(super) async fn told(
    tx: &mut PgConnection,
    id: ConnectionId,
    warned: Option<u8>,
    is_exhaustion: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update relay.connection_health
         set warned = coalesce($2, warned), updated_at = now(),
             exhausted_at = case when $3 then now() else exhausted_at end
         where connection_id = $1 and failing_since is not null",
        id.0,
        warned.map(i16::from),
        is_exhaustion,
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets a connection: it is off, or all is well.
pub(super) async fn forget(tx: &mut PgConnection, id: ConnectionId) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from relay.connection_health where connection_id = $1", id.0)
        .execute(tx)
        .await?;
    Ok(())
}
