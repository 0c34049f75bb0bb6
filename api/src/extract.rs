//! Reads what a request carries: ids in the path, JSON, filters.

use std::{convert::Infallible, str::FromStr};

use axum::{
    extract::{FromRequest, FromRequestParts, RawPathParams, Request},
    http::request::Parts,
};
use bytes::Bytes;
use engine::{
    connection::Scope,
    ids::{ConnectionId, DeliveryId, EventId, ReplayId},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::form_urlencoded;
use uuid::Uuid;

use crate::{
    App,
    body::{read_body, require_identity},
    error::ApiError,
};

/// The largest body of a JSON request of an admin.
pub(crate) const JSON_BYTES_MAX: usize = 100 * 1024;

/// An id in the path. One that is not a UUID names nothing, so it is not found.
pub(crate) fn path_id<T: From<Uuid>>(
    params: &RawPathParams,
    name: &str,
    what: &str,
) -> Result<T, ApiError> {
    let text = params.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    text.and_then(id).ok_or(ApiError::not_found(what))
}

/// An id in its usual spelling alone: `parse_str` would take braces and other forms as well.
pub(crate) fn id<T: From<Uuid>>(text: &str) -> Option<T> {
    let text = Some(text).filter(|text| text.len() == 36)?;
    Uuid::parse_str(text).ok().map(T::from)
}

macro_rules! id_in_path {
    ($name:ident, $id:ty, $what:literal) => {
        /// The `{id}` of the path.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(crate) $id);

        impl FromRequestParts<App> for $name {
            type Rejection = ApiError;

            async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
                let params = RawPathParams::from_request_parts(parts, app)
                    .await
                    .map_err(|_| ApiError::not_found($what))?;
                path_id(&params, "id", $what).map(Self)
            }
        }
    };
}

id_in_path!(ConnectionInPath, ConnectionId, "Connection");
id_in_path!(CustomInPath, ConnectionId, "Custom integration");
id_in_path!(DeliveryInPath, DeliveryId, "Delivery");
id_in_path!(EventInPath, EventId, "Event");
id_in_path!(ReplayInPath, ReplayId, "Replay");

/// The part of the organization that the path names: all of it, a team, or a project.
#[derive(Clone, Debug)]
pub(crate) struct ScopeInPath(pub(crate) Scope);

impl FromRequestParts<App> for ScopeInPath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, app)
            .await
            .map_err(|_| ApiError::not_found("Organization"))?;
        let named = |name| params.iter().any(|(key, _)| key == name);
        Ok(Self(if named("team") {
            Scope::Team(path_id(&params, "team", "Team")?)
        } else if named("project") {
            Scope::Project(path_id(&params, "project", "Project")?)
        } else {
            Scope::Organization
        }))
    }
}

/// A JSON object, for the seed's routes. The existing frontend labels everything as JSON, bodyless
/// requests too, and other callers forget the label, so the label is not looked at and no body is
/// an empty object. A field of the wrong type is a 400, as it always was there.
#[derive(Debug)]
pub(crate) struct SeedJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for SeedJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let bytes = read_json(request).await?;
        parse_object(&bytes).map(Self).map_err(ApiError::for_seed_route)
    }
}

/// The same for the admin routes, where a field of the wrong type is a 422.
#[derive(Debug)]
pub(crate) struct AdminJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for AdminJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let bytes = read_json(request).await?;
        parse_object(&bytes).map(Self)
    }
}

async fn read_json(request: Request) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    require_identity(&parts.headers)?;
    let too_large = || ApiError::too_large(JSON_BYTES_MAX);
    read_body(&parts.headers, body, JSON_BYTES_MAX, too_large).await
}

fn parse_object<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    let object: Map<String, Value> = serde_json::from_slice(bytes).map_err(|error| {
        let message = if error.is_data() {
            "The request body must be a JSON object".to_owned()
        } else {
            format!(
                "The request body is not JSON: line {}, column {}",
                error.line(),
                error.column()
            )
        };
        ApiError::bad_request("malformed_json", message)
    })?;
    let misfit = |name: &str, cause: &serde_json::Error| {
        let cause = cause.to_string();
        let code =
            if cause.starts_with("unknown field") { "unknown_field" } else { "invalid_field" };
        ApiError::unprocessable(code, format!("{name}: {cause}"))
    };
    // Each field alone first, so that the one that does not fit can be named.
    for (name, value) in &object {
        let alone = Map::from_iter([(name.clone(), value.clone())]);
        serde_json::from_value::<T>(Value::Object(alone)).map_err(|error| misfit(name, &error))?;
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| misfit("body", &error))
}

/// For a field where `null` differs from being absent.
pub(crate) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    serde::Deserialize::deserialize(deserializer).map(Some)
}

/// The parameters of a query string. One that is given twice says nothing, as one that is empty.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) if !value.is_empty() => Some(value),
            _ => None,
        }
    }
}

impl FromRequestParts<App> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        Ok(Self::read(parts.uri.query().unwrap_or_default()))
    }
}

/// One value of a query string, or a 422 that names it.
pub(crate) fn filter<T: FromStr>(name: &str, value: &str, expected: &str) -> Result<T, ApiError> {
    value.parse().map_err(|_| {
        ApiError::unprocessable("invalid_filter", format!("{name} must be {expected}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Sample {
        name: Option<String>,
        #[serde(deserialize_with = "nullable")]
        icon: Option<Option<String>>,
    }

    #[test]
    fn a_parameter_that_is_given_twice_says_nothing() {
        let parameters = Parameters::read("state=a%20b&code=1&code=2&empty=&x");
        assert_eq!(parameters.get("state"), Some("a b"));
        for name in ["code", "empty", "x", "absent"] {
            assert_eq!(parameters.get(name), None, "{name}");
        }
    }

    fn parsed(text: &str) -> Result<Sample, (u16, &'static str, String)> {
        parse_object(text.as_bytes()).map_err(|e| (e.status.as_u16(), e.code, e.message))
    }

    #[test]
    fn an_absent_body_is_an_empty_object() {
        assert_eq!(parsed("").expect("fine"), Sample::default());
        assert_eq!(parsed(" \r\n").expect("fine"), Sample::default());
        assert_eq!(parsed("{}").expect("fine"), Sample::default());
    }

    #[test]
    fn null_differs_from_absent_where_it_matters() {
        assert_eq!(parsed(r#"{"icon":null}"#).expect("fine").icon, Some(None));
        assert_eq!(parsed(r#"{"name":null}"#).expect("fine"), Sample::default());
        let unknown = parsed(r#"{"name":"a","more":[1]}"#).expect("unknown fields are passed over");
        assert_eq!(unknown.name.as_deref(), Some("a"));
    }

    /// I37: what is not a JSON object is refused with its place, whatever its depth.
    #[test]
    fn i37_malformed_json_is_refused_with_its_place() {
        let deep = "[".repeat(100_000);
        let deep_field = format!("{{\"name\":{deep}");
        for text in
            ["[1]", "\"x\"", "null", "{", "{\"name\":1e999}", "\u{feff}{}", &deep, &deep_field]
        {
            let (status, code, _) = parsed(text).expect_err("refused");
            assert_eq!((status, code), (400, "malformed_json"), "{}", &text[..text.len().min(20)]);
        }
        assert!(parse_object::<Sample>(b"{\"name\":\"\xff\"}").is_err());
        assert!(parse_object::<Sample>(br#"{"name":"\ud800"}"#).is_err());
        let (_, _, message) = parsed("{\n \"name\": }").expect_err("refused");
        assert!(message.contains("line 2, column 10"), "{message}");
    }

    #[test]
    fn a_field_of_the_wrong_type_is_named() {
        let (status, code, message) = parsed(r#"{"icon":"x","name":5}"#).expect_err("refused");
        assert_eq!((status, code), (422, "invalid_field"));
        assert!(message.starts_with("name: "), "{message}");
    }

    #[test]
    fn an_unknown_field_is_named_where_fields_are_closed() {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        struct Closed {
            known: Option<u8>,
        }
        let error = parse_object::<Closed>(br#"{"knwon":1}"#).expect_err("refused");
        assert_eq!((error.status.as_u16(), error.code), (422, "unknown_field"));
        assert!(error.message.contains("knwon") && error.message.contains("known"));
    }
}
