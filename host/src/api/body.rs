//! Request bodies, with limits and errors of this API.

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;

use super::ApiError;
use forge_journal::{MOST_DEPTH, is_too_deep};

use crate::config::size;
use crate::encoding;

/// Bytes beyond the limit that are read and discarded before the response. If the connection were closed while the
/// client sends, the client would see a reset and not the response.
const DISCARDED: usize = 64 << 20;

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

/// Reads the whole body. `what` names it in errors.
pub(super) async fn read(body: Body, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    collect(body, BytesMut::new(), limit, what).await
}

/// Reads the whole body, for which there is memory: a buffer of its stated size is allocated at once, so that it is never
/// copied to a larger one.
pub(super) async fn read_reserved(body: Body, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    let size = stated_size(&body).map_or(0, size).min(limit);
    collect(body, BytesMut::with_capacity(size), limit, what).await
}

/// Reads and discards a body that is not wanted, so that the client sees the answer and not a reset connection.
pub(super) async fn discard(body: Body) {
    // The answer is another error in any case.
    let _ = collect(body, BytesMut::new(), 0, "the body").await;
}

async fn collect(body: Body, mut bytes: BytesMut, limit: usize, what: &str) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::invalid_body(format!("{what} is incomplete")))?;
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

/// Reads a JSON body; `None` if it is empty.
async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Option<T>, ApiError> {
    let bytes = read(body, limit, "the body").await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let media_type = media_type(headers);
    if !media_type.as_deref().is_some_and(is_json) {
        return Err(ApiError::unsupported_media_type(media_type.as_deref(), "application/json"));
    }
    let text = encoding::utf8(&bytes).map_err(|why| ApiError::invalid_body(format!("the body {why}")))?;
    // Serde would accept an array for a struct, with the fields in their order.
    if text.trim_ascii_start().starts_with('[') {
        return Err(ApiError::invalid_body("the body must be a JSON object, not an array"));
    }
    let value = serde_json::from_str(text).map_err(|error| {
        // Serde reports this as an error of the syntax.
        if is_too_deep(text) {
            return ApiError::invalid_body(format!(
                "the body has more than {MOST_DEPTH} levels of arrays and objects"
            ));
        }
        ApiError::invalid_body(match error.classify() {
            serde_json::error::Category::Data => format!("the body is invalid: {error}"),
            _ => format!("the body is not valid JSON: {error}"),
        })
    })?;
    Ok(Some(value))
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
        assert_eq!(read(Body::from("12345"), 5, "the body").await.unwrap(), "12345");
        read(Body::from("123456"), 5, "the body").await.unwrap_err();
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
