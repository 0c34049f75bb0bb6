//! Pictures of custom integrations: told by their bytes, kept in the database, served back by us.

use bytes::Bytes;

use crate::{
    db::DbError,
    engine::Engine,
    ids::{IconId, OrganizationId},
};

/// The largest picture.
pub const ICON_BYTES_MAX: usize = 262_144;

/// A picture was not stored.
#[derive(Debug, thiserror::Error)]
pub enum IconError {
    /// Not one of the three kinds, whatever its header says.
    #[error("Only PNG, JPEG and WebP images are allowed")]
    NotAnImage,
    /// Past [`ICON_BYTES_MAX`].
    #[error("Image must be under 256KB")]
    TooLarge,
    /// The database failed.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A stored picture.
#[derive(Clone, Copy, Debug)]
pub struct Icon {
    /// Its id.
    pub id: IconId,
    /// What its file name ends with.
    pub extension: &'static str,
}

/// Stores a picture after looking at its bytes.
pub async fn store(
    engine: &Engine,
    organization_id: OrganizationId,
    bytes: Bytes,
) -> Result<Icon, IconError> {
    if bytes.len() > ICON_BYTES_MAX {
        return Err(IconError::TooLarge);
    }
    let (content_type, extension) = sniff(&bytes).ok_or(IconError::NotAnImage)?;
    let id = IconId::new();
    sqlx::query!(
        "insert into relay.icons (id, organization_id, content_type, bytes) values ($1, $2, $3, $4)",
        id.0,
        organization_id.0,
        content_type,
        &bytes[..],
    )
    .execute(&engine.db.api)
    .await
    .map_err(DbError::from)?;
    Ok(Icon { id, extension })
}

/// A picture's content type and bytes.
pub async fn load(
    engine: &Engine,
    organization_id: OrganizationId,
    id: IconId,
) -> Result<Option<(String, Bytes)>, DbError> {
    let row = sqlx::query!(
        "select content_type, bytes from relay.icons where id = $1 and organization_id = $2",
        id.0,
        organization_id.0,
    )
    .fetch_optional(&engine.db.api)
    .await?;
    Ok(row.map(|row| (row.content_type, row.bytes.into())))
}

fn sniff(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match infer::get(bytes)?.mime_type() {
        "image/png" => Some(("image/png", "png")),
        "image/jpeg" => Some(("image/jpeg", "jpg")),
        "image/webp" => Some(("image/webp", "webp")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_told_by_its_bytes() {
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), Some(("image/png", "png")));
        assert_eq!(sniff(b"\xff\xd8\xff\xe0\0\x10JFIF"), Some(("image/jpeg", "jpg")));
        assert_eq!(sniff(b"RIFF\0\0\0\0WEBPVP8 "), Some(("image/webp", "webp")));
        for other in [&b"<svg onload=alert(1)>"[..], b"GIF89a", b"<html>", b"", b"PNG"] {
            assert_eq!(sniff(other), None, "{other:?}");
        }
    }
}
