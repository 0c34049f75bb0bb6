//! What `relay dev` prints: addresses, a token, and commands that can be pasted as they are.

use std::net::SocketAddr;

use engine::ids::OrganizationId;
use serde_json::json;

use crate::kept::Kept;

/// How long the demo's admin token holds.
const TOKEN_DAYS: i64 = 30;

/// The page. `pretended` are the pages of the pretended providers, if there are any.
pub(crate) fn render(
    api: SocketAddr,
    metrics: SocketAddr,
    receiver: SocketAddr,
    pretended: &[(&'static str, String)],
    kept: &Kept,
    token: &str,
) -> String {
    let organization = kept.organization_id;
    let service_key = kept.service_key.reveal();
    let named = |name: &str| pretended.iter().find(|(known, _)| *known == name);
    let tour = match (named("Slack"), named("Jira Cloud")) {
        (Some((_, slack)), Some((_, jira))) => providers_tour(api, organization, slack, jira),
        _ => String::new(),
    };
    let list: Vec<String> =
        pretended.iter().map(|(name, page)| format!("  {name:<16} {page}")).collect();
    let list = match list.is_empty() {
        true => "  Providers        as the environment sets them up".to_owned(),
        false => {
            format!("\nPretended providers; each page shows what arrived:\n\n{}", list.join("\n"))
        }
    };
    let console = match api::has_console() {
        true => format!("http://{api}/console"),
        false => "not built: make console".to_owned(),
    };
    format!(
        r#"
Deptex Relay is running.

  Console        {console}
  API            http://{api}        readable at http://{api}/docs
  Metrics        http://{metrics}/metrics
  Demo receiver  http://{receiver}/hook     prints what arrives, and whether its signature verifies
  Organization   {organization}
{list}

Try it, in another shell:

  # An admin token for the demo organization, good for {TOKEN_DAYS} days
  export TOKEN={token}

  # 1. Connect a custom webhook to the demo receiver; its signing secret is shown this once
  curl -sS http://{api}/api/integrations/organizations/{organization}/custom-integrations \
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"name":"Demo","type":"notification","webhook_url":"http://{receiver}/hook"}}'
{tour}
  # {emit}. Emit an event, as the Deptex core would
  curl -sS http://{api}/v1/events \
    -H 'X-Internal-Api-Key: {service_key}' -H 'Content-Type: application/json' \
    -d '{{"type":"vulnerability.found","organization_id":"{organization}","data":{FINDING}}}'
{after}
  # {look}. Look at what was delivered
  curl -sS http://{api}/api/organizations/{organization}/deliveries -H "Authorization: Bearer $TOKEN"
{resolve}
Ctrl-C stops everything; the data stays. What the demo receiver gets is printed below.

"#,
        emit = if tour.is_empty() { 2 } else { 4 },
        look = if tour.is_empty() { 3 } else { 5 },
        after = after(named("Slack"), named("Jira Cloud")),
        resolve = resolve(api, service_key, kept, !tour.is_empty()),
    )
}

/// What is found and resolved: the ticket is one, because vulnerability, package and project are.
const FINDING: &str = r#"{"vulnerability_id":"CVE-2026-0001","severity":"critical","package":"lodash","version":"4.17.20","project":"my-project"}"#;

/// How Slack and Jira are connected, with curl for a browser.
fn providers_tour(
    api: SocketAddr,
    organization: OrganizationId,
    slack: &str,
    jira: &str,
) -> String {
    format!(
        r#"
  # 2. Connect a pretended Slack and a pretended Jira. An admin's browser would go to each address and ask;
  #    here curl is the browser, and agrees. Each line that is printed ends with connected=…
  connect() {{
    page=$(curl -sS "http://{api}/api/integrations/$1/install?org_id={organization}" \
      -H "Authorization: Bearer $TOKEN" | sed 's/.*"redirectUrl":"\([^"]*\)".*/\1/')
    back=$(curl -sS -o /dev/null -w '%{{redirect_url}}' "$page&decision=allow")
    curl -sS -o /dev/null -w '%{{redirect_url}}\n' "$back"
  }}
  connect slack
  connect jira

  # 3. Say where Jira's tickets go. (Slack asked for the channel itself)
  JIRA=$(curl -sS http://{api}/api/integrations/organizations/{organization}/connections \
    -H "Authorization: Bearer $TOKEN" | sed 's/.*"id":"\([^"]*\)","organization_id":"[^"]*","provider":"jira".*/\1/')
  curl -sS http://{api}/api/organizations/{organization}/connections/$JIRA/destinations -H "Authorization: Bearer $TOKEN"
  curl -sS -X PUT http://{api}/api/organizations/{organization}/connections/$JIRA/destination \
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{{"id":"SEC","issue_type":"Bug"}}'

  #    Their pages, for a browser: {slack}   {jira}
"#
    )
}

fn after(slack: Option<&(&'static str, String)>, jira: Option<&(&'static str, String)>) -> String {
    match (slack, jira) {
        (Some((_, slack)), Some((_, jira))) => {
            format!("\n  #    The message is at {slack} , the ticket at {jira}\n")
        }
        _ => String::new(),
    }
}

/// The end of the finding, which closes its ticket.
fn resolve(api: SocketAddr, service_key: &str, kept: &Kept, has_tickets: bool) -> String {
    if !has_tickets {
        return String::new();
    }
    let organization = kept.organization_id;
    format!(
        r#"
  # 6. It is resolved: the ticket gets a comment and is closed, by Jira's own workflow
  curl -sS http://{api}/v1/events \
    -H 'X-Internal-Api-Key: {service_key}' -H 'Content-Type: application/json' \
    -d '{{"type":"vulnerability.resolved","organization_id":"{organization}","data":{FINDING}}}'

The pretended providers forget everything when this ends: connect them again then.
"#
    )
}

/// A token of the demo organization's owner.
pub(super) fn admin_token(kept: &Kept) -> anyhow::Result<String> {
    let now = engine::clock::now().timestamp();
    let mut organizations = serde_json::Map::new();
    organizations.insert(kept.organization_id.to_string(), json!({ "role": "owner" }));
    let claims = json!({
        "sub": kept.user_id, "aud": "authenticated", "email": "admin@example.com",
        "iat": now, "exp": now + TOKEN_DAYS * 24 * 60 * 60,
        "app_metadata": { "organizations": organizations },
    });
    let key = jsonwebtoken::EncodingKey::from_secret(kept.jwt_secret.reveal().as_bytes());
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?)
}
