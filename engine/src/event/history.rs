//! The events that an organization reported, as its members look them up.

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

pub use crate::delivery::StatusCounts;
use crate::{
    clock::Timestamp,
    db::DbError,
    delivery,
    engine::Engine,
    event::RecordedEvent,
    id_time,
    ids::{EventId, OrganizationId, ProjectId, TeamId},
    page,
};

/// The most events of one page.
pub const PAGE_MAX: u16 = 200;
/// How many events each step of a search looks at: few first, since that is mostly enough. After the
/// last one the page ends, whether or not it is full.
const STEPS: &[i64] = &[512, 4_096, 8_192];

/// Which events to show, the newest first.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only about exactly this.
    pub subject: Option<String>,
    /// Only of this project.
    pub project_id: Option<ProjectId>,
    /// Only of this team.
    pub team_id: Option<TeamId>,
    /// Only reported by this part of the core.
    pub source: Option<String>,
    /// Only recorded at this moment or later.
    pub since: Option<Timestamp>,
    /// Only recorded before this moment.
    pub until: Option<Timestamp>,
    /// Only those after this one on the page before.
    pub before: Option<EventId>,
    /// How many, at most [`PAGE_MAX`]; 0 means 50.
    pub limit: u16,
}

/// An event, without what it says.
#[derive(Clone, Debug, Serialize)]
pub struct EventView {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// How much it matters.
    pub priority: String,
    /// Who reported it.
    pub source: Option<String>,
    /// The project that it concerns.
    pub project_id: Option<ProjectId>,
    /// The team that it concerns.
    pub team_id: Option<TeamId>,
    /// When it happened, as it was reported.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// How many deliveries of ours led to it.
    pub hops: i16,
    /// What became of it.
    pub deliveries: StatusCounts,
}

/// An event with what it says.
#[derive(Clone, Debug, Serialize)]
pub struct EventDetail {
    /// The event.
    #[serde(flatten)]
    pub event: EventView,
    /// What it says, byte for byte.
    pub data: Box<RawValue>,
}

/// Some events, and where the next page begins.
#[derive(Clone, Debug, Default)]
pub struct EventPage {
    /// The newest first.
    pub items: Vec<EventView>,
    /// The cursor of the next page, if there may be one.
    pub next: Option<EventId>,
}

/// A page of an organization's events, the newest first. Pages stay apart under inserts. A page that
/// has looked at many events ends before it is full.
pub async fn list(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &EventFilter,
) -> Result<EventPage, DbError> {
    let limit = usize::from(page::size(filter.limit, PAGE_MAX));
    let mut before = page::below(filter.until, filter.before.map(|id| id.0));
    let mut ids: Vec<EventId> = Vec::with_capacity(limit);
    for candidates in STEPS {
        let room = i64::try_from(limit - ids.len()).unwrap_or(i64::MAX);
        let step = search(engine, organization_id, filter, before, *candidates, room).await?;
        ids.extend(step.ids);
        if ids.len() >= limit {
            let next = ids.last().copied();
            return Ok(EventPage { items: by_id(engine, organization_id, &ids).await?, next });
        }
        let Some(reached) = step.reached else {
            return Ok(EventPage {
                items: by_id(engine, organization_id, &ids).await?,
                next: None,
            });
        };
        before = reached;
    }
    let items = by_id(engine, organization_id, &ids).await?;
    Ok(EventPage { items, next: Some(EventId(before)) })
}

/// The ids of the last events of an organization, the newest first.
pub(crate) async fn last(
    engine: &Engine,
    organization_id: OrganizationId,
    count: i64,
) -> Result<Vec<EventId>, DbError> {
    let all = EventFilter::default();
    Ok(search(engine, organization_id, &all, Uuid::max(), count, count).await?.ids)
}

/// One event. `None` where it belongs to another organization, or is no longer kept.
pub async fn find(
    engine: &Engine,
    organization_id: OrganizationId,
    id: EventId,
) -> Result<Option<EventDetail>, DbError> {
    let Some(event) = by_id(engine, organization_id, &[id]).await?.pop() else { return Ok(None) };
    let recorded = recorded(engine, organization_id, id).await?;
    let data = recorded.and_then(RecordedEvent::into_data);
    Ok(data.map(|data| EventDetail { event, data }))
}

/// The same as it was recorded.
pub(crate) async fn recorded(
    engine: &Engine,
    organization_id: OrganizationId,
    id: EventId,
) -> Result<Option<RecordedEvent>, DbError> {
    let event = sqlx::query_as!(
        RecordedEvent,
        r#"select id, organization_id, kind, payload::text as "payload!",
                  project_id as "project_id: _", team_id as "team_id: _", subject, priority, source,
                  occurred_at, hops, traceparent as "traceparent: _"
           from relay.event_log
           where category = 'product' and id = $1 and organization_id = $2"#,
        id.0,
        organization_id.0,
    );
    Ok(event.fetch_optional(&engine.db.api).await?)
}

struct Step {
    ids: Vec<EventId>,
    /// `None` where nothing is left.
    reached: Option<Uuid>,
}

/// Looks at the next `candidates` of the organization's events, and takes at most `limit` of them.
async fn search(
    engine: &Engine,
    organization_id: OrganizationId,
    filter: &EventFilter,
    before: Uuid,
    candidates: i64,
    limit: i64,
) -> Result<Step, DbError> {
    // Of the product's table itself: seen from the whole log, the order of all organizations' ids
    // would be a way as well.
    let rows = sqlx::query!(
        r#"
        with candidate as materialized (
            select e.id, ($5::text is null or e.kind = $5) and ($6::text is null or e.subject = $6)
                   and ($7::uuid is null or e.project_id = $7) and ($8::uuid is null or e.team_id = $8)
                   and ($9::text is null or e.source = $9) as is_wanted
            from relay.event_log_product e
            where e.organization_id = $1 and e.id < $2 and e.id >= $3
            order by e.id desc limit $4
        ),
        found as (
            select c.id from candidate c where c.is_wanted order by c.id desc limit $10
        )
        select f.id as "found?", r.id as "reached?"
        from (select) one
        left join (
            select c.id from candidate c
            where (select count(*) from candidate) >= $4 order by c.id limit 1
        ) r on true
        left join found f on true
        order by f.id desc
        "#,
        organization_id.0,
        before,
        filter.since.map_or(Uuid::nil(), id_time::floor),
        candidates,
        filter.kind,
        filter.subject,
        filter.project_id.map(|id| id.0),
        filter.team_id.map(|id| id.0),
        filter.source,
        limit,
    )
    .fetch_all(&engine.db.api)
    .await?;
    Ok(Step {
        reached: rows.first().and_then(|row| row.reached),
        ids: rows.into_iter().filter_map(|row| row.found.map(EventId)).collect(),
    })
}

/// Those of these events that are the organization's, the newest first.
pub(crate) async fn by_id(
    engine: &Engine,
    organization_id: OrganizationId,
    ids: &[EventId],
) -> Result<Vec<EventView>, DbError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        "select id, kind, subject, priority, source, project_id, team_id, occurred_at, recorded_at, hops
         from relay.event_log
         where category = 'product' and organization_id = $1 and id = any($2) order by id desc",
        organization_id.0,
        &ids.iter().map(|id| id.0).collect::<Vec<_>>(),
    )
    .fetch_all(&engine.db.api)
    .await?;
    let ours: Vec<EventId> = rows.iter().map(|row| row.id.into()).collect();
    let counts = delivery::by_event(engine, organization_id, &ours).await?;
    let view = rows.into_iter().map(|row| EventView {
        deliveries: counts.get(&row.id.into()).copied().unwrap_or_default(),
        id: row.id.into(),
        kind: row.kind,
        subject: row.subject,
        priority: row.priority,
        source: row.source,
        project_id: row.project_id.map(Into::into),
        team_id: row.team_id.map(Into::into),
        occurred_at: row.occurred_at,
        recorded_at: row.recorded_at,
        hops: row.hops,
    });
    Ok(view.collect())
}
