//! `relay doctor` against real databases with something wrong with them: what it finds, and its advice.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tests::{Process, World, new_id};

use crate::command::{self, Finished};
use crate::delivery::found;

const KEY: &str = "b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xkLW9sZC0=";

async fn execute(world: &World, statement: &str) {
    let statement = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statement).execute(world.sql()).await.expect("a superuser may");
}

/// A database without processes.
async fn still() -> World {
    World::builder().api(0).workers(0).start().await
}

async fn ask(url: &str, more: &[(&str, &str)]) -> Finished {
    let own = [("DATABASE_URL", url), ("RELAY_ENCRYPTION_KEY", KEY)];
    command::relay(&["doctor", "--json"], &[&own[..], more].concat()).await
}

/// The finding of that name; those about a provider may be several.
fn of(finished: &Finished, what: &str) -> Value {
    let lines = finished.json_lines();
    let found = lines.iter().rfind(|line| line["what"] == what);
    found.unwrap_or_else(|| panic!("{what}: {finished:?}")).clone()
}

#[track_caller]
fn assert_found(finished: &Finished, what: &str, level: &str, says: &str) {
    let finding = of(finished, what);
    assert_eq!(finding["level"], level, "{finding}");
    assert_eq!(finding["good"], json!(level != "bad"), "{finding}");
    assert!(finding["detail"].as_str().is_some_and(|text| text.contains(says)), "{finding}");
    assert_eq!(finding["advice"].is_string(), level != "ok", "{finding}");
    let bad = finished.json_lines().iter().any(|line| line["level"] == "bad");
    assert_eq!(finished.code, Some(i32::from(bad)), "{finished:?}");
}

/// What the server says of itself, said otherwise: functions that stand before Postgres' own.
async fn pretend(world: &World, functions: &str) {
    execute(world, "create schema if not exists pretended").await;
    execute(world, functions).await;
    execute(
        world,
        "do $$ begin execute format('alter database %I set search_path = pretended, pg_catalog, public',
                                    current_database()); end $$",
    )
    .await;
}

#[tokio::test]
async fn the_doctor_finds_a_clock_that_is_off_and_a_server_too_old() {
    let world = still().await;
    let url = world.database_url();
    let well = ask(&url, &[]).await;
    for what in ["clocks", "database", "pooling", "privileges", "snapshots", "statistics"] {
        assert_found(&well, what, "ok", "");
    }
    pretend(
        &world,
        "create function pretended.clock_timestamp() returns timestamptz language sql as
             $$ select pg_catalog.clock_timestamp() + interval '1 hour' $$;
         create function pretended.current_setting(name text) returns text language sql as
             $$ select case name when 'server_version_num' then '140012'
                            when 'full_page_writes' then 'off'
                            else pg_catalog.current_setting(name) end $$;
         create sequence pretended.sessions;
         create function pretended.pg_backend_pid() returns integer language sql as
             $$ select nextval('pretended.sessions')::integer $$;",
    )
    .await;
    let ill = ask(&url, &[]).await;
    assert_found(&ill, "clocks", "bad", "+3600");
    assert_found(&ill, "database", "bad", "too old");
    assert_found(&ill, "durability", "warn", "full_page_writes is off");
    assert_found(&ill, "pooling", "bad", "another session");
}

/// Two hours after the last sign of a worker, with a transaction that somebody forgot.
#[tokio::test]
async fn the_doctor_finds_what_nobody_has_done_for_hours_and_who_holds_a_snapshot() {
    let world = World::builder().workers(0).start().await;
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    world.relay.emit(&found(org, "one")).await;
    let mut forgotten = world.sql().begin().await.expect("a transaction");
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *forgotten)
        .await
        .expect("it was just begun");
    sqlx::query("select count(*) from relay.outbox")
        .execute(&mut *forgotten)
        .await
        .expect("the database answers");
    let url = world.database_url();
    pretend(
        &world,
        "create function pretended.now() returns timestamptz language sql stable as
             $$ select pg_catalog.now() + interval '2 hours' $$;",
    )
    .await;
    let late = ask(&url, &[]).await;
    assert_found(&late, "outbox", "bad", "has been due for 7");
    assert_found(&late, "statistics", "warn", "nobody counts");
    assert_found(&late, "snapshots", "bad", "(tests, idle in transaction)");
    forgotten.rollback().await.expect("it is open");
    execute(
        &world,
        "create or replace function pretended.now() returns timestamptz language sql stable as
             $$ select pg_catalog.now() + interval '3 days' $$;",
    )
    .await;
    assert_found(&ask(&url, &[]).await, "partitions", "bad", "tomorrow has none");
    // The processes' own sessions must not see this clock when they open more.
    world.apis.iter().for_each(Process::kill9);
}

#[tokio::test]
async fn the_doctor_names_each_privilege_that_is_lacking() {
    let world = still().await;
    let role = format!("clerk_{}", new_id().simple());
    execute(&world, &format!("create role {role} login password 'clerk'")).await;
    let mut url = url::Url::parse(&world.database_url()).expect("a URL");
    url.set_username(&role).expect("it has a host");
    url.set_password(Some("clerk")).expect("it has a host");
    let stranger = ask(url.as_str(), &[]).await;
    assert_found(&stranger, "privileges", "bad", "usage on schema relay, create on schema relay");
    assert_found(&stranger, "privileges", "bad", "ownership of relay.");
    // One that owns everything, and may not read the core's tables.
    execute(
        &world,
        &format!(
            "create table public.organization_members (); create table public.teams ();
             grant select on public.teams to {role};
             do $$ declare owned record; begin
                 execute 'grant usage, create on schema relay to {role}';
                 for owned in select c.oid::regclass as name from pg_class c
                     where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p', 'v') loop
                     execute format('alter table %s owner to {role}', owned.name);
                 end loop;
                 for owned in select c.oid::regclass as name from pg_class c
                     where c.relnamespace = 'relay'::regnamespace and c.relkind = 'S'
                       and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'i') loop
                     execute format('alter sequence %s owner to {role}', owned.name);
                 end loop;
             end $$"
        ),
    )
    .await;
    let owner = ask(url.as_str(), &[]).await;
    assert_found(&owner, "privileges", "ok", "all");
    assert_found(&owner, "snapshots", "ok", "pg_read_all_stats");
    let reader = ask(url.as_str(), &[("RELAY_MEMBERSHIP", "postgres")]).await;
    let says = "lacking: select on public.organization_members, \
                select on public.organization_roles, select on public.projects";
    assert_found(&reader, "privileges", "bad", says);
    execute(&world, &format!("drop owned by {role} cascade; drop role {role}")).await;
}

#[tokio::test]
async fn the_doctor_asks_the_providers_that_are_set_up_unless_told_not_to() {
    let world = World::builder().api(0).workers(0).providers().start().await;
    let url = world.database_url();
    let settings = world.mocks().settings();
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let well = ask(&url, &settings).await;
    assert_found(&well, "Slack", "ok", "answers (");
    let closed = tests::ClosedPort::take();
    let closed = format!("http://127.0.0.1:{}", closed.port);
    let moved = [&settings[..], &[("RELAY_SLACK_URL", closed.as_str())]].concat();
    let away = ask(&url, &moved).await;
    assert_found(&away, "Slack", "bad", "cannot be reached: connect");
    let advice = of(&away, "Slack")["advice"].as_str().unwrap_or_default().to_owned();
    assert!(advice.contains("RELAY_SLACK_URL"), "{advice}");
    let own = [("DATABASE_URL", url.as_str()), ("RELAY_ENCRYPTION_KEY", KEY)];
    let offline =
        command::relay(&["doctor", "--offline", "--json"], &[&own[..], &moved].concat()).await;
    assert_found(&offline, "Slack", "ok", "set up");
}

#[tokio::test]
async fn the_doctor_says_what_to_do_about_a_database_that_is_away_and_about_addresses() {
    let world = still().await;
    let url = world.database_url();
    assert_found(&ask(&url, &[]).await, "addresses", "warn", "localhost");
    let wrong = [("RELAY_LEASE", "hunter2")];
    assert_found(&ask(&url, &wrong).await, "settings", "bad", "RELAY_LEASE");
    let mut nowhere = url::Url::parse(&url).expect("a URL");
    nowhere.set_path("nobody_made_this");
    let away = ask(nowhere.as_str(), &[]).await;
    assert_found(&away, "database", "bad", "nobody_made_this");
    let text = command::relay(&["doctor"], &[("DATABASE_URL", nowhere.as_str())]).await.stdout;
    assert!(text.contains("BAD  database") && text.contains("pg_hba.conf"), "{text}");
}
