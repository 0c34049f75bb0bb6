//! The connection pools and the embedded migrations.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable};
use sqlx::{
    PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

mod pulse;

pub use self::pulse::Pulse;
use crate::{ids::OrganizationId, secret::Secret, walls};

static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// How many connections each pool holds. They are separate, so that a crowd of callers cannot take
/// the connections that settle deliveries.
#[derive(Clone, Copy, Debug)]
pub struct PoolSizes {
    /// For API calls and commands.
    pub api: u32,
    /// For the group commits of events.
    pub ingest: u32,
    /// For claiming and settling deliveries.
    pub work: u32,
}

impl Default for PoolSizes {
    fn default() -> Self {
        Self { api: 8, ingest: 2, work: 3 }
    }
}

impl PoolSizes {
    /// So many in all: what deliveries need is set aside, and API calls share the rest, two at least.
    #[must_use]
    pub fn within(total: u32) -> Self {
        let sizes = Self::default();
        let set_aside = sizes.ingest + sizes.work + SETTLING + SWIFT + LISTENING + ASKING;
        Self { api: total.saturating_sub(set_aside).max(2), ..sizes }
    }
}

/// The database was asked and did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Away, restarting, or out of connections: asking again later helps.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Asking again would not help.
    #[error(transparent)]
    Database(sqlx::Error),
    /// The schema is older than this program.
    #[error("the database schema lacks {missing} migration(s): run `relay migrate`")]
    SchemaBehind {
        /// How many are missing.
        missing: usize,
    },
    /// The migrations could not be applied.
    #[error("migrating failed: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) {
            Self::Unavailable(error.to_string())
        } else {
            Self::Database(error)
        }
    }
}

/// Whether an error tells of a database that is away, rather than of a statement that is wrong.
#[must_use]
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_) => true,
        // 08: connection, 53: resources, 57: operator's intervention, 58: the system, 25006: read-only
        // (a standby), 40: try again, 55P03: a lock was not to be had in time.
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "53", "57", "58", "40"].iter().any(|class| code.starts_with(class))
                || code == "25006"
                || code == LOCK_NOT_AVAILABLE
        }),
        _ => false,
    }
}

/// What Postgres says when a lock was not to be had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Whether somebody else's open transaction was in the way for too long.
pub(crate) fn is_locked_out(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Whether a row that must be the only one of its kind was there before.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// The few statements of the hot path touch few rows of tables that grow and shrink by the minute:
/// they are planned once, and always by index, whatever the tables held at that moment.
const BY_INDEX: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    // The first of a long queue must not cost a look at all of it, in the order of their pages.
    ("enable_bitmapscan", "off"),
    // What is forbidden above counts as dear where there is no other way, and then would be compiled.
    ("jit", "off"),
];

/// Plans what is left of a transaction as [`BY_INDEX`] says, on connections that are for other things.
pub(crate) async fn by_index(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (names, values): (Vec<&str>, Vec<&str>) = BY_INDEX.iter().copied().unzip();
    sqlx::query(
        "select set_config(name, value, true)
         from unnest($1::text[], $2::text[]) as setting(name, value)",
    )
    .bind(names)
    .bind(values)
    .execute(tx)
    .await?;
    Ok(())
}

/// Of what goes by this name, and counts before it adds, an organization's transactions go one at a time: the
/// others wait here until it ends.
pub(crate) async fn one_at_a_time(
    tx: &mut PgConnection,
    name: &str,
    organization_id: OrganizationId,
) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1::text || ':' || $2::uuid, 0))")
        .bind(name)
        .bind(organization_id.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// For statements that bring the keys of rows along and look each of them up. Once the outbox was seen
/// empty, walking through all of it seems cheaper to the planner than one look-up, and is a thousand
/// times dearer when it is full. A walk needs a plain scan of an index or of the table; a look-up can
/// do with a bitmap.
const BY_KEY: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_indexscan", "off"),
    ("enable_indexonlyscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Has what a transaction does from here on look rows up, as [`BY_KEY`] says.
pub(crate) async fn look_up_by_key(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "select set_config('enable_indexscan', 'off', true),
                set_config('enable_indexonlyscan', 'off', true),
                set_config('enable_bitmapscan', 'on', true)",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What admins look at lies in many partitions, of which each adds to what a plan seems to cost: to
/// compile it would take longer than to run it.
const NOT_COMPILED: (&str, &str) = ("jit", "off");

/// A caller's own transaction may hold an idempotency key for as long as it likes: a group commit
/// that meets it must not wait along, since everybody else's events wait behind the group.
const INGEST_LOCK_TIMEOUT: (&str, &str) = ("lock_timeout", "500ms");

/// How long a caller waits for a connection. Whoever stands behind a crowd hears so soon, and may ask
/// again; whoever delivers has nothing better to do than wait.
const CALLERS_WAIT: Duration = Duration::from_secs(3);
const WORK_WAITS: Duration = Duration::from_secs(5);

/// Connections that do not wait for the disk: one claims, others are for what is small and rare.
const SWIFT: u32 = 2;
/// Connections that settle, renew and hand back: one settles, one does the others.
const SETTLING: u32 = 2;
/// The connection that waits for notifications.
const LISTENING: u32 = 1;
/// The connection that is asked whether the database answers.
const ASKING: u32 = 1;

/// What migrating did.
#[derive(Clone, Copy, Debug)]
pub struct MigrationReport {
    /// Migrations that this call applied.
    pub applied: usize,
    /// Migrations that there are.
    pub total: usize,
}

/// One Postgres, in small pools.
#[derive(Clone, Debug)]
pub struct Db {
    pub(crate) api: PgPool,
    pub(crate) ingest: PgPool,
    pub(crate) work: PgPool,
    /// For what is looked up row by row, by the keys that a statement brings.
    pub(crate) settling: PgPool,
    /// Commits without waiting for the disk: only for what may be lost with the database, such as
    /// leases, whose loss a crash of the database already implies.
    pub(crate) swift: PgPool,
    /// For the one connection that waits for notifications.
    pub(crate) listening: PgPool,
    options: PgConnectOptions,
    pulse: Arc<OnceLock<Pulse>>,
}

impl Db {
    /// Opens the pools; waits up to half a minute for a database that is still starting.
    pub async fn connect(url: &Secret, sizes: PoolSizes) -> Result<Self, DbError> {
        let options = PgConnectOptions::from_str(url.reveal())
            .map_err(|_| DbError::Unavailable("DATABASE_URL is not a Postgres URL".into()))?
            .application_name("relay");
        let pool_for = |waits: Duration,
                        size: u32,
                        statement_timeout: &'static str,
                        planning: &[(&str, &str)]| {
            let pool = PgPoolOptions::new()
                .max_connections(size)
                .acquire_timeout(waits)
                .test_before_acquire(false)
                .max_lifetime(Duration::from_secs(30 * 60));
            // Callers ask for organizations; whoever delivers, for everybody.
            let pool = if waits == CALLERS_WAIT { walls::walled(pool) } else { pool };
            pool.connect_lazy_with(
                options
                    .clone()
                    .options([
                        ("statement_timeout", statement_timeout),
                        ("idle_in_transaction_session_timeout", "30s"),
                    ])
                    .options(planning.iter().copied()),
            )
        };
        let pool = |size, statement_timeout, planning: &[(&str, &str)]| {
            pool_for(WORK_WAITS, size, statement_timeout, planning)
        };
        let db = Self {
            api: pool_for(CALLERS_WAIT, sizes.api, "10s", &[NOT_COMPILED]),
            ingest: pool(sizes.ingest, "15s", &[BY_INDEX, &[INGEST_LOCK_TIMEOUT]].concat()),
            work: pool(sizes.work, "30s", BY_INDEX),
            settling: pool(SETTLING, "30s", BY_KEY),
            swift: pool(SWIFT, "30s", &[BY_INDEX, &[("synchronous_commit", "off")]].concat()),
            listening: pool(LISTENING, "0", &[]),
            options,
            pulse: Arc::default(),
        };
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(3))
            .with_max_times(14);
        (|| async { sqlx::query("select 1").execute(&db.api).await })
            .retry(waits)
            .when(is_unavailable)
            .notify(|error, wait| {
                tracing::warn!(error = %error, wait.ms = wait.as_millis() as u64, "waiting for the database");
            })
            .await?;
        Ok(db)
    }

    /// Applies the migrations that are missing. Safe to call from several processes at once.
    pub async fn migrate(&self) -> Result<MigrationReport, DbError> {
        let before = self.applied().await?.unwrap_or(0);
        // Its bookkeeping lives in our schema, not in `public` beside the core's.
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(
                self.options.clone().options([("search_path", "relay"), ("lock_timeout", "10s")]),
            )
            .await?;
        sqlx::query("create schema if not exists relay").execute(&pool).await?;
        MIGRATIONS.run(&pool).await?;
        sqlx::query("select relay.tend_walls()").execute(&pool).await?;
        pool.close().await;
        let total = MIGRATIONS.iter().count();
        Ok(MigrationReport { applied: total.saturating_sub(before), total })
    }

    /// Whether the database answers and holds every migration that this program knows.
    pub async fn ready(&self) -> Result<(), DbError> {
        let applied = self.applied().await?.unwrap_or(0);
        let missing = MIGRATIONS.iter().count().saturating_sub(applied);
        if missing > 0 { Err(DbError::SchemaBehind { missing }) } else { Ok(()) }
    }

    async fn applied(&self) -> Result<Option<usize>, DbError> {
        let table: Option<String> =
            sqlx::query_scalar("select to_regclass('relay._sqlx_migrations')::text")
                .fetch_one(&self.api)
                .await?;
        if table.is_none() {
            return Ok(None);
        }
        let count: i64 =
            sqlx::query_scalar("select count(*) from relay._sqlx_migrations where success")
                .fetch_one(&self.api)
                .await?;
        Ok(usize::try_from(count).ok())
    }

    /// The connections that settle deliveries, and renew and hand back their leases.
    #[must_use]
    pub fn settling_pool(&self) -> &PgPool {
        &self.settling
    }

    /// The connections that take leases. They do not wait for the disk: when
    /// the database crashes, a lease that is lost comes back as one that was never taken.
    #[must_use]
    pub fn lease_pool(&self) -> &PgPool {
        &self.swift
    }

    fn pools(&self) -> [(&'static str, &PgPool); 6] {
        [
            ("api", &self.api),
            ("ingest", &self.ingest),
            ("work", &self.work),
            ("settling", &self.settling),
            ("claiming", &self.swift),
            ("listening", &self.listening),
        ]
    }

    /// Whether it answers, from the first call on. Must be called inside a Tokio runtime.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.pulse.get_or_init(|| Pulse::start(self.options.clone())).clone()
    }

    /// How each pool stands: its name, connections in use, idle ones, and how many it may have.
    pub(crate) fn connections(&self) -> [(&'static str, usize, usize, u32); 6] {
        self.pools().map(|(name, pool)| {
            let (size, idle) = (pool.size() as usize, pool.num_idle());
            (name, size.saturating_sub(idle), idle, pool.options().get_max_connections())
        })
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(&self) {
        for (_, pool) in self.pools() {
            pool.close().await;
        }
    }

    /// The server's version, as it says it itself.
    pub async fn server_version(&self) -> Result<String, DbError> {
        Ok(sqlx::query_scalar("show server_version").fetch_one(&self.api).await?)
    }
}
