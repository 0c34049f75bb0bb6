//! Pictures of custom integrations: taken in, and served back to whoever shows them.

use axum::{
    Json,
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderValue, header, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use engine::{
    icon::{self, ICON_BYTES_MAX, IconError},
    ids::{IconId, OrganizationId},
    walls,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    auth::Manager,
    body::{read_body, require_identity},
    error::{ApiError, ErrorBody},
    extract::path_id,
};

/// Where the picture is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IconUploaded {
    /// To be given as `icon_url`.
    #[schema(example = "https://relay.example.com/api/integrations/icons/<org>/<id>.png")]
    url: String,
}

/// Upload an icon
///
/// The raw bytes of a PNG, JPEG or WebP picture of at most 256 KiB. Its kind is told by its bytes.
#[utoipa::path(
    post, operation_id = "upload_icon", path = "/api/integrations/organizations/{org}/custom-integrations/upload-icon", tag = "Custom integrations",
    params(("org" = Uuid, Path, description = "The organization")),
    request_body(content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"))),
    responses(
        (status = 200, description = "Stored", body = IconUploaded),
        (status = 400, description = "`icon_unsupported`: not such a picture", body = ErrorBody),
        (status = 401, body = ErrorBody, description = "`unauthorized`"),
        (status = 403, body = ErrorBody, description = "`forbidden`"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
        (status = 413, description = "`icon_too_large`", body = ErrorBody),
    ),
)]
pub(crate) async fn upload(
    State(app): State<App>,
    manager: Manager,
    request: Request,
) -> Result<Json<IconUploaded>, ApiError> {
    let (parts, body) = request.into_parts();
    require_identity(&parts.headers)?;
    let too_large = || IconError::TooLarge.into();
    let bytes = read_body(&parts.headers, body, ICON_BYTES_MAX, too_large).await?;
    let organization_id = manager.organization_id;
    let icon = icon::store(app.engine(), organization_id, bytes).await?;
    let path = format!("/api/integrations/icons/{organization_id}/{}.{}", icon.id, icon.extension);
    let base = app.engine().config.backend_url.as_ref();
    let base = base.map_or("", |url| url.as_str().trim_end_matches('/'));
    Ok(Json(IconUploaded { url: format!("{base}{path}") }))
}

/// The picture that the path names.
#[derive(Debug)]
pub(crate) struct IconInPath {
    organization_id: OrganizationId,
    id: IconId,
    extension: String,
}

impl FromRequestParts<App> for IconInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let missing = || ApiError::not_found("Icon");
        let params = RawPathParams::from_request_parts(parts, app).await.map_err(|_| missing())?;
        let organization_id = path_id(&params, "org", "Icon")?;
        let file = params.iter().find(|(name, _)| *name == "file").map(|(_, file)| file);
        let (id, extension) = file.and_then(|file| file.split_once('.')).ok_or_else(missing)?;
        let id = Uuid::parse_str(id).map_err(|_| missing())?.into();
        Ok(Self { organization_id, id, extension: extension.to_owned() })
    }
}

/// Get an icon
///
/// Public, and never another picture under the same address.
#[utoipa::path(
    get, operation_id = "get_icon", path = "/api/integrations/icons/{org}/{file}", tag = "Custom integrations", security(()),
    params(
        ("org" = Uuid, Path, description = "The organization"),
        ("file" = String, Path, description = "As in the URL that the upload gave"),
    ),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"),
        (status = 404, body = ErrorBody, description = "`not_found`"),
    ),
)]
pub(crate) async fn show(State(app): State<App>, path: IconInPath) -> Result<Response, ApiError> {
    walls::narrow_to(path.organization_id);
    let found = icon::load(app.engine(), path.organization_id, path.id).await?;
    found
        .and_then(|(content_type, bytes)| picture(&content_type, &path.extension, bytes))
        .ok_or(ApiError::not_found("Icon"))
}

/// `None` where the file's ending is not the one that the picture was stored under.
fn picture(content_type: &str, extension: &str, bytes: Bytes) -> Option<Response> {
    let (content_type, ending) = match content_type {
        "image/png" => ("image/png", "png"),
        "image/jpeg" => ("image/jpeg", "jpg"),
        "image/webp" => ("image/webp", "webp"),
        _ => return None,
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::CONTENT_DISPOSITION, "inline"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ];
    (extension == ending).then(|| {
        let mut response = (headers, bytes).into_response();
        // The frontend shows it from another origin.
        let anyone = HeaderValue::from_static("cross-origin");
        response.headers_mut().insert("cross-origin-resource-policy", anyone);
        response
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_served_as_what_it_is_and_runs_nothing() {
        let bytes = Bytes::from_static(b"png");
        assert!(picture("image/png", "svg", bytes.clone()).is_none());
        assert!(picture("image/svg+xml", "svg", bytes.clone()).is_none());
        let response = picture("image/png", "png", bytes).expect("it is served");
        assert_eq!(response.headers()["content-type"], "image/png");
        assert!(response.headers()["cache-control"].to_str().expect("text").contains("immutable"));
        assert!(
            response.headers()["content-security-policy"]
                .to_str()
                .expect("text")
                .contains("sandbox")
        );
    }
}
