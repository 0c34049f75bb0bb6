//! What `relay dev` prints: addresses, a token, and commands that can be pasted as they are.

use std::net::SocketAddr;

use serde_json::json;

use crate::kept::Kept;

/// How long the demo's admin token holds.
const TOKEN_DAYS: i64 = 30;

/// The page.
pub(crate) fn render(
    api: SocketAddr,
    metrics: SocketAddr,
    receiver: SocketAddr,
    kept: &Kept,
) -> anyhow::Result<String> {
    let organization = kept.organization_id;
    let token = admin_token(kept)?;
    let service_key = kept.service_key.reveal();
    Ok(format!(
        r#"
Deptex Relay is running.

  API            http://{api}        readable at http://{api}/docs
  Metrics        http://{metrics}/metrics
  Demo receiver  http://{receiver}/hook     prints what arrives, and whether its signature verifies
  Organization   {organization}

Try it, in another shell:

  # An admin token for the demo organization, good for {TOKEN_DAYS} days
  export TOKEN={token}

  # 1. Connect a custom webhook to the demo receiver; its signing secret is shown this once
  curl -sS http://{api}/api/integrations/organizations/{organization}/custom-integrations \
    -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{{"name":"Demo","type":"notification","webhook_url":"http://{receiver}/hook"}}'

  # 2. Emit an event, as the Deptex core would
  curl -sS http://{api}/v1/events \
    -H 'X-Internal-Api-Key: {service_key}' -H 'Content-Type: application/json' \
    -d '{{"type":"vulnerability.found","organization_id":"{organization}","data":{{"vulnerability_id":"CVE-2026-0001","severity":"critical","package":"lodash","version":"4.17.20","project":"my-project"}}}}'

  # 3. Look at what was delivered
  curl -sS http://{api}/api/organizations/{organization}/deliveries -H "Authorization: Bearer $TOKEN"

Ctrl-C stops everything; the data stays. What the demo receiver gets is printed below.

"#
    ))
}

fn admin_token(kept: &Kept) -> anyhow::Result<String> {
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
