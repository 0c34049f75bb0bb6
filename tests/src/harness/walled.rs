//! Roles that own nothing, for a world in which Postgres itself keeps organizations apart.

use sqlx::{AssertSqlSafe, PgPool};
use url::Url;

/// The login of every process, and what it becomes while it answers a request.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub(crate) processes: String,
    pub(crate) requests: String,
}

impl Roles {
    /// Roles are the server's, so they are named after the world's database.
    pub(crate) fn of(database: &str) -> Self {
        Self {
            processes: format!("{database}_processes"),
            requests: format!("{database}_requests"),
        }
    }

    /// Makes and admits them as `docs/operations.md` says. Returns `url` with that login.
    pub(crate) async fn admit(&self, owner: &PgPool, url: &str) -> String {
        let Self { processes, requests } = self;
        let password = hex::encode(rand::random::<[u8; 16]>());
        for statement in [
            format!("create role {requests} nologin"),
            format!("create role {processes} login password '{password}' in role {requests}"),
            format!("grant pg_read_all_stats to {processes}"),
            format!("select relay.admit('{processes}', 'processes')"),
            format!("select relay.admit('{requests}', 'requests')"),
        ] {
            let done = sqlx::query(AssertSqlSafe(statement)).execute(owner).await;
            done.expect("the owner admits roles");
        }
        let mut url = Url::parse(url).expect("it is a URL");
        let changed = url.set_username(processes).and(url.set_password(Some(&password)));
        changed.expect("a URL of Postgres has a login");
        url.into()
    }

    /// Once nothing is left that they were admitted to.
    pub(crate) fn drop_statement(&self) -> String {
        format!("drop role if exists {}, {}", self.processes, self.requests)
    }
}
