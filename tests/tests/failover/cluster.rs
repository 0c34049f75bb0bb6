//! Three machines and the proxy before them: made, asked how it stands, and cleared away.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tests::{free_port, wait_until};

use super::{
    files::{self, Site},
    machine::Machine,
};

/// For a cluster to be made, or a machine to be taken back into it, on two busy cores.
const PATIENCE: Duration = Duration::from_secs(120);
/// The place in machine.env.example of Patroni's own password, and of the superuser's.
const REST: usize = 1;
const SUPERUSER: usize = 2;

/// A cluster of its own. Dropped, it is killed and deleted.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) machines: Vec<Machine>,
    site: Site,
    proxy: Child,
    port: u16,
    owner_password: String,
    http: reqwest::Client,
    home: PathBuf,
}

impl Cluster {
    /// Starts three machines and the proxy, and waits until both standbys follow, one of them in step.
    pub(crate) async fn start() -> Self {
        let name = format!("relay-failover-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let home = std::env::temp_dir().join(name);
        fs::create_dir_all(&home).expect("the temporary directory can be written");
        let everybody = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&home, everybody).expect("it is ours");
        let site = Site::new();
        let machines = (1..=3).map(|number| Machine::start(&site, number, &home)).collect();
        let port = free_port();
        let log = File::create(home.join("haproxy.log")).expect("a log can be made");
        let mut proxy = Command::new(files::program("haproxy"));
        proxy.arg("-db").arg("-f").arg(files::path("haproxy.cfg"));
        proxy.env_clear().envs(site.proxy(port)).stdin(Stdio::null()).process_group(0);
        proxy.stdout(log.try_clone().expect("a file can be had twice")).stderr(log);
        let proxy = proxy.spawn().expect("haproxy can be run");
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(2))
            .no_proxy()
            .build()
            .expect("a plain client can be built");
        let owner_password = hex::encode(rand::random::<[u8; 12]>());
        let cluster = Self { machines, site, proxy, port, owner_password, http, home };
        cluster.followed_by(2).await;
        cluster.make_owner().await;
        cluster
    }

    /// As docs/operations.md says: the role that Relay runs as owns its schema, and nothing else.
    async fn make_owner(&self) {
        let role = format!(
            "create role relay_owner login createdb createrole password '{}'",
            self.owner_password
        );
        let leader = self.leader().await;
        self.ask(leader, &role).await.expect("a superuser may make roles");
    }

    /// What Relay connects with: the proxy's address, as the schema's owner.
    pub(crate) fn url(&self) -> String {
        let (password, port) = (&self.owner_password, self.port);
        format!("postgres://relay_owner:{password}@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    /// Runs one statement on one machine as its superuser; the first column of its first row as text.
    pub(crate) async fn ask(&self, machine: usize, statement: &str) -> Option<String> {
        let options = PgConnectOptions::new()
            .host(&self.machines[machine].address.to_string())
            .username("postgres")
            .password(self.site.password(SUPERUSER))
            .database("postgres")
            .disable_statement_logging();
        let asking = async {
            let mut connection = options.connect().await?;
            let found =
                sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(statement.to_owned()))
                    .fetch_optional(&mut connection)
                    .await?;
            let _ = connection.close().await;
            Ok::<_, sqlx::Error>(found.flatten().unwrap_or_default())
        };
        tokio::time::timeout(Duration::from_secs(2), asking).await.ok()?.ok()
    }

    /// The machine whose Patroni says that it is the primary, if there is one.
    async fn find_leader(&self) -> Option<usize> {
        for (index, machine) in self.machines.iter().enumerate() {
            let url = format!("http://{}:8008/primary", machine.address);
            if self.http.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return Some(index);
            }
        }
        None
    }

    /// The machine that is the primary; waits for one.
    pub(crate) async fn leader(&self) -> usize {
        wait_until("a primary", PATIENCE, || self.find_leader()).await
    }

    /// Waits until so many standbys follow the primary, and commits wait for one of them if they are
    /// to; gives the primary.
    pub(crate) async fn followed_by(&self, standbys: usize) -> usize {
        let what = format!("{standbys} standbys");
        wait_until(&what, PATIENCE, || async {
            let leader = self.find_leader().await?;
            let stands = self
                .ask(
                    leader,
                    "select count(*)::text || ' ' || (count(*) filter (where sync_state = 'sync'))
                         || ' ' || (current_setting('synchronous_standby_names') not in ('', '*'))::int
                     from pg_stat_replication
                     where state = 'streaming' and application_name like 'db%'",
                )
                .await?;
            let counts: Vec<usize> = stands.split(' ').filter_map(|n| n.parse().ok()).collect();
            (counts[0] == standbys && counts[1] == counts[2]).then_some(leader)
        })
        .await
    }

    /// Changes what all machines are told, as `patronictl edit-config` does.
    pub(crate) async fn configure(&self, change: &Value) {
        let url = format!("http://{}:8008/config", self.machines[self.leader().await].address);
        let request = self.http.patch(url).basic_auth("patroni", Some(self.site.password(REST)));
        let answer = request.json(change).send().await.expect("Patroni answers");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Has a standby take over from a primary that is well, as `patronictl switchover` does.
    pub(crate) async fn switch_over(&self) {
        let leader = &self.machines[self.leader().await];
        let url = format!("http://{}:8008/switchover", leader.address);
        let request = self.http.post(url).basic_auth("patroni", Some(self.site.password(REST)));
        let request = request.timeout(PATIENCE).json(&json!({ "leader": leader.name }));
        let answer = request.send().await.expect("Patroni answers");
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    }

    /// Has a machine's etcd lead the others: the worst one to stand still.
    pub(crate) async fn lead_etcd(&self, machine: usize) {
        wait_until("an etcd to lead the others", PATIENCE, || async {
            let mut ids = Vec::new();
            for machine in &self.machines {
                let status = self.etcd(machine, "status", &json!({})).await?;
                ids.push((status["header"]["member_id"].clone(), status["leader"].clone()));
            }
            let (wanted, leads) = ids[machine].clone();
            if wanted == leads {
                return Some(());
            }
            let leader = ids.iter().position(|(id, _)| *id == leads)?;
            let change = json!({ "targetID": wanted });
            self.etcd(&self.machines[leader], "transfer-leadership", &change).await;
            None
        })
        .await;
    }

    async fn etcd(&self, machine: &Machine, what: &str, body: &Value) -> Option<Value> {
        let url = format!("http://{}:2379/v3/maintenance/{what}", machine.address);
        self.http.post(url).json(body).send().await.ok()?.json().await.ok()
    }

    /// Whether a machine follows another as a standby.
    pub(crate) async fn is_standby(&self, machine: usize) -> bool {
        let url = format!("http://{}:8008/replica", self.machines[machine].address);
        self.http.get(url).send().await.is_ok_and(|answer| answer.status() == 200)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
        self.machines.clear();
        let _ = fs::remove_dir_all(&self.home);
    }
}
