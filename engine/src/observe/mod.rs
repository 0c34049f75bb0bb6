//! Looks at the database now and then and sets the gauges: nothing is read when somebody scrapes.
//!
//! Every process tells whether its database answers and how its pools stand. One that works reads as well
//! what concerns all of them, a cheap statement for each subject; however large the outbox is, no
//! statement reads more of it than a bound. What was not read for a minute is no longer told.

mod outbox;
mod partitions;
mod postgres;
mod replays;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::task::JoinHandle;

use self::postgres::Pins;
use crate::{
    clock::{self, Timestamp},
    db,
    engine::Engine,
    metrics, statistics,
};

/// How often to look.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);
/// For how long a look is waited for: a database that takes longer is away for all that matters.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Whether the database answers this process.
    Process,
    /// That, and what concerns all processes.
    All,
}

/// One process's look at the database, again and again.
#[derive(Debug)]
pub struct Observer {
    engine: Engine,
    scope: Scope,
    /// A look that was not answered in time. It is not dropped half-way: that would spoil its
    /// connection; and none is begun beside it.
    under_way: Option<JoinHandle<Result<Pins, sqlx::Error>>>,
    pins: Pins,
}

impl Observer {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(engine: &Engine, scope: Scope) -> Self {
        Self { engine: engine.clone(), scope, under_way: None, pins: BTreeMap::new() }
    }

    /// Looks once, and sets the gauges. Ends within a few seconds, whatever the database does.
    pub async fn look(&mut self) {
        let mut looking = self.under_way.take().unwrap_or_else(|| {
            let (engine, scope, pins) = (self.engine.clone(), self.scope, self.pins.clone());
            tokio::spawn(async move { read(&engine, scope, pins).await })
        });
        let is_up = match tokio::time::timeout(PATIENCE, &mut looking).await {
            Ok(Ok(Ok(pins))) => {
                self.pins = pins;
                true
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = %error, "the database was not looked at");
                false
            }
            Ok(Err(died)) => {
                tracing::error!(error = %died, "a look at the database crashed");
                false
            }
            Err(_) => {
                tracing::warn!(waited = ?PATIENCE, "the database does not answer");
                self.under_way = Some(looking);
                false
            }
        };
        metrics::database_up(is_up);
        for (pool, used, idle, max) in self.engine.db.connections() {
            metrics::database_connections(pool, used, idle, max);
        }
        metrics::forget_old(Instant::now());
    }
}

/// Reads one subject after the other. One that is refused does not take the others along; a database that
/// is away does.
async fn read(engine: &Engine, scope: Scope, pins: Pins) -> Result<Pins, sqlx::Error> {
    let pool = &engine.db.api;
    read_clock(pool).await?;
    if scope == Scope::Process {
        return Ok(pins);
    }
    told("the outbox", outbox::read(&engine.db.work, pool).await)?;
    told("replays", replays::read(pool).await)?;
    if let Some(lag) = told("statistics", statistics::lag(engine).await)? {
        metrics::statistics_lag(lag);
    }
    told("partitions", partitions::read(pool).await)?;
    told("Postgres' tables", postgres::read_tables(pool).await)?;
    let pins = told("snapshots", postgres::read_snapshots(pool, &pins, Instant::now()).await)?;
    Ok(pins.unwrap_or_default())
}

/// Reads the database's clock. Ours stood halfway between the question and the answer, or near it.
async fn read_clock(pool: &PgPool) -> Result<(), sqlx::Error> {
    // A first statement may have to connect, which is not a half of anything.
    sqlx::query("select 1").execute(pool).await?;
    let (asked_at, began) = (clock::now(), Instant::now());
    let theirs: Timestamp = sqlx::query_scalar("select clock_timestamp()").fetch_one(pool).await?;
    let ours = asked_at + began.elapsed() / 2;
    metrics::database_clock_ahead((theirs - ours).as_seconds_f64());
    Ok(())
}

fn told<T>(what: &str, read: Result<T, sqlx::Error>) -> Result<Option<T>, sqlx::Error> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if db::is_unavailable(&error) => Err(error),
        Err(error) => {
            tracing::warn!(error = %error, what, "a gauge was not read");
            Ok(None)
        }
    }
}
