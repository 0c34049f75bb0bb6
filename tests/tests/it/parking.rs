//! What waits for an admin: any number of it goes on, in order, or is cancelled, a batch at a time.

use engine::{
    Engine,
    connection::{
        self, Actor, ConnectionChange, Status,
        destinations::{self, Chosen},
        tokens,
    },
    delivery::{self, Swept},
    ids::ConnectionId,
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::{LONG, World, event, new_id, wait_until};

use crate::refreshing::{Place, agrees_with_its_log, now, other_than, token};

/// The most that one transaction lets go on, or cancels.
const BATCH: u64 = 5_000;

/// Promises a connection deliveries whose events came one after the other.
async fn promise(place: &Place, id: ConnectionId, count: i32, lies: &str, why: &str) {
    sqlx::query(
        "insert into relay.outbox
             (organization_id, delivery_id, connection_id, event_id, shard, due_at, waiting_for)
         select $1, gen_random_uuid(), $2, relay.uuid7_at(ticks.of_now + n),
                case $4 when 'parked' then relay.parked_shard_of($2)
                        else relay.home_shard($2, $4 = 'in a lane') end,
                case $4 when 'parked' then timestamptz 'infinity' else now() end, nullif($5, '')
         from generate_series(1, $3) n, (select relay.uuid7_ticks() as of_now) ticks",
    )
    .bind(place.organization_id.0)
    .bind(id.0)
    .bind(count)
    .bind(lies)
    .bind(why)
    .execute(place.sql())
    .await
    .expect("it can be promised");
}

async fn park(place: &Place, id: ConnectionId, count: i32, why: &str) {
    promise(place, id, count, "parked", why).await;
}

/// The deliveries of a connection that are due, and those that are parked, by reason.
async fn lies(sql: &PgPool, id: ConnectionId) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select case when shard < 0 then coalesce(waiting_for, '') else 'due' end as why, count(*)
         from relay.outbox where connection_id = $1 group by why order by why",
    )
    .bind(id.0)
    .fetch_all(sql)
    .await
    .expect("the database answers")
}

fn said(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect()
}

/// Those that are due, in the order in which they will be claimed: whether that is the order of their
/// events, and whether nothing older is still parked.
async fn goes_on_in_order(sql: &PgPool, id: ConnectionId) -> bool {
    let in_order: Option<bool> = sqlx::query_scalar(
        "select bool_and(event_id > before is not false) from (
             select event_id, lag(event_id) over (order by shard < 0, due_at, event_id) as before
             from relay.outbox
             where connection_id = $1 and waiting_for is distinct from 'head_of_line'
               and waiting_for is distinct from 'no_destination'
         ) claimed",
    )
    .bind(id.0)
    .fetch_one(sql)
    .await
    .expect("the database answers");
    in_order.unwrap_or(true)
}

async fn swept(engine: &Engine) -> Swept {
    delivery::sweep(engine).await.expect("the database answers")
}

/// Connecting again lets a batch go on in its own transaction, and a sweep the rest: in the order of
/// events, and nothing that waits for something else.
#[tokio::test]
async fn b27_any_number_of_parked_deliveries_goes_on_in_the_order_of_their_events() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    let old = token(&engine, &now(&engine, id).await).await;
    place.mocks.linear().revoke_grants();
    let lost = tokens::access(&engine, &now(&engine, id).await, other_than(&old)).await;
    assert!(lost.is_err());
    assert_eq!(now(&engine, id).await.status, Status::Error);
    // Of three reasons, as they come one after the other, and of two that connecting does not mend.
    for why in ["reauth_required", "connection_error", ""] {
        park(&place, id, 4_100, why).await;
    }
    park(&place, id, 70, "no_destination").await;
    park(&place, id, 30, "head_of_line").await;
    assert_eq!(swept(&engine).await, Swept::default(), "nothing goes on while it is broken");

    place.connect(&engine, "linear").await;
    let resumed = lies(place.sql(), id).await;
    assert!(resumed.contains(&("due".to_owned(), 5_000)), "{resumed:?}");
    assert!(goes_on_in_order(place.sql(), id).await, "the oldest are let go on first");
    assert_eq!(swept(&engine).await, Swept { resumed: 3 * 4_100 - BATCH, cancelled: 0 });
    let all = [("due", 12_300), ("head_of_line", 30), ("no_destination", 70)];
    assert_eq!(lies(place.sql(), id).await, said(&all));
    assert!(goes_on_in_order(place.sql(), id).await);
    assert_eq!(swept(&engine).await, Swept::default());
    let waiting: i64 = sqlx::query_scalar(
        "select count(*) from relay.outbox where shard >= 0 and waiting_for is not null",
    )
    .fetch_one(place.sql())
    .await
    .expect("the database answers");
    assert_eq!(waiting, 0, "what goes on waits for nothing");

    // Once somebody chooses, what waited for that goes on as well.
    let owner = place.organization_id;
    let page = destinations::list(&engine, owner, id, None, None).await.expect("a page");
    let chosen = Chosen { id: page.destinations[0].id.clone(), issue_type: None };
    let system = Actor::system();
    destinations::choose(&engine, owner, id, &chosen, &system).await.expect("chosen");
    assert_eq!(lies(place.sql(), id).await, said(&[("due", 12_370), ("head_of_line", 30)]));
    assert_eq!(swept(&engine).await, Swept::default());
    agrees_with_its_log(&engine).await;
}

/// Paused, nothing goes on; and in a lane it goes on in the lane.
#[tokio::test]
async fn b27_a_paused_connection_keeps_what_is_parked_and_a_lane_takes_it_back() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    let set = async |paused: bool| {
        let change = ConnectionChange { paused: Some(paused), ..ConnectionChange::default() };
        let (owner, system) = (place.organization_id, Actor::system());
        connection::change(&engine, owner, id, None, change, &system).await.expect("changed");
    };
    set(true).await;
    park(&place, id, 3, "reauth_required").await;
    assert_eq!(swept(&engine).await, Swept::default());
    sqlx::query("update relay.organization_integrations set ordering = 'block' where id = $1")
        .bind(id.0)
        .execute(place.sql())
        .await
        .expect("the database answers");
    set(false).await;
    assert_eq!(lies(place.sql(), id).await, said(&[("due", 3)]));
    let in_lane: i64 = sqlx::query_scalar(
        "select count(*) from relay.outbox
         where connection_id = $1 and shard = relay.home_shard($1, true)",
    )
    .bind(id.0)
    .fetch_one(place.sql())
    .await
    .expect("the database answers");
    assert_eq!(in_lane, 3);
    assert_eq!(swept(&engine).await, Swept::default());
}

/// Removing a connection cancels a batch of what it was promised, wherever that lies; a sweep cancels
/// the rest. Each leaves its record.
#[tokio::test]
async fn any_number_of_deliveries_of_a_removed_connection_is_cancelled() {
    let place = Place::new().await;
    let engine = place.process().await;
    let id = place.connect(&engine, "linear").await[0];
    park(&place, id, 4_100, "head_of_line").await;
    promise(&place, id, 4_100, "beside others", "").await;
    promise(&place, id, 4_100, "in a lane", "").await;
    let system = Actor::system();
    let owner = place.organization_id;
    connection::disconnect(&engine, owner, id, None, &system).await.expect("removed");
    let left: i64 = lies(place.sql(), id).await.iter().map(|(_, count)| count).sum();
    assert_eq!(left, 7_300);
    let told: i64 = sqlx::query_scalar(
        "select (payload ->> 'cancelled')::bigint from relay.event_log
         where kind = 'connection.disconnected' and stream_id = $1",
    )
    .bind(id.0)
    .fetch_one(place.sql())
    .await
    .expect("the database answers");
    assert_eq!(told, 12_300, "the event tells of all of them");
    assert_eq!(swept(&engine).await, Swept { resumed: 0, cancelled: 7_300 });
    assert_eq!(lies(place.sql(), id).await, []);
    let recorded: Vec<(String, String, i64)> = sqlx::query_as(
        "select settlement, reason, count(distinct delivery_id) from relay.attempts
         where connection_id = $1 group by settlement, reason",
    )
    .bind(id.0)
    .fetch_all(place.sql())
    .await
    .expect("the database answers");
    assert_eq!(recorded, [("cancelled".to_owned(), "connection_removed".to_owned(), 12_300)]);
}

/// Two sweeps at one time do each thing once, and the order is kept.
#[tokio::test]
async fn sweeps_of_two_processes_keep_out_of_each_others_way() {
    let place = Place::new().await;
    let (one, two) = (place.process().await, place.process().await);
    let id = place.connect(&one, "linear").await[0];
    park(&place, id, 12_300, "reauth_required").await;
    let (first, second) = tokio::join!(swept(&one), swept(&two));
    let last = swept(&one).await;
    assert_eq!(first.resumed + second.resumed + last.resumed, 12_300);
    assert!(goes_on_in_order(place.sql(), id).await);
}

/// A worker parked a delivery and was killed before it could tell why: the connection stands well, so
/// that nobody would ever resume it. Another worker's sweep does, and finds out anew.
#[tokio::test]
async fn b27_what_a_killed_worker_parked_goes_on_by_itself() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    for marker in ["parked", "held up", "chosen"] {
        let data = json!({ "marker": marker });
        world.relay.emit(&event(org, "vulnerability.found", data)).await;
    }
    for (marker, why) in [("parked", "reauth_required"), ("held up", "head_of_line")] {
        sqlx::query(
            "update relay.outbox o
             set shard = relay.parked_shard_of(connection_id), due_at = 'infinity', waiting_for = $2
             from relay.event_log l
             where l.category = 'product' and l.id = o.event_id and l.payload ->> 'marker' = $1",
        )
        .bind(marker)
        .bind(why)
        .execute(world.sql())
        .await
        .expect("the database answers");
    }
    let mut world = world;
    world.add_worker(&[]);
    wait_until("what was parked to arrive", LONG, || async {
        (world.receiver.count("/hook") == 2).then_some(())
    })
    .await;
    world.run_until_idle().await;
    let mut markers: Vec<String> =
        world.receiver.arrivals("/hook").iter().map(tests::Arrival::marker).collect();
    markers.sort_unstable();
    assert_eq!(markers, ["chosen", "parked"], "what made room for others waits for a person");

    // A person asks for it.
    let deliveries = world.relay.deliveries(org).await;
    let parked: Vec<&Value> = deliveries.iter().filter(|d| d["status"] == "parked").collect();
    assert_eq!(parked.len(), 1, "{deliveries:?}");
    let its_id = parked[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("a UUID");
    world.relay.replay(org, its_id).await.expect(202);
    world.receiver.wait_for("/hook", 3).await;
    world.run_until_idle().await;
    assert_eq!(lies(world.sql(), hook.id.into()).await, []);
}
