//! A database of its own for each world, on the Postgres that `DATABASE_URL` names or on its own.

use std::str::FromStr;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions,
};
use url::Url;

use super::walled::Roles;

/// A fresh, empty database; it is dropped by [`Database::remove`].
#[derive(Debug)]
pub(crate) struct Database {
    server: PgConnectOptions,
    url: Url,
    name: String,
    pub(crate) pool: PgPool,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let text = std::env::var("DATABASE_URL")
            .expect("DATABASE_URL names a Postgres for the tests: `make test` starts one");
        Self::create_on(&text).await
    }

    /// The same on another server.
    pub(crate) async fn create_on(server_url: &str) -> Self {
        let mut url = Url::parse(server_url).expect("DATABASE_URL is a URL");
        let server =
            PgConnectOptions::from_str(server_url).expect("DATABASE_URL is one of Postgres");
        let name = format!("world_{}_{:08x}", std::process::id(), rand::random::<u32>());
        execute(&server, format!("create database {name}")).await;
        url.set_path(&name);
        let options = server.clone().database(&name).application_name("tests");
        let pool =
            sqlx::postgres::PgPoolOptions::new().max_connections(4).connect_lazy_with(options);
        Self { server, url, name, pool }
    }

    /// What a process connects with.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// The same, by way of a proxy on a local port.
    pub(crate) fn url_through(&self, port: u16) -> String {
        let password = self.url.password().map(|p| format!(":{p}")).unwrap_or_default();
        let user = self.server.get_username();
        format!("postgres://{user}{password}@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    /// The password in `DATABASE_URL`, if there is one worth hiding.
    pub(crate) fn password(&self) -> Option<String> {
        self.url.password().filter(|password| password.len() >= 8).map(str::to_owned)
    }

    /// Where the server listens.
    pub(crate) fn upstream(&self) -> crate::harness::fault_proxy::Upstream {
        use crate::harness::fault_proxy::Upstream;
        let port = self.server.get_port();
        match self.server.get_socket() {
            Some(dir) => Upstream::Socket(dir.join(format!(".s.PGSQL.{port}"))),
            None => Upstream::Address(format!("{}:{port}", self.server.get_host())),
        }
    }

    /// What a failed test leaves, for the person who looks: promises, attempts, and who waits for what.
    pub(crate) async fn describe(server: &PgConnectOptions, name: &str) -> Vec<String> {
        const LOOKS: [&str; 3] = [
            "select to_jsonb(o)::text from relay.outbox o order by due_at limit 10",
            "select to_jsonb(a)::text from relay.attempts a order by recorded_at desc limit 10",
            "select concat_ws(' | ', pid, application_name, state, wait_event, now() - query_start,
                              left(regexp_replace(query, '\\s+', ' ', 'g'), 100))
             from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
        ];
        let options = server.clone().database(name).disable_statement_logging();
        let Ok(mut connection) = options.connect().await else { return Vec::new() };
        let mut lines = Vec::new();
        for look in LOOKS {
            let found = sqlx::query_scalar::<_, String>(look).fetch_all(&mut connection).await;
            lines.extend(found.unwrap_or_else(|error| vec![error.to_string()]));
        }
        lines
    }

    pub(crate) async fn remove(server: &PgConnectOptions, name: &str) {
        execute(server, format!("drop database if exists {name} with (force)")).await;
        execute(server, Roles::of(name).drop_statement()).await;
    }

    pub(crate) fn server(&self) -> (PgConnectOptions, String) {
        (self.server.clone(), self.name.clone())
    }
}

async fn execute(server: &PgConnectOptions, statement: String) {
    let mut connection: PgConnection = server
        .clone()
        .disable_statement_logging()
        .connect()
        .await
        .expect("the tests' Postgres answers");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("a superuser may create and drop databases");
    let _ = connection.close().await;
}
