//! Seals with the current key whatever is sealed with an older one, or not at all.

use sqlx::PgConnection;

use super::secrets;
use crate::{
    db::DbError,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    secret::{KeyRing, Place, Purpose, Secret},
};

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

/// Seals everything with the current key. `progress` hears how many are done, of how many. May be
/// stopped and run again.
pub async fn reseal(
    engine: &Engine,
    mut progress: impl FnMut(u64, u64),
) -> Result<Resealed, DbError> {
    let (db, keys) = (&engine.db, &engine.keys);
    let mut report = Resealed::default();
    let rows = sqlx::query_as!(
        Older,
        "select connection_id, organization_id, purpose, version, sealed from relay.secrets
         where key_id <> $1",
        keys.current_id()
    )
    .fetch_all(&db.api)
    .await?;
    let clear = sqlx::query_as!(
        Clear,
        "select id, organization_id, provider, access_token, refresh_token
         from relay.organization_integrations
         where access_token not like 'sealed.v1.%' or refresh_token not like 'sealed.v1.%'"
    )
    .fetch_all(&db.api)
    .await?;
    let total = (rows.len() + clear.len()) as u64;
    let mut done = 0;
    for row in rows {
        let mut tx = db.api.begin().await?;
        match seal_anew(&mut tx, keys, &row).await? {
            Some(changed) => report.resealed += changed,
            None => report.unreadable += 1,
        }
        tx.commit().await?;
        done += 1;
        progress(done, total);
    }
    for row in clear {
        let mut tx = db.api.begin().await?;
        seal_first(&mut tx, keys, row).await?;
        tx.commit().await?;
        report.sealed_first_time += 1;
        done += 1;
        progress(done, total);
    }
    Ok(report)
}

/// A secret that an older key sealed.
struct Older {
    connection_id: uuid::Uuid,
    organization_id: uuid::Uuid,
    purpose: String,
    version: i32,
    sealed: String,
}

/// Returns how many were sealed anew: none where somebody replaced it meanwhile. `None`: no key opens it.
async fn seal_anew(
    tx: &mut PgConnection,
    keys: &KeyRing,
    row: &Older,
) -> Result<Option<u64>, sqlx::Error> {
    let Some(purpose) = Purpose::from_stored(&row.purpose) else { return Ok(None) };
    let place = Place {
        organization_id: row.organization_id.into(),
        connection_id: row.connection_id.into(),
        purpose,
    };
    let secret = match keys.open(&row.sealed, &place) {
        Ok(secret) => secret,
        Err(error) => {
            tracing::error!(connection.id = %place.connection_id, error = %error, "a secret cannot be re-sealed");
            return Ok(None);
        }
    };
    let sealed = keys.seal(&secret, &place);
    let changed = sqlx::query!(
        "update relay.secrets set sealed = $5, key_id = $6
         where connection_id = $1 and purpose = $2 and version = $3 and sealed = $4",
        row.connection_id,
        row.purpose,
        row.version,
        row.sealed,
        sealed,
        keys.current_id()
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "update relay.organization_integrations
         set access_token = case when access_token = $2 then $3 else access_token end,
             refresh_token = case when refresh_token = $2 then $3 else refresh_token end
         where id = $1 and (access_token = $2 or refresh_token = $2)",
        row.connection_id,
        row.sealed,
        sealed,
    )
    .execute(&mut *tx)
    .await?;
    Ok(Some(changed.rows_affected()))
}

/// A connection of the old core, with what it holds in the clear.
struct Clear {
    id: uuid::Uuid,
    organization_id: uuid::Uuid,
    provider: String,
    access_token: Option<String>,
    refresh_token: Option<String>,
}

async fn seal_first(tx: &mut PgConnection, keys: &KeyRing, row: Clear) -> Result<(), sqlx::Error> {
    let (organization_id, id) = (OrganizationId(row.organization_id), ConnectionId(row.id));
    if row.provider.starts_with("custom_") {
        let Some(secret) = row.access_token.map(Secret::new) else { return Ok(()) };
        secrets::rotate(tx, keys, organization_id, id, &secret, None).await?;
        return Ok(());
    }
    let tokens =
        [(Purpose::AccessToken, row.access_token), (Purpose::RefreshToken, row.refresh_token)];
    for (purpose, clear) in tokens {
        let Some(clear) = clear.filter(|text| !text.starts_with("sealed.v1.")) else { continue };
        let place = Place { organization_id, connection_id: id, purpose };
        let sealed = secrets::put(tx, keys, &place, &Secret::new(clear.as_str())).await?;
        sqlx::query!(
            "update relay.organization_integrations
             set access_token = case when $4 then access_token else $3 end,
                 refresh_token = case when $4 then $3 else refresh_token end
             where id = $1 and case when $4 then refresh_token else access_token end = $2",
            id.0,
            clear,
            sealed,
            purpose == Purpose::RefreshToken,
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
