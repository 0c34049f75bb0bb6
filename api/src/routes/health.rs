//! Whether this process lives, and whether it can work.

use axum::{Json, extract::State};
use engine::walls;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    error::{ApiError, ErrorBody},
};

/// How it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Is the process alive?
///
/// Asks nothing else: a database that is away must not get this process restarted.
#[utoipa::path(
    get, operation_id = "get_health", path = "/healthz", tag = "Health", security(()),
    responses((status = 200, description = "It lives", body = Health)),
)]
pub(crate) async fn alive() -> Json<Health> {
    OK
}

/// Can it serve?
///
/// Asks the database once, and whether its schema is the one that this version needs.
#[utoipa::path(
    get, operation_id = "get_readiness", path = "/readyz", tag = "Health", security(()),
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "`database_unavailable` or `schema_behind`", body = ErrorBody),
    ),
)]
pub(crate) async fn ready(State(app): State<App>) -> Result<Json<Health>, ApiError> {
    walls::beyond(app.engine().db.ready()).await?;
    Ok(OK)
}
