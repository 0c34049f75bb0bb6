//! The second wall: what Postgres itself shows a request, whatever its query forgets to ask.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use engine::{
    Engine, EngineConfig, connection,
    db::{Db, PoolSizes},
    egress::EgressPolicy,
    http::{HttpClient, system_lookup},
    secret::{KeyRing, Secret},
    walls,
};
use reqwest::Method;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tests::{World, event};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Ids, inhabited};

/// Every table of the schema that has an organization in its rows; days are left out.
const OF_ORGANIZATIONS: &str = "select c.relname::text from pg_class c
     join pg_attribute a on a.attrelid = c.oid and a.attname = 'organization_id'
     where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p')
       and c.relname !~ '_[0-9]{8}$' order by 1";

async fn names(session: &mut PgConnection, statement: &'static str) -> Vec<String> {
    sqlx::query_scalar(statement).fetch_all(session).await.expect("the database answers")
}

async fn organizations_in(session: &mut PgConnection, table: &str) -> BTreeSet<Uuid> {
    let statement = format!("select distinct organization_id from relay.{table}");
    let found = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(session).await;
    found.unwrap_or_else(|error| panic!("{table}: {error}")).into_iter().collect()
}

/// Two organizations with rows in every table: what the world does not make by itself is put there.
async fn two(world: &World) -> [Ids; 2] {
    let both = [inhabited(world).await, inhabited(world).await];
    world.workers[0].kill9();
    for ids in &both {
        for statement in [
            "insert into relay.tickets (connection_id, ticket_key, organization_id, subject)
             values ($2, $3, $1, 'a')",
            "insert into relay.ticket_turns (connection_id, ticket_key, delivery_id, organization_id)
             values ($2, $3, $3, $1)",
            "insert into relay.oauth_states (state_hash, organization_id, user_id, provider, redirect_uri, expires_at)
             values (sha256(uuid_send($2)), $1, $3, 'slack', 'x', now() + interval '1 hour')",
            "insert into relay.connection_health (connection_id, organization_id, shard)
             values ($2, $1, relay.shard_of($3)) on conflict do nothing",
            "insert into relay.connection_hours (connection_id, hour, organization_id, requests, failed,
                 delivered, dead, skipped, cancelled, expired, parked, latency)
             values ($3, date_trunc('hour', now(), 'UTC'), $1, 0, 0, 0, 0, 0, 0, 0, 0, '{}')",
            "insert into relay.erasures (id, organization_id, scope, step, position, actor, reason, finished_at)
             values ($3, $1, 'organization', 'x', $3, 'somebody', $2::text, now())",
            "insert into relay.outbox (organization_id, delivery_id, connection_id, event_id, shard)
             values ($1, $3, $2, $3, 0)",
        ] {
            let made = sqlx::query(statement).bind(ids.org).bind(ids.connection).bind(Uuid::now_v7());
            made.execute(world.sql()).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        sqlx::query("insert into relay.replay_arrivals values ($1, 1)")
            .bind(ids.replay)
            .execute(world.sql())
            .await
            .expect("it can be put there");
    }
    both
}

/// B40d: a query without any `where` finds one organization's rows, and without an organization none; what is
/// another's can be neither changed nor taken nor given.
#[tokio::test]
async fn b40d_a_query_that_forgets_to_ask_sees_one_organization() {
    let world = World::builder().walled().start().await;
    let [one, other] = two(&world).await;
    let mut owner = world.sql().acquire().await.expect("the database answers");
    let (mut as_one, mut as_nobody) =
        (world.as_request(Some(one.org)).await, world.as_request(None).await);
    let tables = names(&mut owner, OF_ORGANIZATIONS).await;
    assert!(tables.len() >= 18, "{tables:?}");
    for table in &tables {
        if !table.ends_with("_default") {
            let all = organizations_in(&mut owner, table).await;
            let both = all.contains(&one.org) && all.contains(&other.org);
            assert!(both, "{table} has rows of {all:?}: put some there for both");
            assert_eq!(organizations_in(&mut as_one, table).await, [one.org].into(), "{table}");
        }
        assert_eq!(organizations_in(&mut as_nobody, table).await, [].into(), "{table}");
        for (statement, refused) in [
            (format!("insert into relay.{table} select * from relay.{table} where false"), false),
            (format!("update relay.{table} set organization_id = '{}'", other.org), true),
            (format!("truncate relay.{table}"), true),
        ] {
            let mut tx = as_one.begin().await.expect("a transaction");
            let done = sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut *tx).await;
            // A default partition is empty: there is nothing in it that could be given away.
            let is_empty = table.ends_with("_default") && statement.starts_with("update");
            assert_eq!(done.is_err(), refused && !is_empty, "{statement}: {done:?}");
            tx.rollback().await.expect("it ends");
        }
    }
    // What has an organization only by another table, and the views for people.
    for (session, replays, deliveries) in
        [(&mut as_one, vec![one.replay], vec![one.org]), (&mut as_nobody, vec![], vec![])]
    {
        let found: Vec<Uuid> =
            sqlx::query_scalar("select distinct replay_id from relay.replay_arrivals")
                .fetch_all(&mut *session)
                .await
                .expect("it may be read");
        assert_eq!(found, replays);
        let found = organizations_in(session, "deliveries").await;
        assert_eq!(found, deliveries.into_iter().collect());
    }
    // Taking out everything takes out what is one's own.
    let mut tx = as_one.begin().await.expect("a transaction");
    let own = "select count(*) from relay.outbox where organization_id = $1";
    let count: i64 =
        sqlx::query_scalar(own).bind(one.org).fetch_one(world.sql()).await.expect("a count");
    let gone = sqlx::query("delete from relay.outbox").execute(&mut *tx).await.expect("it may");
    assert!(count > 0 && gone.rows_affected() == count as u64, "{count} {gone:?}");
    tx.rollback().await.expect("it ends");
}

/// Nothing is open to a request but what has a wall, and what is nobody's: a table that is added later has
/// a wall of its own after `relay migrate`, or is closed.
#[tokio::test]
async fn b40d_a_request_may_touch_nothing_that_has_no_wall() {
    let world = World::builder().api(0).workers(0).walled().start().await;
    sqlx::query("create table relay.later (organization_id uuid not null)")
        .execute(world.sql())
        .await
        .expect("a table is added");
    sqlx::query("create table relay.later_still (note text)")
        .execute(world.sql())
        .await
        .expect("a table is added");
    sqlx::query("select relay.tend_walls(), relay.tend_walls()")
        .execute(world.sql())
        .await
        .expect("as relay migrate does");
    let mut session = world.as_request(None).await;
    let without_wall = names(
        &mut session,
        "select c.relname::text from pg_class c
         where c.relnamespace = 'relay'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
           and has_table_privilege(c.oid, 'select, insert, update, delete, truncate, trigger')
           and not (c.relrowsecurity and exists (select from pg_policy p where p.polrelid = c.oid
                and pg_has_role(p.polroles[1], 'usage')))
         order by 1",
    )
    .await;
    assert_eq!(without_wall, ["deliveries", "kind_aliases", "statistics_watermark"]);
    let walled = names(
        &mut session,
        "select c.relname::text from pg_class c
         where c.relnamespace = 'relay'::regnamespace and c.relrowsecurity order by 1",
    )
    .await;
    let tables = names(&mut session, OF_ORGANIZATIONS).await;
    assert!(tables.iter().all(|table| walled.contains(table)), "{tables:?} {walled:?}");
    assert!(walled.contains(&"later".to_owned()));
    // Days are reached through their parents alone.
    let open_days = names(
        &mut session,
        "select c.relname::text from pg_class c
         where c.relnamespace = 'relay'::regnamespace and c.relname ~ '_[0-9]{8}$'
           and has_table_privilege(c.oid, 'select, insert, update, delete')",
    )
    .await;
    assert!(open_days.is_empty(), "{open_days:?}");
    let run = names(
        &mut session,
        "select p.proname::text from pg_proc p
         where p.pronamespace = 'relay'::regnamespace and p.prosecdef
           and has_function_privilege(p.oid, 'execute') order by 1",
    )
    .await;
    assert_eq!(run, ["append_events", "is_shared"], "with the owner's rights");
}

async fn sees(engine: &Engine, ids: &Ids) -> bool {
    let found = connection::find(engine, ids.org.into(), ids.connection.into()).await;
    found.expect("the database answers").is_some()
}

/// The engine's own questions go through the wall: asked by a request of one organization, what is the
/// other's is not there, even though the question names the other.
#[tokio::test]
async fn b40d_the_engine_asks_from_behind_the_wall() {
    let world = World::builder().walled().start().await;
    let [one, other] = [inhabited(&world).await, inhabited(&world).await];
    let url = Secret::new(world.process_url());
    let db = Db::connect(&url, PoolSizes { api: 2, ingest: 1, work: 1 }).await;
    let http = HttpClient::new(Arc::new(EgressPolicy::default()), system_lookup(), None);
    let keys = KeyRing::new(&STANDARD.encode([7; 32]).into(), []).expect("a key");
    let (db, http) = (db.expect("a database"), http.expect("a client"));
    let engine = Engine::new(db, keys, http, EngineConfig::default());
    Box::pin(walls::request(async {
        assert!(!sees(&engine, &one).await && !sees(&engine, &other).await, "nobody asked yet");
        walls::narrow_to(one.org.into());
        assert!(sees(&engine, &one).await && !sees(&engine, &other).await);
        assert!(walls::beyond(sees(&engine, &other)).await, "one question past the wall");
        assert!(!sees(&engine, &other).await);
    }))
    .await;
    assert!(
        sees(&engine, &one).await && sees(&engine, &other).await,
        "what runs for no request sees everything"
    );
    // Many at one time, over fewer connections: nobody is given what another one was shown.
    let both = [Arc::new(one), Arc::new(other)];
    let mut asking = JoinSet::new();
    for turn in 0..64 {
        let (own, foreign) = (both[turn % 2].clone(), both[(turn + 1) % 2].clone());
        let engine = engine.clone();
        asking.spawn(walls::request(async move {
            walls::narrow_to(own.org.into());
            (sees(&engine, &own).await, sees(&engine, &foreign).await)
        }));
    }
    for seen in asking.join_all().await {
        assert_eq!(seen, (true, false));
    }
    engine.close().await;
}

/// With roles that own nothing everything works: recording, delivering, making and dropping days; and the
/// owner takes the walls down and builds them again.
#[tokio::test]
async fn processes_that_own_nothing_do_all_their_work() {
    let world = World::builder().walled().start().await;
    let ids = inhabited(&world).await;
    let owned: i64 = sqlx::query_scalar(
        "select count(*) from pg_class c where c.relnamespace = 'relay'::regnamespace
           and pg_get_userbyid(c.relowner) = any(
               select usename from pg_stat_activity
               where datname = current_database() and application_name = 'relay')",
    )
    .fetch_one(world.sql())
    .await
    .expect("a count");
    assert_eq!(owned, 0, "the processes are logged in as somebody who owns nothing");
    let (status, told) = world.run("doctor", &["doctor", "--offline"]).await;
    assert!(status.success(), "{told}");
    let mut process = PgConnection::connect(&world.process_url()).await.expect("a login");
    for statement in [
        "select relay.ensure_partitions(5)",
        "select relay.drop_old_partitions(interval '30 days')",
    ] {
        sqlx::query(statement).execute(&mut process).await.expect("it may ask for that");
    }
    for statement in ["drop table relay.outbox", "select relay.take_walls_down()"] {
        sqlx::query(statement).execute(&mut process).await.expect_err("only the owner may");
    }
    let path = format!("/api/organizations/{}/connections/{}", ids.org, ids.connection);
    for statement in ["select relay.take_walls_down()", "select relay.tend_walls()"] {
        sqlx::query(statement).execute(world.sql()).await.expect("the owner may");
        world.relay.admin(ids.org, Method::GET, &path, None).await.expect(200);
        world.relay.emit(&event(ids.org, "a.b", json!({}))).await;
    }
}
