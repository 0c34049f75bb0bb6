//! Custom webhooks: create, change, test. The routes of the integrations guide; [`super::scoped`] puts
//! the same handlers at the addresses of teams and projects.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use engine::{
    connection::{
        self, ConnectionChange, ConnectionError, ConnectionView, CustomCategory, NewCustom, Scope,
        TestOutcome,
    },
    ids::{ConnectionId, OrganizationId},
    signing::Scheme,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    App,
    auth::Manager,
    error::{ApiError, ErrorBody, connection_error},
    extract::{CustomInPath, ScopeInPath, SeedJson, nullable},
};

const WHAT: &str = "Custom integration";

/// A custom webhook to be created.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct NewCustomBody {
    /// What people call it; at most 100 characters.
    #[schema(required = true, value_type = String, example = "Security alerts")]
    name: Option<String>,
    /// `notification` or `ticketing`.
    #[serde(rename = "type")]
    #[schema(required = true, value_type = String, example = "notification")]
    category: Option<String>,
    /// Where events are posted; `https://`, at a public address.
    #[schema(required = true, value_type = String, example = "https://hooks.example.com/deptex")]
    webhook_url: Option<String>,
    /// Its picture.
    icon_url: Option<String>,
    /// Patterns of the kinds of events it wants; all by default.
    #[schema(example = json!(["vulnerability.*"]))]
    event_types: Option<Vec<String>>,
    /// Conditions on the events it wants; see the guide to subscriptions.
    #[schema(value_type = Option<Object>)]
    conditions: Option<Value>,
}

/// What creating gave.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomCreated {
    success: bool,
    #[schema(value_type = Uuid)]
    id: ConnectionId,
    /// The signing secret. It is shown this once.
    #[schema(example = "whsec_<64 hexadecimal digits>")]
    secret: String,
    /// What an admin should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// What to change; what is left out stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct CustomChangeBody {
    name: Option<String>,
    webhook_url: Option<String>,
    /// `null` removes the picture.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    icon_url: Option<Option<String>>,
    /// Makes a new signing secret. The old one is dead at once, but for an asked overlap.
    regenerate_secret: Option<bool>,
    /// How the new secret signs: `hmac`, or `ed25519`, where the receiver gets a public key alone.
    #[schema(value_type = Option<String>, example = "hmac")]
    signing: Option<SigningBody>,
    /// For how long the old secret signs beside the new one; at most 604800.
    #[schema(example = 0)]
    secret_overlap_seconds: Option<u32>,
    event_types: Option<Vec<String>>,
    /// `null` removes the conditions.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<Object>)]
    conditions: Option<Option<Value>>,
}

/// How a secret signs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SigningBody {
    Hmac,
    Ed25519,
}

impl From<SigningBody> for Scheme {
    fn from(body: SigningBody) -> Self {
        match body {
            SigningBody::Hmac => Self::Hmac,
            SigningBody::Ed25519 => Self::Ed25519,
        }
    }
}

/// What changing did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CustomChanged {
    success: bool,
    /// The new signing secret, when one was asked for. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// What receivers verify with, when a key pair was asked for. Its private half is never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whpk_<44 characters of base64>")]
    public_key: Option<String>,
    /// What an admin should look at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// What the receiver answered to a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TestResult {
    /// Whether it was a 2xx.
    success: bool,
    /// Its HTTP status; 0 when there was no answer.
    status: u16,
    /// The status in words, or the class of the failure.
    #[serde(rename = "statusText")]
    status_text: String,
    /// A sentence for the admin.
    message: String,
    /// The sentence again, when the receiver did not answer in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// `timeout`, when the receiver did not answer in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Create a custom integration
///
/// A webhook of the organization's own. The answer holds its signing secret, this once.
#[utoipa::path(
    post, operation_id = "create_custom_integration", path = "/api/integrations/organizations/{org}/custom-integrations", tag = "Custom integrations",
    params(("org" = Uuid, Path, description = "The organization")),
    request_body = NewCustomBody,
    responses(
        (status = 200, description = "Created", body = CustomCreated),
        (status = 400, description = "A field is missing or wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    SeedJson(body): SeedJson<NewCustomBody>,
) -> Result<Json<CustomCreated>, ApiError> {
    let present = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
    let (Some(name), Some(category), Some(webhook_url)) =
        (present(body.name), present(body.category), present(body.webhook_url))
    else {
        let message = "name, type, and webhook_url are required";
        return Err(ApiError::bad_request("missing_field", message));
    };
    let category = match category.as_str() {
        "notification" => CustomCategory::Notification,
        "ticketing" => CustomCategory::Ticketing,
        _ => {
            let message = "type must be notification or ticketing";
            return Err(ApiError::bad_request("invalid_type", message));
        }
    };
    let new = NewCustom {
        name,
        category,
        webhook_url,
        icon_url: present(body.icon_url),
        scope,
        event_types: body.event_types,
        conditions: body.conditions,
    };
    let created =
        connection::create_custom(app.engine(), manager.organization_id, new, &manager.actor)
            .await
            .map_err(seed_error)?;
    Ok(Json(CustomCreated {
        success: true,
        id: created.id,
        secret: created.secret.reveal().to_owned(),
        warnings: created.warnings,
    }))
}

/// Change a custom integration
///
/// Its name, URL, picture or subscription, or its secret: the old one is dead at once unless an
/// overlap is asked for.
#[utoipa::path(
    put, operation_id = "change_custom_integration", path = "/api/integrations/organizations/{org}/custom-integrations/{id}", tag = "Custom integrations",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    request_body = CustomChangeBody,
    responses(
        (status = 200, description = "Changed", body = CustomChanged),
        (status = 400, description = "A field is wrong; the sentence names it", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn change(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
    SeedJson(body): SeedJson<CustomChangeBody>,
) -> Result<Json<CustomChanged>, ApiError> {
    require_custom(&app, manager.organization_id, scope, id).await?;
    let overlap = body.secret_overlap_seconds.filter(|seconds| *seconds > 0);
    let change = ConnectionChange {
        name: body.name,
        webhook_url: body.webhook_url,
        icon_url: body.icon_url.map(|url| url.filter(|url| !url.trim().is_empty())),
        regenerate_secret: body.regenerate_secret.unwrap_or(false),
        signing: body.signing.map(Into::into),
        secret_overlap: overlap.map(|seconds| Duration::from_secs(seconds.into())),
        event_types: body.event_types,
        conditions: body.conditions,
        ..ConnectionChange::default()
    };
    let organization_id = manager.organization_id;
    let changed = connection::change(
        app.engine(),
        organization_id,
        id,
        Some("custom_"),
        change,
        &manager.actor,
    )
    .await
    .map_err(seed_error)?;
    Ok(Json(CustomChanged {
        success: true,
        secret: changed.secret.map(|secret| secret.reveal().to_owned()),
        public_key: changed.public_key,
        warnings: changed.warnings,
    }))
}

/// Test a custom integration
///
/// Sends `test.ping` now, once, signed as every event is, and tells what the receiver answered.
#[utoipa::path(
    post, operation_id = "test_custom_integration", path = "/api/integrations/organizations/{org}/custom-integrations/{id}/test", tag = "Custom integrations",
    params(("org" = Uuid, Path, description = "The organization"), ("id" = Uuid, Path, description = "The connection")),
    responses(
        (status = 200, description = "What the receiver answered, or why it could not be reached", body = TestResult),
        (status = 400, description = "`no_webhook_url`", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 504, description = "The receiver did not answer in time", body = TestResult),
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    manager: Manager,
    ScopeInPath(scope): ScopeInPath,
    CustomInPath(id): CustomInPath,
) -> Result<Response, ApiError> {
    require_custom(&app, manager.organization_id, scope, id).await?;
    let outcome = connection::send_test(app.engine(), manager.organization_id, id)
        .await
        .map_err(seed_error)?;
    Ok(test_answer(outcome).into_response())
}

pub(crate) fn test_answer(outcome: TestOutcome) -> (StatusCode, Json<TestResult>) {
    let late = outcome.timed_out;
    let result = TestResult {
        success: outcome.success,
        status: outcome.status.unwrap_or(0),
        status_text: outcome.status_text,
        error: late.then(|| outcome.message.clone()),
        code: late.then_some("timeout"),
        message: outcome.message,
    };
    (if late { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::OK }, Json(result))
}

/// A custom integration of exactly this scope: another team's is not found. A scope never changes.
async fn require_custom(
    app: &App,
    organization_id: OrganizationId,
    scope: Scope,
    id: ConnectionId,
) -> Result<ConnectionView, ApiError> {
    connection::find(app.engine(), organization_id, id)
        .await?
        .filter(|view| view.provider.starts_with("custom_") && scope_of(view) == scope)
        .ok_or(ApiError::not_found(WHAT))
}

pub(crate) fn scope_of(view: &ConnectionView) -> Scope {
    Scope::from_columns(view.team_id.map(|id| id.0), view.project_id.map(|id| id.0))
}

fn seed_error(error: ConnectionError) -> ApiError {
    connection_error(WHAT)(error).for_seed_route()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(success: bool, status: Option<u16>, timed_out: bool) -> TestOutcome {
        let (status_text, message) = ("OK".to_owned(), "Done".to_owned());
        TestOutcome { success, status, status_text, message, timed_out }
    }

    #[test]
    fn a_test_answers_in_the_shape_that_the_frontend_knows() {
        let shape = |outcome| {
            let (status, Json(body)) = test_answer(outcome);
            (status.as_u16(), serde_json::to_string(&body).expect("it serializes"))
        };
        assert_eq!(
            shape(outcome(true, Some(204), false)),
            (200, r#"{"success":true,"status":204,"statusText":"OK","message":"Done"}"#.into())
        );
        assert_eq!(
            shape(outcome(false, None, true)),
            (504, r#"{"success":false,"status":0,"statusText":"OK","message":"Done","error":"Done","code":"timeout"}"#.into())
        );
    }

    #[test]
    fn created_and_changed_hold_exactly_what_the_frontend_reads() {
        let id = ConnectionId(uuid::Uuid::nil());
        let created = CustomCreated { success: true, id, secret: "s".into(), warnings: vec![] };
        assert_eq!(
            serde_json::to_string(&created).expect("it serializes"),
            r#"{"success":true,"id":"00000000-0000-0000-0000-000000000000","secret":"s"}"#
        );
        let changed =
            CustomChanged { success: true, secret: None, public_key: None, warnings: vec![] };
        assert_eq!(serde_json::to_string(&changed).expect("it serializes"), r#"{"success":true}"#);
    }
}
