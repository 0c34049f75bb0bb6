//! Where a connection's events go: what there is to choose between, the choice, and a test of it.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use engine::{
    connection::destinations::{self, Chosen},
    provider::Destination,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::custom_integrations::{TestResult, test_answer};
use crate::{
    App,
    auth::{Manager, Member},
    error::{ApiError, ErrorBody, connection_error},
    extract::{AdminJson, ConnectionInPath, Parameters},
};

const WHAT: &str = "Connection";

/// What to look for.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: the engine checks the texts")]
pub(crate) struct PickQuery {
    /// A part of the name.
    search: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Something that events can go to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Destination)]
pub(crate) struct DestinationItem {
    /// The provider's id.
    #[schema(example = "C0123456789")]
    id: String,
    /// As people see it there.
    #[schema(example = "#security")]
    name: String,
    /// What else is known about it, by provider.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object, required = false)]
    settings: Value,
}

impl From<Destination> for DestinationItem {
    fn from(destination: Destination) -> Self {
        let Destination { id, name, settings } = destination;
        Self { id, name, settings }
    }
}

/// A page of what there is to choose between.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DestinationPage {
    /// What they are: `channel`, `project`, `team` or `repository`.
    #[schema(example = "channel")]
    noun: &'static str,
    destinations: Vec<DestinationItem>,
    /// For the next page; null on the last one.
    next_cursor: Option<String>,
}

/// What was chosen.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ChoiceBody {
    /// The provider's id, from the list.
    #[schema(required = true, value_type = String, example = "SEC")]
    id: Option<String>,
    /// Jira: the name or the id of the issue type; `Task` where it is left out.
    #[schema(example = "Bug")]
    issue_type: Option<String>,
}

/// What is chosen from now on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChoiceMade {
    /// Always true.
    success: bool,
    destination: Option<DestinationItem>,
}

/// List destinations
///
/// What the connection's events can go to, as the provider lists it now: channels, projects, teams or
/// repositories. A page can be short, or empty, while there are more.
#[utoipa::path(
    get, operation_id = "list_destinations", path = "/api/organizations/{org}/connections/{id}/destinations", tag = "Connecting",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection"), PickQuery),
    responses(
        (status = 200, description = "A page", body = DestinationPage),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`no_destinations`, or why the provider could not be asked", body = ErrorBody),
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    member: Member,
    ConnectionInPath(id): ConnectionInPath,
    parameters: Parameters,
) -> Result<Json<DestinationPage>, ApiError> {
    let (page, search) = (parameters.get("cursor"), parameters.get("search"));
    let found = destinations::list(app.engine(), member.organization_id, id, page, search)
        .await
        .map_err(connection_error(WHAT))?;
    Ok(Json(DestinationPage {
        noun: found.noun,
        destinations: found.destinations.into_iter().map(DestinationItem::from).collect(),
        next_cursor: found.next,
    }))
}

/// Choose a destination
///
/// Asks the provider whether events can go there, for Jira also whether tickets of this type can be
/// made there, and stores the choice. What waited for one goes out.
#[utoipa::path(
    put, operation_id = "choose_destination", path = "/api/organizations/{org}/connections/{id}/destination", tag = "Connecting",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    request_body = ChoiceBody,
    responses(
        (status = 200, description = "Chosen", body = ChoiceMade),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 422, description = "`unusable_destination`: the sentence says why it cannot be sent to, or why the provider could not be asked", body = ErrorBody),
    ),
)]
pub(crate) async fn choose(
    State(app): State<App>,
    manager: Manager,
    ConnectionInPath(id): ConnectionInPath,
    AdminJson(body): AdminJson<ChoiceBody>,
) -> Result<Json<ChoiceMade>, ApiError> {
    let chosen = Chosen {
        id: body.id.unwrap_or_default(),
        issue_type: body.issue_type.filter(|text| !text.trim().is_empty()),
    };
    let organization_id = manager.organization_id;
    let view = destinations::choose(app.engine(), organization_id, id, &chosen, &manager.actor)
        .await
        .map_err(connection_error(WHAT))?;
    Ok(Json(ChoiceMade { success: true, destination: destination_in(&view.metadata) }))
}

/// The destination that a connection's settings hold.
fn destination_in(metadata: &Value) -> Option<DestinationItem> {
    let stored = metadata.get("destination")?.clone();
    serde_json::from_value::<Destination>(stored).ok().map(DestinationItem::from)
}

/// Test a connection
///
/// Sends `test.ping` to where its events go, now and once, and tells what came of it.
#[utoipa::path(
    post, operation_id = "test_connection", path = "/api/organizations/{org}/connections/{id}/test", tag = "Connecting",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "What was answered, or why nothing was", body = TestResult),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 504, description = "There was no answer in time", body = TestResult),
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    manager: Manager,
    ConnectionInPath(id): ConnectionInPath,
) -> Result<Response, ApiError> {
    let outcome = destinations::send_test(app.engine(), manager.organization_id, id)
        .await
        .map_err(connection_error(WHAT))?;
    Ok(test_answer(outcome).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_choice_is_shown_as_it_is_stored() {
        let metadata = json!({ "destination": { "id": "SEC", "name": "SEC — Security", "settings": { "issue_type": "Bug" } } });
        let shown = destination_in(&metadata).expect("it was chosen");
        assert_eq!(serde_json::to_value(&shown).expect("JSON"), metadata["destination"]);
        let plain = json!({ "destination": { "id": "C1", "name": "#ops" } });
        let shown = destination_in(&plain).expect("it was chosen");
        assert_eq!(serde_json::to_value(&shown).expect("JSON"), plain["destination"]);
        for none in [json!({}), json!({ "destination": null }), json!({ "destination": "C1" })] {
            assert!(destination_in(&none).is_none(), "{none}");
        }
    }
}
