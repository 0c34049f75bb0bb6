//! The services that can be connected, for pages that offer them: a new one needs no code there.

use axum::{Json, extract::State};
use engine::provider::{self, Category, Connect, PROVIDERS, Provider};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    auth::Person,
    error::{ApiError, ErrorBody},
};

/// Everything that can be connected, in the order to show it in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Catalogue {
    providers: Vec<ProviderItem>,
}

/// A service that can be connected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provider)]
pub(crate) struct ProviderItem {
    /// As it stands in routes.
    #[schema(example = "slack")]
    id: &'static str,
    /// As people call it.
    #[schema(example = "Slack")]
    label: &'static str,
    /// `ci_cd`, `notification` or `ticketing`.
    #[schema(value_type = String, example = "notification")]
    category: Category,
    /// `oauth2` and `github_app`: send the admin to the `redirectUrl` of the install route.
    /// `access_token`, `webhook`: ask for the fields, and post them.
    #[schema(example = "oauth2")]
    connect: &'static str,
    /// Where connecting begins; `{org}` stands for the organization's id.
    #[schema(example = "/api/integrations/slack/install")]
    path: String,
    /// What to ask the admin for.
    fields: Vec<Field>,
    /// What the admin chooses for events to go to: `channel`, `project`, `team`, `repository`.
    #[schema(example = "channel")]
    destination: Option<&'static str>,
    /// The kinds of events that a new connection wants.
    #[schema(example = json!(["*"]))]
    event_types: &'static [&'static str],
    /// Whether whoever runs Relay has set it up. It cannot be connected otherwise.
    is_configured: bool,
}

/// What an admin is asked for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Field {
    /// Its name in the body.
    #[schema(example = "base_url")]
    name: &'static str,
    /// As people call it.
    #[schema(example = "Address")]
    label: &'static str,
    /// Whether it may not be shown while it is typed.
    is_secret: bool,
    is_required: bool,
}

const fn field(name: &'static str, label: &'static str) -> Field {
    Field { name, label, is_secret: false, is_required: true }
}

const ACCESS_TOKEN_FIELDS: &[Field] = &[
    field("base_url", "Address"),
    Field { is_secret: true, ..field("token", "Personal access token") },
];
const WEBHOOK_FIELDS: &[Field] = &[
    field("name", "Name"),
    field("webhook_url", "Webhook URL"),
    Field { is_required: false, ..field("icon_url", "Icon") },
];

/// List what can be connected
///
/// Every service, and whether it is set up here. A page that shows this list knows of new ones by itself.
#[utoipa::path(
    get, operation_id = "list_providers", path = "/api/integrations/catalogue", tag = "Connecting",
    responses(
        (status = 200, description = "The services", body = Catalogue),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
    ),
)]
pub(crate) async fn list(State(app): State<App>, _: Person) -> Result<Json<Catalogue>, ApiError> {
    let config = &app.engine().config.providers;
    let item = |provider: &&'static Provider| describe(provider, config.is_configured(provider));
    Ok(Json(Catalogue { providers: PROVIDERS.iter().map(item).collect() }))
}

fn describe(provider: &'static Provider, is_configured: bool) -> ProviderItem {
    let install = || format!("/api/integrations/{}/install", provider.id);
    let (connect, path, fields) = match &provider.connect {
        Connect::OAuth2(_) => ("oauth2", install(), &[][..]),
        Connect::GitHubApp(_) => ("github_app", install(), &[][..]),
        Connect::AccessToken(_) => {
            ("access_token", super::install::CONNECT_TOKEN.to_owned(), ACCESS_TOKEN_FIELDS)
        }
        Connect::Webhook => {
            let path = "/api/integrations/organizations/{org}/custom-integrations";
            ("webhook", path.to_owned(), WEBHOOK_FIELDS)
        }
    };
    ProviderItem {
        id: provider.id,
        label: provider.label,
        category: provider.category,
        connect,
        path,
        fields: fields.to_vec(),
        destination: provider.destinations.as_ref().map(|destinations| destinations.noun),
        event_types: provider.event_types,
        is_configured,
    }
}

/// A service that the path names.
pub(crate) fn named(id: &str) -> Result<&'static Provider, ApiError> {
    provider::find(id).ok_or(ApiError::not_found("Integration"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_says_how_it_is_connected() {
        for provider in PROVIDERS {
            let item = describe(provider, true);
            let asks = matches!(item.connect, "access_token" | "webhook");
            assert_eq!(item.fields.is_empty(), !asks, "{}", item.id);
            let shown = serde_json::to_value(&item).expect("it serializes");
            assert!(matches!(
                shown["category"].as_str(),
                Some("ci_cd" | "notification" | "ticketing")
            ));
            assert!(item.path.starts_with("/api/integrations/"), "{}", item.path);
        }
    }

    #[test]
    fn an_unheard_of_service_is_not_found() {
        assert_eq!(named("myspace").expect_err("there is none").status.as_u16(), 404);
        assert!(named("slack").is_ok());
    }
}
