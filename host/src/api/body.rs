//! The bytes of request bodies, with limits and errors of this API.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::ApiError;
use super::server::TooSlow;
use crate::config::{TenantLimits, size};

/// Bytes beyond the limit that are read and discarded before the response. If the connection were closed while the
/// client sends, the client would see a reset and not the response.
const DISCARDED: usize = 64 << 20;

/// The time for which such bytes are read after the response: long enough for a client to see the response.
const DISCARD_TIME: Duration = Duration::from_secs(30);

/// The limit of a body's size.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimit {
    /// The most bytes.
    pub(super) bytes: usize,
    /// The name of the tenant's limit that changes it; `None` if nothing does.
    pub(super) setting: Option<&'static str>,
}

impl BodyLimit {
    /// Returns the limit of a body whose size nobody needs to change.
    pub(super) const fn fixed(bytes: usize) -> Self {
        Self { bytes, setting: None }
    }

    /// Returns the limit of a body that has a payload and at most this number of other bytes.
    pub(super) fn payload(limits: &TenantLimits, beside: usize) -> Self {
        Self::payloads(limits, 1, beside)
    }

    /// Returns the limit of a body that has several payloads and at most this number of other bytes.
    pub(super) fn payloads(limits: &TenantLimits, payloads: usize, beside: usize) -> Self {
        let bytes = size(limits.payload_bytes).saturating_mul(payloads).saturating_add(beside);
        Self { bytes, setting: Some("payload_bytes") }
    }

    /// Returns the limit of a value of the tenant's store.
    pub(super) fn db_value(bytes: u64) -> Self {
        Self { bytes: size(bytes), setting: Some("db_value_bytes") }
    }

    /// Returns the limit of a component.
    pub(super) const fn component(bytes: usize) -> Self {
        Self { bytes, setting: Some("component_bytes") }
    }
}

/// Returns the content type in lower case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next()?.trim();
    (!essence.is_empty()).then(|| essence.to_ascii_lowercase())
}

/// Returns the size of a body, if its head states it.
pub(super) fn stated_size(body: &Body) -> Option<u64> {
    body.size_hint().exact()
}

/// Reads the whole body. `what` names it in errors. A body that says that it is larger than the limit is refused before it
/// is read.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    what: &str,
) -> Result<Bytes, ApiError> {
    check_coding(headers, what)?;
    if body.size_hint().lower() > limit.bytes as u64 {
        discard(body);
        return Err(ApiError::body_too_large(what, limit));
    }
    collect(body, BytesMut::new(), limit, what).await
}

/// Reads the whole body, for which there is memory: a buffer of its stated size is allocated at once, so that it is never
/// copied to a larger one.
pub(super) async fn read_reserved(body: Body, limit: BodyLimit, what: &str) -> Result<Bytes, ApiError> {
    let size = stated_size(&body).map_or(0, size).min(limit.bytes);
    collect(body, BytesMut::with_capacity(size), limit, what).await
}

async fn collect(body: Body, mut bytes: BytesMut, limit: BodyLimit, what: &str) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(&error, what))?;
        if discarded == 0 && bytes.len() + chunk.len() <= limit.bytes {
            bytes.extend_from_slice(&chunk);
            continue;
        }
        discarded += chunk.len();
        if discarded > DISCARDED {
            break;
        }
    }
    if discarded > 0 { Err(ApiError::body_too_large(what, limit)) } else { Ok(bytes.freeze()) }
}

/// Refuses a body with a content coding, which is not decoded.
pub(super) fn check_coding(headers: &HeaderMap, what: &str) -> Result<(), ApiError> {
    match content_coding(headers) {
        Some(coding) => Err(ApiError::unsupported_coding(what, &coding)),
        None => Ok(()),
    }
}

/// Returns the content coding of the body, unless it is none.
fn content_coding(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
    codings.find(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// Reads and discards a body that is not needed, in the background: a client that sends it must see the response and not a
/// reset.
pub(super) fn discard(body: Body) {
    tokio::spawn(tokio::time::timeout(DISCARD_TIME, async {
        let (mut chunks, mut discarded) = (body.into_data_stream(), 0);
        while let Some(Ok(chunk)) = chunks.next().await {
            discarded += chunk.len();
            if discarded > DISCARDED {
                break;
            }
        }
    }));
}

fn failed(error: &axum::Error, what: &str) -> ApiError {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return ApiError::body_too_slow(what);
        }
        cause = error.source();
    }
    ApiError::invalid_body(format!("{what} is incomplete"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_may_have_as_many_bytes_as_the_limit_and_no_more() {
        let (none, five) = (HeaderMap::new(), BodyLimit::fixed(5));
        assert_eq!(read(&none, Body::from("12345"), five, "the body").await.unwrap(), &b"12345"[..]);
        let chunks = || futures::stream::iter(["123", "456"].map(Ok::<_, std::io::Error>));
        for large in [Body::from("123456"), Body::from_stream(chunks())] {
            read(&none, large, five, "the body").await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_body_with_a_content_coding_is_refused_and_the_coding_is_named() {
        let with = |coding: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_ENCODING, coding.parse().unwrap())])
        };
        assert_eq!(
            read(&with("Identity"), Body::from("1"), BodyLimit::fixed(5), "the body").await.unwrap(),
            &b"1"[..]
        );
        let error = read(&with("gzip"), Body::from("1"), BodyLimit::fixed(5), "the body").await.unwrap_err();
        assert!(format!("{error:?}").contains("`gzip`"), "{error:?}");
    }

    #[test]
    fn a_media_type_is_compared_without_parameters_and_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), None);
        headers.insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert_eq!(media_type(&headers).as_deref(), Some("application/json"));
    }
}
