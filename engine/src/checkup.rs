//! What an operator's check-up looks at in the database and at the providers. Tells what it found: the
//! command judges it.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use sqlx::{Row as _, postgres::PgRow};
use url::Url;

use crate::{
    clock,
    db::DbError,
    engine::Engine,
    http::Route,
    provider::{Call, Provider},
    statistics,
};

/// How long a provider may take to answer.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// What is read of its answer: that there is one is enough.
const REACH_BYTES: usize = 1024;
/// The core's tables that are read where membership comes from them.
const CORE_TABLES: &[&str] = &["organization_members", "organization_roles", "teams", "projects"];

/// The server, and how it keeps what it was told.
#[derive(Clone, Debug)]
pub struct Server {
    /// As it says it itself.
    pub version: String,
    /// The same as a number: 150004 is 15.4.
    pub version_number: i32,
    /// Whether what was written reaches the disk.
    pub fsync: bool,
    /// Whether pages torn by a crash can be mended.
    pub full_page_writes: bool,
    /// What a commit waits for, in the sessions that commit events.
    pub synchronous_commit: String,
    /// Whether it is a standby, which takes no writes.
    pub is_standby: bool,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead: TimeDelta,
    /// How long asking it took: what the clocks' difference may be wrong by.
    pub round_trip: TimeDelta,
}

/// Looks at the server.
pub async fn server(engine: &Engine) -> Result<Server, DbError> {
    // Opens the connection first, so that the round trip is that of one question.
    sqlx::query("select 1").execute(&engine.db.ingest).await?;
    let asked_at = clock::now();
    let database_clock: clock::Timestamp =
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&engine.db.ingest).await?;
    let round_trip = clock::now() - asked_at;
    let row = sqlx::query(
        "select current_setting('server_version') as version,
                current_setting('server_version_num')::integer as version_number,
                current_setting('fsync')::boolean as fsync,
                current_setting('full_page_writes')::boolean as full_page_writes,
                current_setting('synchronous_commit') as synchronous_commit,
                pg_is_in_recovery() as is_standby",
    )
    .fetch_one(&engine.db.ingest)
    .await?;
    Ok(Server {
        version: row.try_get("version")?,
        version_number: row.try_get("version_number")?,
        fsync: row.try_get("fsync")?,
        full_page_writes: row.try_get("full_page_writes")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        is_standby: row.try_get("is_standby")?,
        clock_ahead: database_clock - (asked_at + round_trip / 2),
        round_trip,
    })
}

/// The privileges that this role lacks, as a `grant` would name them: it owns everything, or was admitted
/// (`relay.admit`). Those on the core's tables count only where membership is read from them.
pub async fn lacking(engine: &Engine, reads_core: bool) -> Result<Vec<String>, DbError> {
    let core: &[&str] = if reads_core { CORE_TABLES } else { &[] };
    // By the catalogue alone: a schema that may not be used cannot be named in a statement.
    let lacking = sqlx::query_scalar(
        "with admitted as (
             select from pg_policy p
             join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = 'relay' and c.relname = 'outbox' and p.polname like 'processes\\_%'
               and pg_has_role(p.polroles[1], 'usage')
         )
         select privilege || ' on schema relay'
         from pg_namespace n, unnest(array['usage', 'create']) as privilege
         where n.nspname = 'relay' and not has_schema_privilege(n.oid, privilege)
           and not (privilege = 'create' and exists (select from admitted))
         union all
         select 'create on database ' || current_database()
         where not exists (select from pg_namespace where nspname = 'relay')
           and not has_database_privilege(current_database(), 'create')
         union all
         select 'ownership of relay.' || c.relname
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'relay' and c.relkind in ('r', 'p', 'v', 'S') and not c.relispartition
           and not pg_has_role(c.relowner, 'usage')
           and not (exists (select from admitted)
                    and case c.relkind when 'S' then has_sequence_privilege(c.oid, 'usage')
                        else has_table_privilege(c.oid, 'select') end)
         union all
         select 'select on public.' || core
         from unnest($1::text[]) as core
         left join pg_class c on c.relname = core and c.relnamespace = 'public'::regnamespace
         where not coalesce(has_table_privilege(c.oid, 'select'), false)",
    )
    .bind(core)
    .fetch_all(&engine.db.api)
    .await?;
    Ok(lacking)
}

/// How long something may have been recorded that no statistics count.
pub async fn statistics_lag(engine: &Engine) -> Result<Duration, DbError> {
    Ok(statistics::lag(engine).await?)
}

/// What keeps Postgres from clearing dead rows away.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Who holds it, in words.
    pub holder: String,
    /// For how long. `None` for a slot, which nobody reads: it has no end.
    pub age: Option<Duration>,
}

/// The snapshots that are held.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The one that was begun first, or a slot that nobody reads.
    pub oldest: Option<Snapshot>,
    /// Whether this role may see those of others.
    pub sees_all: bool,
}

/// Looks for the oldest snapshot. The sweepers themselves hold up nothing, nor does what a session in
/// another database reads; what it writes does, since every snapshot of ours goes back to it.
pub async fn snapshots(engine: &Engine) -> Result<Snapshots, DbError> {
    let oldest = sqlx::query(
        "select holder, age from (
             select format('session %s of %s (%s, %s)', pid, usename, application_name, state),
                    extract(epoch from now() - xact_start)::float8
             from pg_stat_activity
             where (backend_xmin is not null or backend_xid is not null) and pid <> pg_backend_pid()
               and datname = current_database() and backend_type <> 'autovacuum worker'
               and xact_start is not null
             union all
             select format('session %s of %s in the database %s', pid, usename, datname),
                    extract(epoch from clock_timestamp() - xact_start)::float8
             from pg_stat_activity
             where backend_xid is not null and datname <> current_database()
               and backend_type <> 'autovacuum worker' and xact_start is not null
             union all
             select format('prepared transaction %s', gid), extract(epoch from now() - prepared)::float8
             from pg_prepared_xacts
             union all
             select format('replication slot %s', slot_name), null
             from pg_replication_slots
             where not active and (xmin is not null or catalog_xmin is not null)
         ) as held (holder, age)
         order by age desc nulls first limit 1",
    )
    .fetch_optional(&engine.db.api)
    .await?;
    let read = |row: PgRow| -> Result<Snapshot, sqlx::Error> {
        let seconds: Option<f64> = row.try_get("age")?;
        let age = seconds.map(|age| Duration::try_from_secs_f64(age).unwrap_or_default());
        Ok(Snapshot { holder: row.try_get("holder")?, age })
    };
    let sees_all = sqlx::query_scalar("select pg_has_role('pg_read_all_stats', 'usage')")
        .fetch_one(&engine.db.api)
        .await?;
    Ok(Snapshots { oldest: oldest.map(read).transpose()?, sees_all })
}

/// Whether a pooler gives each transaction whatever server connection is free: then one connection of
/// ours moves to another as soon as its own is taken. Asked in the protocol that any pooler passes on.
pub async fn is_pooled_by_transaction(engine: &Engine) -> Result<bool, DbError> {
    const PROCESS: &str = "select pg_backend_pid()";
    let (mut ours, mut other) = (engine.db.api.acquire().await?, engine.db.api.acquire().await?);
    let mut processes: BTreeSet<i32> = BTreeSet::new();
    let mut of_ours = BTreeSet::new();
    for _ in 0..3 {
        let row = sqlx::raw_sql(PROCESS).fetch_one(&mut *ours).await?;
        of_ours.insert(row.try_get::<i32, _>(0)?);
        sqlx::raw_sql("begin").execute(&mut *other).await?;
        let row = sqlx::raw_sql(PROCESS).fetch_one(&mut *other).await?;
        processes.insert(row.try_get(0)?);
        let row = sqlx::raw_sql(PROCESS).fetch_one(&mut *ours).await?;
        of_ours.insert(row.try_get(0)?);
        sqlx::raw_sql("rollback").execute(&mut *other).await?;
    }
    Ok(of_ours.len() > 1 || !of_ours.is_disjoint(&processes))
}

/// One address of a provider, and what asking it gave.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The setting that may move it.
    pub setting: &'static str,
    /// Where.
    pub url: Url,
    /// The HTTP status, whatever it is: somebody answered. Or why nobody did.
    pub outcome: Result<u16, String>,
}

/// Asks a provider's addresses for their root, by the way that deliveries go.
pub async fn reach(engine: &Engine, provider: &Provider) -> Vec<Reached> {
    let hosts = engine.config.providers.hosts(provider);
    let mut found = Vec::new();
    for host in provider.hosts {
        let url = hosts.url(host.name, "/");
        let call = Call::get(url.clone());
        let asking = engine.http.send(&call, Route::to(&url, &hosts), REACH_BYTES);
        let outcome = match tokio::time::timeout(REACH_TIMEOUT, asking).await {
            Ok(Ok(reply)) => Ok(reply.status),
            Ok(Err(error)) => Err(format!("{}: {}", error.failure.as_str(), error.detail)),
            Err(_) => Err(format!("no answer within {} s", REACH_TIMEOUT.as_secs())),
        };
        found.push(Reached { setting: host.setting, url, outcome });
    }
    found
}
