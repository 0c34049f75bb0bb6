//! Backups that are brought back, as docs/backup-and-erasure.md says: what was promised then arrives, what
//! was under way then may come twice, and nobody goes on from a place in another database.

mod cluster;

use std::time::Instant;

use reqwest::Response;
use serde_json::{Value, json};
use tests::{Answer, LONG, Ledger, World, WorldBuilder, event, new_id, wait_until};
use url::Url;
use uuid::Uuid;

use self::cluster::Cluster;
use super::{command, erasure::program};

/// Before the backup, all of which has arrived by then.
const MANY: usize = 60;
/// At the receiver while the backup is made: no more go there at once.
const UNDER_WAY: usize = 5;
/// Promised then, and not yet sent.
const WAITING: usize = 25;
const PATHS: [&str; 1] = ["/hook"];

/// Somebody who watches an organization.
struct Watching {
    response: Response,
    text: String,
}

impl Watching {
    async fn begin(world: &World, org: Uuid, last_id: Option<&str>) -> Self {
        let path = format!("/api/organizations/{org}/live");
        let mut request = world
            .relay
            .request(reqwest::Method::GET, &path)
            .bearer_auth(world.relay.admin_token(org));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("the API answers");
        assert_eq!(response.status(), 200);
        Self { response, text: String::new() }
    }

    /// What stands behind the first line that begins so.
    async fn first(&mut self, begins: &str) -> String {
        loop {
            // The last line may not be whole yet.
            let whole = self.text.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(found) = whole.lines().find_map(|line| line.strip_prefix(begins)) {
                return found.to_owned();
            }
            let chunk = tokio::time::timeout(LONG, self.response.chunk()).await;
            let chunk = chunk.expect("something comes soon").expect("it goes on");
            self.text.push_str(&String::from_utf8_lossy(&chunk.expect("it goes on")));
        }
    }
}

/// A place to go on from, as a watcher keeps it.
async fn place(world: &World, org: Uuid) -> String {
    Watching::begin(world, org, None).await.first("id: ").await
}

/// Whoever comes with a place of another database is told to look anew, and nothing is passed over: also
/// where this database's own numbers have gone past that place.
async fn refuses(world: &World, org: Uuid, id: &str) {
    let (database, rest) = id.split_once('-').expect("a place names its database");
    let far =
        "do $$ begin for n in 1..2000 loop perform pg_current_xact_id(); commit; end loop; end $$";
    sqlx::raw_sql(far).execute(world.sql()).await.expect("it is a superuser");
    let told = Watching::begin(world, org, Some(id)).await.first("event: ").await;
    assert_eq!(told, "lagged", "a place of the database before: {id}");
    let own = place(world, org).await;
    let (own_database, _) = own.split_once('-').expect("a place names its database");
    assert_ne!(own_database, database, "{own} {rest}");
}

fn found(org: Uuid, marker: &str) -> Value {
    event(org, "vulnerability.found", json!({ "marker": marker }))
}

async fn emit(world: &World, ledger: &Ledger, org: Uuid, name: &str, count: usize, is_kept: bool) {
    let events: Vec<Value> = (0..count)
        .map(|n| {
            let marker = format!("{name}-{n}");
            if is_kept {
                ledger.acknowledged(&marker)
            } else {
                ledger.sending(&marker)
            }
            found(org, &marker)
        })
        .collect();
    world.relay.emit_batch(&events).await;
}

/// Deliveries that the database holds as arrived.
async fn delivered(world: &World, org: Uuid) -> i64 {
    sqlx::query_scalar(
        "select count(*) from relay.attempts where organization_id = $1 and settlement = 'delivered'",
    )
    .bind(org)
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}

async fn settled(world: &World, org: Uuid, count: usize) {
    wait_until("deliveries to be settled", LONG, || async {
        (delivered(world, org).await >= count as i64).then_some(())
    })
    .await;
}

fn few_at_once() -> WorldBuilder {
    World::builder().env("RELAY_CONNECTION_CONCURRENCY", &UNDER_WAY.to_string())
}

/// An organization to which something has arrived.
async fn furnished(world: &World, ledger: &Ledger) -> Uuid {
    let org = new_id();
    world.relay.create_custom(org, &world.receiver.url("/hook")).await;
    emit(world, ledger, org, "before", MANY, true).await;
    settled(world, org, MANY).await;
    org
}

/// More is promised than goes at once, and what goes is answered by nobody. `so_far` were sent before.
async fn crowd(world: &World, ledger: &Ledger, org: Uuid, so_far: usize) {
    world.receiver.answer("/hook", [Answer::ok().held()]);
    emit(world, ledger, org, "under-way", UNDER_WAY + WAITING, true).await;
    world.receiver.wait_for("/hook", so_far + UNDER_WAY).await;
}

/// What comes after the moment of the backup: workers die, and more is acknowledged, which will be gone.
async fn lose(world: &World, ledger: &Ledger, org: Uuid) {
    for process in &world.workers {
        process.kill9();
    }
    world.receiver.release();
    emit(world, ledger, org, "after", MANY, false).await;
    for process in &world.apis {
        process.kill9();
    }
}

async fn begin_again(world: &World) {
    for process in world.apis.iter().chain(&world.workers) {
        process.restart();
    }
    world.wait_ready().await;
    world.run_until_idle().await;
}

async fn projection_is_whole(world: &World) {
    let url = world.database_url();
    let check = ["projection", "check", "--json"];
    let check = command::relay(&check, &[("DATABASE_URL", &url)]).await.good().json();
    assert_eq!((&check["different"], &check["unknown"]), (&json!([]), &json!(0)), "{check}");
}

/// A dump that is taken under load and read into an empty database: what it holds as promised arrives,
/// what it holds as arrived does not come again, and only what was being sent comes twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_that_is_read_back_resumes_and_doubles_only_what_was_under_way() {
    let world = few_at_once().start().await;
    let ledger = Ledger::default();
    let org = furnished(&world, &ledger).await;
    let id = place(&world, org).await;
    crowd(&world, &ledger, org, MANY).await;

    let backup = std::env::temp_dir().join(format!("relay-dump-{:08x}", rand::random::<u32>()));
    let file = backup.to_str().expect("we wrote it").to_owned();
    let url = world.database_url();
    let (pg_dump, pg_restore) =
        (program(&world, "pg_dump").await, program(&world, "pg_restore").await);
    let dump = ["--format=custom", "--file", &file, "--dbname", &url];
    command::run(&pg_dump, &dump, &[], None).await.good();
    lose(&world, &ledger, org).await;
    let lost_at = Instant::now();
    make_anew(&url).await;
    let restore = ["--exit-on-error", "--dbname", &url, &file];
    command::run(&pg_restore, &restore, &[], None).await.good();
    std::fs::remove_file(backup).expect("it was written");
    begin_again(&world).await;

    ledger
        .tally(&world.receiver, &PATHS)
        .outcome("Backup", "A dump taken under load is read into an empty database")
        .recovered(lost_at.elapsed())
        .kept(UNDER_WAY);
    is_as_documented(&world, org, &id).await;
}

/// What was acknowledged later is gone, the connections are whole, and nobody goes on from before.
async fn is_as_documented(world: &World, org: Uuid, id: &str) {
    let after: i64 = sqlx::query_scalar(
        "select count(*) from relay.event_log where payload ->> 'marker' like 'after-%'",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers");
    assert_eq!(after, 0);
    projection_is_whole(world).await;
    refuses(world, org, id).await;
}

/// Drops a database and makes it anew, empty.
async fn make_anew(url: &str) {
    let mut server = Url::parse(url).expect("it is one");
    let name = server.path().trim_start_matches('/').to_owned();
    server.set_path("/postgres");
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(server.as_str())
        .await
        .expect("every cluster has this database");
    for statement in
        [format!("drop database {name} with (force)"), format!("create database {name}")]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .expect("a superuser may");
    }
}

/// A cluster is lost and brought back to a moment by its base backup and its archived log. What was
/// acknowledged until then arrives, and only what was being sent at that moment comes twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_brought_back_to_a_moment_resumes_and_doubles_only_what_was_under_way() {
    let programs = {
        let world = World::builder().bare().await;
        program(&world, "").await
    };
    let mut cluster = Cluster::start(programs).await;
    let world = few_at_once().on_server(&cluster.url()).start().await;
    let ledger = Ledger::default();
    let org = furnished(&world, &ledger).await;
    cluster.base_backup("second");
    // What only the archived log has.
    emit(&world, &ledger, org, "archived", MANY, true).await;
    settled(&world, org, 2 * MANY).await;
    let id = place(&world, org).await;
    crowd(&world, &ledger, org, 2 * MANY).await;
    sqlx::query("select pg_create_restore_point('before_the_mistake')")
        .execute(world.sql())
        .await
        .expect("it is a superuser");
    lose(&world, &ledger, org).await;
    let lost_at = Instant::now();
    cluster.lose().await;
    cluster.restore_to("second", "before_the_mistake").await;
    begin_again(&world).await;

    ledger
        .tally(&world.receiver, &PATHS)
        .outcome("Backup", "A cluster is brought back to a moment by base backup and archived log")
        .recovered(lost_at.elapsed())
        .kept(UNDER_WAY);
    is_as_documented(&world, org, &id).await;
    drop(world);
}
