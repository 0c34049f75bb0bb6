//! Lending a connection's access token to the core, which reads repositories by itself.

use axum::{Json, extract::State, http::StatusCode};
use chrono::{DateTime, Utc};
use engine::connection::tokens::{self, Lease, LeaseError, TokenUnavailable};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    auth::Service,
    error::{ApiError, ErrorBody},
    extract::ConnectionInPath,
};

/// A token, lent.
#[derive(Serialize, ToSchema)]
pub(crate) struct LentToken {
    /// What requests to the provider carry.
    access_token: String,
    /// Until when it holds; null where nobody knows of an end.
    expires_at: Option<DateTime<Utc>>,
    /// The service.
    #[schema(example = "gitlab")]
    provider: String,
}

/// Lend an access token
///
/// One that holds for a minute at least, refreshed first if it has to be. Ask again when it ends
/// rather than keeping it; never refresh it yourself.
#[utoipa::path(
    post, operation_id = "lend_token", path = "/internal/connections/{id}/token", tag = "Connecting", security(("service_key" = [])),
    params(("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "The token", body = LentToken),
        (status = 401, description = "`unauthorized`: no or an unknown service key", body = ErrorBody),
        (status = 404, description = "`not_found`: no such connection, or none with a token of its own", body = ErrorBody),
        (status = 409, description = "`connection_not_connected`: an admin must connect it again", body = ErrorBody),
        (status = 503, description = "`token_unavailable` or `operator_fault`; see Retry-After", body = ErrorBody),
    ),
)]
pub(crate) async fn lend(
    State(app): State<App>,
    _: Service,
    ConnectionInPath(id): ConnectionInPath,
) -> Result<Json<LentToken>, ApiError> {
    let lease = tokens::lease(app.engine(), id).await.map_err(refused)?;
    tracing::info!(connection.id = %id, provider = lease.provider, "a token was lent");
    let Lease { access_token, expires_at, provider } = lease;
    Ok(Json(LentToken { access_token: access_token.reveal().to_owned(), expires_at, provider }))
}

fn refused(error: LeaseError) -> ApiError {
    let not_connected = |reason: &str| {
        let message = format!("This connection needs an admin: {reason}");
        ApiError::new(StatusCode::CONFLICT, "connection_not_connected", message)
    };
    match error {
        LeaseError::NotFound => ApiError::not_found("Connection"),
        LeaseError::NotConnected(reason)
        | LeaseError::Unavailable(TokenUnavailable::Reauth(reason)) => not_connected(&reason),
        LeaseError::Unavailable(TokenUnavailable::Operator(_)) => ApiError::unavailable(
            "operator_fault",
            "The registration with this provider is not in order. Its operator has been told",
        ),
        LeaseError::Unavailable(TokenUnavailable::Later(wait)) => ApiError {
            retry_after: Some(wait),
            ..ApiError::unavailable("token_unavailable", "There is no token now. Try again")
        },
        LeaseError::Db(error) => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_reason_for_no_token_has_its_own_answer() {
        let table = [
            (LeaseError::NotFound, 404, "not_found"),
            (LeaseError::NotConnected("unauthorized".into()), 409, "connection_not_connected"),
            (
                LeaseError::Unavailable(TokenUnavailable::Reauth("invalid_grant".into())),
                409,
                "connection_not_connected",
            ),
            (
                LeaseError::Unavailable(TokenUnavailable::Operator("invalid_client")),
                503,
                "operator_fault",
            ),
            (
                LeaseError::Unavailable(TokenUnavailable::Later(Duration::from_secs(7))),
                503,
                "token_unavailable",
            ),
        ];
        for (error, status, code) in table {
            let answer = refused(error);
            assert_eq!((answer.status.as_u16(), answer.code), (status, code));
            assert_eq!(answer.retry_after.is_some(), status == 503);
        }
    }
}
