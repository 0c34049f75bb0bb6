//! The core's own key: for recording events, and for nothing that belongs to a person.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
};
use engine::{
    secret::{Secret, same_secret},
    walls,
};

use super::bearer;
use crate::{App, error::ApiError};

const HEADER: &str = "x-internal-api-key";

/// Proof that the caller holds a service key.
#[derive(Debug)]
pub(crate) struct Service;

impl FromRequestParts<App> for Service {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let service = check(&parts.headers, &app.auth().service_keys)?;
        walls::open();
        Ok(service)
    }
}

fn check(headers: &HeaderMap, accepted: &[Secret]) -> Result<Service, ApiError> {
    if accepted.is_empty() {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "service_key_unset",
            "No service key is configured, so events cannot be accepted",
        ));
    }
    let given = match headers.get(HEADER) {
        Some(value) => value.to_str().ok(),
        None => bearer(headers),
    };
    let given = given.ok_or(ApiError::unauthorized("Missing service key"))?;
    // Every key is compared, so that the time does not tell which one nearly fits.
    let fits = accepted.iter().fold(false, |fits, key| fits | same_secret(given, key.reveal()));
    if fits { Ok(Service) } else { Err(ApiError::unauthorized("Invalid service key")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn status(headers: &[(&'static str, &'static str)], keys: &[&str]) -> u16 {
        let keys: Vec<Secret> = keys.iter().map(|key| Secret::new(*key)).collect();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (name.parse().expect("a header name"), HeaderValue::from_static(value))
            })
            .collect();
        check(&headers, &keys).map_or_else(|error| error.status.as_u16(), |Service| 200)
    }

    #[test]
    fn any_accepted_key_opens_by_either_header_and_no_other_does() {
        let keys = ["new-key", "old-key"];
        assert_eq!(status(&[("x-internal-api-key", "new-key")], &keys), 200);
        assert_eq!(status(&[("x-internal-api-key", "old-key")], &keys), 200);
        assert_eq!(status(&[("authorization", "Bearer old-key")], &keys), 200);
        assert_eq!(status(&[("authorization", "Bearer other")], &keys), 401);
        assert_eq!(status(&[("x-internal-api-key", "")], &keys), 401);
        assert_eq!(status(&[("x-internal-api-key", "new-key2")], &keys), 401);
        assert_eq!(status(&[], &keys), 401);
        let both = [("x-internal-api-key", "other"), ("authorization", "Bearer new-key")];
        assert_eq!(status(&both, &keys), 401);
    }

    #[test]
    fn without_a_configured_key_nobody_gets_in() {
        assert_eq!(status(&[("x-internal-api-key", "")], &[]), 503);
        assert_eq!(status(&[("x-internal-api-key", "anything")], &[]), 503);
    }
}
