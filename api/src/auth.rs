//! Who asks, and whether they may: people by their token, the core by its service key.

mod jwks;
mod jwt;
#[cfg(test)]
mod jwt_tests;
mod service_key;

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::{HeaderMap, header::AUTHORIZATION, request::Parts},
};
use engine::{
    connection::Actor, db::DbError, http::HttpClient, ids::OrganizationId, membership::membership,
    secret::Secret, walls,
};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use self::{
    jwks::Jwks,
    jwt::{Claims, TokenRefused, Verifier},
};
use crate::{App, error::ApiError, extract::path_id};

pub(crate) use self::service_key::Service;

const NO_TOKEN: &str = "Missing or invalid authorization header";
const BAD_TOKEN: &str = "Invalid or expired token";

/// Where it is written who belongs to an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipSource {
    /// In the token: `app_metadata.organizations."<uuid>"`.
    Claims,
    /// In the core's tables, in the same database.
    Postgres,
}

/// How callers are recognised.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// Verifies tokens signed with HS256.
    pub jwt_secret: Option<Secret>,
    /// Where the keys for RS256 and ES256 are published.
    pub jwks_url: Option<Url>,
    /// When set, the `iss` that a token must carry.
    pub issuer: Option<String>,
    /// Where memberships are looked up.
    pub membership: MembershipSource,
    /// Every key that is accepted, so that one can follow another. None: `/v1/events` answers 503.
    pub service_keys: Vec<Secret>,
}

/// [`AuthConfig`], made ready for use.
#[derive(Debug)]
pub(crate) struct Auth {
    verifier: Verifier,
    membership: MembershipSource,
    pub(crate) service_keys: Vec<Secret>,
}

impl Auth {
    pub(crate) fn new(config: AuthConfig, http: &HttpClient) -> Self {
        let jwks = config.jwks_url.map(|url| Jwks::at(url, http.clone()));
        Self {
            verifier: Verifier::new(config.jwt_secret.as_ref(), jwks, config.issuer),
            membership: config.membership,
            service_keys: config.service_keys,
        }
    }

    /// Where it is written who belongs to an organization.
    pub(crate) fn membership(&self) -> MembershipSource {
        self.membership
    }
}

/// Somebody with a good token, whatever they belong to.
#[derive(Debug)]
pub(crate) struct Person(Claims);

impl FromRequestParts<App> for Person {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(&parts.headers).ok_or(ApiError::unauthorized(NO_TOKEN))?;
        let claims = app.auth().verifier.verify(token).await.map_err(|refused| match refused {
            TokenRefused::Invalid => ApiError::unauthorized(BAD_TOKEN),
            TokenRefused::KeysUnavailable => ApiError::unavailable(
                "auth_unavailable",
                "Your sign-in cannot be checked at the moment. Please try again",
            ),
        })?;
        Ok(Self(claims))
    }
}

impl Person {
    /// As a member of an organization, or else the answer that `stranger` makes.
    async fn member_of(
        self,
        app: &App,
        organization_id: OrganizationId,
        stranger: impl FnOnce() -> ApiError,
    ) -> Result<Member, ApiError> {
        let Self(claims) = self;
        // A stranger spends his own allowance, never the organization's.
        app.check_rate(claims.sub)?;
        let may_manage = match app.auth().membership {
            MembershipSource::Claims => claimed(&claims.app_metadata, organization_id),
            MembershipSource::Postgres => looked_up(app, organization_id, claims.sub).await?,
        };
        let may_manage = may_manage.ok_or_else(stranger)?;
        app.check_rate(organization_id.0)?;
        walls::narrow_to(organization_id);
        let actor = Actor::user(claims.sub, claims.email);
        Ok(Member { organization_id, actor, may_manage })
    }

    /// As somebody who may change the integrations of an organization that no path names. Where the
    /// query or the body names it, the core answers a stranger with 403.
    pub(crate) async fn manager_of(
        self,
        app: &App,
        organization_id: OrganizationId,
    ) -> Result<Manager, ApiError> {
        self.member_of(app, organization_id, ApiError::not_a_member).await?.into_manager()
    }
}

/// Somebody who belongs to the organization in the path, and so may look.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) organization_id: OrganizationId,
    pub(crate) actor: Actor,
    may_manage: bool,
}

impl Member {
    fn into_manager(self) -> Result<Manager, ApiError> {
        if !self.may_manage {
            return Err(ApiError::forbidden());
        }
        Ok(Manager { organization_id: self.organization_id, actor: self.actor })
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let person = Person::from_request_parts(parts, app).await?;
        let stranger = || ApiError::not_found("Organization");
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| stranger())?;
        let organization_id = path_id(&params, "org", "Organization")?;
        person.member_of(app, organization_id, stranger).await
    }
}

/// A member who may change integrations: the owner, or one with `manage_integrations`.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) organization_id: OrganizationId,
    pub(crate) actor: Actor,
}

impl FromRequestParts<App> for Manager {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Member::from_request_parts(parts, app).await?.into_manager()
    }
}

/// Whether somebody who was a manager some minutes ago still is one, for a request that carries no
/// token of theirs. Memberships that stand only in tokens cannot be asked for: they count as they did.
pub(crate) async fn still_manages(
    app: &App,
    organization_id: OrganizationId,
    user_id: Uuid,
) -> Result<bool, DbError> {
    match app.auth().membership {
        MembershipSource::Claims => Ok(true),
        MembershipSource::Postgres => {
            Ok(looked_up(app, organization_id, user_id).await? == Some(true))
        }
    }
}

/// Whether the core's tables let a person manage integrations; `None` for a stranger.
async fn looked_up(
    app: &App,
    organization_id: OrganizationId,
    user_id: Uuid,
) -> Result<Option<bool>, DbError> {
    let found = membership(app.engine(), organization_id, user_id).await?;
    Ok(found.map(|found| grants(&found.role, &found.permissions)))
}

fn claimed(app_metadata: &Value, organization_id: OrganizationId) -> Option<bool> {
    let membership = app_metadata.get("organizations")?.get(organization_id.to_string())?;
    let role = membership.get("role")?.as_str()?;
    Some(grants(role, membership.get("permissions").unwrap_or(&Value::Null)))
}

fn grants(role: &str, permissions: &Value) -> bool {
    role == "owner" || permissions.get("manage_integrations") == Some(&Value::Bool(true))
}

/// The credential of `Authorization: Bearer …`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credential) = value.split_once(' ')?;
    let credential = credential.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !credential.is_empty()).then_some(credential)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use serde_json::json;

    #[test]
    fn only_a_bearer_header_carries_a_credential() {
        let table = [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ];
        for (header, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(header));
            assert_eq!(bearer(&headers), expected, "{header:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn membership_comes_from_the_claims_of_that_organization_alone() {
        let (ours, other) = (Uuid::now_v7(), Uuid::now_v7());
        let manages = json!({ "manage_integrations": true });
        let table = [
            (json!({ "role": "owner" }), Some(true)),
            (
                json!({ "role": "owner", "permissions": { "manage_integrations": false } }),
                Some(true),
            ),
            (json!({ "role": "member", "permissions": manages }), Some(true)),
            (
                json!({ "role": "member", "permissions": { "manage_integrations": "true" } }),
                Some(false),
            ),
            (json!({ "role": "member", "permissions": { "manage_integrations": 1 } }), Some(false)),
            (json!({ "role": "admin" }), Some(false)),
            (json!({ "role": "Owner" }), Some(false)),
            (json!({ "role": 1 }), None),
            (json!({}), None),
            (json!(null), None),
            (json!("owner"), None),
        ];
        for (membership, expected) in table {
            let metadata = json!({ "organizations": { ours.to_string(): membership } });
            assert_eq!(claimed(&metadata, ours.into()), expected, "{metadata}");
            assert_eq!(claimed(&metadata, other.into()), None, "{metadata}");
        }
        for metadata in [json!(null), json!({}), json!({ "organizations": [] }), json!("x")] {
            assert_eq!(claimed(&metadata, ours.into()), None, "{metadata}");
        }
    }
}
