//! The Postgres under test: which process, which version, and whether it keeps what it acknowledges.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::timeout;

use crate::machine;

/// For filling tables.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(900);
/// Waits, two minutes at most, until the workers have counted all attempts for their statistics.
const COUNT: &str = "do $$ begin for look in 1 .. 600 loop \
        exit when (select caught_up_at > now() from relay.statistics_watermark); \
        perform pg_sleep(0.2); \
    end loop; end $$";
/// What decides whether a rate was reached durably, and what else moves it.
const SETTINGS: &str = "select name || '=' || current_setting(name) from pg_settings where name in \
    ('fsync', 'synchronous_commit', 'full_page_writes', 'shared_buffers', 'wal_level', \
    'max_wal_size', 'max_connections') order by name";

/// A server that listens on a Unix socket.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    pub(crate) url: String,
    pub(crate) pid: u32,
    bin_dir: PathBuf,
    place: Place,
}

/// The parts of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    user: String,
    port: String,
    database: String,
    socket_dir: String,
}

impl Postgres {
    /// Finds the server's process through the lock of its socket.
    pub(crate) fn new(url: String, bin_dir: PathBuf) -> anyhow::Result<Self> {
        let place = Place::parse(&url).context("DATABASE_URL does not name a Unix socket")?;
        let lock = format!("{}/.s.PGSQL.{}.lock", place.socket_dir, place.port);
        let text = fs::read_to_string(&lock).context("the lock of its socket cannot be read")?;
        let pid = text.lines().next().context("the lock is empty")?.trim().parse()?;
        Ok(Self { url, pid, bin_dir, place })
    }

    /// As libpq's keywords, for programs that take no URL.
    pub(crate) fn dsn(&self) -> String {
        let Place { user, port, database, socket_dir } = &self.place;
        format!("host={socket_dir} port={port} user={user} dbname={database}")
    }

    /// Runs statements in the database under test, which is thrown away after it.
    pub(crate) async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let mut psql = tokio::process::Command::new(self.bin_dir.join("psql"));
        psql.args(["-XAqt", "-v", "ON_ERROR_STOP=1", "-c", sql, &self.dsn()]).kill_on_drop(true);
        let output = timeout(STATEMENT_PATIENCE, psql.output()).await;
        let output =
            output.context("the statement took too long")?.context("psql cannot be run")?;
        let trouble = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "psql ended with {}: {trouble}", output.status);
        Ok(())
    }

    /// What Postgres and the workers would do by themselves some time after much was written to these
    /// tables: now, so that they do not do it beside what is measured.
    pub(crate) async fn settle(&self, tables: &str) -> anyhow::Result<()> {
        for statement in [&*format!("vacuum (freeze, analyze) {tables}"), COUNT, "checkpoint"] {
            self.execute(statement).await?;
        }
        Ok(())
    }

    /// Settings as `name=value`, asked of the server; none when `psql` is missing.
    pub(crate) fn settings(&self) -> Vec<String> {
        let mut psql = Command::new(self.bin_dir.join("psql"));
        psql.args(["-XAtc", SETTINGS, &self.dsn()]);
        let answer = machine::output(&mut psql).unwrap_or_default();
        answer.lines().map(str::to_owned).collect()
    }
}

impl Place {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("postgres://").or(url.strip_prefix("postgresql://"))?;
        let (rest, query) = rest.split_once('?')?;
        let (authority, database) = rest.split_once('/')?;
        let (user, host) = authority.split_once('@')?;
        let port = host.rsplit_once(':').map_or("5432", |(_, port)| port);
        let socket_dir = query.split('&').find_map(|pair| pair.strip_prefix("host="))?;
        Some(Self {
            user: user.split(':').next()?.to_owned(),
            port: port.to_owned(),
            database: database.to_owned(),
            socket_dir: percent_decoded(socket_dir)?,
        })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// Whether what was acknowledged would survive a power cut. Unknown settings count as unsafe.
pub(crate) fn is_durable(settings: &[String]) -> bool {
    let has = |wanted: &str| settings.iter().any(|setting| setting == wanted);
    has("fsync=on") && has("full_page_writes=on") && has("synchronous_commit=on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_the_url() {
        let url = "postgres://postgres@localhost:5433/relay?host=%2Ftmp%2Fa-b%2Fsocket";
        let place = Place {
            user: "postgres".into(),
            port: "5433".into(),
            database: "relay".into(),
            socket_dir: "/tmp/a-b/socket".into(),
        };
        assert_eq!(Place::parse(url), Some(place));
        assert_eq!(Place::parse("postgres://postgres@localhost/relay"), None);
    }

    #[test]
    fn only_a_server_that_says_so_is_durable() {
        let settings = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_durable(&settings("fsync=on full_page_writes=on synchronous_commit=on")));
        assert!(!is_durable(&settings("fsync=off full_page_writes=on synchronous_commit=on")));
        assert!(!is_durable(&[]));
    }
}
