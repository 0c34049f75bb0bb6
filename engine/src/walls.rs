//! Whose rows a request may see: the second wall between organizations, behind every query's own `where`.
//!
//! Where a role was admitted for requests (`relay.admit`), each connection that the pool for API calls gives
//! to a request is that role's and names one organization: Postgres then shows no row of another one, not
//! even to a query that forgets to ask. What runs for no request is not walled in: duties, and whoever
//! reads for all watchers at once. See `docs/decisions/0037-row-level-security.md`.

use std::{
    cell::Cell,
    sync::{Arc, PoisonError, RwLock},
};

use sqlx::{PgConnection, Postgres, pool::PoolOptions};

use crate::ids::OrganizationId;

/// What the request of this task may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It is not known yet who asks.
    Nobody,
    One(OrganizationId),
    /// It comes from the core, or asks what belongs to nobody.
    Everybody,
}

tokio::task_local! {
    static SIGHT: Cell<Sight>;
}

fn sight() -> Sight {
    SIGHT.try_with(Cell::get).unwrap_or(Sight::Everybody)
}

/// Runs what answers a request. It sees nothing until it [says for whom](narrow_to) it asks.
pub async fn request<F: Future>(answering: F) -> F::Output {
    SIGHT.scope(Cell::new(Sight::Nobody), answering).await
}

/// From here on this request sees what is this organization's. Outside a request it does nothing.
pub fn narrow_to(organization_id: OrganizationId) {
    let _ = SIGHT.try_with(|sight| sight.set(Sight::One(organization_id)));
}

/// From here on this request sees everything: it is the core's, which no wall stands before.
pub fn open() {
    let _ = SIGHT.try_with(|sight| sight.set(Sight::Everybody));
}

/// Runs one question that is not about an organization's rows.
pub async fn beyond<F: Future>(asking: F) -> F::Output {
    SIGHT.scope(Cell::new(Sight::Everybody), asking).await
}

/// The same sight for a task that this request begins.
pub fn carried<F: Future>(task: F) -> impl Future<Output = F::Output> {
    SIGHT.scope(Cell::new(sight()), task)
}

/// The role for requests, where this login may become it. By the catalogue alone, so that it can be asked
/// before there is a schema.
const ROLE_FOR_REQUESTS: &str = "select pg_get_userbyid(p.polroles[1])::text
     from pg_policy p
     join pg_class c on c.oid = p.polrelid
     join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = 'relay' and c.relname = 'outbox' and p.polname like 'requests\\_%'
       and pg_has_role(session_user, p.polroles[1], 'member')
     order by p.polname limit 1";

/// Has every connection that a pool gives out see what its request may see. Where no role was admitted for
/// requests this asks the database nothing.
pub(crate) fn walled(pool: PoolOptions<Postgres>) -> PoolOptions<Postgres> {
    // Asked with each new connection, so that a wall that was built meanwhile is found.
    let role: Arc<RwLock<Option<Arc<str>>>> = Arc::default();
    let known = role.clone();
    pool.after_connect(move |connection, _| {
        let role = role.clone();
        Box::pin(async move {
            let found: Option<String> =
                sqlx::query_scalar(ROLE_FOR_REQUESTS).fetch_optional(&mut *connection).await?;
            let found: Option<Arc<str>> = found.map(Into::into);
            (*role.write().unwrap_or_else(PoisonError::into_inner)).clone_from(&found);
            match found {
                Some(role) => stand(connection, &role).await,
                None => Ok(()),
            }
        })
    })
    .before_acquire(move |connection, _| {
        let role = known.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            if let Some(role) = role {
                stand(connection, &role).await?;
            }
            Ok(true)
        })
    })
}

/// Puts a session where the request of this task stands.
async fn stand(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let (role, organization_id) = match sight() {
        Sight::Nobody => (role, String::new()),
        Sight::One(id) => (role, id.to_string()),
        Sight::Everybody => ("none", String::new()),
    };
    sqlx::query(
        "select set_config('role', $1, false), set_config('relay.organization', $2, false)",
    )
    .bind(role)
    .bind(organization_id)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ONE: OrganizationId = OrganizationId(Uuid::from_u128(1));

    #[tokio::test]
    async fn a_request_sees_nothing_until_it_says_for_whom_it_asks() {
        request(async {
            assert_eq!(sight(), Sight::Nobody);
            assert_eq!(beyond(async { sight() }).await, Sight::Everybody);
            assert_eq!(sight(), Sight::Nobody, "one question, and no more");
            narrow_to(ONE);
            assert_eq!(sight(), Sight::One(ONE));
            let told = tokio::spawn(carried(async { sight() })).await.expect("it ends");
            assert_eq!(told, Sight::One(ONE));
            open();
            assert_eq!(sight(), Sight::Everybody);
        })
        .await;
    }

    #[tokio::test]
    async fn what_runs_for_no_request_is_not_walled_in() {
        narrow_to(ONE);
        assert_eq!(sight(), Sight::Everybody);
        assert_eq!(carried(async { sight() }).await, Sight::Everybody);
    }

    #[tokio::test]
    async fn requests_at_one_time_see_each_their_own() {
        let two = OrganizationId(Uuid::from_u128(2));
        let one_of = |id| {
            request(async move {
                narrow_to(id);
                tokio::task::yield_now().await;
                sight()
            })
        };
        let (first, second) = tokio::join!(one_of(ONE), one_of(two));
        assert_eq!((first, second), (Sight::One(ONE), Sight::One(two)));
    }
}
