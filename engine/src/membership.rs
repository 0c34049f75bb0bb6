//! Who and what belongs to an organization, by the core's own tables beside ours.

use serde_json::Value;
use sqlx::Row;
use uuid::Uuid;

use crate::{connection::Scope, db::DbError, engine::Engine, ids::OrganizationId, walls};

/// A person's place in an organization.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The role's name; `owner` may do everything.
    pub role: String,
    /// What the role allows, by name.
    pub permissions: Value,
}

/// A person's membership, by the core's `organization_members` and `organization_roles`.
/// `None` for strangers. The tables are the core's, so the statement is not checked at build time.
pub async fn membership(
    engine: &Engine,
    organization_id: OrganizationId,
    user_id: Uuid,
) -> Result<Option<Membership>, DbError> {
    let asked = sqlx::query(
        "select m.role, coalesce(r.permissions, '{}'::jsonb) as permissions
         from public.organization_members m
         left join public.organization_roles r
             on r.organization_id = m.organization_id and r.name = m.role
         where m.organization_id = $1 and m.user_id = $2",
    )
    .bind(organization_id.0)
    .bind(user_id)
    .fetch_optional(&engine.db.api);
    let row = walls::beyond(asked).await?;
    row.map(|row| {
        Ok(Membership { role: row.try_get("role")?, permissions: row.try_get("permissions")? })
    })
    .transpose()
}

/// Whether a team or a project is the organization's, by the core's `teams` and `projects`.
pub async fn has_part(
    engine: &Engine,
    organization_id: OrganizationId,
    part: Scope,
) -> Result<bool, DbError> {
    let (statement, id) = match part {
        Scope::Organization => return Ok(true),
        Scope::Team(id) => (
            "select exists (select from public.teams where organization_id = $1 and id = $2)",
            id.0,
        ),
        Scope::Project(id) => (
            "select exists (select from public.projects where organization_id = $1 and id = $2)",
            id.0,
        ),
    };
    let found = sqlx::query_scalar(statement).bind(organization_id.0).bind(id);
    Ok(walls::beyond(found.fetch_one(&engine.db.api)).await?)
}
