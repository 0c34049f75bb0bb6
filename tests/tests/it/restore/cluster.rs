//! A Postgres that archives its log, as docs/backup-and-erasure.md says, and can be brought back to a moment.

use std::{
    fs::{self, File},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::unistd::{Gid, Uid, User, geteuid};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tests::{LONG, wait_until};

const PORT: &str = "5432";

/// One server at a time, on whichever data directory; and the archive that they share.
pub(super) struct Cluster {
    programs: PathBuf,
    home: PathBuf,
    owner: Option<(Uid, Gid)>,
    server: Option<Child>,
}

impl Cluster {
    pub(super) async fn start(programs: PathBuf) -> Self {
        let home = std::env::temp_dir().join(format!(
            "relay-restore-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        let owner = geteuid().is_root().then(|| {
            let user = |name| User::from_name(name).ok().flatten();
            let user = user("postgres").or_else(|| user("nobody")).expect("`nobody` exists");
            (user.uid, user.gid)
        });
        let mut cluster = Self { programs, home, owner, server: None };
        for dir in [cluster.home.clone(), cluster.archive()] {
            fs::create_dir_all(&dir).expect("the temporary directory can be written");
            cluster.give(&dir);
        }
        let data = cluster.data("first");
        let made =
            ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        cluster.run("initdb", &[&["-D", text(&data)][..], &made].concat());
        cluster.launch("first").await;
        cluster
    }

    pub(super) fn url(&self) -> String {
        let host: String =
            url::form_urlencoded::byte_serialize(text(&self.home).as_bytes()).collect();
        format!("postgres://postgres@localhost:{PORT}/postgres?host={host}")
    }

    /// A copy of the running server's files, which the archive makes whole.
    pub(super) fn base_backup(&self, name: &str) {
        let data = self.data(name);
        let place = ["-D", text(&data), "-h", text(&self.home), "-p", PORT, "-U", "postgres"];
        let how = ["--checkpoint=fast", "--wal-method=none", "--no-sync"];
        self.run("pg_basebackup", &[&place[..], &how].concat());
    }

    /// Loses the server as its machine is lost, once what it wrote so far is in the archive.
    pub(super) async fn lose(&mut self) {
        let mut connection = self.connect().await;
        let segment: String = sqlx::query_scalar("select pg_walfile_name(pg_current_wal_lsn())")
            .fetch_one(&mut connection)
            .await
            .expect("a superuser may ask");
        sqlx::query("select pg_switch_wal()").execute(&mut connection).await.expect("it may");
        let archived = self.archive().join(segment);
        wait_until("the log to be archived", LONG, || async { archived.is_file().then_some(()) })
            .await;
        drop(connection);
        self.end();
    }

    /// Starts from a copy, follows the archive to a named point, and goes on from there.
    pub(super) async fn restore_to(&mut self, name: &str, point: &str) {
        let data = self.data(name);
        let settings = format!(
            "restore_command = 'cp \"{}/%f\" \"%p\"'\nrecovery_target_name = '{point}'\nrecovery_target_action = 'promote'\n",
            self.archive().display()
        );
        let mut all = fs::read_to_string(data.join("postgresql.auto.conf")).unwrap_or_default();
        all.push_str(&settings);
        fs::write(data.join("postgresql.auto.conf"), all).expect("root may, and so may its owner");
        fs::write(data.join("recovery.signal"), "").expect("root may, and so may its owner");
        self.give(&data.join("recovery.signal"));
        self.launch(name).await;
        wait_until("the server to have recovered", LONG, || async {
            let mut connection = self.connect().await;
            let recovers: bool = sqlx::query_scalar("select pg_is_in_recovery()")
                .fetch_one(&mut connection)
                .await
                .ok()?;
            (!recovers).then_some(())
        })
        .await;
    }

    async fn connect(&self) -> PgConnection {
        let options: PgConnectOptions = self.url().parse().expect("we wrote it");
        options.disable_statement_logging().connect().await.expect("the server answers")
    }

    async fn launch(&mut self, name: &str) {
        let log = File::create(self.home.join(format!("{name}.log"))).expect("it can be made");
        let archive = format!("archive_command=cp \"%p\" \"{}/%f\"", self.archive().display());
        let settings = [
            "listen_addresses=",
            "shared_buffers=32MB",
            "wal_level=replica",
            "archive_mode=on",
            &archive,
        ];
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data(name)).arg("-k").arg(&self.home).args(["-p", PORT]);
        for setting in settings {
            server.args(["-c", setting]);
        }
        server.stdout(log.try_clone().expect("a file can be had twice")).stderr(log);
        self.server = Some(server.process_group(0).spawn().expect("postgres can be run"));
        let options: PgConnectOptions = self.url().parse().expect("we wrote it");
        let options = options.disable_statement_logging();
        wait_until("the server to answer", 2 * LONG, || async {
            options.connect().await.ok()?.close().await.ok()
        })
        .await;
    }

    fn end(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Its processes end when they find it gone, and its files are not used again.
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().expect("it can be run");
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some((uid, gid)) = self.owner {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    fn data(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    fn archive(&self) -> PathBuf {
        self.home.join("archive")
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.owner {
            chown(path, Some(uid.as_raw()), Some(gid.as_raw())).expect("root may give it away");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("we wrote it")
}
