//! Connections and custom webhooks of one team or one project.

use axum::{Json, extract::State, response::Response};
use engine::connection::{ConnectionView, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    connections::{ConnectionItem, connected, remove_from},
    custom_integrations::{
        CustomChangeBody, CustomChanged, CustomCreated, NewCustomBody, TestResult, change_in,
        create_in, scope_of, test_in,
    },
};
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody},
    extract::{ConnectionInPath, CustomInPath, ScopeInPath, SeedJson},
};

/// A connection, and where it comes from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScopedConnection {
    #[serde(flatten)]
    connection: ConnectionItem,
    /// `organization`, `team` or `project`.
    #[schema(example = "team")]
    source: &'static str,
}

/// What a team's events can go to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TeamConnections {
    /// The organization's.
    inherited: Vec<ScopedConnection>,
    /// The team's own.
    team: Vec<ScopedConnection>,
}

/// What a project's events can go to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectConnections {
    /// The organization's.
    inherited: Vec<ScopedConnection>,
    /// Always empty: which team owns a project is known to the core alone.
    team: Vec<ScopedConnection>,
    /// The project's own.
    project: Vec<ScopedConnection>,
}

/// It was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScopedRemoved {
    success: bool,
    #[schema(example = "Connection removed")]
    message: &'static str,
}

fn select(views: &[ConnectionView], scope: Scope, source: &'static str) -> Vec<ScopedConnection> {
    let chosen = views.iter().filter(|view| scope_of(view) == scope).cloned();
    chosen.map(|view| ScopedConnection { connection: view.into(), source }).collect()
}

/// List a team's connections
///
/// The organization's, which its events reach too, and its own.
#[utoipa::path(
    get, operation_id = "list_team_connections", path = "/api/organizations/{org}/teams/{team}/connections", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("team" = Uuid, Path, description = "The team")),
    responses(
        (status = 200, description = "The connections", body = TeamConnections),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn list_team(
    State(app): State<App>,
    member: Member,
    ScopeInPath(scope): ScopeInPath,
) -> Result<Json<TeamConnections>, ApiError> {
    let views = connected(&app, member.organization_id).await?;
    Ok(Json(TeamConnections {
        inherited: select(&views, Scope::Organization, "organization"),
        team: select(&views, scope, "team"),
    }))
}

/// List a project's connections
///
/// The organization's, which its events reach too, and its own.
#[utoipa::path(
    get, operation_id = "list_project_connections", path = "/api/organizations/{org}/projects/{project}/connections", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("project" = Uuid, Path, description = "The project")),
    responses(
        (status = 200, description = "The connections", body = ProjectConnections),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn list_project(
    State(app): State<App>,
    member: Member,
    ScopeInPath(scope): ScopeInPath,
) -> Result<Json<ProjectConnections>, ApiError> {
    let views = connected(&app, member.organization_id).await?;
    Ok(Json(ProjectConnections {
        inherited: select(&views, Scope::Organization, "organization"),
        team: Vec::new(),
        project: select(&views, scope, "project"),
    }))
}

/// Create a team's custom integration
///
/// As for the organization, but only the team's events reach it.
#[utoipa::path(
    post, operation_id = "create_team_custom_integration", path = "/api/organizations/{org}/teams/{team}/custom-integrations", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("team" = Uuid, Path, description = "The team")),
    request_body = NewCustomBody,
    responses(
        (status = 200, description = "Created", body = CustomCreated),
        (status = 400, description = "A field is missing or wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn create_team(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    SeedJson(body): SeedJson<NewCustomBody>,
) -> Result<Json<CustomCreated>, ApiError> {
    create_in(&app, &manager, scope, body).await
}

/// Change a team's custom integration
///
/// As for the organization.
#[utoipa::path(
    put, operation_id = "change_team_custom_integration", path = "/api/organizations/{org}/teams/{team}/custom-integrations/{id}", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("team" = Uuid, Path, description = "The team"), ("id" = Uuid, Path, description = "The connection")),
    request_body = CustomChangeBody,
    responses(
        (status = 200, description = "Changed", body = CustomChanged),
        (status = 400, description = "A field is wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn change_team(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
    SeedJson(body): SeedJson<CustomChangeBody>,
) -> Result<Json<CustomChanged>, ApiError> {
    change_in(&app, &manager, scope, id, body).await
}

/// Test a team's custom integration
///
/// As for the organization.
#[utoipa::path(
    post, operation_id = "test_team_custom_integration", path = "/api/organizations/{org}/teams/{team}/custom-integrations/{id}/test", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("team" = Uuid, Path, description = "The team"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "What the receiver answered, or why it could not be reached", body = TestResult),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 504, description = "The receiver did not answer in time", body = TestResult),
    ),
)]
pub(crate) async fn test_team(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
) -> Result<Response, ApiError> {
    test_in(&app, &manager, scope, id).await
}

/// Remove a team's connection
///
/// Only its own: what it inherits is removed at the organization.
#[utoipa::path(
    delete, operation_id = "remove_team_connection", path = "/api/organizations/{org}/teams/{team}/connections/{id}", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("team" = Uuid, Path, description = "The team"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "Removed", body = ScopedRemoved),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn remove_team(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    ConnectionInPath(id): ConnectionInPath,
) -> Result<Json<ScopedRemoved>, ApiError> {
    remove_from(&app, &manager, scope, id).await?;
    Ok(Json(ScopedRemoved { success: true, message: "Connection removed" }))
}

/// Create a project's custom integration
///
/// As for the organization, but only the project's events reach it.
#[utoipa::path(
    post, operation_id = "create_project_custom_integration", path = "/api/organizations/{org}/projects/{project}/custom-integrations", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("project" = Uuid, Path, description = "The project")),
    request_body = NewCustomBody,
    responses(
        (status = 200, description = "Created", body = CustomCreated),
        (status = 400, description = "A field is missing or wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn create_project(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    SeedJson(body): SeedJson<NewCustomBody>,
) -> Result<Json<CustomCreated>, ApiError> {
    create_in(&app, &manager, scope, body).await
}

/// Change a project's custom integration
///
/// As for the organization.
#[utoipa::path(
    put, operation_id = "change_project_custom_integration", path = "/api/organizations/{org}/projects/{project}/custom-integrations/{id}", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("project" = Uuid, Path, description = "The project"), ("id" = Uuid, Path, description = "The connection")),
    request_body = CustomChangeBody,
    responses(
        (status = 200, description = "Changed", body = CustomChanged),
        (status = 400, description = "A field is wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn change_project(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
    SeedJson(body): SeedJson<CustomChangeBody>,
) -> Result<Json<CustomChanged>, ApiError> {
    change_in(&app, &manager, scope, id, body).await
}

/// Test a project's custom integration
///
/// As for the organization.
#[utoipa::path(
    post, operation_id = "test_project_custom_integration", path = "/api/organizations/{org}/projects/{project}/custom-integrations/{id}/test", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("project" = Uuid, Path, description = "The project"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "What the receiver answered, or why it could not be reached", body = TestResult),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 504, description = "The receiver did not answer in time", body = TestResult),
    ),
)]
pub(crate) async fn test_project(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
) -> Result<Response, ApiError> {
    test_in(&app, &manager, scope, id).await
}

/// Remove a project's connection
///
/// Only its own: what it inherits is removed at the organization.
#[utoipa::path(
    delete, operation_id = "remove_project_connection", path = "/api/organizations/{org}/projects/{project}/connections/{id}", tag = "Team and project scope",
    params(("org" = Uuid, Path, description = "The organization"), ("project" = Uuid, Path, description = "The project"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "Removed", body = ScopedRemoved),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn remove_project(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    ConnectionInPath(id): ConnectionInPath,
) -> Result<Json<ScopedRemoved>, ApiError> {
    remove_from(&app, &manager, scope, id).await?;
    Ok(Json(ScopedRemoved { success: true, message: "Connection removed" }))
}
