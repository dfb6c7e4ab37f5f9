//! Request bodies, with limits and errors of this API.

use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::plain::plain;
use super::server::TooSlow;
use forge_journal::{Document, MOST_DEPTH, is_too_deep};

use crate::config::size;
use crate::encoding;

/// Bytes beyond the limit that are read and discarded before the response. If the connection were closed while the
/// client sends, the client would see a reset and not the response.
const DISCARDED: usize = 64 << 20;

/// The time for which such bytes are read after the response: long enough for a client to see the response.
const DISCARD_TIME: Duration = Duration::from_secs(30);

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
    limit: usize,
    what: &str,
) -> Result<Bytes, ApiError> {
    check_coding(headers, what)?;
    if body.size_hint().lower() > limit as u64 {
        discard(body);
        return Err(ApiError::body_too_large(what, limit));
    }
    collect(body, BytesMut::new(), limit, what).await
}

/// Reads the whole body, for which there is memory: a buffer of its stated size is allocated at once, so that it is never
/// copied to a larger one.
pub(super) async fn read_reserved(body: Body, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    let size = stated_size(&body).map_or(0, size).min(limit);
    collect(body, BytesMut::with_capacity(size), limit, what).await
}

async fn collect(body: Body, mut bytes: BytesMut, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| failed(&error, what))?;
        if discarded == 0 && bytes.len() + chunk.len() <= limit {
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

/// Reads a JSON body. An empty body is `T`'s default.
pub(super) async fn read_json<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<T, ApiError> {
    Ok(json(headers, body, limit).await?.unwrap_or_default())
}

/// Reads a JSON body that must not be empty. `least` names its required fields in the error.
pub(super) async fn need_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    least: &str,
) -> Result<T, ApiError> {
    let missing = || ApiError::invalid_body(format!("the body is empty; it must have {least}"));
    json(headers, body, limit).await?.ok_or_else(missing)
}

/// Reads a body that is any JSON document. `what` names it in errors.
pub(super) async fn document(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    what: &str,
) -> Result<Document, ApiError> {
    let bytes = read(headers, body, limit, what).await?;
    let text = json_text(headers, &bytes)?;
    let document = Document::parse(text).map_err(|error| syntax(text, &error))?;
    document.check().map_err(|error| ApiError::invalid_body(format!("{what} cannot be stored: {error}")))?;
    Ok(document)
}

/// Reads a JSON body; `None` if it is empty.
async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Option<T>, ApiError> {
    let bytes = read(headers, body, limit, "the body").await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = json_text(headers, &bytes)?;
    // Serde would accept an array for a struct, with the fields in their order.
    if text.trim_ascii_start().starts_with('[') {
        return Err(ApiError::invalid_body("the body must be a JSON object, not an array"));
    }
    serde_json::from_str(text).map(Some).map_err(|error| syntax(text, &error))
}

/// Returns the text of a body that says that it is JSON.
fn json_text<'b>(headers: &HeaderMap, bytes: &'b Bytes) -> Result<&'b str, ApiError> {
    let media_type = media_type(headers);
    if !media_type.as_deref().is_some_and(is_json) {
        return Err(ApiError::unsupported_media_type(media_type.as_deref(), "application/json"));
    }
    encoding::utf8(bytes).map_err(|why| ApiError::invalid_body(format!("the body {why}")))
}

/// Returns the error of a body that is not the JSON that was expected.
fn syntax(text: &str, error: &serde_json::Error) -> ApiError {
    // Serde reports this as an error of the syntax.
    if is_too_deep(text) {
        return ApiError::invalid_body(format!(
            "the body has more than {MOST_DEPTH} levels of arrays and objects"
        ));
    }
    ApiError::invalid_body(match error.classify() {
        serde_json::error::Category::Data => format!("the body is invalid: {}", plain(&error.to_string())),
        _ => format!("the body is not valid JSON: {error}"),
    })
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_may_have_as_many_bytes_as_the_limit_and_no_more() {
        let none = HeaderMap::new();
        assert_eq!(read(&none, Body::from("12345"), 5, "the body").await.unwrap(), &b"12345"[..]);
        let chunks = || futures::stream::iter(["123", "456"].map(Ok::<_, std::io::Error>));
        for large in [Body::from("123456"), Body::from_stream(chunks())] {
            read(&none, large, 5, "the body").await.unwrap_err();
        }
    }

    #[tokio::test]
    async fn a_body_with_a_content_coding_is_refused_and_the_coding_is_named() {
        let with = |coding: &'static str| {
            HeaderMap::from_iter([(header::CONTENT_ENCODING, coding.parse().unwrap())])
        };
        assert_eq!(read(&with("Identity"), Body::from("1"), 5, "the body").await.unwrap(), &b"1"[..]);
        let error = read(&with("gzip"), Body::from("1"), 5, "the body").await.unwrap_err();
        assert!(format!("{error:?}").contains("`gzip`"), "{error:?}");
    }

    #[tokio::test]
    async fn a_json_body_is_an_object_or_empty() {
        #[derive(Debug, Default, PartialEq, serde::Deserialize)]
        struct Named {
            name: String,
        }
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        let read = async |text: &'static str| read_json::<Named>(&headers, Body::from(text), 100).await;
        assert_eq!(read(r#"{"name":"a"}"#).await.unwrap().name, "a");
        assert_eq!(read("").await.unwrap(), Named::default());
        assert_eq!(read("\u{feff}{\"name\":\"a\"}").await.unwrap().name, "a");
        for wrong in [" [\"a\"]", "{", "null", "1", "{\"name\":1}"] {
            read(wrong).await.unwrap_err();
        }
        let deep = Body::from(format!(r#"{{"name":{}}}"#, "[".repeat(200)));
        let error = read_json::<Named>(&headers, deep, 1_000).await.unwrap_err();
        let error = format!("{error:?}");
        assert!(error.contains("more than 127 levels"), "{error}");
        let without_type = HeaderMap::new();
        read_json::<Named>(&without_type, Body::from("{}"), 100).await.unwrap_err();
    }

    #[test]
    fn a_media_type_is_compared_without_parameters_and_case() {
        let mut headers = HeaderMap::new();
        assert_eq!(media_type(&headers), None);
        headers.insert(header::CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert_eq!(media_type(&headers).as_deref(), Some("application/json"));
        assert!(is_json("application/problem+json") && !is_json("text/json"));
    }
}
