//! Addresses of the frontend: where an admin is sent back to from a provider's pages. They are the
//! ones that the existing frontend has pages for, so some providers have their own.

use engine::{connection::Scope, ids::OrganizationId};
use url::{Url, form_urlencoded};

/// Where a new connection is shown.
pub(crate) fn connected(
    frontend: &Url,
    provider: &str,
    organization_id: OrganizationId,
    scope: Scope,
) -> Url {
    let organization = format!("organizations/{organization_id}");
    let page = match scope {
        Scope::Organization => settings_page(provider, organization_id),
        Scope::Team(team) => format!("{organization}/teams/{team}/settings/notifications"),
        Scope::Project(project) if provider == "slack" => {
            format!("{organization}/projects/{project}/settings/notifications")
        }
        Scope::Project(project) => format!("{organization}/projects/{project}/settings"),
    };
    with(at(frontend, &page), &[("connected", provider)])
}

/// The address that the caller of the install route wanted, told what was connected.
pub(crate) fn connected_at(wanted: Url, provider: &str) -> Url {
    with(wanted, &[("connected", provider)])
}

/// Where a failure is told: on the organization's page, or on the front page where it is not known
/// whose failure it is, or nobody there may see it.
pub(crate) fn failed(
    frontend: &Url,
    provider: &str,
    organization_id: Option<OrganizationId>,
    message: &str,
) -> Url {
    let page = organization_id.map_or_else(String::new, |id| settings_page(provider, id));
    with(at(frontend, &page), &[("error", provider), ("message", message)])
}

fn settings_page(provider: &str, organization_id: OrganizationId) -> String {
    match provider {
        "gitlab" | "bitbucket" => {
            format!("organizations/{organization_id}/settings?section=integrations")
        }
        _ => format!("organizations/{organization_id}/settings/integrations"),
    }
}

fn at(frontend: &Url, page: &str) -> Url {
    let (path, query) = page.split_once('?').unwrap_or((page, ""));
    let mut url = frontend.clone();
    url.set_fragment(None);
    url.set_path(&format!("{}/{path}", frontend.path().trim_end_matches('/')));
    url.set_query(Some(query).filter(|query| !query.is_empty()));
    url
}

/// Adds parameters, with blanks as `%20`: the frontend may decode them as a query or as a component.
fn with(mut url: Url, parameters: &[(&str, &str)]) -> Url {
    let mut query = url.query().unwrap_or_default().to_owned();
    for (name, value) in parameters {
        let separator = if query.is_empty() { "" } else { "&" };
        let value: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        query.push_str(&format!("{separator}{name}={}", value.replace('+', "%20")));
    }
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::ids::{ProjectId, TeamId};
    use uuid::Uuid;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    const ORG: &str = "https://app.example/organizations/00000000-0000-0000-0000-000000000000";

    #[test]
    fn a_connection_is_shown_where_the_existing_frontend_shows_it() {
        let nil = Uuid::nil();
        let (team, project) = (Scope::Team(TeamId(nil)), Scope::Project(ProjectId(nil)));
        let table = [
            ("slack", Scope::Organization, "/settings/integrations?connected=slack"),
            ("github", Scope::Organization, "/settings/integrations?connected=github"),
            ("gitlab", Scope::Organization, "/settings?section=integrations&connected=gitlab"),
            (
                "bitbucket",
                Scope::Organization,
                "/settings?section=integrations&connected=bitbucket",
            ),
            ("jira", team, "/teams/{}/settings/notifications?connected=jira"),
            ("slack", project, "/projects/{}/settings/notifications?connected=slack"),
            ("linear", project, "/projects/{}/settings?connected=linear"),
        ];
        for (provider, scope, expected) in table {
            let shown = connected(&url("https://app.example/"), provider, nil.into(), scope);
            let expected = expected.replace("{}", &nil.to_string());
            assert_eq!(shown.as_str(), format!("{ORG}{expected}"));
        }
    }

    #[test]
    fn a_failure_is_told_where_somebody_sees_it() {
        let org = Some(Uuid::nil().into());
        let front = url("https://app.example");
        let table = [
            (None, "slack", "https://app.example/?error=slack&message=Invalid%20state".to_owned()),
            (
                org,
                "asana",
                format!("{ORG}/settings/integrations?error=asana&message=Invalid%20state"),
            ),
            (
                org,
                "gitlab",
                format!("{ORG}/settings?section=integrations&error=gitlab&message=Invalid%20state"),
            ),
        ];
        for (organization_id, provider, expected) in table {
            let shown = failed(&front, provider, organization_id, "Invalid state");
            assert_eq!(shown.as_str(), expected);
        }
        let odd = failed(&front, "slack", None, "a&b=c d+e#\u{e9}");
        assert!(odd.as_str().ends_with("message=a%26b%3Dc%20d%2Be%23%C3%A9"), "{odd}");
        let below = failed(&url("https://app.example/ui/"), "slack", None, "x");
        assert_eq!(below.as_str(), "https://app.example/ui/?error=slack&message=x");
    }

    #[test]
    fn an_asked_for_address_keeps_its_own_query() {
        let wanted = url("https://app.example/new?step=2#repo");
        let told = connected_at(wanted, "github");
        assert_eq!(told.as_str(), "https://app.example/new?step=2&connected=github#repo");
    }
}
