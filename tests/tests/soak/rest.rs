//! What must be as it was once nothing is wrong and nothing is left to do: whatever is not has leaked.

use std::{collections::HashMap, fmt, time::Duration};

use tests::{Process, World, owned_evenly, wait_until};

/// How long everything may take to come to rest: receivers that hang do so for up to twenty seconds,
/// and what failed waits for its next turn.
pub(crate) const REST: Duration = Duration::from_secs(120);

/// How much more a process may have of each than at its first rest. Duties look at the database now and
/// then; connections that idle, threads that wait for more to do and memory that is kept for later
/// come and go.
const USED_MORE: usize = 4;
const FILES_MORE: usize = 64;
const THREADS_MORE: usize = 24;
const BYTES_MORE: u64 = 64 << 20;
/// Pages that a table of a few rows may keep between two rounds.
const OUTBOX_BYTES: i64 = 64 << 20;

/// What a process uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    /// Connections to Postgres that somebody has taken from a pool, and not given back.
    pub(crate) used: usize,
    pub(crate) files: usize,
    pub(crate) threads: usize,
    pub(crate) bytes: u64,
}

impl Use {
    async fn of(process: &Process) -> Self {
        let used = sum(&process.metrics().await, "relay_database_connections", |labels| {
            labels.contains("state=\"used\"") && !labels.contains("pool=\"listening\"")
        });
        let (files, threads) = (process.open_files(), process.threads());
        Self { used: used as usize, files, threads, bytes: process.resident_bytes() }
    }

    fn is_little_more_than(&self, first: &Self) -> bool {
        self.used <= first.used + USED_MORE
            && self.files <= first.files + FILES_MORE
            && self.threads <= first.threads + THREADS_MORE
            && self.bytes <= first.bytes + BYTES_MORE
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.bytes >> 20;
        write!(
            f,
            "{} connections in use, {} files, {} threads, {mib} MiB",
            self.used, self.files, self.threads
        )
    }
}

/// Remembers what each process used when it first was at rest.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    first: HashMap<u32, Use>,
    partitions: i64,
}

impl Watch {
    /// Of a world that has just begun, and delivered something.
    pub(crate) async fn begin(world: &World) -> Self {
        Self { first: HashMap::new(), partitions: partitions(world).await }
    }

    /// Waits until everything is at rest, and panics over what does not come to it.
    pub(crate) async fn at_rest(&mut self, world: &World) {
        for process in world.apis.iter().chain(&world.workers) {
            let ended = process.exit_status();
            assert!(ended.is_none(), "{} ended by itself: {ended:?}", process.name);
        }
        owned_evenly(world, world.workers.len()).await;
        for process in world.apis.iter().chain(&world.workers) {
            idle(process).await;
            self.look_at(process).await;
        }
        self.look_at_the_database(world).await;
    }

    async fn look_at(&mut self, process: &Process) {
        let now = Use::of(process).await;
        let first = *self.first.entry(process.id()).or_insert(now);
        let what = format!("{}, which used {first}, to use little more", process.name);
        wait_until(&what, REST, || async {
            Use::of(process).await.is_little_more_than(&first).then_some(())
        })
        .await;
    }

    async fn look_at_the_database(&self, world: &World) {
        wait_until("nobody to be in a transaction", REST, || async {
            let open: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity
                 where datname = current_database() and application_name = 'relay'
                   and state like 'idle in transaction%' and state_change < now() - interval '2 s'",
            )
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
            (open == 0).then_some(())
        })
        .await;
        wait_until("the outbox's dead rows to be gone once it is vacuumed", REST, || async {
            sqlx::query("vacuum relay.outbox").execute(world.sql()).await.expect("it is vacuumed");
            let (dead, bytes): (i64, i64) = sqlx::query_as(
                "select n_dead_tup, pg_total_relation_size(relid) from pg_stat_user_tables
                 where schemaname = 'relay' and relname = 'outbox'",
            )
            .fetch_one(world.sql())
            .await
            .expect("the database answers");
            (dead == 0 && bytes <= OUTBOX_BYTES).then_some(())
        })
        .await;
        let now = partitions(world).await;
        // One day of each may have been added at midnight.
        assert!(now <= self.partitions + 12, "{} partitions became {now}", self.partitions);
        let strays: i64 = sqlx::query_scalar(
            "select sum(row_count)::bigint from relay.rows_in_default_partitions()",
        )
        .fetch_one(world.sql())
        .await
        .expect("the database answers");
        assert_eq!(strays, 0, "rows outside of any day's partition");
    }

    /// How what the processes use has changed since their first rest.
    pub(crate) async fn uses(&self, world: &World) -> String {
        let mut lines = Vec::new();
        for process in world.apis.iter().chain(&world.workers) {
            let first = self.first.get(&process.id()).map(Use::to_string).unwrap_or_default();
            lines.push(format!("  {}: {}; at first {first}", process.name, Use::of(process).await));
        }
        lines.join("\n")
    }
}

/// Waits until a process has nothing in its hands: no delivery, no event.
async fn idle(process: &Process) {
    wait_until(&format!("{} to have nothing in its hands", process.name), REST, || async {
        let text = process.metrics().await;
        let held = ["relay_deliveries_in_memory", "relay_ingest_queue_events"];
        held.iter().all(|name| sum(&text, name, |_| true) == 0.0).then_some(())
    })
    .await;
}

fn sum(text: &str, name: &str, wanted: impl Fn(&str) -> bool) -> f64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let lines = lines.filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'));
    lines.filter(|(labels, _)| wanted(labels)).filter_map(|(_, n)| n.parse::<f64>().ok()).sum()
}

async fn partitions(world: &World) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_inherits i join pg_class c on c.oid = i.inhparent
         where c.relnamespace = 'relay'::regnamespace and c.relkind = 'p'",
    )
    .fetch_one(world.sql())
    .await
    .expect("the database answers")
}
