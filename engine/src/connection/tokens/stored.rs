//! The tokens of a connection as they are stored, and what is to be done about them.

use std::time::{Duration, Instant};

use uuid::Uuid;

use super::{Held, MARGIN, Need, TokenUnavailable};
use crate::{
    clock::Timestamp,
    connection::Status,
    engine::Engine,
    ids::{ConnectionId, OrganizationId},
    secret::{Place, Purpose, Secret, UnsealError, same_secret},
};

/// The tokens of a connection as they are stored, opened.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) access_token: Option<Secret>,
    pub(super) refresh_token: Option<Secret>,
    /// For how long the access token holds; `None` where nobody knows of an end.
    pub(super) remaining: Option<Duration>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) is_due: bool,
    pub(super) status: Status,
    pub(super) status_reason: Option<String>,
    pub(super) version: i64,
    pub(super) grant_id: Uuid,
    pub(super) organization_id: OrganizationId,
}

pub(super) async fn load(
    engine: &Engine,
    id: ConnectionId,
) -> Result<Option<Stored>, TokenUnavailable> {
    let row = sqlx::query!(
        r#"select organization_id, access_token, refresh_token, token_expires_at, status,
                  status_reason, version, coalesce(grant_id, id) as "grant_id!",
                  coalesce(refresh_after <= now(), false) as "is_due!",
                  extract(epoch from token_expires_at - now())::float8 as remaining
           from relay.organization_integrations where id = $1"#,
        id.0
    )
    .fetch_optional(&engine.db.work)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let organization_id = OrganizationId(row.organization_id);
    let open = |stored: Option<String>, purpose| {
        let place = Place { organization_id, connection_id: id, purpose };
        match stored.map(|stored| engine.keys.open(&stored, &place)) {
            None | Some(Err(UnsealError::Damaged)) => Ok(None),
            Some(Ok(secret)) => Ok(Some(secret)),
            Some(Err(error @ UnsealError::UnknownKey(_))) => {
                tracing::error!(connection.id = %id, error = %error, "a token does not open here");
                Err(TokenUnavailable::Operator("encryption_key_unknown"))
            }
        }
    };
    Ok(Some(Stored {
        access_token: open(row.access_token, Purpose::AccessToken)?,
        refresh_token: open(row.refresh_token, Purpose::RefreshToken)?,
        remaining: row.remaining.map(|s| Duration::try_from_secs_f64(s).unwrap_or_default()),
        expires_at: row.token_expires_at,
        is_due: row.is_due,
        status: Status::from_stored(&row.status),
        status_reason: row.status_reason,
        version: row.version,
        grant_id: row.grant_id,
        organization_id,
    }))
}

/// What is to be done about a stored token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Assessed {
    /// It will do.
    Good,
    /// It must be renewed, and can be.
    Renew,
    /// It must be renewed, and cannot be; why, as a stable code.
    Lost(String),
}

impl Stored {
    /// `can_renew` says whether the provider renews tokens at all.
    pub(super) fn assess(&self, need: &Need, can_renew: bool) -> Assessed {
        let Some(token) = &self.access_token else {
            return Assessed::Lost("token_missing".to_owned());
        };
        let holds = |margin| self.remaining.is_none_or(|remaining| remaining > margin);
        let is_refused =
            matches!(need, Need::OtherThan(than) if same_secret(than.reveal(), token.reveal()));
        let is_early = matches!(need, Need::Ahead) && self.is_due;
        if !is_refused && !is_early && holds(MARGIN) {
            return Assessed::Good;
        }
        if self.status == Status::Error {
            let reason = self.status_reason.clone();
            return Assessed::Lost(reason.unwrap_or_else(|| "unauthorized".to_owned()));
        }
        if can_renew && self.refresh_token.is_some() {
            return Assessed::Renew;
        }
        match (is_refused, holds(Duration::ZERO)) {
            (true, _) => Assessed::Lost("unauthorized".to_owned()),
            (false, true) => Assessed::Good,
            (false, false) => Assessed::Lost("token_expired".to_owned()),
        }
    }

    pub(super) fn into_held(self) -> Option<Held> {
        let remaining = self.remaining.map(|remaining| remaining.saturating_sub(MARGIN));
        Some(Held {
            token: self.access_token?,
            stale_at: remaining.map(|remaining| Instant::now() + remaining),
            expires_at: self.expires_at,
            version: self.version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(remaining: Option<u64>) -> Stored {
        Stored {
            access_token: Some(Secret::new("at")),
            refresh_token: Some(Secret::new("rt")),
            remaining: remaining.map(Duration::from_secs),
            expires_at: None,
            is_due: false,
            status: Status::Connected,
            status_reason: None,
            version: 1,
            grant_id: Uuid::nil(),
            organization_id: Uuid::nil().into(),
        }
    }

    #[test]
    fn a_token_is_renewed_when_it_ends_is_refused_or_it_is_time() {
        let lost = |reason: &str| Assessed::Lost(reason.to_owned());
        let refused = || Need::OtherThan(Secret::new("at"));
        let no_refresh = |remaining| Stored { refresh_token: None, ..stored(remaining) };
        let errored = |remaining| Stored {
            status: Status::Error,
            status_reason: Some("invalid_grant".into()),
            ..stored(remaining)
        };
        let due = Stored { is_due: true, ..stored(Some(3_600)) };
        for (stored, need, can_renew, expected) in [
            (stored(Some(3_600)), Need::Valid, true, Assessed::Good),
            (stored(None), Need::Valid, true, Assessed::Good),
            (stored(Some(60)), Need::Valid, true, Assessed::Renew),
            (stored(Some(3_600)), refused(), true, Assessed::Renew),
            (stored(Some(3_600)), Need::OtherThan(Secret::new("older")), true, Assessed::Good),
            (stored(Some(3_600)), Need::Ahead, true, Assessed::Good),
            (due, Need::Ahead, true, Assessed::Renew),
            // Without a way to renew it, it serves to its very end.
            (no_refresh(Some(30)), Need::Valid, true, Assessed::Good),
            (no_refresh(Some(0)), Need::Valid, true, lost("token_expired")),
            (stored(Some(0)), Need::Valid, false, lost("token_expired")),
            (no_refresh(None), refused(), true, lost("unauthorized")),
            // A lost grant is not asked for again.
            (errored(Some(0)), Need::Valid, true, lost("invalid_grant")),
            (errored(Some(3_600)), Need::Valid, true, Assessed::Good),
        ] {
            assert_eq!(stored.assess(&need, can_renew), expected, "{need:?} {stored:?}");
        }
    }
}
