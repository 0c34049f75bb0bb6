//! A private Postgres: own data directory, own socket, no port, started and stopped by this program.
//!
//! The programs come from the machine (Debian, RHEL, Homebrew, `PG_BIN_DIR`); nothing is downloaded.
//! The server listens on a Unix socket inside a 0700 directory and nowhere else, so `trust` is safe and
//! there is no port to choose. It lives in its own process group, so that Ctrl-C reaches us first.
//! If we are killed it keeps running, and the next start on the same directory takes it over.

mod cluster;
mod find;
mod owner;
mod place;
mod postmaster;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::Context as _;
use url::form_urlencoded;

use self::cluster::Cluster;
use self::place::Place;
use self::postmaster::Postmaster;

/// The database that every cluster of ours has from its first start.
pub(crate) const DATABASE: &str = "relay";

/// Used in the socket's name only, as nothing listens on a network; fixed so that `PGPORT` cannot matter.
const PORT: u16 = 5432;

/// A start may have to replay what a crash left behind.
const START_TIMEOUT: Duration = Duration::from_secs(300);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Where `postgres` and `initdb` are; `None` looks in the usual places.
    pub(crate) bin_dir: Option<PathBuf>,
    /// Gives up durability for speed. For clusters that are thrown away, and for nothing else.
    pub(crate) throw_away: bool,
}

/// A running private Postgres. Dropping it stops the server, as [`EmbeddedPostgres::stop`] does.
#[derive(Debug)]
pub(crate) struct EmbeddedPostgres {
    place: Place,
    bin_dir: PathBuf,
    postmaster: Postmaster,
    /// `None` for a server that an earlier process of ours had started.
    child: Option<Child>,
    stopped: bool,
    /// Held for our whole life: one relay process for each data directory.
    _lock: File,
}

impl EmbeddedPostgres {
    /// Starts the cluster in `data_dir`, making it first when there is none, and waits until it
    /// answers. Blocks: the first start takes some two seconds, later ones a tenth of one.
    ///
    /// A server that a killed process left behind is adopted as it is.
    /// Fails when another live process of ours holds the directory, or when the installed programs
    /// are of another major version than the data.
    pub(crate) fn start(data_dir: &Path, options: &Options) -> anyhow::Result<Self> {
        let place = Place::prepare(data_dir)?;
        let lock = place.lock()?;
        let cluster = Cluster::open(&place, options)?;
        let bin_dir = cluster.bin_dir().to_owned();
        if let Some(postmaster) = postmaster::adopt(&place.data(), START_TIMEOUT)? {
            tracing::info!(
                postgres.pid = postmaster.pid,
                "took over the private Postgres left running"
            );
            return Ok(Self {
                place,
                bin_dir,
                postmaster,
                child: None,
                stopped: false,
                _lock: lock,
            });
        }
        let (child, postmaster) = cluster.launch(START_TIMEOUT)?;
        Ok(Self { place, bin_dir, postmaster, child: Some(child), stopped: false, _lock: lock })
    }

    /// The address of `database` for sqlx: `postgres://postgres@localhost:5432/<database>?host=<dir>`.
    pub(crate) fn url(&self, database: &str) -> String {
        url(&self.postmaster.socket_dir, database)
    }

    /// Where `postgres` and its companions are.
    pub(crate) fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The directory that really holds the cluster: another one than asked for when the server's
    /// user could not have reached that.
    pub(crate) fn home(&self) -> &Path {
        self.place.home()
    }

    /// Whether the server was already running, left behind by a process that was killed.
    pub(crate) fn was_adopted(&self) -> bool {
        self.child.is_none()
    }

    /// Disconnects everybody and stops the server; its data stays.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.stop_server()
    }

    /// Stops the server and deletes all of it.
    pub(crate) fn destroy(mut self) -> anyhow::Result<()> {
        self.stop_server()?;
        self.place.remove()
    }

    fn stop_server(&mut self) -> anyhow::Result<()> {
        if self.stopped {
            return Ok(());
        }
        self.stopped = true;
        self.postmaster.stop(self.child.as_mut(), STOP_TIMEOUT)
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Err(error) = self.stop_server() {
            tracing::error!(error = %format!("{error:#}"), "the private Postgres did not stop");
        }
    }
}

/// The address of `database` on the private server that another process of ours runs in `data_dir`,
/// for commands that look at a running `relay dev`. `None` when there is none.
pub(crate) fn running_url(data_dir: &Path, database: &str) -> anyhow::Result<Option<String>> {
    let Some(place) = Place::existing(data_dir)? else { return Ok(None) };
    let running = postmaster::running(&place.data())?;
    Ok(running.map(|postmaster| url(&postmaster.socket_dir, database)))
}

/// Stops the server in `data_dir` if no process of ours holds it any more, and deletes the cluster.
/// Returns whether there was anything to remove.
pub(crate) fn sweep(data_dir: &Path) -> anyhow::Result<bool> {
    let Some(place) = Place::existing(data_dir)? else { return Ok(false) };
    let Ok(_lock) = place.lock() else { return Ok(false) };
    if let Some(postmaster) = postmaster::running(&place.data())? {
        postmaster.stop(None, STOP_TIMEOUT).context("an abandoned server did not stop")?;
    }
    place.remove()?;
    Ok(true)
}

fn url(socket_dir: &Path, database: &str) -> String {
    let host: String =
        form_urlencoded::byte_serialize(socket_dir.as_os_str().as_encoded_bytes()).collect();
    format!("postgres://postgres@localhost:{PORT}/{database}?host={host}")
}
