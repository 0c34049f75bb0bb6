//! What an admin asks of us for a connection, as JSON: how fast, in which order, with which headers.

use std::collections::BTreeMap;

use engine::{
    connection::{HeadOfLine, HeaderChanges, Ordering, RateLimit},
    secret::Secret,
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

use crate::extract::nullable;

/// At most so many requests in so many seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateLimitBody {
    /// 1 to 100000.
    #[schema(example = 10)]
    count: u32,
    /// 1 to 3600.
    #[schema(example = 1)]
    seconds: u32,
}

impl From<RateLimit> for RateLimitBody {
    fn from(RateLimit { count, seconds }: RateLimit) -> Self {
        Self { count, seconds }
    }
}

impl From<RateLimitBody> for RateLimit {
    fn from(RateLimitBody { count, seconds }: RateLimitBody) -> Self {
        Self { count, seconds }
    }
}

/// One delivery at a time, in the order of recording.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderingBody {
    /// What a delivery that fails does to those behind it: they wait (`block`), go first (`skip`), or
    /// wait until it is parked (`park`).
    #[schema(value_type = String, example = "park")]
    policy: HeadOfLine,
    /// With `park`, and only there: after how many attempts, 1 to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 5)]
    after: Option<u32>,
}

impl From<Ordering> for OrderingBody {
    fn from(Ordering { policy, after }: Ordering) -> Self {
        Self { policy, after: after.map(u32::from) }
    }
}

impl From<OrderingBody> for Ordering {
    /// A number that is too large for the engine's type stays too large.
    fn from(OrderingBody { policy, after }: OrderingBody) -> Self {
        Self { policy, after: after.map(|after| u8::try_from(after).unwrap_or(u8::MAX)) }
    }
}

/// Values by names.
pub(crate) type HeadersBody = BTreeMap<String, Option<String>>;

/// For the field of headers, as [`nullable`]; but what does not fit is not repeated.
pub(crate) fn headers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<HeadersBody>>, D::Error> {
    let expected = "must be an object of names with texts or null";
    nullable(deserializer).map_err(|_: D::Error| D::Error::custom(expected))
}

/// Takes the values into care.
pub(crate) fn header_changes(headers: HeadersBody) -> HeaderChanges {
    headers.into_iter().map(|(name, value)| (name, value.map(Secret::new))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Patch {
        #[serde(deserialize_with = "headers")]
        headers: Option<Option<HeadersBody>>,
    }

    #[test]
    fn b23_the_value_of_a_header_is_in_no_refusal() {
        let read = serde_json::from_str::<Patch>;
        for text in
            [r#"{"headers":"s3cret"}"#, r#"{"headers":{"X":53}}"#, r#"{"headers":["s3cret"]}"#]
        {
            let told = read(text).err().expect("refused").to_string();
            assert!(told.contains("must be an object of names"), "{told}");
            assert!(!told.contains("s3cret") && !told.contains("53"), "{told}");
        }
        assert!(read("{}").is_ok_and(|patch| patch.headers.is_none()));
        assert!(read(r#"{"headers":null}"#).is_ok_and(|patch| patch.headers == Some(None)));
        let patch = read(r#"{"headers":{"X-Key":"s3cret","X-Old":null}}"#);
        let headers = patch.ok().and_then(|patch| patch.headers.flatten());
        let named = header_changes(headers.expect("an object"));
        assert!(!format!("{named:?}").contains("s3cret"));
        assert_eq!(named["X-Key"].as_ref().map(Secret::reveal), Some("s3cret"));
        assert!(named["X-Old"].is_none());
    }
}
