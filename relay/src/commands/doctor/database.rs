//! Judges what the database looks like: each finding with what to do about it.

use std::time::Duration;

use chrono::TimeDelta;
use engine::{
    Engine,
    checkup::{self, Server, Snapshots},
    db::DbError,
    partitions::{self, Health},
};

use super::finding::Finding;
use crate::settings::Membership;

/// The oldest Postgres that the statements are written for: 15.
const VERSION_MIN: i32 = 150_000;
/// From here on two clocks are said to differ, and to differ so that tokens and signatures fail.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(2);
const CLOCKS_HARM: TimeDelta = TimeDelta::seconds(60);
/// How long a delivery may be due, and statistics may be behind.
const LATE: Duration = Duration::from_secs(60);
/// How long a snapshot may be held before dead rows are felt, and before they are all that is read.
const SNAPSHOT_OLD: Duration = Duration::from_secs(10 * 60);
const SNAPSHOT_HARMS: Duration = Duration::from_secs(60 * 60);
/// How many of the lacking privileges are named.
const NAMED: usize = 8;
const POOLER: &str = "use a direct connection, or a pooler in session mode: sessions keep prepared \
                      statements, timeouts and planner options, and one listens";

/// No engine could be had: the settings, or the way to the database.
pub(super) fn unreachable(error: &str) -> Finding {
    let advice = match error {
        _ if error.contains("startup parameter") || error.contains("prepared statement") => {
            format!("this is how a pooler in transaction mode answers: {POOLER}")
        }
        _ if error.contains("DATABASE_URL") || error.contains("RELAY_") => {
            "set it right; docs/configuration.md says how".to_owned()
        }
        _ => "look whether DATABASE_URL's host, port, user and password are right, and whether \
              pg_hba.conf and the firewall let this machine in"
            .to_owned(),
    };
    Finding::bad("database", error).advice(advice)
}

/// From what everything else stands on to what is only counted; ends where going on makes no sense.
pub(super) async fn look(engine: &Engine, membership: Membership, findings: &mut Vec<Finding>) {
    match checkup::server(engine).await {
        Ok(server) => findings.extend(judge_server(&server)),
        Err(error) => return findings.push(unreachable(&error.to_string())),
    }
    findings.push(match checkup::is_pooled_by_transaction(engine).await {
        Ok(pooled) => judge_pooling(pooled),
        Err(error) => failed("pooling", &error),
    });
    findings.push(match checkup::lacking(engine, membership == Membership::Postgres).await {
        Ok(lacking) => judge_privileges(&lacking),
        Err(error) => failed("privileges", &error),
    });
    findings.push(match checkup::snapshots(engine).await {
        Ok(snapshots) => judge_snapshots(&snapshots),
        Err(error) => failed("snapshots", &error),
    });
    if let Err(error) = engine.db.ready().await {
        let advice = "run `relay migrate` with this program, before its api and workers start";
        return findings.push(Finding::bad("schema", error.to_string()).advice(advice));
    }
    findings.push(Finding::good("schema", "up to date"));
    match partitions::health(engine).await {
        Ok(health) => {
            findings.push(judge_partitions(health.outside, health.days_ahead));
            findings.extend(judge_health(&health));
        }
        Err(error) => findings.push(failed("partitions", &error)),
    }
    findings.push(match checkup::statistics_lag(engine).await {
        Ok(lag) => judge_statistics(lag),
        Err(error) => failed("statistics", &error),
    });
}

fn failed(what: &'static str, error: &DbError) -> Finding {
    Finding::bad(what, error.to_string()).advice("this could not be looked at: see the error")
}

fn judge_server(server: &Server) -> Vec<Finding> {
    let version = format!("Postgres {}", server.version);
    let mut findings = vec![match server {
        _ if server.version_number < VERSION_MIN => {
            Finding::bad("database", format!("{version} is too old"))
                .advice("upgrade to Postgres 15 or newer")
        }
        Server { is_standby: true, .. } => {
            Finding::bad("database", format!("{version} is a standby and takes no writes"))
                .advice("point DATABASE_URL at the primary")
        }
        _ => Finding::good("database", version),
    }];
    findings.push(judge_clocks(server.clock_ahead, server.round_trip));
    let mut unsafe_settings = Vec::new();
    if !server.fsync {
        unsafe_settings.push("fsync is off");
    }
    if !server.full_page_writes {
        unsafe_settings.push("full_page_writes is off");
    }
    if server.synchronous_commit == "off" {
        unsafe_settings.push("synchronous_commit is off");
    }
    findings.push(if unsafe_settings.is_empty() {
        let detail = format!("commits reach the disk ({})", server.synchronous_commit);
        Finding::good("durability", detail)
    } else {
        let detail =
            format!("{}: a crash may lose what was acknowledged", unsafe_settings.join(", "));
        Finding::warn("durability", detail).advice("turn it on, but for tests and trials")
    });
    findings
}

/// What the clocks differ by, at least: the answer was on its way for a while.
fn judge_clocks(ahead: TimeDelta, round_trip: TimeDelta) -> Finding {
    let apart = ahead.abs() - round_trip / 2;
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let seconds = ahead.num_milliseconds() as f64 / 1000.0;
    let detail = format!("the database's is {seconds:+.1} s from this machine's");
    let advice = "let both machines set their clocks by NTP: signatures and tokens carry this \
                  machine's time, due times the database's";
    if apart >= CLOCKS_HARM {
        Finding::bad("clocks", detail).advice(advice)
    } else if apart >= CLOCKS_DIFFER {
        Finding::warn("clocks", detail).advice(advice)
    } else {
        Finding::good("clocks", detail)
    }
}

fn judge_pooling(is_by_transaction: bool) -> Finding {
    if is_by_transaction {
        Finding::bad("pooling", "a pooler gives each transaction another session").advice(POOLER)
    } else {
        Finding::good("pooling", "sessions stay ours")
    }
}

fn judge_privileges(lacking: &[String]) -> Finding {
    if lacking.is_empty() {
        return Finding::good("privileges", "all that are needed");
    }
    let mut named = lacking[..lacking.len().min(NAMED)].join(", ");
    if lacking.len() > NAMED {
        named = format!("{named} and {} more", lacking.len() - NAMED);
    }
    Finding::bad("privileges", format!("lacking: {named}")).advice(
        "grant them, run everything as the role that migrates, or have its owner admit this one: \
         `select relay.admit('…', 'processes')` (docs/operations.md, Roles and grants)",
    )
}

fn judge_snapshots(snapshots: &Snapshots) -> Finding {
    let blind = if snapshots.sees_all {
        ""
    } else {
        " (of this role's own: grant pg_read_all_stats to see the others')"
    };
    let Some(oldest) = &snapshots.oldest else {
        return Finding::good("snapshots", format!("none is held{blind}"));
    };
    let holder = &oldest.holder;
    let advice = "until it ends no dead row is cleared away and every claim gets slower: end it \
                  (pg_terminate_backend, rollback prepared, pg_drop_replication_slot)";
    match oldest.age {
        None => Finding::warn("snapshots", format!("{holder} is read by nobody")).advice(advice),
        Some(age) => {
            let detail = format!("the oldest is {} s old: {holder}{blind}", age.as_secs());
            if age >= SNAPSHOT_HARMS {
                Finding::bad("snapshots", detail).advice(advice)
            } else if age >= SNAPSHOT_OLD {
                Finding::warn("snapshots", detail).advice(advice)
            } else {
                Finding::good("snapshots", detail)
            }
        }
    }
}

fn judge_partitions(outside: i64, days_ahead: i32) -> Finding {
    let advice = "start a worker, or run `select relay.ensure_partitions()` as the owner; see \
                  docs/operations.md, Partitions and retention";
    if outside > 0 {
        let detail = format!("{outside} rows lie in a default partition");
        Finding::bad("partitions", detail).advice(advice)
    } else if days_ahead < 1 {
        Finding::bad("partitions", "tomorrow has none: is a worker running?").advice(advice)
    } else if days_ahead < 2 {
        let detail = "made for tomorrow only: has no worker run for two days?";
        Finding::warn("partitions", detail).advice(advice)
    } else {
        Finding::good("partitions", format!("made {days_ahead} days ahead"))
    }
}

fn judge_health(health: &Health) -> [Finding; 2] {
    let late = health.oldest_due.as_secs();
    let outbox = if health.oldest_due < LATE {
        Finding::good("outbox", format!("oldest due delivery waits {late} s"))
    } else {
        let detail = format!("a delivery has been due for {late} s: is a worker running?");
        Finding::bad("outbox", detail).advice("start workers, or more of them; see their logs")
    };
    let secrets = if health.unreadable_key_ids.is_empty() {
        Finding::good("secrets", "every one opens with a key at hand")
    } else {
        let ids = health.unreadable_key_ids.join(", ");
        Finding::bad("secrets", format!("sealed with keys that are not set: {ids}"))
            .advice("set them in RELAY_ENCRYPTION_KEY_PREVIOUS; then `relay secrets reseal`")
    };
    [outbox, secrets]
}

fn judge_statistics(lag: Duration) -> Finding {
    let seconds = lag.as_secs();
    if lag < LATE {
        Finding::good("statistics", format!("{seconds} s behind"))
    } else {
        Finding::warn("statistics", format!("{seconds} s behind: nobody counts")).advice(
            "start a worker; where one runs, look for `attempts were not counted` in its log",
        )
    }
}

#[cfg(test)]
mod tests;
