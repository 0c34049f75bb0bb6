//! What the tables have of one organization's deliveries and connections, in the model's own words.

use std::collections::BTreeMap;

use engine::ids::OrganizationId;
use sqlx::{PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::model::{Delivery, Lease, Place, Promise, Queue};

/// Every delivery of an organization: those that are promised, and what was last said of the others.
pub(super) async fn deliveries(sql: &PgPool, org: OrganizationId) -> BTreeMap<Uuid, Delivery> {
    let rows = sqlx::query(
        "with said as (
             select distinct on (a.delivery_id) a.delivery_id, a.connection_id, a.event_id, a.settlement,
                    a.reason, a.number, count(*) over (partition by a.delivery_id) as told
             from relay.attempts a where a.organization_id = $1
             order by a.delivery_id, a.number desc, a.recorded_at desc
         )
         select coalesce(o.delivery_id, s.delivery_id) as delivery_id,
                coalesce(o.connection_id, s.connection_id) as connection_id,
                coalesce(o.event_id, s.event_id) as event_id, coalesce(s.told, 0) as told,
                s.settlement, s.reason, s.number, o.shard, o.due_at <= now() as is_due, o.attempt, o.step,
                o.crashes, o.class, o.waiting_for, o.lease, o.lease_until > now() as is_live
         from said s full join (select * from relay.outbox where organization_id = $1) o
             on o.delivery_id = s.delivery_id",
    )
    .bind(org.0)
    .fetch_all(sql)
    .await
    .expect("the tables can be read");
    rows.iter().map(|row| (row.get("delivery_id"), delivery(row))).collect()
}

fn delivery(row: &PgRow) -> Delivery {
    let place = match row.get::<Option<i16>, _>("shard") {
        Some(shard) => Place::Promised(promise(row, shard)),
        None => Place::Ended(row.get("settlement"), row.get("reason"), row.get("number")),
    };
    let (connection, event) = (row.get("connection_id"), row.get("event_id"));
    Delivery { connection, event, place, told: row.get("told") }
}

fn promise(row: &PgRow, shard: i16) -> Promise {
    let in_lane = shard >= 64;
    let lease: Option<i64> = row.get("lease");
    Promise {
        attempt: row.get("attempt"),
        step: row.get("step"),
        crashes: row.get("crashes"),
        class: row.get("class"),
        waiting_for: row.get("waiting_for"),
        queue: match row.get::<bool, _>("is_due") {
            _ if shard < 0 => Queue::Parked,
            true => Queue::Due { in_lane },
            false => Queue::Waits { in_lane },
        },
        lease: lease.map(|number| Lease { number, is_live: row.get("is_live") }),
    }
}

/// Status, pause and version of every connection of an organization.
pub(super) async fn connections(
    sql: &PgPool,
    org: OrganizationId,
) -> BTreeMap<Uuid, (String, bool, i64)> {
    let rows: Vec<(Uuid, String, bool, i64)> = sqlx::query_as(
        "select id, status, paused, version from relay.organization_integrations
         where organization_id = $1",
    )
    .bind(org.0)
    .fetch_all(sql)
    .await
    .expect("the tables can be read");
    rows.into_iter().map(|(id, status, paused, version)| (id, (status, paused, version))).collect()
}

/// Moments are moved, instead of being waited for.
pub(super) async fn every_wait_is_over(sql: &PgPool) {
    execute(sql, "update relay.outbox set due_at = now() where due_at > now() and shard >= 0")
        .await;
}

/// What waits goes on waiting, however slow the machine is.
pub(super) async fn no_wait_ends_by_itself(sql: &PgPool) {
    let statement = "update relay.outbox set due_at = now() + interval '1 day'
                     where due_at > now() and shard >= 0";
    execute(sql, statement).await;
}

/// Nobody renewed this lease.
pub(super) async fn the_lease_runs_out(sql: &PgPool, delivery: Uuid) {
    sqlx::query(
        "update relay.outbox set lease_until = now() - interval '1 second'
         where delivery_id = $1 and lease is not null",
    )
    .bind(delivery)
    .execute(sql)
    .await
    .expect("a superuser may");
}

/// The promises of the sequence before.
pub(super) async fn clear(sql: &PgPool) {
    execute(sql, "delete from relay.outbox").await;
}

async fn execute(sql: &PgPool, statement: &'static str) {
    sqlx::query(statement).execute(sql).await.expect("a superuser may");
}
