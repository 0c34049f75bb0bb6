//! Linking a server of the customer's own with a personal token: Jira Data Center.

use axum::{Json, extract::State, http::StatusCode};
use engine::{
    connection::{
        ConnectionError,
        connect_access_token::{NewServer, connect_access_token},
    },
    secret::Secret,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Done,
    install::{organization, scope},
};
use crate::{
    App,
    auth::Person,
    error::{ApiError, ErrorBody, connection_error},
    extract::SeedJson,
};

/// A server to be linked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct NewServerBody {
    /// Whose connection it will be.
    #[schema(required = true, value_type = Uuid)]
    org_id: Option<String>,
    /// Its address, with the path that it lives under.
    #[schema(required = true, value_type = String, example = "https://jira.example.com")]
    base_url: Option<String>,
    /// A personal access token. Never shown again.
    #[schema(required = true, value_type = String)]
    token: Option<String>,
    /// The project that it will serve alone.
    #[schema(value_type = Option<Uuid>)]
    project_id: Option<String>,
    /// The team that it will serve alone.
    #[schema(value_type = Option<Uuid>)]
    team_id: Option<String>,
}

/// Connect a Jira Data Center
///
/// Asks the server whose token it is, and stores the connection. The same server connects again as the
/// same connection. Private addresses are refused unless the operator opened them.
#[utoipa::path(
    post, operation_id = "connect_jira_data_center", path = "/api/integrations/jira/connect-pat", tag = "Connecting",
    request_body = NewServerBody,
    responses(
        (status = 200, description = "Connected", body = Done),
        (status = 400, description = "A field is missing or wrong; the sentence names it", body = ErrorBody),
        (status = 401, description = "`unauthorized`, or `account_unreadable`: the server did not take the token", body = ErrorBody),
        (status = 403, description = "`not_a_member` or `forbidden`", body = ErrorBody),
    ),
)]
pub(crate) async fn connect(
    State(app): State<App>,
    person: Person,
    SeedJson(body): SeedJson<NewServerBody>,
) -> Result<Json<Done>, ApiError> {
    let organization_id = organization(body.org_id.as_deref())?;
    let manager = person.manager_of(&app, organization_id).await?;
    let (project, team) = (body.project_id.as_deref(), body.team_id.as_deref());
    let scope = scope(&app, organization_id, project, team).await?;
    let present = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
    let (Some(base_url), Some(token)) = (present(body.base_url), present(body.token)) else {
        let message = "base_url and token are required";
        return Err(ApiError::bad_request("missing_field", message));
    };
    let new = NewServer { base_url, token: Secret::new(token), scope };
    connect_access_token(app.engine(), organization_id, new, &manager.actor)
        .await
        .map_err(refused)?;
    Ok(Json(Done { success: true }))
}

fn refused(error: ConnectionError) -> ApiError {
    match error {
        // The core answers so when the server does not take the token.
        ConnectionError::Refused { code: code @ "account_unreadable", message } => {
            ApiError::new(StatusCode::UNAUTHORIZED, code, message)
        }
        error => connection_error("Connection")(error).for_seed_route(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_the_server_does_not_take_is_a_401_and_a_wrong_address_a_400() {
        for (code, status) in [("account_unreadable", 401), ("invalid_base_url", 400)] {
            let error = refused(ConnectionError::Refused { code, message: "no".into() });
            assert_eq!((error.status.as_u16(), error.code), (status, code));
        }
    }
}
