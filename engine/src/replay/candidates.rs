//! Finds the deliveries of a selection, page by page in the order of their ids. A page costs as much as
//! it looks through, which is bounded, however few of those are selected.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{job::Configuration, selection::Criteria};
use crate::{
    clock::Timestamp,
    connection::Status,
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
};

/// What did not arrive, and waits for nothing.
const GIVEN_UP: [&str; 4] = ["dead", "skipped", "expired", "cancelled"];
/// What is promised.
const WAITING: [&str; 2] = ["pending", "parked"];

/// What is looked up of a candidate beside how it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beside {
    Nothing,
    /// Whether its connection wants its event, which may mean to read all of that.
    IsWanted,
    /// With which version of its connection it was tried last.
    UsedVersion,
}

impl Beside {
    /// What has to be known to send with these settings.
    pub(super) const fn for_sending(configuration: Configuration) -> Self {
        match configuration {
            Configuration::Current => Self::IsWanted,
            Configuration::Original => Self::UsedVersion,
        }
    }
}

/// A selected delivery as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: DeliveryId,
    pub(super) connection_id: ConnectionId,
    pub(super) event_id: EventId,
    /// In the outbox already.
    pub(super) is_waiting: bool,
    /// Somebody has it at this moment.
    pub(super) is_leased: bool,
    pub(super) status: String,
    /// Why it stands as it does.
    pub(super) reason: Option<String>,
    /// Requests made so far.
    pub(super) attempts: i32,
    /// The version of its connection that was used last, where that was asked for.
    pub(super) connection_version: Option<i64>,
    pub(super) connection: Option<Standing>,
    /// Whether its event is still kept.
    pub(super) has_event: bool,
    /// Whether its connection, as it is now, would be sent this event; `false` where that was not asked.
    pub(super) is_wanted: bool,
}

/// How a candidate's connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) status: Status,
    pub(super) paused: bool,
    pub(super) name: String,
    pub(super) provider: String,
}

/// Where a search goes on, and where it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    /// The last delivery that was looked at.
    pub(super) after: Uuid,
    /// The first that is not looked at.
    pub(super) bound: Uuid,
    /// What came to its end after this moment is somebody else's doing, and left alone.
    pub(super) at: Timestamp,
}

/// Some deliveries, and where the next page begins.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) candidates: Vec<Candidate>,
    /// `None` when there is nothing behind.
    pub(super) next: Option<Uuid>,
}

/// The range of a search that begins now.
pub(super) async fn range(
    tx: &mut PgConnection,
    criteria: &Criteria,
) -> Result<Range, sqlx::Error> {
    let row = sqlx::query!(
        r#"select relay.uuid7_floor(coalesce($1, timestamptz '1970-01-01 00:00:00+00')) as "after!",
                  relay.uuid7_floor(least($2, now() + interval '2 milliseconds')) as "bound!",
                  now() as "at!""#,
        criteria.since,
        criteria.until,
    )
    .fetch_one(tx)
    .await?;
    Ok(Range { after: row.after, bound: row.bound, at: row.at })
}

/// Looks through `scan` deliveries at most, and stops after `limit` that are selected.
pub(super) async fn page(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    criteria: &Criteria,
    beside: Beside,
    range: Range,
    scan: i64,
    limit: i64,
) -> Result<Page, sqlx::Error> {
    let is_named = !criteria.ids.is_empty();
    let wants = |some: &[&str]| !is_named && criteria.statuses.iter().any(|s| some.contains(s));
    // Three sources and the named ones, each in the order of ids and each cut off at `scan`. What lies
    // behind the first cut is left for the next page.
    let rows = sqlx::query!(
        r#"
        with given_up as materialized (
            select a.delivery_id from relay.attempts a
            where $6 and a.organization_id = $1 and a.delivery_id > $2 and a.delivery_id < $3
              and a.settlement in ('dead', 'skipped', 'expired', 'cancelled')
              and a.recorded_at >= coalesce($13, timestamptz '-infinity')
            order by a.delivery_id limit $4
        ),
        tried as materialized (
            select a.delivery_id from relay.attempts a
            where $7 and a.organization_id = $1 and a.delivery_id > $2 and a.delivery_id < $3
            order by a.delivery_id limit $4
        ),
        promised as materialized (
            select o.delivery_id from relay.outbox o
            where $8 and o.organization_id = $1 and o.delivery_id > $2 and o.delivery_id < $3
            order by o.delivery_id limit $4
        ),
        edge as materialized (
            select least(
                (select delivery_id from given_up order by delivery_id offset $4 - 1 limit 1),
                (select delivery_id from tried order by delivery_id offset $4 - 1 limit 1),
                (select delivery_id from promised order by delivery_id offset $4 - 1 limit 1)) as id
        ),
        known as materialized (
            select distinct k.delivery_id
            from (
                select delivery_id from given_up
                union all select delivery_id from tried
                union all select delivery_id from promised
                union all select n.id from unnest($9::uuid[]) as n(id) where n.id > $2 and n.id < $3
            ) k
            cross join edge
            where edge.id is null or k.delivery_id <= edge.id
        ),
        found as materialized (
            select k.delivery_id, d.connection_id, d.event_id, d.status, d.is_waiting, d.is_leased,
                   d.reason, d.attempts, used.version as used_version,
                   s.status as connection_status, s.paused, s.display_name, s.provider,
                   e.id is not null as has_event,
                   coalesce(e.is_wanted, false) as is_wanted
            from (select delivery_id from known order by delivery_id) k
            -- Looked up one by one: as plain joins they would go through all that the organization has.
            left join lateral (
                select p.* from relay.outbox p
                where p.organization_id = $1 and p.delivery_id = k.delivery_id limit 1
            ) o on true
            left join lateral (
                select a.delivery_id, a.connection_id, a.event_id, a.settlement, a.reason, a.number,
                       a.error_class, a.recorded_at
                from relay.attempts a
                where a.organization_id = $1 and a.delivery_id = k.delivery_id
                order by a.number desc, a.recorded_at desc limit 1
            ) last on true
            cross join lateral (
                select coalesce(o.connection_id, last.connection_id) as connection_id,
                       coalesce(o.event_id, last.event_id) as event_id,
                       case when o.shard < 0 then 'parked' when o.shard >= 0 then 'pending'
                            else last.settlement end as status,
                       o.delivery_id is not null as is_waiting,
                       coalesce(o.lease_until > now(), false) as is_leased,
                       coalesce(o.waiting_for, last.reason) as reason,
                       coalesce(o.attempt, last.number) as attempts
                offset 0
            ) d
            left join lateral (
                select a.connection_version as version from relay.attempts a
                where $14 and a.organization_id = $1 and a.delivery_id = k.delivery_id
                  and a.connection_version is not null
                order by a.number desc, a.recorded_at desc limit 1
            ) used on true
            left join lateral (
                select c.status, c.paused, c.display_name, c.provider, c as connection
                from relay.organization_integrations c
                where c.id = d.connection_id and c.organization_id = $1 limit 1
            ) s on true
            left join lateral (
                select l.id, l.kind, l.subject,
                       case when $20 then relay.wants(s.connection, l) end as is_wanted
                from relay.event_log l
                where l.category = 'product' and l.organization_id = $1 and l.id = d.event_id
                  and l.erased_at is null
                limit 1
            ) e on true
            where d.status = any($10::text[])
              and (d.is_waiting or last.recorded_at <= $5)
              and ($11::text[] is null or d.reason = any($11))
              and ($12::uuid is null or d.connection_id = $12)
              and ($13::timestamptz is null or last.recorded_at >= $13)
              and ($15::text is null or s.provider = $15)
              and ($16::text is null or e.kind = $16)
              and ($17::text is null or e.subject = $17)
              and ($18::text is null or last.error_class = $18)
            order by k.delivery_id
            limit $19
        )
        select edge.id as "edge?", f.delivery_id as "delivery_id?", f.connection_id as "connection_id?",
               f.event_id as "event_id?", f.status as "status?", f.is_waiting as "is_waiting?",
               f.is_leased as "is_leased?", f.reason as "reason?", f.attempts as "attempts?",
               f.used_version as "used_version?", f.connection_status as "connection_status?",
               f.paused as "paused?", f.display_name as "display_name?", f.provider as "provider?",
               f.has_event as "has_event?", f.is_wanted as "is_wanted?"
        from edge left join found f on true
        order by f.delivery_id
        "#,
        organization_id.0,
        range.after,
        range.bound,
        scan,
        range.at,
        wants(&GIVEN_UP),
        wants(&["delivered"]),
        wants(&WAITING),
        &criteria.ids,
        &criteria.statuses as &[&str],
        criteria.reasons.as_deref() as Option<&[&str]>,
        criteria.connection_id,
        criteria.recorded_since,
        beside == Beside::UsedVersion,
        criteria.provider,
        criteria.kind,
        criteria.subject,
        criteria.error_class,
        limit,
        beside == Beside::IsWanted,
    )
    .fetch_all(tx)
    .await?;
    let edge = rows.first().and_then(|row| row.edge);
    let candidates: Vec<Candidate> = rows
        .into_iter()
        .filter_map(|row| {
            let standing = row.connection_status.map(|status| Standing {
                status: Status::from_stored(&status),
                paused: row.paused.unwrap_or(false),
                name: row.display_name.unwrap_or_default(),
                provider: row.provider.unwrap_or_default(),
            });
            Some(Candidate {
                id: row.delivery_id?.into(),
                connection_id: row.connection_id?.into(),
                event_id: row.event_id?.into(),
                is_waiting: row.is_waiting?,
                is_leased: row.is_leased?,
                status: row.status?,
                reason: row.reason,
                attempts: row.attempts?,
                connection_version: row.used_version,
                connection: standing,
                has_event: row.has_event?,
                is_wanted: row.is_wanted?,
            })
        })
        .collect();
    let is_cut = i64::try_from(candidates.len()).is_ok_and(|found| found >= limit);
    let next = if is_cut { candidates.last().map(|last| last.id.0) } else { edge };
    Ok(Page { candidates, next })
}
