//! F15: a transaction that has written something, and then idles: in our database, or in another one of the
//! same server.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tests::{LONG, Ledger, World, new_id, wait_until};
use url::Url;

use super::emit_all;

const EVENTS: usize = 200;

/// F15: deliveries go on and are counted all the while; the idler is told of; and what it had written is
/// delivered and counted when it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_who_writes_and_idles_stops_nothing_and_leaves_no_gap() {
    idle("client").await;
}

/// F15: the same from another database: its numbers are ours too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f15_who_writes_and_idles_in_another_database_stops_nothing() {
    idle("other_database").await;
}

async fn idle(holder: &str) {
    let is_ours = holder == "client";
    let world = World::start().await;
    let org = new_id();
    let hook = world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    let mut url = Url::parse(&world.database_url()).expect("it is a URL");
    if !is_ours {
        url.set_path("postgres");
    }
    let mut session = PgConnection::connect(url.as_str()).await.expect("it answers");
    let mut idler = session.begin().await.expect("it begins");
    let ledger = Ledger::default();
    if is_ours {
        ledger.sending("idled");
        sqlx::query("select relay.emit('vulnerability.found', $1, $2)")
            .bind(org)
            .bind(json!({ "marker": "idled" }))
            .execute(&mut *idler)
            .await
            .expect("it is recorded");
    } else {
        sqlx::query("select txid_current()").execute(&mut *idler).await.expect("it has a number");
    }
    emit_all(&world, &ledger, org, EVENTS).await;
    world.run_until_idle().await;
    wait_until("all but the idler's to be counted", LONG, || async {
        (counted(&world, hook.id).await == EVENTS as i64).then_some(())
    })
    .await;
    assert_eq!(world.receiver.count("/hook"), EVENTS, "what is not committed is not sent");
    let gauge = format!("relay_postgres_oldest_snapshot_seconds{{holder=\"{holder}\"}} ");
    wait_until("the idler to be told of", LONG, || async {
        let text = world.workers[0].metrics().await;
        let told = text.lines().find_map(|line| line.strip_prefix(gauge.as_str()));
        told.and_then(|age| age.parse::<f64>().ok()).filter(|age| *age > 1.0)
    })
    .await;
    // Counting keeps up with everybody else: what is told of its lag is no more than between two rounds.
    let lag: f64 = sqlx::query_scalar(
        "select extract(epoch from now() - caught_up_at)::float8 from relay.statistics_watermark",
    )
    .fetch_one(world.sql())
    .await
    .expect("it answers");
    assert!(lag < LONG.as_secs_f64(), "statistics are {lag} s behind");

    idler.commit().await.expect("it ends");
    let ended = std::time::Instant::now();
    let mut promised = EVENTS;
    if is_ours {
        ledger.acknowledged("idled");
        promised += 1;
    }
    world.receiver.wait_for("/hook", promised).await;
    let recovered: Duration = ended.elapsed();
    world.run_until_idle().await;
    wait_until("the idler's to be counted", LONG, || async {
        (counted(&world, hook.id).await == promised as i64).then_some(())
    })
    .await;
    let done = match is_ours {
        true => "a transaction writes and idles while deliveries go on",
        false => "a transaction of another database writes and idles",
    };
    ledger.tally(&world.receiver, &["/hook"]).outcome("F15", done).recovered(recovered).kept(0);
}

/// How many deliveries the statistics have.
async fn counted(world: &World, connection: uuid::Uuid) -> i64 {
    sqlx::query_scalar(
        "select coalesce(sum(delivered), 0)::bigint from relay.connection_hours
         where connection_id = $1",
    )
    .bind(connection)
    .fetch_one(world.sql())
    .await
    .expect("it answers")
}
