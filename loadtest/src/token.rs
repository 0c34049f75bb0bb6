//! An administrator's token, as the console's sign-in would issue it (HS256).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;
use uuid::Uuid;

/// A JWT for an owner of the organization, good until the given second.
pub(crate) fn owner(jwt_secret: &str, organization_id: Uuid, expires_at: u64) -> String {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let claims = json!({
        "sub": Uuid::new_v4(),
        "aud": "authenticated",
        "role": "authenticated",
        "exp": expires_at,
        "app_metadata": { "organizations": { organization_id.to_string(): { "role": "owner" } } },
    });
    let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mac = Hmac::<Sha256>::new_from_slice(jwt_secret.as_bytes())
        .expect("HMAC takes keys of any length")
        .chain_update(&signed)
        .finalize();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.into_bytes()))
}
