//! One cluster on disk: made whole or not at all, of the version it was made with, and launched.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::find::{self, Binaries};
use super::place::Place;
use super::postmaster::{self, Postmaster};
use super::{DATABASE, Options, PORT};

/// How long a server of ours that was killed may need to let go of its shared memory.
const LINGER: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(super) struct Cluster<'a> {
    place: &'a Place,
    binaries: Binaries,
    throw_away: bool,
}

impl<'a> Cluster<'a> {
    /// The cluster at `place`, made now if there is none.
    pub(super) fn open(place: &'a Place, options: &Options) -> anyhow::Result<Self> {
        let version = place.data().join("PG_VERSION");
        let wanted = match fs::read_to_string(&version) {
            Ok(text) => Some(text.trim().parse::<u32>().context("PG_VERSION is not a number")?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("PG_VERSION cannot be read"),
        };
        let binaries = find::binaries(options.bin_dir.as_deref(), wanted)?;
        if let Some(barrier) = place.owner().barrier(&binaries.dir.join("postgres")) {
            bail!(
                "the user that Postgres runs as cannot reach its programs: {} is closed to it",
                barrier.display()
            );
        }
        let cluster = Self { place, binaries, throw_away: options.throw_away };
        if wanted.is_none() {
            cluster.create().context("cannot make a Postgres cluster")?;
        }
        Ok(cluster)
    }

    pub(super) fn bin_dir(&self) -> &Path {
        &self.binaries.dir
    }

    /// Everything happens beside the final place, so that an interruption leaves no half cluster.
    fn create(&self) -> anyhow::Result<()> {
        let unfinished = self.place.unfinished();
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(&unfinished).args([
            "--username=postgres",
            "--auth-local=trust",
            "--auth-host=reject",
            "--encoding=UTF8",
            "--locale=C",
            "--data-checksums",
            "--no-instructions",
        ]);
        if self.throw_away {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().context("initdb cannot be run")?;
        ensure!(
            output.status.success(),
            "initdb: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        self.create_database(&unfinished)?;
        fs::rename(&unfinished, self.place.data())?;
        File::open(self.place.home())?.sync_all()?;
        Ok(())
    }

    /// In single-user mode, as neither `psql` nor `createdb` has to be there.
    fn create_database(&self, data: &Path) -> anyhow::Result<()> {
        let mut single = self.command("postgres");
        single.arg("--single").arg("-D").arg(data).args(["-c", "exit_on_error=on"]);
        if self.throw_away {
            single.args(["-c", "fsync=off"]);
        }
        single.arg("postgres").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = single.spawn().context("postgres cannot be run")?;
        let mut input = child.stdin.take().expect("stdin was asked to be a pipe");
        writeln!(input, "create database {DATABASE}")?;
        drop(input);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "creating the database: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Starts the server in its own process group and waits until it answers.
    pub(super) fn launch(&self, timeout: Duration) -> anyhow::Result<(Child, Postmaster)> {
        let until = Instant::now() + LINGER;
        loop {
            match self.launch_once(timeout) {
                Ok(started) => return Ok(started),
                // A killed postmaster's children outlive it for a moment.
                Err(_) if self.is_memory_still_in_use() && Instant::now() < until => {
                    thread::sleep(Duration::from_millis(200));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn launch_once(&self, timeout: Duration) -> anyhow::Result<(Child, Postmaster)> {
        let socket_dir = self.place.socket_dir();
        self.place.owner().private_dir(&socket_dir)?;
        postmaster::make_way(&self.place.data(), &socket_dir)?;
        let log = self.open_log().context("cannot open the server's log")?;
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.place.data()).arg("-k").arg(&socket_dir);
        server.arg("-p").arg(PORT.to_string());
        for (name, value) in self.settings() {
            server.arg("-c").arg(format!("{name}={value}"));
        }
        server.stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child = server.spawn().context("postgres cannot be run")?;
        match postmaster::wait_for_child(&self.place.data(), &mut child, timeout) {
            Ok(postmaster) => Ok((child, postmaster)),
            Err(error) => {
                Err(error.context(format!("Postgres did not start: {}", self.log_tail())))
            }
        }
    }

    fn settings(&self) -> Vec<(&'static str, &'static str)> {
        let mut settings = vec![
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0700"),
            ("shared_buffers", "256MB"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_checkpoints", "off"),
        ];
        if self.throw_away {
            // Tests run side by side, each with a pool of its own.
            settings.push(("max_connections", "200"));
            settings.extend([("fsync", "off"), ("synchronous_commit", "off")]);
            settings.push(("full_page_writes", "off"));
        } else {
            settings.push(("max_connections", "100"));
        }
        settings
    }

    fn command(&self, program: &str) -> Command {
        self.place.owner().command(&self.binaries.dir.join(program))
    }

    /// Each start has its own log; the one before it is kept.
    fn open_log(&self) -> std::io::Result<File> {
        let path = self.place.log();
        if path.exists() {
            fs::rename(&path, path.with_extension("previous.log"))?;
        }
        let file = File::options().append(true).create_new(true).open(&path)?;
        self.place.owner().give(&path)?;
        Ok(file)
    }

    fn log_tail(&self) -> String {
        let text = fs::read(self.place.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    fn is_memory_still_in_use(&self) -> bool {
        self.log_tail().contains("shared memory block")
    }
}
