//! Every route, registered where it is described: what is served and what is documented are one list.

mod refusals;

use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    App,
    routes::{
        access_token, audit, connection_history, connection_list, connection_settings, connections,
        custom_integrations, deliveries, destinations, event_history, events, export, health,
        icons, install, live, notifications, overview, preview, providers, replays, scoped,
        statistics, token_lease, why,
    },
};

/// The head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Deptex Relay",
        description = "Takes what happens in Deptex, records it once, and brings it to every place that an organization has connected.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    security(("user" = [])),
    modifiers(&Schemes),
    tags(
        (name = "Events", description = "What happened: recorded by the core, and looked up by an organization's members."),
        (name = "Connecting", description = "Linking accounts at other services."),
        (name = "Custom integrations", description = "An organization's own webhooks."),
        (name = "Connections", description = "The accounts that an organization has linked."),
        (name = "Team and project scope", description = "Connections that serve one team or one project."),
        (name = "Deliveries", description = "What became of each event, and sending it again."),
        (name = "Replays", description = "Sending many deliveries again."),
        (name = "Statistics", description = "How much arrives, what is stuck and why, and what happens right now."),
        (name = "Audit", description = "Who did what, and who saw what."),
        (name = "Health", description = "For whoever runs this."),
    ),
)]
struct Document;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let user = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some("A person's Supabase token."))
            .build();
        let key = ApiKeyValue::with_description(
            "X-Internal-Api-Key",
            "The core's service key; `Authorization: Bearer` takes it as well.",
        );
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("user", SecurityScheme::Http(user));
        components.add_security_scheme("service_key", SecurityScheme::ApiKey(ApiKey::Header(key)));
    }
}

/// The routes with their descriptions.
pub(crate) fn documented_routes() -> OpenApiRouter<App> {
    let mut router = scoped::add_to(OpenApiRouter::with_openapi(Document::openapi()))
        .routes(routes!(events::record))
        .routes(routes!(events::catalogue))
        .routes(routes!(custom_integrations::create))
        .routes(routes!(custom_integrations::change))
        .routes(routes!(custom_integrations::test))
        .routes(routes!(icons::upload))
        .routes(routes!(icons::show))
        .routes(routes!(connections::list))
        .routes(routes!(connections::remove))
        .routes(routes!(connection_list::list))
        .routes(routes!(connection_settings::show, connection_settings::change))
        .routes(routes!(connection_history::list))
        .routes(routes!(preview::show))
        .routes(routes!(providers::list))
        .routes(routes!(install::begin))
        .routes(routes!(install::come_back))
        .routes(routes!(access_token::connect))
        .routes(routes!(destinations::list))
        .routes(routes!(destinations::choose))
        .routes(routes!(destinations::test))
        .routes(routes!(token_lease::lend))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::replay))
        .routes(routes!(export::download))
        .routes(routes!(event_history::list))
        .routes(routes!(event_history::show))
        .routes(routes!(why::show))
        .routes(routes!(replays::list, replays::start))
        .routes(routes!(replays::show, replays::change))
        .routes(routes!(statistics::show))
        .routes(routes!(overview::show))
        .routes(routes!(live::watch))
        .routes(routes!(audit::list))
        .routes(routes!(notifications::list))
        .routes(routes!(notifications::retry))
        .routes(routes!(notifications::statistics))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready));
    refusals::add_to(router.get_openapi_mut());
    router
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Run with `UPDATE_OPENAPI=1` to write the document anew.
    #[test]
    fn the_document_in_docs_is_the_one_that_is_served() {
        let document = documented_routes().into_openapi();
        let mut now = serde_json::to_string_pretty(&document).expect("it serializes");
        now.push('\n');
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
        if option_env!("UPDATE_OPENAPI").is_some() {
            std::fs::write(path, &now).expect("docs/ can be written");
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == now,
            "docs/openapi.json is out of date: UPDATE_OPENAPI=1 cargo test -p api"
        );
    }

    #[test]
    fn every_operation_is_named_once_and_described() {
        let document = serde_json::to_value(documented_routes().into_openapi()).expect("JSON");
        let mut names = std::collections::HashSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                assert!(operation["summary"].is_string(), "{method} {path}");
                assert!(operation["tags"].is_array(), "{method} {path}");
                let name = operation["operationId"].as_str().expect("a name").to_owned();
                assert!(names.insert(name), "{method} {path} shares its operationId");
            }
        }
        assert_eq!(names.len(), 52);
    }
}
