//! What a caller is told when something does not work: one sentence and one stable code.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use engine::{
    connection::ConnectionError, db::DbError, delivery::replay::ReplayError, icon::IconError,
    ingest::IngestError,
};
use serde::Serialize;
use utoipa::ToSchema;

/// How long to wait before asking again when the database is away.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);
/// How long to wait before sending again when the queue of incoming events is full.
const OVERLOADED_RETRY: Duration = Duration::from_secs(1);

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// A sentence that can be shown to a person as it is.
    #[schema(example = "Connection not found")]
    pub(crate) error: String,
    /// For programs; listed in `docs/api.md`.
    #[schema(example = "not_found")]
    pub(crate) code: &'static str,
}

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn unprocessable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    pub(crate) fn unauthorized(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden() -> Self {
        let message = "You do not have permission to manage integrations";
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// For routes whose query or body names the organization: the core answers strangers so.
    pub(crate) fn not_a_member() -> Self {
        let message = "Not a member of this organization";
        Self::new(StatusCode::FORBIDDEN, "not_a_member", message)
    }

    /// `what` names the thing: another organization's is indistinguishable from none.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{what} not found"))
    }

    pub(crate) fn too_large(bytes_max: usize) -> Self {
        let message = format!("The request body is larger than {} KiB", bytes_max / 1024);
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn rate_limited(wait: Duration) -> Self {
        let message = "Too many requests for this organization. Try again in a moment";
        Self {
            retry_after: Some(wait),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
        }
    }

    pub(crate) fn unavailable(code: &'static str, message: &'static str) -> Self {
        Self {
            retry_after: Some(UNAVAILABLE_RETRY),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
        }
    }

    /// Our own fault: the cause goes to the log, never to the caller.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed");
        let message = "Something went wrong on our side. Please try again";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { error: self.message.clone(), code: self.code }
    }

    /// The seed's routes answer 400 where the others answer 422.
    pub(crate) fn for_seed_route(mut self) -> Self {
        if self.status == StatusCode::UNPROCESSABLE_ENTITY {
            self.status = StatusCode::BAD_REQUEST;
        }
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: never earlier than what was meant, and never 0.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.code == "unauthorized" {
            let scheme = HeaderValue::from_static("Bearer");
            response.headers_mut().insert("www-authenticate", scheme);
        }
        response
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unavailable(cause) => {
                tracing::warn!(error = %cause, "the database does not answer");
                let message = "The database is not available. Please try again";
                Self::unavailable("database_unavailable", message)
            }
            DbError::SchemaBehind { .. } => {
                tracing::error!(%error, "the database's schema does not fit this version");
                let message = "The database is being updated. Please try again";
                Self::unavailable("schema_behind", message)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Overloaded => Self {
                retry_after: Some(OVERLOADED_RETRY),
                ..Self::unavailable("overloaded", "Too many events at once. Send them again")
            },
            IngestError::Unavailable => Self::unavailable(
                "database_unavailable",
                "The database did not confirm the events. Send them again, with the same idempotency keys",
            ),
        }
    }
}

/// What is missing is named by the route, so it is translated through [`connection_error`].
pub(crate) fn connection_error(what: &str) -> impl Fn(ConnectionError) -> ApiError + use<'_> {
    move |error| match error {
        ConnectionError::NotFound => ApiError::not_found(what),
        ConnectionError::Refused { code, message } => ApiError::unprocessable(code, message),
        ConnectionError::VersionConflict => ApiError::new(
            StatusCode::CONFLICT,
            "version_conflict",
            "Somebody else changed this connection in the meantime. Reload it and try again",
        ),
        ConnectionError::Db(error) => error.into(),
    }
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let conflict = |code, message| Self::new(StatusCode::CONFLICT, code, message);
        match error {
            ReplayError::NotFound => Self::not_found("Delivery"),
            ReplayError::NotConnected => conflict(
                "connection_not_connected",
                "The connection of this delivery is paused, disabled or removed",
            ),
            ReplayError::InFlight => conflict(
                "delivery_in_flight",
                "This delivery is being sent right now. Look again in a moment",
            ),
            ReplayError::NotWanted => conflict(
                "event_not_wanted",
                "The connection of this delivery is not subscribed to such events any more",
            ),
            ReplayError::EventExpired => Self::new(
                StatusCode::GONE,
                "event_expired",
                "The event of this delivery is older than what is kept",
            ),
            ReplayError::Db(error) => error.into(),
        }
    }
}

impl From<IconError> for ApiError {
    fn from(error: IconError) -> Self {
        match error {
            IconError::Db(error) => error.into(),
            IconError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "icon_too_large",
                "Image must be under 256KB",
            ),
            IconError::NotAnImage => {
                Self::bad_request("icon_unsupported", "Only PNG, JPEG and WebP images are allowed")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_fault_hides_its_detail() {
        let error = ApiError::internal(&"password=hunter2");
        assert_eq!(error.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!format!("{:?}", error.body()).contains("hunter2"));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (wait, header) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            let response = ApiError::rate_limited(Duration::from_millis(wait)).into_response();
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[RETRY_AFTER], header, "{wait} ms");
        }
    }

    #[test]
    fn every_refusal_keeps_its_status_and_code() {
        let connection = connection_error("Connection");
        let refused = ConnectionError::Refused { code: "url_private", message: "no".into() };
        let table: Vec<(ApiError, u16, &str)> = vec![
            (connection(ConnectionError::NotFound), 404, "not_found"),
            (connection(refused), 422, "url_private"),
            (connection(ConnectionError::VersionConflict), 409, "version_conflict"),
            (DbError::Unavailable("x".into()).into(), 503, "database_unavailable"),
            (IngestError::Overloaded.into(), 503, "overloaded"),
            (IngestError::Unavailable.into(), 503, "database_unavailable"),
            (ReplayError::NotFound.into(), 404, "not_found"),
            (ReplayError::NotConnected.into(), 409, "connection_not_connected"),
            (ReplayError::InFlight.into(), 409, "delivery_in_flight"),
            (ReplayError::NotWanted.into(), 409, "event_not_wanted"),
            (ReplayError::EventExpired.into(), 410, "event_expired"),
            (IconError::TooLarge.into(), 413, "icon_too_large"),
            (IconError::NotAnImage.into(), 400, "icon_unsupported"),
        ];
        for (error, status, code) in table {
            assert_eq!((error.status.as_u16(), error.code), (status, code), "{error:?}");
            assert_eq!(error.retry_after.is_some(), status == 503, "{error:?}");
        }
    }

    #[test]
    fn the_seeds_routes_answer_400_where_the_others_answer_422() {
        assert_eq!(
            ApiError::unprocessable("x", "y").for_seed_route().status,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(ApiError::not_found("X").for_seed_route().status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn every_code_of_an_event_is_in_the_documentation() {
        let documented = include_str!("../../docs/api.md");
        for (code, _) in engine::event::CODES {
            assert!(documented.contains(&format!("`{code}`")), "docs/api.md lacks {code}");
        }
    }
}
