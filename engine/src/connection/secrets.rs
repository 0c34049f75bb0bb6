//! Keeps connections' secrets, sealed and by version: what signs, with an overlap only where it was
//! asked for, the tokens of providers, and headers. What signs now and the current tokens stand in the
//! connection's row too.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

pub use super::reseal::{Resealed, reseal};
use crate::{
    clock::Timestamp,
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
    keep_legacy(tx, keys, &place).await?;
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

/// A connection of the old core has its secret in the row alone, maybe in the clear: it becomes the
/// first one beside the row, sealed, so that an overlap finds it.
async fn keep_legacy(
    tx: &mut PgConnection,
    keys: &KeyRing,
    place: &Place,
) -> Result<(), sqlx::Error> {
    let stored = sqlx::query_scalar!(
        r#"select access_token as "access_token!" from relay.organization_integrations
           where id = $1 and access_token is not null
             and not exists (
                 select from relay.secrets where connection_id = $1 and purpose = 'signing')"#,
        place.connection_id.0,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(stored) = stored else { return Ok(()) };
    let Ok(secret) = keys.open(&stored, place) else {
        tracing::warn!(connection.id = %place.connection_id, "a secret that does not open is replaced");
        return Ok(());
    };
    sqlx::query!(
        "insert into relay.secrets (connection_id, purpose, version, organization_id, key_id, sealed)
         values ($1, 'signing', 1, $2, $3, $4)",
        place.connection_id.0,
        place.organization_id.0,
        keys.current_id(),
        keys.seal(&secret, place),
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
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

/// Replaces the secret of a purpose that has no overlap. Returns it as it is stored.
pub(super) async fn put(
    tx: &mut PgConnection,
    keys: &KeyRing,
    place: &Place,
    secret: &Secret,
) -> Result<String, sqlx::Error> {
    let sealed = keys.seal(secret, place);
    sqlx::query!(
        r#"with gone as (
               delete from relay.secrets where connection_id = $1 and purpose = $2 returning version
           )
           insert into relay.secrets (connection_id, purpose, version, organization_id, key_id, sealed)
           select $1, $2, coalesce(max(version), 0) + 1, $3, $4, $5 from gone"#,
        place.connection_id.0,
        place.purpose.as_str(),
        place.organization_id.0,
        keys.current_id(),
        sealed,
    )
    .execute(tx)
    .await?;
    Ok(sealed)
}

/// The secret of a purpose that has no overlap, as it is stored.
pub(super) async fn sealed_of(
    tx: &mut PgConnection,
    place: &Place,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select sealed from relay.secrets where connection_id = $1 and purpose = $2",
        place.connection_id.0,
        place.purpose.as_str(),
    )
    .fetch_optional(tx)
    .await
}

/// Removes the secrets of a purpose.
pub(super) async fn remove(tx: &mut PgConnection, place: &Place) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from relay.secrets where connection_id = $1 and purpose = $2",
        place.connection_id.0,
        place.purpose.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What a provider granted, with its own dates.
#[derive(Clone, Debug)]
pub(crate) struct TokenSet {
    /// What requests carry.
    pub(crate) access_token: Secret,
    /// What makes a new one.
    pub(crate) refresh_token: Option<Secret>,
    /// For how long the access token holds.
    pub(crate) expires_in: Option<Duration>,
    /// Whether it is renewed at all: some providers grant tokens that we send nothing with.
    pub(crate) is_renewed: bool,
}

/// The longest that a refresh token is left unused: Bitbucket's and Jira's end after three months.
const IDLE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How long before its end an access token is renewed, at the latest at half of its life.
const AHEAD: Duration = Duration::from_secs(10 * 60);

impl TokenSet {
    /// When the duty should renew it; `None` where there is nothing to renew it with.
    fn refresh_in(&self) -> Option<Duration> {
        self.refresh_token.as_ref().filter(|_| self.is_renewed)?;
        let in_time = |life: Duration| life.saturating_sub(AHEAD).max(life / 2);
        Some(self.expires_in.map_or(IDLE_MAX, in_time).min(IDLE_MAX))
    }
}

/// Stores what a provider granted, in place of what was there. Returns until when it holds.
pub(crate) async fn keep_tokens(
    tx: &mut PgConnection,
    keys: &KeyRing,
    organization_id: OrganizationId,
    connection_id: ConnectionId,
    grant_id: Uuid,
    tokens: &TokenSet,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let place = |purpose| Place { organization_id, connection_id, purpose };
    let access = put(tx, keys, &place(Purpose::AccessToken), &tokens.access_token).await?;
    let refresh = match &tokens.refresh_token {
        Some(token) => Some(put(tx, keys, &place(Purpose::RefreshToken), token).await?),
        None => {
            remove(tx, &place(Purpose::RefreshToken)).await?;
            None
        }
    };
    sqlx::query_scalar!(
        r#"update relay.organization_integrations
           set access_token = $2, refresh_token = $3, token_expires_at = clock_timestamp() + $4,
               refresh_after = clock_timestamp() + $5, grant_id = $6
           where id = $1 returning token_expires_at"#,
        connection_id.0,
        access,
        refresh,
        tokens.expires_in.map(interval),
        tokens.refresh_in().map(interval),
        grant_id,
    )
    .fetch_one(tx)
    .await
}

/// The tokens of a connection, as far as they open.
pub(crate) async fn tokens_of(
    tx: &mut PgConnection,
    keys: &KeyRing,
    organization_id: OrganizationId,
    connection_id: ConnectionId,
) -> Result<(Option<Secret>, Option<Secret>), sqlx::Error> {
    let row = sqlx::query!(
        "select access_token, refresh_token from relay.organization_integrations where id = $1",
        connection_id.0,
    )
    .fetch_one(tx)
    .await?;
    let open = |stored: Option<String>, purpose| {
        keys.open(&stored?, &Place { organization_id, connection_id, purpose }).ok()
    };
    Ok((
        open(row.access_token, Purpose::AccessToken),
        open(row.refresh_token, Purpose::RefreshToken),
    ))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_in_time_and_long_ones_now_and_then() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let set = |expires_in, has_refresh: bool| TokenSet {
            access_token: Secret::new("a"),
            refresh_token: has_refresh.then(|| Secret::new("r")),
            expires_in,
            is_renewed: true,
        };
        assert_eq!(set(Some(minutes(60)), true).refresh_in(), Some(minutes(50)));
        assert_eq!(set(Some(minutes(15)), true).refresh_in(), Some(minutes(15) / 2));
        assert_eq!(set(Some(minutes(1)), true).refresh_in(), Some(minutes(1) / 2));
        assert_eq!(set(None, true).refresh_in(), Some(IDLE_MAX));
        assert_eq!(set(Some(3 * IDLE_MAX), true).refresh_in(), Some(IDLE_MAX));
        assert_eq!(set(Some(minutes(60)), false).refresh_in(), None);
        let unused = TokenSet { is_renewed: false, ..set(Some(minutes(60)), true) };
        assert_eq!(unused.refresh_in(), None);
    }
}
