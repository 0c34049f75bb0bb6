//! What one team or one project has of its own: the organization's handlers once more at its address,
//! and the two lists that differ.

use axum::{Json, extract::State};
use engine::connection::{ConnectionView, Scope};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        RefOr,
        path::{Operation, Parameter},
    },
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouter},
    routes,
};

use super::{
    connections::{self, ConnectionItem, connected},
    custom_integrations::{self, scope_of},
};
use crate::{
    App,
    auth::Member,
    error::{ApiError, ErrorBody},
    extract::ScopeInPath,
};

const TAG: &str = "Team and project scope";
const ORGANIZATION: &str = "/api/integrations/organizations/{org}/";

/// A part of an organization that can have connections of its own.
struct Part {
    name: &'static str,
    /// Begins the addresses of what is its own.
    address: &'static str,
}

const PARTS: [Part; 2] = [
    Part { name: "team", address: "/api/organizations/{org}/teams/{team}/" },
    Part { name: "project", address: "/api/organizations/{org}/projects/{project}/" },
];

/// Adds the routes of teams and projects.
pub(crate) fn add_to(mut router: OpenApiRouter<App>) -> OpenApiRouter<App> {
    router = router.routes(routes!(list_team)).routes(routes!(list_project));
    for part in &PARTS {
        router = router
            .routes(part.take(routes!(custom_integrations::create)))
            .routes(part.take(routes!(custom_integrations::change)))
            .routes(part.take(routes!(custom_integrations::test)))
            .routes(part.take(routes!(connections::remove)));
    }
    router
}

impl Part {
    /// A route of the organization at this part's address, described for it.
    fn take(
        &self,
        (schemas, mut paths, router): UtoipaMethodRouter<App>,
    ) -> UtoipaMethodRouter<App> {
        let described = std::mem::take(&mut paths.paths).into_iter().map(|(path, mut item)| {
            let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.delete];
            operations.into_iter().flatten().for_each(|operation| self.describe(operation));
            (path.replacen(ORGANIZATION, self.address, 1), item)
        });
        paths.paths = described.collect();
        (schemas, paths, router)
    }

    fn describe(&self, operation: &mut Operation) {
        let name = self.name;
        operation.tags = Some(vec![TAG.to_owned()]);
        operation.operation_id =
            operation.operation_id.take().map(|id| id.replacen('_', &format!("_{name}_"), 1));
        operation.summary =
            operation.summary.take().map(|text| text.replacen(" a ", &format!(" a {name}'s "), 1));
        operation.description =
            Some(format!("As for the organization; the connection serves this {name} alone."));
        for parameters in operation.parameters.iter_mut() {
            parameters.insert(1, self.parameter(&parameters[0]));
        }
    }

    /// The part's id, described as the organization's is.
    fn parameter(&self, organization: &RefOr<Parameter>) -> RefOr<Parameter> {
        let mut parameter = organization.clone();
        if let RefOr::T(parameter) = &mut parameter {
            self.name.clone_into(&mut parameter.name);
            parameter.description = Some(format!("The {}", self.name));
        }
        parameter
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parts_routes_are_the_organizations_at_its_own_address() {
        let [team, project] = &PARTS;
        for (part, address, id) in [
            (team, "/api/organizations/{org}/teams/{team}/", "change_team_custom_integration"),
            (
                project,
                "/api/organizations/{org}/projects/{project}/",
                "change_project_custom_integration",
            ),
        ] {
            let (_, paths, _) = part.take(routes!(custom_integrations::change));
            let (path, item) = paths.paths.first_key_value().expect("it has an address");
            assert_eq!(*path, format!("{address}custom-integrations/{{id}}"));
            let operation = item.put.as_ref().expect("it changes");
            assert_eq!(operation.operation_id.as_deref(), Some(id));
            let summary = format!("Change a {}'s custom integration", part.name);
            assert_eq!(operation.summary.as_deref(), Some(summary.as_str()));
            let names: Vec<&str> = operation
                .parameters
                .iter()
                .flatten()
                .map(|parameter| match parameter {
                    RefOr::T(parameter) => parameter.name.as_str(),
                    RefOr::Ref(_) => "a reference",
                })
                .collect();
            assert_eq!(names, ["org", part.name, "id"]);
        }
    }
}
