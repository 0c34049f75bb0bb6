//! An erasure that is killed in the middle; and what the log allows it.

use std::process::Stdio;

use tests::{LONG, World, new_id, wait_until};

use super::{CANARY, KEY, dump};
use crate::command;

/// Killed in the middle, it goes on where it was when it is asked for again; two at once do each thing
/// once. It commits in batches, so that nobody waits for all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_killed_goes_on_where_it_was() {
    const EVENTS: i64 = 12_000;
    let world = World::builder().api(0).workers(0).env("RELAY_ENCRYPTION_KEY", KEY).start().await;
    let org = new_id();
    sqlx::query(
        "insert into relay.event_log_product (
             id, category, organization_id, kind, payload, occurred_at)
         select relay.uuid7_at(relay.uuid7_ticks() + n), 'product', $1, 'a.b',
                json_build_object('text', repeat($2, 20), 'n', n), now()
         from generate_series(1, $3::bigint) n",
    )
    .bind(org)
    .bind(CANARY)
    .bind(EVENTS)
    .execute(world.sql())
    .await
    .expect("the tests' role may");
    let (organization, database) = (org.to_string(), world.database_url());
    let arguments = ["erase", "--organization", &organization, "--reason", "ended", "--json"];
    let environment = [("DATABASE_URL", database.as_str()), ("RELAY_ENCRYPTION_KEY", KEY)];
    let erased = || async {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from relay.event_log where organization_id = $1 and erased_at is not null",
        )
        .bind(org)
        .fetch_one(world.sql())
        .await
        .expect("the database answers")
    };
    // It waits for this row, in the middle of the events, so that it is surely killed there.
    let mut held = world.sql().begin().await.expect("the database answers");
    sqlx::query(
        "select id from relay.event_log where id = (
             select id from relay.event_log where organization_id = $1 order by id offset 5500 limit 1)
         for update",
    )
    .bind(org)
    .fetch_one(&mut *held)
    .await
    .expect("it is there");
    let mut child = tokio::process::Command::new(command::binary())
        .args(arguments)
        .env_clear()
        .envs(environment)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary can be run");
    wait_until("some batches to be committed", LONG, || async {
        (erased().await == 5_000).then_some(())
    })
    .await;
    child.kill().await.expect("it is ours");
    held.rollback().await.expect("the database answers");
    assert_eq!(erased().await, 5_000, "whole batches, and no more than those");

    let (one, two) = tokio::join!(
        command::relay(&arguments, &environment),
        command::relay(&arguments, &environment)
    );
    assert_eq!((one.code, two.code), (Some(0), Some(0)), "{one:?} {two:?}");
    assert_eq!(erased().await, EVENTS);
    let (jobs, finished, events): (i64, i64, i64) = sqlx::query_as(
        "select count(*), count(finished_at), coalesce(sum((counts ->> 'events')::bigint), 0)::bigint
         from relay.erasures",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(finished, jobs, "nothing is under way any longer");
    assert_eq!(events, EVENTS, "each event was counted once, whoever erased it");
    let forgotten: bool = sqlx::query_scalar(
        "select bool_and(salt is null and subject_hash is null) from relay.erasures",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert!(forgotten);
    assert!(!dump(&world).await.contains(CANARY));
}

/// The log stays append-only: a row of it says less only where somebody says that they erase, and even
/// then nothing else of it changes.
#[tokio::test]
async fn i48_the_log_lets_nothing_but_an_erasure_change_a_row_and_that_only_to_say_less() {
    let world = World::builder().api(0).workers(0).start().await;
    let org = new_id();
    sqlx::query(
        "insert into relay.event_log_product (id, category, organization_id, kind, payload, occurred_at)
         values (relay.uuid7(), 'product', $1, 'a.b', '{}', now())",
    )
    .bind(org)
    .execute(world.sql())
    .await
    .expect("the tests' role may");
    for (erases, change, is_refused) in [
        ("off", "set payload = '{\"a\":1}'", true),
        ("off", "set erased_at = now()", true),
        ("on", "set kind = 'c.d'", true),
        ("on", "set organization_id = gen_random_uuid()", true),
        ("on", "set occurred_at = now()", true),
        ("on", "set payload = '{}', subject = null, erased_at = now()", false),
    ] {
        let mut tx = world.sql().begin().await.expect("the database answers");
        sqlx::query("select set_config('relay.erasing', $1, true)")
            .bind(erases)
            .execute(&mut *tx)
            .await
            .expect("anybody may");
        let text = format!("update relay.event_log {change} where organization_id = $1");
        let done = sqlx::query(sqlx::AssertSqlSafe(text)).bind(org).execute(&mut *tx).await;
        assert_eq!(done.is_err(), is_refused, "{erases}: {change}: {done:?}");
    }
    let deleted = sqlx::query("delete from relay.event_log where organization_id = $1")
        .bind(org)
        .execute(world.sql())
        .await;
    assert!(deleted.is_err(), "no row goes");
}
