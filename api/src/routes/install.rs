//! Linking an account at a provider: the admin is sent there, and comes back. One pair of routes for
//! all providers of the list.

use axum::{
    Json,
    extract::{Path, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LOCATION, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use engine::{
    connection::{
        Scope,
        install::{self, Callback, Install, InstallError, Outcome, Returned, StateRefused},
    },
    ids::OrganizationId,
    membership, metrics,
    provider::{Connect, Provider},
    secret::Secret,
    walls,
};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::providers::named;
use crate::{
    App,
    auth::{MembershipSource, Person, still_manages},
    browser,
    error::{ApiError, ErrorBody},
    extract::{Parameters, id},
    frontend,
};

/// Where a server of the customer's own is linked with a token.
pub(crate) const CONNECT_TOKEN: &str = "/api/integrations/jira/connect-pat";

/// What the install route is asked.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described here: the texts of the refusals are the core's")]
pub(crate) struct InstallQuery {
    /// Whose connection it will be.
    org_id: uuid::Uuid,
    /// The project that it will serve alone.
    project_id: Option<uuid::Uuid>,
    /// The team that it will serve alone.
    team_id: Option<uuid::Uuid>,
    /// Where the admin is sent afterwards: an address of the frontend.
    success_redirect: Option<String>,
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Redirect {
    /// The provider's page; send the admin there.
    #[serde(rename = "redirectUrl")]
    #[schema(example = "https://slack.com/oauth/v2/authorize?client_id=…&state=…")]
    redirect_url: String,
}

/// Begin connecting
///
/// Gives the address of the provider's page, for this admin, this organization and ten minutes.
#[utoipa::path(
    get, operation_id = "begin_install", path = "/api/integrations/{provider}/install", tag = "Connecting",
    params(("provider" = String, Path, description = "As in the catalogue", example = "slack"), InstallQuery),
    responses(
        (status = 200, description = "Where to send the admin", body = Redirect),
        (status = 400, description = "`missing_organization`, `project_not_found`, `team_not_found`, `invalid_scope` or `invalid_success_redirect`", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, description = "`not_a_member` or `forbidden`", body = ErrorBody),
        (status = 404, description = "`not_found`: no such provider, or none with a page to go to", body = ErrorBody),
        (status = 500, description = "`provider_not_configured`", body = ErrorBody),
    ),
)]
pub(crate) async fn begin(
    State(app): State<App>,
    person: Person,
    Path(provider): Path<String>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let organization_id = organization(parameters.get("org_id"))?;
    let manager = person.manager_of(&app, organization_id).await?;
    let (project, team) = (parameters.get("project_id"), parameters.get("team_id"));
    let scope = scope(&app, organization_id, project, team).await?;
    let user_id = manager.actor.user_id.ok_or(ApiError::forbidden())?;
    let browser = app
        .binds_browsers()
        .then(|| browser::shown(&headers, app.is_https()).unwrap_or_else(Secret::random));
    let install = Install {
        organization_id,
        user_id,
        scope,
        success_redirect: parameters.get("success_redirect").map(str::to_owned),
        browser: browser.clone(),
    };
    let url = install::begin(app.engine(), &provider, install).await.map_err(install_error)?;
    let mut answer = Json(Redirect { redirect_url: url.into() }).into_response();
    if let Some(browser) = browser {
        answer.headers_mut().insert(SET_COOKIE, browser::remember(&browser, app.is_https()));
    }
    Ok(answer)
}

/// The organization that a query or a body names.
pub(crate) fn organization(text: Option<&str>) -> Result<OrganizationId, ApiError> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    let text =
        text.ok_or(ApiError::bad_request("missing_organization", "Organization ID is required"))?;
    // No organization has such an id, so nobody is a member.
    id(text).ok_or(ApiError::not_a_member())
}

/// What a connection will serve. Whether a project or a team is the organization's can be told only
/// where the core's tables are at hand.
pub(crate) async fn scope(
    app: &App,
    organization_id: OrganizationId,
    project: Option<&str>,
    team: Option<&str>,
) -> Result<Scope, ApiError> {
    let present = |text: Option<&str>| text.map(str::trim).is_some_and(|text| !text.is_empty());
    let part = match (project.filter(|_| present(project)), team.filter(|_| present(team))) {
        (None, None) => return Ok(Scope::Organization),
        (Some(_), Some(_)) => {
            let message = "Give project_id or team_id, not both";
            return Err(ApiError::bad_request("invalid_scope", message));
        }
        (Some(project), None) => id(project).map(Scope::Project).ok_or(PROJECT),
        (None, Some(team)) => id(team).map(Scope::Team).ok_or(TEAM),
    };
    let refused = |(code, message)| ApiError::bad_request(code, message);
    let part = part.map_err(refused)?;
    if is_theirs(app, organization_id, part).await? { Ok(part) } else { Err(refused(lost(part))) }
}

const PROJECT: (&str, &str) = ("project_not_found", "Project not found");
const TEAM: (&str, &str) = ("team_not_found", "Team not found");

fn lost(part: Scope) -> (&'static str, &'static str) {
    if matches!(part, Scope::Team(_)) { TEAM } else { PROJECT }
}

async fn is_theirs(
    app: &App,
    organization_id: OrganizationId,
    part: Scope,
) -> Result<bool, ApiError> {
    match app.auth().membership() {
        MembershipSource::Claims => Ok(true),
        MembershipSource::Postgres => {
            Ok(membership::has_part(app.engine(), organization_id, part).await?)
        }
    }
}

pub(crate) fn install_error(error: InstallError) -> ApiError {
    match error {
        InstallError::NotFound => ApiError::not_found("Integration"),
        InstallError::NotConfigured(_) => {
            tracing::error!(%error, "a provider that is not set up was asked for");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            ApiError::new(status, "provider_not_configured", error.to_string())
        }
        InstallError::Refused { code, message } => ApiError::bad_request(code, message),
        InstallError::State { message, .. } => ApiError::bad_request("invalid_state", message),
        InstallError::Connection(error) => crate::error::connection_error("Connection")(error),
        InstallError::Db(error) => error.into(),
    }
}

/// Come back from a provider
///
/// Where the provider sends the admin's browser; `org-callback`, or `callback` for GitHub. The answer is
/// always a page of the frontend: with `connected=<provider>`, or `error=<provider>` and `message`.
#[utoipa::path(
    get, operation_id = "finish_install", path = "/api/integrations/{provider}/{callback}", tag = "Connecting", security(()),
    params(
        ("provider" = String, Path, description = "As in the catalogue", example = "slack"),
        ("callback" = String, Path, description = "`org-callback` or `callback`", example = "org-callback"),
        ("state" = Option<String>, Query, description = "As the install route gave it along"),
        ("code" = Option<String>, Query, description = "What is exchanged for tokens"),
        ("error" = Option<String>, Query, description = "Why there is no code"),
        ("iss" = Option<String>, Query, description = "Who answers; must be the provider"),
        ("installation_id" = Option<String>, Query, description = "GitHub: what was installed"),
        ("setup_action" = Option<String>, Query, description = "GitHub: what was done"),
    ),
    responses(
        (status = 302, description = "A page of the frontend, or one more of the provider's", headers(("Location" = String, description = "Its address"))),
        (status = 404, description = "`not_found`: no such provider or callback", body = ErrorBody),
    ),
)]
pub(crate) async fn come_back(
    State(app): State<App>,
    Path((provider, callback)): Path<(String, String)>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let provider = named(&provider)?;
    let known = match &provider.connect {
        Connect::OAuth2(oauth) => oauth.callback,
        Connect::GitHubApp(app) => app.callback,
        Connect::AccessToken(_) | Connect::Webhook => "",
    };
    if callback != known {
        return Err(ApiError::not_found("Integration"));
    }
    Ok(found(&link(&app, provider, &parameters, browser::shown(&headers, app.is_https())).await))
}

/// The page that follows from what a browser brought.
async fn link(
    app: &App,
    provider: &'static Provider,
    parameters: &Parameters,
    browser: Option<Secret>,
) -> Url {
    let state = parameters.get("state").map(Secret::new);
    let taken = install::consume(app.engine(), provider.id, state.as_ref(), browser.as_ref());
    // Whose it is, the state tells.
    let returned = match walls::beyond(taken).await {
        Ok(returned) => returned,
        Err(error) => return failed(app, provider, None, &message(provider, parameters, &error)),
    };
    let organization_id = returned.organization_id();
    walls::narrow_to(organization_id);
    if let Err((organization_id, message)) = check(app, provider, &returned).await {
        return failed(app, provider, organization_id, message);
    }
    let scope = returned.scope();
    let wanted = returned.success_redirect().and_then(|url| Url::parse(url).ok());
    let text = |name: &str| parameters.get(name).map(str::to_owned);
    let callback = Callback {
        code: parameters.get("code").map(Secret::new),
        error: text("error"),
        issuer: text("iss"),
        installation_id: text("installation_id"),
        setup_action: text("setup_action"),
    };
    match (install::finish(app.engine(), returned, &callback).await, wanted) {
        (Ok(Outcome::GoOn(url)), _) => url,
        (Ok(Outcome::Linked(_)), Some(wanted)) => frontend::connected_at(wanted, provider.id),
        (Ok(Outcome::Linked(_)), None) => {
            frontend::connected(app.frontend(), provider.id, organization_id, scope)
        }
        (Err(error), _) => {
            let message = message(provider, parameters, &error);
            failed(app, provider, Some(organization_id), &message)
        }
    }
}

/// Whether the person who was sent may still connect here: minutes have passed. The refusal says
/// where it can be told, and how.
async fn check(
    app: &App,
    provider: &Provider,
    returned: &Returned,
) -> Result<(), (Option<OrganizationId>, &'static str)> {
    let organization_id = returned.organization_id();
    let unknown = |cause: &dyn std::fmt::Display| {
        tracing::error!(error = %cause, provider = provider.id, "a callback could not be checked");
        (Some(organization_id), NOT_SAVED)
    };
    let manages = still_manages(app, organization_id, returned.user_id()).await;
    if !manages.map_err(|error| unknown(&error))? {
        let why = "not_authorized";
        metrics::callback_refused(provider.id, why);
        tracing::warn!(provider = provider.id, why, "a provider's callback was refused");
        return Err((None, words(provider).not_authorized));
    }
    let part = returned.scope();
    match is_theirs(app, organization_id, part).await {
        Ok(true) => Ok(()),
        Ok(false) => Err((Some(organization_id), lost(part).1)),
        Err(error) => Err(unknown(&error.message)),
    }
}

const NOT_SAVED: &str = "Failed to save integration";

/// What the existing frontend has always been told; GitHub's routes had words of their own.
struct Words {
    not_authorized: &'static str,
    nothing_brought: &'static str,
}

fn words(provider: &Provider) -> Words {
    match provider.connect {
        Connect::GitHubApp(_) => Words {
            not_authorized: "Not authorized to add integration",
            nothing_brought: "No installation ID received",
        },
        _ => Words { not_authorized: "Not authorized", nothing_brought: "No authorization code" },
    }
}

/// The sentence for the admin. What failed on our side is told to the log alone.
fn message(provider: &Provider, parameters: &Parameters, error: &InstallError) -> String {
    let brought =
        ["code", "installation_id", "error"].iter().any(|name| parameters.get(name).is_some());
    match error {
        InstallError::State { refused: StateRefused::Missing, .. } if !brought => {
            words(provider).nothing_brought.to_owned()
        }
        InstallError::Connection(_) | InstallError::Db(_) => {
            let cause: &dyn std::error::Error = error;
            tracing::error!(error = cause, provider = provider.id, "a connection was not saved");
            NOT_SAVED.to_owned()
        }
        _ => error.to_string(),
    }
}

fn failed(
    app: &App,
    provider: &Provider,
    organization_id: Option<OrganizationId>,
    message: &str,
) -> Url {
    frontend::failed(app.frontend(), provider.id, organization_id, message)
}

/// A 302: what the provider consoles and the frontend know.
fn found(url: &Url) -> Response {
    let location = HeaderValue::from_str(url.as_str()).expect("a URL is ASCII");
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::provider::find;

    #[test]
    fn a_refusal_has_the_words_that_the_frontend_knows() {
        let (github, slack) = (find("github").expect("listed"), find("slack").expect("listed"));
        let none = Parameters::default();
        let missing = |message| InstallError::State { refused: StateRefused::Missing, message };
        assert_eq!(message(slack, &none, &missing("Invalid state")), "No authorization code");
        assert_eq!(message(github, &none, &missing("x")), "No installation ID received");
        let replayed = StateRefused::Replayed;
        let replayed = InstallError::State { refused: replayed, message: "Invalid state" };
        assert_eq!(message(slack, &none, &replayed), "Invalid state");
        assert_eq!(words(slack).not_authorized, "Not authorized");
        assert_eq!(words(github).not_authorized, "Not authorized to add integration");
        let unsaved =
            InstallError::Connection(engine::connection::ConnectionError::VersionConflict);
        assert_eq!(message(slack, &none, &unsaved), "Failed to save integration");
        let unset = install_error(InstallError::NotConfigured("Slack"));
        assert_eq!(
            (unset.status.as_u16(), unset.message.as_str()),
            (500, "Slack client ID not configured")
        );
    }

    #[test]
    fn an_organization_is_asked_for_and_a_strange_one_is_nobodys() {
        for text in [None, Some(""), Some("  ")] {
            let refused = organization(text).expect_err("refused");
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
            assert_eq!(refused.message, "Organization ID is required");
        }
        let refused = organization(Some("7")).expect_err("refused");
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        assert_eq!(refused.message, "Not a member of this organization");
    }

    #[test]
    fn a_page_is_found_with_a_302() {
        let url = Url::parse("https://app.example/?a=b%20c").expect("a URL");
        let answer = found(&url);
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(answer.headers()[LOCATION], "https://app.example/?a=b%20c");
    }
}
