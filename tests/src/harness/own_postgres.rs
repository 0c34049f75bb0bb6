//! A Postgres that belongs to one world alone: it may be killed, frozen, restarted and run out of room.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Gid, Pid, Uid, User, geteuid},
};
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::wait::{LONG, wait_until};

/// Nothing listens on it: it is part of the socket's name.
const PORT: u16 = 5432;
/// How long whoever keeps it running waits before it is started again.
const RESPAWN: Duration = Duration::from_millis(500);
/// What its directory is called, before the id of the process that made it.
const PREFIX: &str = "relay-postgres-";

/// The server. Dropped, it is killed, and all of it is deleted.
#[derive(Debug)]
pub struct OwnPostgres {
    cluster: Arc<Cluster>,
    is_kept_running: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Cluster {
    programs: PathBuf,
    home: PathBuf,
    /// Whom it runs as where we are root: Postgres refuses to.
    owner: Option<(Uid, Gid)>,
    /// Whether its data lies on a file system of its own.
    is_small: bool,
    server: Mutex<Option<Child>>,
}

impl OwnPostgres {
    /// Whether a file system of a chosen size can be had here: only root may mount one.
    #[must_use]
    pub fn can_be_small() -> bool {
        geteuid().is_root()
    }

    /// Makes one and starts it; with `bytes`, its data lies on a file system of that size.
    pub(crate) async fn start(bytes: Option<u64>) -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let programs = programs().await;
        let name = format!("{PREFIX}{}-{:08x}", std::process::id(), rand::random::<u32>());
        let home = std::env::temp_dir().join(name);
        let owner = geteuid().is_root().then(|| {
            let user = |name| User::from_name(name).ok().flatten();
            let user = user("postgres").or_else(|| user("nobody")).expect("`nobody` exists");
            (user.uid, user.gid)
        });
        let (is_small, server) = (bytes.is_some(), Mutex::new(None));
        let cluster = Arc::new(Cluster { programs, home, owner, is_small, server });
        let own = Self { cluster, is_kept_running: Arc::default() };
        own.cluster.prepare(bytes);
        own.start_again().await;
        own
    }

    /// What a client connects with; the database is the one that every cluster has.
    pub(crate) fn url(&self) -> String {
        let host = self.cluster.home.display().to_string();
        let host: String = url::form_urlencoded::byte_serialize(host.as_bytes()).collect();
        format!("postgres://postgres@localhost:{PORT}/postgres?host={host}")
    }

    /// Ends the server and every process of its own without warning, as a lost machine does.
    pub fn kill9(&self) {
        let mut server = self.cluster.server();
        let Some(mut postmaster) = server.take() else { return };
        let id = pid(&postmaster);
        // What stands still starts no others while we look.
        let _ = kill(id, Signal::SIGSTOP);
        let backends = children_of(id);
        for process in backends.iter().chain([&id]) {
            let _ = kill(*process, Signal::SIGKILL);
        }
        postmaster.wait().expect("a child can be waited for");
        let until = Instant::now() + LONG;
        while backends.iter().any(|id| is_alive(*id)) {
            assert!(Instant::now() < until, "backends outlive their SIGKILL");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts the server after its end, and waits until it has recovered and answers.
    pub async fn start_again(&self) {
        {
            let mut server = self.cluster.server();
            let runs = |child: &mut Child| child.try_wait().is_ok_and(|ended| ended.is_none());
            assert!(!server.as_mut().is_some_and(runs), "Postgres is still running");
            *server = Some(self.cluster.launch());
        }
        self.wait_ready().await;
    }

    /// Waits until the server answers.
    pub async fn wait_ready(&self) {
        let options: PgConnectOptions = self.url().parse().expect("we wrote it");
        let options = options.disable_statement_logging();
        wait_until("a world's own Postgres to answer", 2 * LONG, || async {
            assert!(
                self.is_kept_running.load(Ordering::Relaxed) || self.is_running(),
                "Postgres ended:\n{}",
                self.log()
            );
            let mut connection = options.connect().await.ok()?;
            sqlx::query("select 1").execute(&mut connection).await.ok()?;
            connection.close().await.ok()
        })
        .await;
    }

    /// Restarts the server in order: everybody is disconnected, and nobody is waited for.
    pub async fn restart(&self) {
        if let Some(mut postmaster) = self.cluster.server().take() {
            kill(pid(&postmaster), Signal::SIGINT).expect("it is there and ours");
            postmaster.wait().expect("a child can be waited for");
        }
        self.start_again().await;
    }

    /// Stops every one of its processes where it stands: connections stay, and nobody answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::SIGSTOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal_all(Signal::SIGCONT);
    }

    fn signal_all(&self, signal: Signal) {
        let Some(id) = self.cluster.server().as_ref().map(pid) else { return };
        // The one that starts others first: what stands still starts none.
        let _ = kill(id, signal);
        for backend in children_of(id) {
            let _ = kill(backend, signal);
        }
    }

    /// From now on a server that ends is started again, as whoever runs one has it done.
    pub fn keep_running(&self) {
        if self.is_kept_running.swap(true, Ordering::Relaxed) {
            return;
        }
        let (cluster, is_wanted) = (self.cluster.clone(), self.is_kept_running.clone());
        thread::spawn(move || {
            while is_wanted.load(Ordering::Relaxed) {
                thread::sleep(RESPAWN);
                let mut server = cluster.server();
                let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|e| e.is_some());
                if is_wanted.load(Ordering::Relaxed) && server.as_mut().is_some_and(has_ended) {
                    *server = Some(cluster.launch());
                }
            }
        });
    }

    /// Takes all the room that is left on its file system.
    pub fn fill(&self) {
        assert!(self.cluster.is_small, "its data lies on a file system of its own");
        let mut options = OpenOptions::new();
        let mut ballast =
            options.create(true).append(true).open(self.cluster.ballast()).expect("it can be made");
        for piece in [64 * 1024, 4 * 1024] {
            while ballast.write(&vec![0; piece]).is_ok_and(|written| written > 0) {}
        }
    }

    /// Gives that room back.
    pub fn free(&self) {
        fs::remove_file(self.cluster.ballast()).expect("it was filled before");
    }

    /// Whether the server runs, for all that its parent knows.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let mut server = self.cluster.server();
        server.as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()))
    }

    /// All that the server has written so far.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.cluster.log()).unwrap_or_default()).into_owned()
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.is_kept_running.store(false, Ordering::Relaxed);
        self.kill9();
        remove(&self.cluster.home, self.cluster.is_small);
    }
}

impl Cluster {
    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What can be filled, if it is small. The socket and the log lie outside.
    fn room(&self) -> PathBuf {
        self.home.join("room")
    }

    fn data(&self) -> PathBuf {
        self.room().join("data")
    }

    fn ballast(&self) -> PathBuf {
        self.room().join("ballast")
    }

    fn log(&self) -> PathBuf {
        self.home.join("log")
    }

    fn prepare(&self, bytes: Option<u64>) {
        fs::create_dir_all(self.room()).expect("the temporary directory can be written");
        if let Some(bytes) = bytes {
            let size = format!("size={bytes},mode=0755");
            let mut mount = Command::new("mount");
            mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(self.room());
            assert!(mount.status().is_ok_and(|status| status.success()), "root may mount a tmpfs");
        }
        for path in [self.home.clone(), self.room()] {
            self.give(&path);
        }
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(self.data()).args([
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            "--no-sync",
        ]);
        if bytes.is_some() {
            // Small segments: the log needs room again and again, as it does on a large disk.
            initdb.arg("--wal-segsize=1");
        }
        let output = initdb.output().expect("initdb can be run");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn launch(&self) -> Child {
        let log: File =
            OpenOptions::new().create(true).append(true).open(self.log()).expect("it can be made");
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data()).arg("-k").arg(&self.home).arg("-p").arg(PORT.to_string());
        let mut settings = vec!["listen_addresses=", "shared_buffers=32MB"];
        if self.is_small {
            // What is kept of the log to be used again is room that cannot run out.
            settings.extend(["min_wal_size=2MB", "max_wal_size=16MB"]);
        }
        for setting in settings {
            server.args(["-c", setting]);
        }
        server.stdout(log.try_clone().expect("a file can be had twice")).stderr(log);
        // Ctrl-C is for us: we end it.
        server.process_group(0).spawn().expect("postgres can be run")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir("/").env_clear().env("LC_ALL", "C").stdin(Stdio::null());
        if let Some((uid, gid)) = self.owner {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = self.owner {
            chown(path, Some(uid.as_raw()), Some(gid.as_raw())).expect("root may give it away");
        }
    }
}

fn remove(home: &Path, is_small: bool) {
    if is_small {
        let _ = Command::new("umount").arg(home.join("room")).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_dir_all(home);
}

/// Removes what tests have left behind that were killed themselves.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().filter_map(Result::ok) {
        let (name, home) = (entry.file_name(), entry.path());
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        let Some(maker) = maker.and_then(|id| id.parse().ok()).map(Pid::from_raw) else { continue };
        if is_alive(maker) {
            continue;
        }
        let room = home.join("room");
        let left = fs::read_to_string(room.join("data/postmaster.pid")).unwrap_or_default();
        let left = left.lines().next().and_then(|id| id.parse().ok()).map(Pid::from_raw);
        let serves = |id: &Pid| {
            let asked = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&asked).contains(&*home.to_string_lossy())
        };
        if let Some(postmaster) = left.filter(serves) {
            let _ = kill(postmaster, Signal::SIGQUIT);
            let until = Instant::now() + Duration::from_secs(5);
            while is_alive(postmaster) && Instant::now() < until {
                thread::sleep(Duration::from_millis(20));
            }
        }
        remove(&home, true);
    }
}

/// Where the programs of the tests' Postgres lie: it knows that itself.
async fn programs() -> PathBuf {
    if let Some(dir) = std::env::var_os("PG_BIN_DIR") {
        return dir.into();
    }
    let url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a Postgres for the tests");
    let options: PgConnectOptions = url.parse().expect("DATABASE_URL is one of Postgres");
    let mut connection = options.connect().await.expect("the tests' Postgres answers");
    let dir: String = sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
        .fetch_one(&mut connection)
        .await
        .expect("a superuser may ask");
    let _ = connection.close().await;
    let dir = PathBuf::from(dir);
    assert!(
        dir.join("initdb").is_file(),
        "{} holds no initdb: a world's own Postgres needs PG_BIN_DIR",
        dir.display()
    );
    dir
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("process ids fit"))
}

/// State and parent of a process, as Linux tells them.
fn look_at(id: Pid) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

fn is_alive(id: Pid) -> bool {
    look_at(id).is_some_and(|(state, _)| state != 'Z')
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("these tests run on Linux");
    let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let ids = ids.map(Pid::from_raw);
    ids.filter(|id| look_at(*id).is_some_and(|(_, its)| its == parent.as_raw())).collect()
}
