//! Keeps connections' secrets: sealed, by version, with an overlap only where it was asked for.

use std::time::Duration;

use sqlx::PgConnection;

use crate::{
    clock::Timestamp,
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    outbox::interval,
    secret::{KeyRing, Place, Purpose, Secret},
};

/// Older secrets that may still sign beside the current one.
pub const OVERLAPPING_MAX: i64 = 10;

/// Stores a new signing secret as the current one. The old ones die at once, or after `overlap`.
/// Returns the number of the new secret and until when the old one signs too.
pub(crate) async fn rotate(
    tx: &mut PgConnection,
    keys: &KeyRing,
    organization_id: OrganizationId,
    connection_id: ConnectionId,
    secret: &Secret,
    overlap: Option<Duration>,
) -> Result<(i32, Option<Timestamp>), sqlx::Error> {
    let place = Place { organization_id, connection_id, purpose: Purpose::Signing };
    let sealed = keys.seal(secret, &place);
    // A connection of the old core has its secret in the row alone; it is kept for the overlap.
    sqlx::query!(
        r#"insert into relay.secrets (connection_id, purpose, version, organization_id, key_id, sealed)
           select id, 'signing', 1, organization_id, split_part(access_token, '.', 3), access_token
           from relay.organization_integrations
           where id = $1 and access_token like 'sealed.v1.%'
             and not exists (select from relay.secrets where connection_id = $1)"#,
        connection_id.0,
    )
    .execute(&mut *tx)
    .await?;
    let overlap_until = match overlap {
        None => {
            sqlx::query!(
                "delete from relay.secrets where connection_id = $1 and purpose = 'signing'
                 and version < (select max(version) from relay.secrets
                                where connection_id = $1 and purpose = 'signing')",
                connection_id.0
            )
            .execute(&mut *tx)
            .await?;
            None
        }
        Some(overlap) => sqlx::query_scalar!(
            r#"update relay.secrets set expires_at = coalesce(expires_at, now() + $2)
               where connection_id = $1 and purpose = 'signing'
               returning expires_at as "expires_at!""#,
            connection_id.0,
            interval(overlap),
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .max(),
    };
    let version = sqlx::query_scalar!(
        r#"insert into relay.secrets (connection_id, purpose, version, organization_id, key_id, sealed)
           select $1, 'signing', coalesce(max(version), 0) + 1, $2, $3, $4
           from relay.secrets where connection_id = $1 and purpose = 'signing'
           returning version"#,
        connection_id.0,
        organization_id.0,
        keys.current_id(),
        sealed,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "delete from relay.secrets where connection_id = $1 and purpose = 'signing' and version < $2
         and (expires_at is null or expires_at <= now())",
        connection_id.0,
        version,
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update relay.organization_integrations set access_token = $2 where id = $1",
        connection_id.0,
        sealed,
    )
    .execute(&mut *tx)
    .await?;
    Ok((version, overlap_until))
}

/// How many older secrets are still in their overlap.
pub(crate) async fn overlapping(
    tx: &mut PgConnection,
    connection_id: ConnectionId,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from relay.secrets
           where connection_id = $1 and purpose = 'signing' and expires_at > now()"#,
        connection_id.0
    )
    .fetch_one(tx)
    .await
}

/// Forgets every secret of a connection.
pub(crate) async fn forget(
    tx: &mut PgConnection,
    connection_id: ConnectionId,
) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from relay.secrets where connection_id = $1", connection_id.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// What re-sealing did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resealed {
    /// Secrets sealed anew with the current key.
    pub resealed: u64,
    /// Clear texts of the old core that are sealed now.
    pub sealed_first_time: u64,
    /// Secrets that no key of the ring opens.
    pub unreadable: u64,
}

/// Seals with the current key whatever is sealed with an older one, or not at all.
/// `progress` hears how many are done, of how many. May be stopped and run again.
pub async fn reseal(
    engine: &Engine,
    mut progress: impl FnMut(u64, u64),
) -> Result<Resealed, DbError> {
    let (db, keys) = (&engine.db, &engine.keys);
    let mut report = Resealed::default();
    let rows = sqlx::query!(
        r#"select connection_id, organization_id, version, sealed from relay.secrets
           where key_id <> $1 and purpose = 'signing'"#,
        keys.current_id()
    )
    .fetch_all(&db.api)
    .await?;
    let clear = sqlx::query!(
        r#"select id, organization_id, access_token as "access_token!"
           from relay.organization_integrations
           where access_token is not null and access_token not like 'sealed.v1.%'"#
    )
    .fetch_all(&db.api)
    .await?;
    let total = (rows.len() + clear.len()) as u64;
    for (done, row) in rows.into_iter().enumerate() {
        let place = Place {
            organization_id: row.organization_id.into(),
            connection_id: row.connection_id.into(),
            purpose: Purpose::Signing,
        };
        match keys.open(&row.sealed, &place) {
            Err(error) => {
                tracing::error!(connection.id = %place.connection_id, error = %error, "a secret cannot be re-sealed");
                report.unreadable += 1;
            }
            Ok(secret) => {
                let sealed = keys.seal(&secret, &place);
                let mut tx = db.api.begin().await?;
                let changed = sqlx::query!(
                    "update relay.secrets set sealed = $4, key_id = $5
                     where connection_id = $1 and purpose = 'signing' and version = $2 and sealed = $3",
                    row.connection_id,
                    row.version,
                    row.sealed,
                    sealed,
                    keys.current_id()
                )
                .execute(&mut *tx)
                .await?;
                sqlx::query!(
                    "update relay.organization_integrations set access_token = $3
                     where id = $1 and access_token = $2",
                    row.connection_id,
                    row.sealed,
                    sealed,
                )
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                report.resealed += changed.rows_affected();
            }
        }
        progress(done as u64 + 1, total);
    }
    for row in clear {
        let mut tx = db.api.begin().await?;
        let secret = Secret::new(row.access_token);
        rotate(&mut tx, keys, row.organization_id.into(), row.id.into(), &secret, None).await?;
        tx.commit().await?;
        report.sealed_first_time += 1;
        progress(report.sealed_first_time + report.resealed + report.unreadable, total);
    }
    Ok(report)
}
