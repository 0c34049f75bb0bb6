//! How Linear refuses: the types of its SDK, in the envelope of GraphQL.
//!
//! <https://github.com/linear/linear/blob/master/packages/sdk/src/error.ts>

use serde_json::{Value, json};

use crate::server::reply::Reply;

/// Why Linear refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// The token opens nothing.
    AuthenticationError,
    /// The token opens something else.
    Forbidden,
    /// The workspace's plan has no such feature.
    FeatureNotAccessible,
    /// A value cannot be taken.
    InvalidInput,
    /// What was asked for cannot be done.
    UserError,
    /// The operation is not what the schema describes.
    GraphqlError,
    /// A budget is spent.
    Ratelimited,
    /// The workspace's plan is used up.
    UsageLimitExceeded,
    /// Linear broke.
    InternalError,
    /// Somebody else is at it.
    LockTimeout,
    /// Linear did not reach itself.
    NetworkError,
    /// The workspace could not be loaded.
    BootstrapError,
}

impl ErrorType {
    /// `extensions.type` and `extensions.code`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::AuthenticationError => ("authentication error", "AUTHENTICATION_ERROR"),
            Self::Forbidden => ("forbidden", "FORBIDDEN"),
            Self::FeatureNotAccessible => ("feature not accessible", "FEATURE_NOT_ACCESSIBLE"),
            Self::InvalidInput => ("invalid input", "INPUT_ERROR"),
            Self::UserError => ("user error", "USER_ERROR"),
            Self::GraphqlError => ("graphql error", "GRAPHQL_VALIDATION_FAILED"),
            Self::Ratelimited => ("ratelimited", "RATELIMITED"),
            Self::UsageLimitExceeded => ("usage limit exceeded", "USAGE_LIMIT_EXCEEDED"),
            Self::InternalError => ("internal error", "INTERNAL_SERVER_ERROR"),
            Self::LockTimeout => ("lock timeout", "LOCK_TIMEOUT"),
            Self::NetworkError => ("network error", "NETWORK_ERROR"),
            Self::BootstrapError => ("bootstrap error", "BOOTSTRAP_ERROR"),
        }
    }

    /// `extensions.statusCode`, which is not the status of the answer.
    fn status_code(self) -> u16 {
        match self {
            Self::AuthenticationError => 401,
            Self::Forbidden | Self::FeatureNotAccessible => 403,
            Self::Ratelimited => 429,
            Self::InvalidInput | Self::UserError | Self::GraphqlError => 400,
            Self::UsageLimitExceeded => 400,
            Self::InternalError | Self::LockTimeout => 500,
            Self::NetworkError | Self::BootstrapError => 500,
        }
    }

    /// The status of the answer. What a resolver refuses is answered as a success.
    fn status(self) -> u16 {
        match self {
            Self::AuthenticationError => 401,
            Self::Ratelimited | Self::GraphqlError => 400,
            _ => 200,
        }
    }
}

/// A refusal by a resolver or before one is asked.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    kind: ErrorType,
    message: String,
    /// Whether only a mistake of the caller's explains it.
    is_mistake: bool,
}

impl Refusal {
    pub(super) fn new(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), is_mistake: false }
    }

    /// The same, as a mistake of the caller's that fails the test.
    pub(super) fn mistake(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { is_mistake: true, ..Self::new(kind, message) }
    }

    /// What was named is not there, or not for this workspace.
    pub(super) fn not_found(entity: &str) -> Self {
        Self::new(ErrorType::InvalidInput, format!("Entity not found: {entity}"))
    }

    /// The answer. Without a root field nothing was executed.
    pub(super) fn reply(&self, field: Option<&str>) -> Reply {
        let mut body = envelope(self.kind, &self.message);
        if let Some(field) = field {
            body["data"] = Value::Null;
            body["errors"][0]["path"] = json!([field]);
        }
        let reply = Reply::json(self.kind.status(), &body);
        match self.is_mistake {
            true => reply.violating(self.message.clone()),
            false => reply,
        }
    }
}

/// GraphQL's envelope with one error.
pub(super) fn envelope(kind: ErrorType, message: &str) -> Value {
    let (name, code) = kind.names();
    json!({ "errors": [{
        "message": message,
        "extensions": {
            "type": name, "code": code, "statusCode": kind.status_code(),
            "userError": kind.status_code() < 500, "userPresentableMessage": message,
        },
    }] })
}
