//! The files of deploy/high-availability/, as three machines on loopback addresses have them.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

/// The network of the examples; here it becomes one of loopback's own.
const NETWORK: &str = "10.0.0.";

/// Where the programs are that `scripts/setup-failover` got.
pub(crate) fn program(name: &str) -> PathBuf {
    let directory = std::env::var_os("RELAY_FAILOVER_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("a test knows its own file");
            test.ancestors().nth(3).expect("it lies in target/").join("failover")
        },
        PathBuf::from,
    );
    let program = directory.join("bin").join(name);
    assert!(program.is_file(), "{} is not there: scripts/setup-failover", program.display());
    program
}

/// The programs of the newest Postgres of the machine, if nobody says which.
pub(crate) fn postgres_programs() -> PathBuf {
    if let Some(dir) = std::env::var_os("PG_BIN_DIR").or(std::env::var_os("RELAY_TEST_PG_BIN")) {
        return dir.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let newest: u32 = versions.max().expect("Debian's Postgres, or PG_BIN_DIR");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// A file of deploy/high-availability/.
pub(crate) fn path(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent");
    root.join("deploy/high-availability").join(name)
}

/// The settings of an example, with every name and value that it has.
fn example(name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(path(name)).expect("the example is there");
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').expect("NAME=value"));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Three loopback addresses, and the passwords of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    network: String,
    passwords: Vec<String>,
}

impl Site {
    /// Other addresses and passwords than any other cluster has.
    pub(crate) fn new() -> Self {
        // Past 127.0.x, where other programs like to be.
        let (b, c) = (1 + rand::random::<u8>() % 250, rand::random::<u8>());
        let password = || hex::encode(rand::random::<[u8; 12]>());
        Self { network: format!("127.{b}.{c}."), passwords: (0..4).map(|_| password()).collect() }
    }

    /// Where the machine `db<number>` is.
    pub(crate) fn address(&self, number: usize) -> Ipv4Addr {
        format!("{}{number}", self.network).parse().expect("three numbers and one more")
    }

    /// What the machine `db<number>` has in its machine.env, with its directories below `home`.
    pub(crate) fn machine(&self, number: usize, home: &Path) -> Vec<(String, String)> {
        let home = home.display();
        let mut settings = example("machine.env.example");
        for (name, value) in &mut settings {
            // What names all machines names them here too; everything else is this machine's.
            if !matches!(name.as_str(), "ETCD_INITIAL_CLUSTER" | "PATRONI_ETCD_HOSTS") {
                *value = value.replace("10.0.0.1", &format!("{NETWORK}{number}"));
                *value = value.replace("db1", &format!("db{number}"));
            }
            *value = value.replace(NETWORK, &self.network);
            *value = match (name.as_str(), value.strip_prefix("change-me-")) {
                (_, Some(which)) => {
                    self.passwords[which.parse::<usize>().expect("a number") - 1].clone()
                }
                ("ETCD_DATA_DIR", _) => format!("{home}/etcd"),
                ("PATRONI_POSTGRESQL_DATA_DIR", _) => format!("{home}/data"),
                ("PATRONI_POSTGRESQL_PGPASS", _) => format!("{home}/pgpass"),
                ("PATRONI_POSTGRESQL_BIN_DIR", _) => postgres_programs().display().to_string(),
                _ => value.clone(),
            };
        }
        settings
    }

    /// What is in the proxy.env of a proxy on this port.
    pub(crate) fn proxy(&self, port: u16) -> Vec<(String, String)> {
        let mut settings = example("proxy.env.example");
        for (name, value) in &mut settings {
            *value = match name.as_str() {
                "RELAY_HA_LISTEN" => format!("127.0.0.1:{port}"),
                _ => value.replace(NETWORK, &self.network),
            };
        }
        settings
    }

    /// The password that the example of this number stands for.
    pub(crate) fn password(&self, number: usize) -> &str {
        &self.passwords[number - 1]
    }
}
