//! Reads the body of a request: as much as may come, in the time that it may take, and not compressed.

use std::time::Duration;

use axum::{
    body::Body,
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH},
    },
};
use bytes::Bytes;
use http_body_util::BodyExt;

use crate::error::ApiError;

/// How long a caller may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Up to which a body is small, and takes no more than it needs.
const SMALL_BYTES_MAX: usize = 64 * 1024;
/// How much of a body that is refused is read and thrown away.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// And for how long.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a body of at most `bytes_max`, whatever its length claims to be.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    too_large: impl Fn() -> ApiError,
) -> Result<Bytes, ApiError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok());
    if announced > Some(bytes_max as u64) {
        discard(body);
        return Err(too_large());
    }
    let most = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(bytes_max);
    let mut read = Vec::new();
    let reading = async {
        while let Some(frame) = body.frame().await {
            let cut_off = |_| ApiError::bad_request("body_cut_off", "The request body was cut off");
            let Ok(chunk) = frame.map_err(cut_off)?.into_data() else { continue };
            if chunk.len() > bytes_max - read.len() {
                return Err(too_large());
            }
            make_room(&mut read, chunk.len(), most);
            read.extend_from_slice(&chunk);
        }
        Ok(())
    };
    match tokio::time::timeout(BODY_TIMEOUT, reading).await {
        Ok(Ok(())) => Ok(read.into()),
        Ok(Err(refused)) => {
            discard(body);
            Err(refused)
        }
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The request body did not arrive in time",
        )),
    }
}

/// A body that is no longer small gets a place for the most that is to come, at once: what is not written
/// to takes no memory, while one that grows leaves each of its former places behind.
fn make_room(read: &mut Vec<u8>, more: usize, most: usize) {
    let needed = read.len() + more;
    if needed > read.capacity() {
        let place = if needed > SMALL_BYTES_MAX { most } else { needed.next_power_of_two() };
        read.reserve_exact(place.max(needed) - read.len());
    }
}

/// Keeps nothing of the rest of a body, but reads it for a while: a caller who still sends when the
/// connection closes would see a broken connection instead of our answer.
fn discard(mut body: Body) {
    let reading = async move {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                break;
            }
        }
    };
    tokio::spawn(tokio::time::timeout(DISCARD_TIMEOUT, reading));
}

/// Refuses compressed bodies: what is delivered is what was sent, and nothing is inflated here.
pub(crate) fn require_identity(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
    if plain {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_encoding_unsupported",
        "Send the body without a Content-Encoding",
    ))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use futures_util::stream;

    use super::*;

    /// I38: what is read takes one place, of what it may take at most.
    #[test]
    fn i38_a_body_that_grows_moves_seldom_and_never_past_the_limit() {
        const LIMIT: usize = 8 << 20;
        let mut read = Vec::new();
        let mut places = Vec::new();
        while read.len() < LIMIT {
            make_room(&mut read, 1024, LIMIT);
            places.push(read.capacity());
            read.resize(read.len() + 1024, 0);
        }
        places.dedup();
        let small = (10..=16).map(|power| 1 << power);
        assert_eq!(places, small.chain([LIMIT]).collect::<Vec<usize>>());
    }

    fn endless() -> Body {
        Body::from_stream(stream::repeat_with(|| {
            Ok::<_, std::io::Error>(Bytes::from(vec![b'a'; 1000]))
        }))
    }

    /// I38: the length is counted, not believed.
    #[tokio::test]
    async fn i38_a_body_past_the_limit_is_refused_whatever_its_length_claims() {
        let too_large = || ApiError::too_large(4096);
        for claimed in [None, Some("4097"), Some("99999999999"), Some("10"), Some("nonsense")] {
            let mut headers = HeaderMap::new();
            if let Some(claimed) = claimed {
                headers.insert(CONTENT_LENGTH, HeaderValue::from_static(claimed));
            }
            let error = read_body(&headers, endless(), 4096, too_large).await.expect_err("refused");
            assert_eq!((error.status.as_u16(), error.code), (413, "body_too_large"), "{claimed:?}");
        }
        let exact = Body::from(vec![b'a'; 4096]);
        let read = read_body(&HeaderMap::new(), exact, 4096, too_large).await.expect("it fits");
        assert_eq!(read.len(), 4096);
    }

    #[test]
    fn i38_compressed_bodies_are_refused() {
        for (value, fine) in [
            ("identity", true),
            ("Identity", true),
            ("gzip", false),
            ("", false),
            ("identity, gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(require_identity(&headers).is_ok(), fine, "{value:?}");
        }
        assert!(require_identity(&HeaderMap::new()).is_ok());
    }
}
