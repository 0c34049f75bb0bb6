//! What the workers read about the database is what is there, and is not told when it cannot be read.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tests::{Flow, LONG, World, wait_until};
use url::Url;

use super::Scrape;

/// Promises so many deliveries to connections that nobody has, due `minutes` from now.
async fn promise(world: &World, count: i64, class: i16, minutes: i32) {
    sqlx::query(
        "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard, class, due_at)
         select gen_random_uuid(), gen_random_uuid(), c, gen_random_uuid(), relay.shard_of(c),
                $2::smallint, now() + $3::integer * interval '1 minute'
         from (select md5($2::smallint || 'c' || n % 300)::uuid as c
               from generate_series(1, $1::bigint) n) m",
    )
    .bind(count)
    .bind(class)
    .bind(minutes)
    .execute(world.sql())
    .await
    .expect("the tests' role may");
}

/// Waits until a gauge of the worker is as it should be.
async fn when(world: &World, name: &str, labels: &[(&str, &str)], is_so: impl Fn(f64) -> bool) {
    let is_so = &is_so;
    wait_until(&format!("{name}{labels:?} to be as it should"), 3 * LONG, || async move {
        Scrape::of(&world.workers[0]).await.value(name, labels).filter(|value| is_so(*value))
    })
    .await;
}

/// Exact while there are few; beyond what is counted, near what there is.
#[tokio::test]
async fn the_outbox_is_told_by_class_however_large_it_is() {
    const DEPTH: &str = "relay_outbox_deliveries";
    const OLDEST: &str = "relay_outbox_oldest_due_seconds";
    let world = World::start().await;
    promise(&world, 700, 0, 60).await;
    promise(&world, 30, 1, -10).await;
    promise(&world, 2, 2, 60).await;
    sqlx::query(
        "update relay.outbox set due_at = 'infinity', shard = relay.parked_shard_of(connection_id)
         where delivery_id in (select delivery_id from relay.outbox where class = 0 limit 5)",
    )
    .execute(world.sql())
    .await
    .expect("the tests' role may");
    when(&world, DEPTH, &[("class", "live")], |n| n == 695.0).await;
    when(&world, DEPTH, &[("class", "retry")], |n| n == 30.0).await;
    when(&world, DEPTH, &[("class", "replay")], |n| n == 2.0).await;
    when(&world, DEPTH, &[("class", "parked")], |n| n == 5.0).await;
    when(&world, OLDEST, &[("class", "retry")], |age| (600.0..1_200.0).contains(&age)).await;
    when(&world, OLDEST, &[("class", "live")], |age| age == 0.0).await;

    promise(&world, 150_000, 0, 60).await;
    promise(&world, 1, 1, -30).await;
    sqlx::query("analyze relay.outbox").execute(world.sql()).await.expect("the tests' role may");
    let near = |n: f64| (120_000.0..180_000.0).contains(&n);
    when(&world, DEPTH, &[("class", "live")], near).await;
    // Far behind in the index, and found all the same.
    when(&world, OLDEST, &[("class", "retry")], |age| (1_800.0..2_400.0).contains(&age)).await;
}

/// Whoever keeps dead rows from being cleared away is told by what they are.
#[tokio::test]
async fn a_snapshot_that_is_held_is_told_with_its_holder() {
    const OLDEST: &str = "relay_postgres_oldest_snapshot_seconds";
    let world = World::start().await;
    let mut session = PgConnection::connect(&world.database_url()).await.expect("it answers");
    let mut held = session.begin().await.expect("it begins");
    sqlx::query("select txid_current()").execute(&mut *held).await.expect("it has a number");
    when(&world, OLDEST, &[("holder", "client")], |age| age > 3.0).await;
    // The same, seen from another database: what it writes holds up what is cleared away here.
    let mut elsewhere = Url::parse(&world.database_url()).expect("it is a URL");
    elsewhere.set_path("postgres");
    let mut other = PgConnection::connect(elsewhere.as_str()).await.expect("it answers");
    let mut writing = other.begin().await.expect("it begins");
    sqlx::query("select txid_current()").execute(&mut *writing).await.expect("it has a number");
    when(&world, OLDEST, &[("holder", "other_database")], |age| age > 1.0).await;
    held.rollback().await.expect("it ends");
    writing.rollback().await.expect("it ends");
    when(&world, OLDEST, &[("holder", "client")], |age| age < 3.0).await;
}

/// A database that does not answer is told of by every process, and after a while nothing of what was read
/// before. What is told again afterwards is what is there then.
#[tokio::test]
async fn a_database_that_is_away_is_told_and_what_was_read_before_grows_old() {
    let world = World::builder().through_proxy().start().await;
    let up = "relay_database_up";
    when(&world, "relay_outbox_deliveries", &[("class", "live")], |n| n == 0.0).await;
    world.proxy().set(Flow::Frozen);
    for process in [&world.apis[0], &world.workers[0]] {
        wait_until("the silence to be told", 2 * LONG, || async {
            (Scrape::of(process).await.value(up, &[]) == Some(0.0)).then_some(())
        })
        .await;
    }
    wait_until("what was read to grow old", Duration::from_secs(120), || async {
        let scrape = Scrape::of(&world.workers[0]).await;
        let depth = scrape.value("relay_outbox_deliveries", &[("class", "live")]);
        depth.filter(|depth| depth.is_nan())
    })
    .await;
    world.proxy().set(Flow::Open);
    when(&world, up, &[], |up| up == 1.0).await;
    when(&world, "relay_outbox_deliveries", &[("class", "live")], |n| n == 0.0).await;
}
