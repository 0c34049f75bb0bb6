//! Reads what happened between two positions, for some organizations.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Batch, position::Position};
use crate::{
    clock::Timestamp,
    db::DbError,
    delivery::DeliveryStatus,
    engine::Engine,
    ids::{ConnectionId, DeliveryId, EventId, OrganizationId},
    outbox::Class,
    statistics::plan_for_ranges,
    tail::Window,
};

/// The most updates of one organization that are told one by one.
const UPDATES_MAX: i64 = 1_000;
/// What was recorded earlier is no news, whenever it was committed.
const NEWS: TimeDelta = TimeDelta::hours(24);
/// The same for somebody who goes on from a position.
const RECENT: TimeDelta = TimeDelta::minutes(6);

/// What became of one delivery.
#[derive(Clone, Debug)]
pub struct Update {
    /// The delivery.
    pub id: DeliveryId,
    /// To whom.
    pub connection_id: ConnectionId,
    /// What.
    pub event_id: EventId,
    /// The kind of event; `None` once the event is no longer kept.
    pub event: Option<String>,
    /// Where it stands now.
    pub status: DeliveryStatus,
    /// Requests made so far.
    pub attempts: i32,
    /// The answer's status.
    pub status_code: Option<i16>,
    /// The failure's class, or the provider's own code for it.
    pub error_class: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Why it was sent.
    pub class: Class,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What was read, and where that leads.
pub(super) struct Read {
    /// Of those where anything happened.
    pub(super) batches: HashMap<OrganizationId, Batch>,
    pub(super) position: Position,
    /// Whether too much time went by: nothing was read, and whoever listens must look anew.
    pub(super) is_gap: bool,
}

/// Where everything is seen that has ended by now.
pub(super) async fn position(engine: &Engine) -> Result<Position, DbError> {
    Ok(Position::now(&mut *engine.db.api.acquire().await?).await?)
}

/// What happened in these organizations since a position.
pub(super) async fn since(
    engine: &Engine,
    organizations: &[Uuid],
    since: &Position,
) -> Result<Read, DbError> {
    let mut tx = engine.db.api.begin().await?;
    plan_for_ranges(&mut tx).await?;
    let position = Position::now(&mut tx).await?;
    let is_gap = !since.can_go_on_at(&position);
    let mut batches = HashMap::new();
    if !is_gap {
        let window = since.seen.window(&position.seen, i64::MAX);
        batches = read(&mut tx, organizations, &window, NEWS, &position).await?;
    }
    tx.commit().await?;
    Ok(Read { batches, position, is_gap })
}

/// What happened in one organization between two positions that are [near](Position::is_near).
pub(super) async fn between(
    engine: &Engine,
    organization_id: OrganizationId,
    since: &Position,
    until: &Position,
) -> Result<Batch, DbError> {
    let mut tx = engine.db.api.begin().await?;
    plan_for_ranges(&mut tx).await?;
    let window = since.seen.window(&until.seen, i64::MAX);
    let mut batches = read(&mut tx, &[organization_id.0], &window, RECENT, until).await?;
    tx.commit().await?;
    Ok(batches.remove(&organization_id).unwrap_or_else(|| Batch::at(until.clone())))
}

async fn read(
    tx: &mut PgConnection,
    organizations: &[Uuid],
    window: &Window,
    age_max: TimeDelta,
    position: &Position,
) -> Result<HashMap<OrganizationId, Batch>, sqlx::Error> {
    // Whose they are is asked last, so that no plan goes through all that an organization has.
    let rows = sqlx::query!(
        r#"
        with news as materialized (
            select a.organization_id, a.delivery_id, a.connection_id, a.event_id, a.settlement, a.number,
                   a.status_code, a.error_class, a.reason, a.class, a.recorded_at
            from relay.attempts a
            where a.recorded_at >= $2
              and ((a.transaction_id >= $3 and a.transaction_id < $4
                    and a.transaction_id <> all($5::bigint[]))
                   or a.transaction_id = any($6::bigint[]))
        ),
        first as (
            select *, row_number() over (
                partition by organization_id order by recorded_at, delivery_id, number) as place
            from news where organization_id = any($1::uuid[])
        )
        select f.organization_id, f.delivery_id, f.connection_id, f.event_id, e.kind as "kind?",
               f.settlement, f.number, f.status_code, f.error_class, f.reason, f.class, f.recorded_at
        from first f
        left join lateral (
            select l.kind from relay.event_log l
            where l.category = 'product' and l.id = f.event_id limit 1
        ) e on true
        where f.place <= $7::bigint + 1
        order by f.place
        "#,
        organizations,
        DateTime::from_timestamp(position.at, 0).unwrap_or_default() - age_max,
        window.from,
        window.until,
        &window.open,
        &window.late,
        UPDATES_MAX,
    )
    .fetch_all(tx)
    .await?;
    let mut batches: HashMap<OrganizationId, Batch> = HashMap::new();
    for row in rows {
        let batch = batches
            .entry(row.organization_id.into())
            .or_insert_with(|| Batch::at(position.clone()));
        batch.updates.push(Update {
            id: row.delivery_id.into(),
            connection_id: row.connection_id.into(),
            event_id: row.event_id.into(),
            event: row.kind,
            status: row.settlement.parse().unwrap_or(DeliveryStatus::Pending),
            attempts: row.number,
            status_code: row.status_code,
            error_class: row.error_class,
            reason: row.reason,
            class: Class::from_number(row.class),
            at: row.recorded_at,
        });
    }
    for batch in batches.values_mut() {
        if batch.updates.len() as i64 > UPDATES_MAX {
            *batch = Batch { is_cut: true, ..Batch::at(position.clone()) };
        }
    }
    Ok(batches)
}
