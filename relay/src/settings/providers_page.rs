//! Writes docs/providers.md from the providers themselves.

use std::fmt::Write as _;
use std::path::Path;

use engine::oauth::config;
use engine::provider::{
    Category, Connect, CredentialOf, OAuth2, PROVIDERS, Pace, Provider, Refresh, SharedBy,
};

const INTRODUCTION: &str = "\
# Providers

Every service that can be connected, as the code has it. How a connection is used: [api.md](api.md#connecting). What an
operator does when one fails: [operations.md](operations.md#providers). How to add one: [adding-an-integration.md](adding-an-integration.md).

A provider is offered once its settings are set ([configuration.md](configuration.md#providers)); `relay doctor` says which are.
Where the provider wants an address to return to, register `BACKEND_URL` followed by the callback below.

This page is written by a test: `UPDATE_DOCS=1 cargo test -p relay providers_page`.
";

const EVENTS: &str = "
What is done for an event:

- **Notification**: each event is one message.
- **Ticketing**: one ticket for each subject. It is opened when a finding comes up, commented on when it comes up again, commented on and closed by the
  workflow's own transition when it is resolved, and reopened when it comes back.
- **CI/CD**: an event that names a commit marks it; one that names a pull request is a comment there; any other has the life of a ticket.
";

#[test]
fn the_committed_page_is_what_the_providers_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    let now = page();
    if option_env!("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &now).expect("docs/ can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == now,
        "docs/providers.md is out of date: UPDATE_DOCS=1 cargo test -p relay providers_page"
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| Provider | Kind | Connected by | Goes to | New connections want | Pace |\n|---|---|---|---|---|---|\n");
    for provider in PROVIDERS {
        page.push_str(&row(provider));
    }
    page.push_str(EVENTS);
    for provider in PROVIDERS {
        page.push_str(&section(provider));
    }
    page
}

fn row(provider: &Provider) -> String {
    let anchor: String = provider
        .label
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c => (c.is_alphanumeric() || c == '-').then_some(c),
        })
        .collect();
    format!(
        "| [{}](#{anchor}) | {} | {} | {} | {} | {} |\n",
        provider.label,
        category(provider.category),
        connected_by(&provider.connect),
        provider.destinations.as_ref().map_or("its one address", |found| found.noun),
        code(provider.event_types),
        pace(provider.pace),
    )
}

fn section(provider: &Provider) -> String {
    let mut text = format!("\n## {}\n\n| | |\n|---|---|\n", provider.label);
    let mut fact = |name: &str, value: &str| {
        writeln!(text, "| {name} | {value} |").expect("a String takes any text");
    };
    fact("Id", &format!("`{}`", provider.id));
    fact("Connecting", &connecting(provider));
    if let Connect::OAuth2(oauth) = &provider.connect {
        fact("Scopes", &scopes(oauth));
        fact("Tokens", tokens(provider, oauth));
        let taken_back = match oauth.revoke {
            Some(_) => "at the provider too, when an admin disconnects",
            None => "by the admin: the provider has no call for it",
        };
        fact("Consent is taken back", taken_back);
    }
    if let Some(destinations) = &provider.destinations {
        fact("Destination", &format!("a {}, chosen by the admin", destinations.noun));
    }
    fact("Pace", &format!("{}, {}", pace(provider.pace), shared(provider.pace.shared_by)));
    fact("New connections want", &code(provider.event_types));
    fact("Limits", provider.limits);
    let settings = config::settings_of(provider);
    if !settings.is_empty() {
        let names: Vec<String> = settings
            .iter()
            .map(|setting| match setting.alias {
                Some(alias) => format!("`{}` (or `{alias}`)", setting.name),
                None => format!("`{}`", setting.name),
            })
            .collect();
        fact("Settings", &names.join(", "));
    }
    text
}

fn category(category: Category) -> &'static str {
    match category {
        Category::CiCd => "CI/CD",
        Category::Notification => "Notification",
        Category::Ticketing => "Ticketing",
    }
}

fn connected_by(connect: &Connect) -> &'static str {
    match connect {
        Connect::OAuth2(_) => "OAuth 2",
        Connect::GitHubApp(_) => "installing an App",
        Connect::AccessToken(_) => "address and token",
        Connect::Webhook => "address; we make the secret",
    }
}

fn connecting(provider: &Provider) -> String {
    let callback = |segment: &str| {
        format!(
            "`GET /api/integrations/{id}/install`, then back to `/api/integrations/{id}/{segment}`",
            id = provider.id
        )
    };
    match &provider.connect {
        Connect::OAuth2(oauth) => {
            let proof = if oauth.pkce { "a one-time state and PKCE (S256)" } else { "a one-time state" };
            format!("{}, with {proof}", callback(oauth.callback))
        }
        Connect::GitHubApp(app) => {
            format!(
                "{}, with a one-time state; that the installation is the admin's is proven by their own token",
                callback(app.callback)
            )
        }
        Connect::AccessToken(_) => {
            "`POST /api/integrations/jira/connect-pat` with the server's address and a personal access token".to_owned()
        }
        Connect::Webhook => {
            "`POST /api/integrations/organizations/{org}/custom-integrations`; the signing secret is shown once".to_owned()
        }
    }
}

fn scopes(oauth: &OAuth2) -> String {
    if oauth.scopes.is_empty() {
        "as registered with the app".to_owned()
    } else {
        code(oauth.scopes)
    }
}

fn tokens(provider: &Provider, oauth: &OAuth2) -> &'static str {
    match (provider.credential, oauth.refresh) {
        (CredentialOf::Operator(_), _) => "messages carry the operator's own token",
        (_, Refresh::None) => "do not expire",
        (_, Refresh::Keeps) => "are refreshed; the refresh token stays",
        (_, Refresh::Rotates) => "are refreshed, when they expire; each refresh token is used once",
    }
}

fn pace(pace: Pace) -> String {
    if pace == Pace::AS_FAST_AS_IT_ANSWERS {
        return "as its answers ask".to_owned();
    }
    let per = match pace.per.as_secs() {
        1 => "a second".to_owned(),
        60 => "a minute".to_owned(),
        3600 => "an hour".to_owned(),
        _ => format!("in {:?}", pace.per),
    };
    let burst = if pace.burst > 1 { format!(", {} at once", pace.burst) } else { String::new() };
    format!("{} {per}{burst}", pace.count)
}

fn shared(by: SharedBy) -> &'static str {
    match by {
        SharedBy::Destination => "for each destination",
        SharedBy::Installation => "for each installation, whoever uses it",
        SharedBy::Provider => "for everything that the provider gets from us",
    }
}

fn code(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
