//! The connections of an organization, as the existing frontend lists and removes them.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use engine::{
    connection::{self, ConnectionView, Scope, revocation::revoke_url},
    ids::{ConnectionId, OrganizationId},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::custom_integrations::scope_of;
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody, connection_error},
    extract::{ConnectionInPath, ScopeInPath},
};

/// A linked account. These fields, and no others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connection)]
pub(crate) struct ConnectionItem {
    #[schema(value_type = Uuid)]
    id: ConnectionId,
    #[schema(value_type = Uuid)]
    organization_id: OrganizationId,
    /// The service.
    #[schema(example = "custom_notification")]
    provider: String,
    /// The account at the service.
    installation_id: String,
    display_name: String,
    /// What the service needs to be shown and used; never a secret.
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(example = "connected")]
    status: String,
    connected_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<ConnectionView> for ConnectionItem {
    fn from(view: ConnectionView) -> Self {
        Self {
            id: view.id,
            organization_id: view.organization_id,
            provider: view.provider,
            installation_id: view.installation_id,
            display_name: view.display_name,
            metadata: view.metadata,
            status: view.status,
            connected_at: view.connected_at,
            created_at: view.created_at,
            updated_at: view.updated_at,
        }
    }
}

/// What removing did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionRemoved {
    success: bool,
    provider: String,
    #[serde(rename = "installationId", skip_serializing_if = "Option::is_none")]
    installation_id: Option<String>,
    /// Where the admin can take back what was granted at the service.
    #[serde(rename = "revokeUrl", skip_serializing_if = "Option::is_none")]
    revoke_url: Option<String>,
    /// `Connection removed`, for a team's or a project's connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
}

/// List connections
///
/// Those of the whole organization that are connected, the oldest first. Connections of teams and
/// projects have their own lists; those in another status are found under their id.
#[utoipa::path(
    get, operation_id = "list_connections", path = "/api/integrations/organizations/{org}/connections", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization")),
    responses(
        (status = 200, description = "The connections", body = [ConnectionItem]),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
) -> Result<Json<Vec<ConnectionItem>>, ApiError> {
    let connected = connected(&app, member.organization_id).await?;
    let ours = connected.into_iter().filter(|view| scope_of(view) == Scope::Organization);
    Ok(Json(ours.map(ConnectionItem::from).collect()))
}

/// Every connection that is connected, of whatever scope.
pub(crate) async fn connected(
    app: &App,
    organization_id: OrganizationId,
) -> Result<Vec<ConnectionView>, ApiError> {
    let mut views = connection::list(app.engine(), organization_id).await?;
    views.retain(|view| view.status == "connected");
    Ok(views)
}

/// Remove a connection
///
/// Nothing more is sent to it, what is queued is cancelled, and its secrets are deleted. Its access is
/// taken back at the provider where there is a call for that; `revokeUrl` is where an admin does it by hand.
#[utoipa::path(
    delete, operation_id = "remove_connection", path = "/api/integrations/organizations/{org}/connections/{id}", tag = "Connections",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "Removed", body = ConnectionRemoved),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    ConnectionInPath(id): ConnectionInPath,
) -> Result<Json<ConnectionRemoved>, ApiError> {
    let organization_id = manager.organization_id;
    let removed =
        connection::disconnect(app.engine(), organization_id, id, Some(scope), &manager.actor)
            .await
            .map_err(connection_error("Connection"))?;
    Ok(Json(ConnectionRemoved {
        success: true,
        revoke_url: revoke_url(app.engine(), &removed.provider, &removed.metadata),
        installation_id: Some(removed.installation_id).filter(|id| !id.is_empty()),
        provider: removed.provider,
        message: (scope != Scope::Organization).then_some("Connection removed"),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_left_out() {
        let removed = ConnectionRemoved {
            success: true,
            provider: "slack".into(),
            installation_id: None,
            revoke_url: None,
            message: None,
        };
        assert_eq!(
            serde_json::to_string(&removed).expect("it serializes"),
            r#"{"success":true,"provider":"slack"}"#
        );
    }
}
