//! One organization at a glance: its last day, what is stuck and why, and each of its connections.

use std::collections::HashMap;

use chrono::TimeDelta;
use uuid::Uuid;

use super::hours::{Counts, Hour, HourRow, as_of, by_hour, whole};
use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
};

/// How many hours are shown.
const HOURS: i64 = 24;
/// About how many deliveries are counted in all, and how many of each connection at least: of more it
/// is only said that there are more.
const COUNTED_MAX: i64 = 10_000;
const COUNTED_MIN: i64 = 100;

/// How many, as far as it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// At least so many.
    pub count: i64,
    /// Whether there are more.
    pub is_more: bool,
}

impl Amount {
    fn add(&mut self, count: i64, is_more: bool) {
        self.count += count;
        self.is_more |= is_more;
    }
}

/// Promised deliveries that wait for the same reason.
#[derive(Clone, Debug)]
pub struct WaitingReason {
    /// A stable code.
    pub reason: String,
    /// How many.
    pub amount: Amount,
    /// When the oldest of them was promised.
    pub oldest_at: Timestamp,
}

/// Promised deliveries that are not parked.
#[derive(Clone, Debug, Default)]
pub struct Waiting {
    /// How many.
    pub amount: Amount,
    /// When the one was due that is due the longest and is not being sent.
    pub oldest_due_at: Option<Timestamp>,
    /// Why they wait, the most frequent reason first.
    pub by_reason: Vec<WaitingReason>,
}

/// A connection that does not work as it should.
#[derive(Clone, Debug)]
pub struct Troubled {
    /// Its id.
    pub id: ConnectionId,
    /// What people call it.
    pub name: String,
    /// The service.
    pub provider: String,
    /// `connected`, `error` or `suspended`.
    pub status: String,
    /// Since when nothing arrived.
    pub failing_since: Option<Timestamp>,
    /// Until when its receiver asked us to wait.
    pub held_until: Option<Timestamp>,
    /// Why, as a stable code.
    pub held_because: Option<String>,
    /// When the next probe may go, where it failed so much that it is left alone.
    pub breaker_open_until: Option<Timestamp>,
    /// What it was promised and did not get yet, parked or not.
    pub waiting: Amount,
}

/// A connection and its last day.
#[derive(Clone, Debug)]
pub struct ConnectionSummary {
    /// Its id.
    pub id: ConnectionId,
    /// What people call it.
    pub name: String,
    /// The service.
    pub provider: String,
    /// `connected`, `error` or `suspended`.
    pub status: String,
    /// Whether an admin paused it.
    pub paused: bool,
    /// What was recorded of it.
    pub counts: Counts,
}

/// An organization at a glance.
#[derive(Clone, Debug)]
pub struct Overview {
    /// All that was recorded before this moment is counted; what waits is of now.
    pub as_of: Timestamp,
    /// The last 24 hours, the one that goes on among them.
    pub hours: Vec<Hour>,
    /// What is promised and goes out by itself.
    pub waiting: Waiting,
    /// What waits for somebody to set its connection right.
    pub parked: Amount,
    /// Connections in trouble.
    pub troubled: Vec<Troubled>,
    /// Every connection that was not removed, the oldest first.
    pub connections: Vec<ConnectionSummary>,
}

/// Looks at an organization. What it costs depends on how many connections it has, and on nothing else.
pub async fn overview(
    engine: &Engine,
    organization_id: OrganizationId,
    now: Timestamp,
) -> Result<Overview, DbError> {
    let as_of = as_of(engine).await?;
    let since = whole(now) - TimeDelta::hours(HOURS - 1);
    let rows = last_day(engine, organization_id, since).await?;
    let connections = connections(engine, organization_id).await?;
    let share = i64::try_from(connections.len().max(1)).unwrap_or(i64::MAX);
    let each = (COUNTED_MAX / share).max(COUNTED_MIN);
    let mut promised: HashMap<Uuid, Amount> = HashMap::new();
    let waiting = waiting(engine, organization_id, each, &mut promised).await?;
    let parked = parked(engine, organization_id, each, &mut promised).await?;
    let mut counts: HashMap<Uuid, Counts> = HashMap::new();
    for row in &rows {
        counts.entry(row.connection_id).or_default().add(row);
    }
    let in_trouble = connections.iter().filter(|row| row.is_troubled()).map(|row| Troubled {
        id: row.id.into(),
        name: row.display_name.clone(),
        provider: row.provider.clone(),
        status: row.status.clone(),
        failing_since: row.failing_since,
        held_until: row.held_until,
        held_because: row.held_because.clone(),
        breaker_open_until: row.breaker_open_until,
        waiting: promised.get(&row.id).copied().unwrap_or_default(),
    });
    let troubled = in_trouble.collect();
    let summary = |row: ConnectionRow| ConnectionSummary {
        counts: counts.remove(&row.id).unwrap_or_default(),
        id: row.id.into(),
        name: row.display_name,
        provider: row.provider,
        status: row.status,
        paused: row.paused,
    };
    Ok(Overview {
        as_of,
        hours: by_hour(&rows, since, since + TimeDelta::hours(HOURS)),
        waiting,
        parked,
        troubled,
        connections: connections.into_iter().map(summary).collect(),
    })
}

/// What was counted of all connections, removed ones among them.
async fn last_day(
    engine: &Engine,
    organization_id: OrganizationId,
    since: Timestamp,
) -> Result<Vec<HourRow>, DbError> {
    Ok(sqlx::query_as!(
        HourRow,
        "select h.connection_id, h.hour, h.requests, h.failed, h.delivered, h.dead, h.skipped,
                h.cancelled, h.expired, h.parked, h.latency
         from relay.organization_integrations c
         join relay.connection_hours h on h.connection_id = c.id and h.hour >= $2
         where c.organization_id = $1",
        organization_id.0,
        since,
    )
    .fetch_all(&engine.db.api)
    .await?)
}

struct ConnectionRow {
    id: Uuid,
    display_name: String,
    provider: String,
    status: String,
    paused: bool,
    failing_since: Option<Timestamp>,
    held_until: Option<Timestamp>,
    held_because: Option<String>,
    breaker_open_until: Option<Timestamp>,
}

impl ConnectionRow {
    fn is_troubled(&self) -> bool {
        let since_when = [self.failing_since, self.held_until, self.breaker_open_until];
        self.status != "connected" || since_when.iter().any(Option::is_some)
    }
}

async fn connections(
    engine: &Engine,
    organization_id: OrganizationId,
) -> Result<Vec<ConnectionRow>, DbError> {
    // What is over is no trouble, although its row may still be there.
    Ok(sqlx::query_as!(
        ConnectionRow,
        r#"select c.id, c.display_name, c.provider, c.status, c.paused,
                  case when h.recovered_at is null then h.failing_since end as failing_since,
                  case when h.held_until > now() then h.held_until end as held_until,
                  case when h.held_until > now() then h.held_because end as held_because,
                  h.breaker_open_until as "breaker_open_until?"
           from relay.organization_integrations c
           left join relay.connection_health h on h.connection_id = c.id
           where c.organization_id = $1 and c.status <> 'disconnected'
           order by c.created_at, c.id"#,
        organization_id.0,
    )
    .fetch_all(&engine.db.api)
    .await?)
}

/// What each connection has in its shard and in its lane: the first `each` of both, as they are due.
async fn waiting(
    engine: &Engine,
    organization_id: OrganizationId,
    each: i64,
    promised: &mut HashMap<Uuid, Amount>,
) -> Result<Waiting, DbError> {
    let rows = sqlx::query!(
        r#"
        select c.id, w.shard as "shard!", w.reason as "reason!", count(*) as "count!",
               sum(count(*)) over (partition by c.id, w.shard) > $2::bigint as "is_more!",
               min(relay.uuid7_time(w.delivery_id)) as "oldest_at!",
               min(w.due_at) filter (where w.due_at <= now() and w.reason <> 'sending') as oldest_due_at
        from relay.organization_integrations c
        left join relay.connection_health h on h.connection_id = c.id
        left join lateral (
            select f.event_id from relay.outbox f
            where f.connection_id = c.id and f.shard >= 64 order by f.event_id limit 1
        ) first on true
        cross join lateral
            unnest(array[relay.home_shard(c.id, false), relay.home_shard(c.id, true)]) as home(shard)
        cross join lateral (
            select o.shard, o.delivery_id, o.due_at, relay.waiting_because(
                       o.waiting_for, o.due_at, o.lease_until,
                       o.shard >= 64 and c.digest_minutes is not null,
                       o.shard >= 64 and o.event_id > first.event_id,
                       c.rate_limit_count is not null, h.held_until, h.breaker_open_until) as reason
            from relay.outbox o
            where o.shard = home.shard and o.connection_id = c.id
            order by o.due_at limit $2::bigint + 1
        ) w
        where c.organization_id = $1 and c.status <> 'disconnected'
        group by c.id, w.shard, w.reason
        "#,
        organization_id.0,
        each,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let mut waiting = Waiting::default();
    for row in rows {
        waiting.amount.add(row.count, row.is_more);
        waiting.oldest_due_at = waiting.oldest_due_at.into_iter().chain(row.oldest_due_at).min();
        promised.entry(row.id).or_default().add(row.count, row.is_more);
        match waiting.by_reason.iter_mut().find(|known| known.reason == row.reason) {
            Some(known) => {
                known.amount.add(row.count, row.is_more);
                known.oldest_at = known.oldest_at.min(row.oldest_at);
            }
            None => waiting.by_reason.push(WaitingReason {
                reason: row.reason,
                amount: Amount { count: row.count, is_more: row.is_more },
                oldest_at: row.oldest_at,
            }),
        }
    }
    waiting.by_reason.sort_by_key(|reason| std::cmp::Reverse(reason.amount.count));
    Ok(waiting)
}

async fn parked(
    engine: &Engine,
    organization_id: OrganizationId,
    each: i64,
    promised: &mut HashMap<Uuid, Amount>,
) -> Result<Amount, DbError> {
    let rows = sqlx::query!(
        r#"
        select c.id, p.count as "count!"
        from relay.organization_integrations c
        cross join lateral (
            select count(*) from (
                select from relay.outbox o where o.shard < 0 and o.connection_id = c.id limit $2::bigint + 1
            ) first
        ) p
        where c.organization_id = $1 and c.status <> 'disconnected' and p.count > 0
        "#,
        organization_id.0,
        each,
    )
    .fetch_all(&engine.db.api)
    .await?;
    let mut parked = Amount::default();
    for row in rows {
        let (count, is_more) = (row.count.min(each), row.count > each);
        parked.add(count, is_more);
        promised.entry(row.id).or_default().add(count, is_more);
    }
    Ok(parked)
}
