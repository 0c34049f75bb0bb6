//! A Relay of our own: throw-away Postgres, migrations, API and workers, and their orderly end.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::cpu::Watched;
use crate::postgres::Postgres;
use crate::webhooks::Relay;
use crate::{clock, http, token};

const POSTGRES_PATIENCE: Duration = Duration::from_secs(120);
const MIGRATE_PATIENCE: Duration = Duration::from_secs(120);
const READY_PATIENCE: Duration = Duration::from_secs(60);
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// What the processes must not take over from whoever runs us.
const FOREIGN_PREFIXES: [&str; 6] =
    ["RELAY_", "SUPABASE_", "PG", "DATABASE_URL", "INTERNAL_API_KEY", "RUST_LOG"];
/// The bytes of an encryption key that guards nothing: the cluster is thrown away.
const ENCRYPTION_KEY: &str = "bG9hZHRlc3QtbG9hZHRlc3QtbG9hZHRlc3QtbG9hZHQ=";
/// Holds Postgres for as long as our end of its standard input is open: however we end, it ends.
const HOLD: &str =
    r#"printf 'url %s\nbin %s\n' "$DATABASE_URL" "$RELAY_TEST_PG_BIN"; exec cat >/dev/null"#;

/// The processes, until they are stopped; dropping them ends them less gently.
pub(crate) struct Cluster {
    relay: Relay,
    postgres: Postgres,
    holder: Child,
    api: Child,
    /// `None` where `relay serve` does both.
    workers: Option<Child>,
    logs: PathBuf,
    relay_bin: PathBuf,
    settings: Vec<(String, String)>,
    jwt_secret: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("relay", &self.relay).finish_non_exhaustive()
    }
}

/// How to start it.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) relay_bin: PathBuf,
    /// Settings on top of ours, as NAME=VALUE.
    pub(crate) settings: Vec<(String, String)>,
    /// Whether API and workers are one process.
    pub(crate) together: bool,
}

impl Cluster {
    /// Starts everything and waits until the API is ready. Logs are kept if that fails.
    pub(crate) async fn start(options: &Options) -> anyhow::Result<Self> {
        let relay_bin = std::path::absolute(&options.relay_bin)?;
        ensure!(
            relay_bin.is_file(),
            "there is no `{}`: build it with `cargo build --release -p relay`, or name another \
             with --relay-bin",
            relay_bin.display()
        );
        let logs = std::env::temp_dir().join(format!("relay-loadtest-{}", std::process::id()));
        std::fs::create_dir_all(&logs)?;
        let started = Self::start_with(&relay_bin, options, logs.clone()).await;
        started.with_context(|| format!("Relay could not be started; logs: {}", logs.display()))
    }

    pub(crate) fn relay(&self) -> &Relay {
        &self.relay
    }

    /// The same Relay for an organization of its own.
    pub(crate) fn new_organization(&self) -> Relay {
        let organization_id = Uuid::new_v4();
        let admin_token = owner_token(&self.jwt_secret, organization_id);
        Relay { admin_token, organization_id, ..self.relay.clone() }
    }

    /// Ends the workers: what is recorded from now on waits.
    pub(crate) async fn stop_workers(&mut self) -> anyhow::Result<()> {
        let workers = self
            .workers
            .as_mut()
            .context("this scenario stops the workers alone, which it cannot with --together")?;
        let status = stop(workers).await?;
        ensure!(status.success(), "relay workers ended with {status}: {}", self.tail("workers"));
        Ok(())
    }

    /// Starts workers again.
    pub(crate) fn start_workers(&mut self) -> anyhow::Result<()> {
        self.workers = Some(spawn(&self.relay_bin, &self.logs, &self.settings, "workers")?);
        Ok(())
    }

    pub(crate) fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    pub(crate) fn watched(&self) -> Vec<Watched> {
        let of = |name: &str, pid: Option<u32>| pid.map(|pid| Watched { name: name.into(), pid });
        let all = [
            of("api", self.api.id()),
            of("workers", self.workers.as_ref().and_then(Child::id)),
            of("postgres", Some(self.postgres.pid)),
        ];
        all.into_iter().flatten().collect()
    }

    /// Ends API and workers, and leaves Postgres running: for the floor.
    pub(crate) async fn stop_relay(&mut self) -> anyhow::Result<()> {
        let mut ended = vec![("api", stop(&mut self.api).await?)];
        if let Some(workers) = &mut self.workers {
            ended.push(("workers", stop(workers).await?));
        }
        for (name, status) in ended {
            ensure!(status.success(), "relay {name} ended with {status}: {}", self.tail(name));
        }
        Ok(())
    }

    /// Ends everything, the database with its data included.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        let stopped = self.stop_relay().await;
        drop(self.holder.stdin.take());
        let status = timeout(STOP_PATIENCE, self.holder.wait()).await;
        let status = status.context("Postgres did not stop in time")??;
        ensure!(status.success(), "`relay with-postgres` ended with {status}");
        stopped?;
        std::fs::remove_dir_all(&self.logs)?;
        Ok(())
    }

    async fn start_with(
        relay_bin: &Path,
        options: &Options,
        logs: PathBuf,
    ) -> anyhow::Result<Self> {
        let mut holder = command(relay_bin, &logs, "postgres")?;
        holder.args(["with-postgres", "--", "sh", "-c", HOLD]);
        // Killing it would leave its server behind; closing its standard input does not.
        let mut holder =
            holder.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(false).spawn()?;
        let told = timeout(POSTGRES_PATIENCE, places(&mut holder)).await;
        let (url, bin_dir) =
            told.context("Postgres did not start in time")?.with_context(|| {
                format!("`relay with-postgres` did not start: {}", tail(&logs, "postgres"))
            })?;
        let postgres = Postgres::new(url, bin_dir.into())?;

        let (listen, jwt_secret) = (free_address()?, Uuid::new_v4().to_string().repeat(2));
        let service_key = Uuid::new_v4().to_string();
        let organization_id = Uuid::new_v4();
        let mut settings = vec![
            ("DATABASE_URL".to_owned(), postgres.url.clone()),
            ("RELAY_LISTEN".to_owned(), listen.to_string()),
            ("RELAY_SERVICE_KEY".to_owned(), service_key.clone()),
            ("RELAY_ENCRYPTION_KEY".to_owned(), ENCRYPTION_KEY.to_owned()),
            ("SUPABASE_JWT_SECRET".to_owned(), jwt_secret.clone()),
            ("RELAY_MEMBERSHIP".to_owned(), "claims".to_owned()),
            ("RELAY_ALLOW_HTTP".to_owned(), "true".to_owned()),
            ("RELAY_ALLOW_PRIVATE_NETWORKS".to_owned(), "127.0.0.0/8".to_owned()),
        ];
        settings.extend(options.settings.iter().cloned());

        let mut migrate = command(relay_bin, &logs, "migrate")?;
        let migrate = migrate.arg("migrate").envs(settings.iter().cloned()).status();
        let status =
            timeout(MIGRATE_PATIENCE, migrate).await.context("migrate took too long")??;
        ensure!(status.success(), "relay migrate ended with {status}: {}", tail(&logs, "migrate"));

        let one = |name| spawn(relay_bin, &logs, &settings, name);
        let (api, workers) = if options.together {
            (one("serve")?, None)
        } else {
            (one("api")?, Some(one("workers")?))
        };
        let admin_token = owner_token(&jwt_secret, organization_id);
        let relay = Relay { address: listen, service_key, admin_token, organization_id };
        let relay_bin = relay_bin.to_owned();
        let mut cluster =
            Self { relay, postgres, holder, api, workers, logs, relay_bin, settings, jwt_secret };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + READY_PATIENCE;
        loop {
            let api = ("api", &mut self.api);
            let workers = self.workers.as_mut().map(|workers| ("workers", workers));
            for (name, child) in std::iter::once(api).chain(workers) {
                if let Some(status) = child.try_wait()? {
                    bail!("relay {name} ended with {status}: {}", tail(&self.logs, name));
                }
            }
            let ready = http::call(self.relay.address, "GET", "/readyz", "", "").await;
            if ready.is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "the API was not ready in time: {}", self.tail("api"));
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn tail(&self, name: &str) -> String {
        tail(&self.logs, name)
    }
}

/// `relay api`, `relay workers` or `relay serve`, with its metrics on a port of its own.
fn spawn(
    relay_bin: &Path,
    logs: &Path,
    settings: &[(String, String)],
    name: &str,
) -> anyhow::Result<Child> {
    let mut command = command(relay_bin, logs, name)?;
    command.arg(name).envs(settings.iter().cloned());
    command.env("RELAY_METRICS_LISTEN", free_address()?.to_string());
    command.spawn().with_context(|| format!("cannot run relay {name}"))
}

/// Good for longer than any run.
fn owner_token(jwt_secret: &str, organization_id: Uuid) -> String {
    token::owner(jwt_secret, organization_id, clock::unix_seconds() + 7_200)
}

/// Relay with none of our caller's settings, its output in a file of `logs`. It is asked to end
/// when we die, where the system has `setpriv`.
fn command(relay_bin: &Path, logs: &Path, name: &str) -> anyhow::Result<Command> {
    let log = File::create(logs.join(format!("{name}.log")))?;
    let has_setpriv = std::process::Command::new("setpriv")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let mut command = if has_setpriv && name != "postgres" {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(relay_bin);
        command
    } else {
        Command::new(relay_bin)
    };
    for (variable, _) in std::env::vars_os() {
        let is_foreign = variable
            .to_str()
            .is_some_and(|name| FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        if is_foreign {
            command.env_remove(&variable);
        }
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    // Ctrl-C in a terminal is for us: we end the others in order.
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

/// What [`HOLD`] prints: the database's URL, and the directory of Postgres's programs.
async fn places(holder: &mut Child) -> anyhow::Result<(String, String)> {
    let output = holder.stdout.take().context("its output is piped")?;
    let mut lines = BufReader::new(output).lines();
    let (mut url, mut bin_dir) = (None, None);
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("url", value)) => url = Some(value.to_owned()),
            Some(("bin", value)) => bin_dir = Some(value.to_owned()),
            _ => {}
        }
        if let (Some(url), Some(bin_dir)) = (&url, &bin_dir) {
            return Ok((url.clone(), bin_dir.clone()));
        }
    }
    bail!("it ended without naming a database")
}

/// Asks a process to end and waits for it; kills it when it takes too long.
pub(crate) async fn stop(child: &mut Child) -> anyhow::Result<ExitStatus> {
    if let Some(status) = child.try_wait()? {
        return Ok(status);
    }
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if let Ok(status) = timeout(STOP_PATIENCE, child.wait()).await {
        return Ok(status?);
    }
    child.kill().await?;
    Ok(child.wait().await?)
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The last lines of a process's log.
fn tail(logs: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(logs.join(format!("{name}.log"))).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
