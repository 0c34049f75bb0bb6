//! Remembers replays: `relay.replay_jobs`. Whoever changes one has its row locked.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{
    ReplaysError,
    audit::{self, Fact},
    candidates,
    job::{Change, Configuration, NewReplay, Replay, ReplayStatus, decide, eta_seconds},
    selection::{Criteria, Selection},
};
use crate::{
    clock::{self, Timestamp},
    connection::{Actor, Status, store as connections},
    db::{self, DbError},
    engine::Engine,
    ids::{OrganizationId, ReplayId},
    page,
};

/// The most replays of one organization that may be under way at once.
pub const REPLAYS_MAX: i64 = 20;
/// Up to how many of a replay's deliveries that wait are counted.
const WAITING_COUNTED_MAX: i64 = 100_000;
/// The most replays of one page.
pub const PAGE_MAX: u16 = 200;

/// Some replays, and where the next page begins.
#[derive(Clone, Debug)]
pub struct Page {
    /// The newest first.
    pub items: Vec<Replay>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<ReplayId>,
}

/// Starts a replay, and records who asked for what. A worker process does the rest.
pub async fn start(
    engine: &Engine,
    organization_id: OrganizationId,
    asked: &NewReplay,
    actor: &Actor,
) -> Result<Replay, ReplaysError> {
    asked.selection.check(clock::now(), engine.config.retention)?;
    let rate = asked.rate()?;
    let criteria = asked.selection.criteria();
    let mut tx = engine.db.api.begin().await?;
    check_connected(&mut tx, organization_id, &asked.selection).await?;
    check_names(&mut tx, organization_id, &criteria).await?;
    // Of many that are asked for at once no more begin than may.
    db::one_at_a_time(&mut tx, "relay.replay_jobs", organization_id).await?;
    let under_way = sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.replay_jobs
           where organization_id = $1 and status in ('counting', 'running', 'paused')"#,
        organization_id.0,
    )
    .fetch_one(&mut *tx)
    .await?;
    if under_way >= REPLAYS_MAX {
        return Err(ReplaysError::TooMany);
    }
    let range = candidates::range(&mut tx, &criteria).await?;
    let id: ReplayId = sqlx::query_scalar!(
        r#"insert into relay.replay_jobs (
               id, organization_id, selection, configuration, rate_per_second, reason, position, bound,
               created_by, created_at)
           values (relay.uuid7(), $1, $2, $3, $4, $5, $6, $7, $8, $9) returning id"#,
        organization_id.0,
        Json(&asked.selection) as _,
        asked.configuration.as_str(),
        rate,
        asked.kept_reason(),
        range.after,
        range.bound,
        actor.as_text(),
        range.at,
    )
    .fetch_one(&mut *tx)
    .await?
    .into();
    let what = json!({
        "selection": asked.selection, "configuration": asked.configuration,
        "rate_per_second": rate, "reason": asked.kept_reason(),
    });
    let actor = actor.as_text();
    audit::record(&mut tx, organization_id, id, 1, Fact::Requested, &actor, &what).await?;
    let started = select(&mut tx, organization_id, Some(id), None, None, 1).await?.pop();
    tx.commit().await?;
    started.ok_or(ReplaysError::NotFound("Replay"))
}

/// One replay. `None` where it belongs to another organization.
pub async fn find(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ReplayId,
) -> Result<Option<Replay>, DbError> {
    let mut connection = engine.db.api.acquire().await?;
    Ok(select(&mut connection, organization_id, Some(id), None, None, 1).await?.pop())
}

/// A page of an organization's replays, the newest first. `limit`: at most [`PAGE_MAX`]; 0 means 50.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    status: Option<ReplayStatus>,
    before: Option<ReplayId>,
    limit: u16,
) -> Result<Page, DbError> {
    let limit = page::size(limit, PAGE_MAX);
    let mut connection = engine.db.api.acquire().await?;
    let items =
        select(&mut connection, organization_id, None, status, before, i64::from(limit)).await?;
    let is_full = items.len() >= usize::from(limit);
    let next = items.last().filter(|_| is_full).map(|last| last.id);
    Ok(Page { items, next })
}

/// Pauses a replay, lets it go on, calls it off, or changes its rate, and records who did. A batch that
/// is under way ends first. What it has made due is sent while it is paused; when it is called off, a
/// worker process takes back what was not tried yet, which stands as it did before.
pub async fn change(
    engine: &Engine,
    organization_id: OrganizationId,
    id: ReplayId,
    change: Change,
    actor: &Actor,
) -> Result<Replay, ReplaysError> {
    let mut tx = engine.db.api.begin().await?;
    let row = sqlx::query!(
        "select status, rate_per_second, total is not null as \"is_counted!\", version
         from relay.replay_jobs where organization_id = $1 and id = $2 for no key update",
        organization_id.0,
        id.0,
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or(ReplaysError::NotFound("Replay"))?;
    let status = ReplayStatus::from_stored(&row.status);
    let decided = decide(status, row.rate_per_second, row.is_counted, change)?;
    let mut facts = Vec::new();
    if let Some(status) = decided.status {
        facts.push(match status {
            ReplayStatus::Paused => (Fact::Paused, json!({})),
            ReplayStatus::Cancelled => (Fact::Cancelled, json!({})),
            _ => (Fact::Resumed, json!({})),
        });
    }
    if let Some(rate) = decided.rate {
        facts.push((Fact::RateChanged, json!({ "rate_per_second": rate })));
    }
    sqlx::query!(
        "update relay.replay_jobs
         set status = coalesce($2, status), rate_per_second = coalesce($3, rate_per_second),
             version = version + $4,
             next_at = case when $2 is null then next_at else now() end,
             paused_at = case when $2 is null then paused_at when $2 = 'paused' then now() end,
             finished_at = case when $2 = 'cancelled' then now() else finished_at end,
             withdrawing = withdrawing or coalesce($2 = 'cancelled', false),
             failures = case when $2 = 'cancelled' then 0 else failures end,
             position = case when $2 = 'cancelled' then relay.uuid7_floor('epoch') else position end
         where id = $1",
        id.0,
        decided.status.map(ReplayStatus::as_str),
        decided.rate,
        i64::try_from(facts.len()).unwrap_or(0),
    )
    .execute(&mut *tx)
    .await?;
    for (version, (fact, data)) in (row.version + 1..).zip(&facts) {
        audit::record(&mut tx, organization_id, id, version, *fact, &actor.as_text(), data).await?;
    }
    let changed = select(&mut tx, organization_id, Some(id), None, None, 1).await?.pop();
    tx.commit().await?;
    changed.ok_or(ReplaysError::NotFound("Replay"))
}

/// Whether what a search names is the organization's: its connection, and each of its deliveries.
pub(super) async fn check_names(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    criteria: &Criteria,
) -> Result<(), ReplaysError> {
    let known = sqlx::query!(
        r#"select $2::uuid is null or exists (
                      select from relay.organization_integrations c
                      where c.id = $2 and c.organization_id = $1) as "connection!",
                  (
                      select count(*) from unnest($3::uuid[]) as n(id)
                      left join lateral (
                          select true as is_here from relay.outbox o
                          where o.organization_id = $1 and o.delivery_id = n.id limit 1
                      ) o on true
                      left join lateral (
                          select true as is_here from relay.attempts a
                          where a.organization_id = $1 and a.delivery_id = n.id limit 1
                      ) a on true
                      where o.is_here or a.is_here
                  ) = cardinality($3) as "deliveries!""#,
        organization_id.0,
        criteria.connection_id,
        &criteria.ids,
    )
    .fetch_one(tx)
    .await?;
    if !known.connection {
        return Err(ReplaysError::NotFound("Connection"));
    }
    if !known.deliveries {
        return Err(ReplaysError::NotFound("Delivery"));
    }
    Ok(())
}

/// Whether the one connection that a selection names takes anything now.
async fn check_connected(
    tx: &mut PgConnection,
    organization_id: OrganizationId,
    selection: &Selection,
) -> Result<(), ReplaysError> {
    let Some(id) = selection.connection_id else { return Ok(()) };
    let state = connections::load(tx, organization_id, id).await?;
    let state = state.ok_or(ReplaysError::NotFound("Connection"))?;
    if state.status != Status::Connected || state.paused {
        return Err(ReplaysError::NotConnected);
    }
    Ok(())
}

async fn select(
    connection: &mut PgConnection,
    organization_id: OrganizationId,
    only: Option<ReplayId>,
    status: Option<ReplayStatus>,
    before: Option<ReplayId>,
    limit: i64,
) -> Result<Vec<Replay>, sqlx::Error> {
    let rows = sqlx::query_as!(
        Row,
        r#"select j.id, j.status, j.selection::text as "selection!", j.configuration,
                  j.rate_per_second, j.reason, j.total, j.considered, j.replayed,
                  j.skipped_by_reason as "skipped_by_reason: Json<BTreeMap<String, i64>>",
                  j.created_by, j.created_at, j.started_at, j.finished_at, j.paused_at,
                  j.delivered + (select coalesce(sum(a.deliveries), 0) from relay.replay_arrivals a
                                 where a.replay_id = j.id) as "delivered!",
                  (select count(*) from (
                       select from relay.outbox o where o.replay_id = j.id limit $6
                   ) waiting) as "still_waiting!"
           from relay.replay_jobs j
           where j.organization_id = $1 and ($2::uuid is null or j.id = $2)
             and ($3::text is null or j.status = $3) and ($4::uuid is null or j.id < $4)
           order by j.id desc limit $5"#,
        organization_id.0,
        only.map(|id| id.0),
        status.map(ReplayStatus::as_str),
        before.map(|id| id.0),
        limit,
        WAITING_COUNTED_MAX,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

struct Row {
    id: Uuid,
    status: String,
    selection: String,
    configuration: String,
    rate_per_second: i32,
    reason: Option<String>,
    total: Option<i64>,
    considered: i64,
    replayed: i64,
    skipped_by_reason: Json<BTreeMap<String, i64>>,
    created_by: String,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    paused_at: Option<Timestamp>,
    delivered: i64,
    still_waiting: i64,
}

impl From<Row> for Replay {
    fn from(row: Row) -> Self {
        let status = ReplayStatus::from_stored(&row.status);
        Self {
            id: row.id.into(),
            status,
            // A newer version's may not be readable here; the others are shown all the same.
            selection: serde_json::from_str(&row.selection).unwrap_or_default(),
            configuration: Configuration::from_stored(&row.configuration),
            rate_per_second: row.rate_per_second,
            reason: row.reason,
            total: row.total,
            considered: row.considered,
            replayed: row.replayed,
            skipped: row.considered - row.replayed,
            skipped_by_reason: row.skipped_by_reason.0,
            created_by: row.created_by,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            paused_at: row.paused_at,
            eta_seconds: eta_seconds(status, row.total, row.considered, row.rate_per_second),
            delivered: row.delivered,
            still_waiting: row.still_waiting,
        }
    }
}
