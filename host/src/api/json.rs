//! JSON bodies: errors name the field by its path, and the position in the text that was sent.

use axum::body::Body;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use serde_path_to_error::Path;

use super::ApiError;
use super::body::{self, BodyLimit};
use super::plain::at;
use crate::encoding;
use forge_journal::{Document, MOST_DEPTH};

/// Serde's message about a document with more than [`MOST_DEPTH`] levels. It has no type of error of its own.
const TOO_DEEP: &str = "recursion limit exceeded";

/// Reads a JSON body. Each operation with a body requires one: `least` names in the error what it must have.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    least: &str,
) -> Result<T, ApiError> {
    let bytes = body::read(headers, body, limit, "the body").await?;
    if bytes.is_empty() {
        return Err(ApiError::invalid_body(format!("the body is empty; it must have {least}")));
    }
    parse(text(headers, &bytes)?).map_err(ApiError::invalid_body)
}

/// Reads a body that is any JSON document. `what` names it in errors.
pub(super) async fn document(
    headers: &HeaderMap,
    body: Body,
    limit: BodyLimit,
    what: &str,
) -> Result<Document, ApiError> {
    let bytes = body::read(headers, body, limit, what).await?;
    if bytes.is_empty() {
        return Err(ApiError::invalid_body(format!(
            "the body is empty; it must have {what}, a JSON document"
        )));
    }
    let text = text(headers, &bytes)?;
    let document = Document::parse(text)
        .map_err(|error| ApiError::invalid_body(format!("{what} is not valid JSON: {error}")))?;
    document.check().map_err(|error| ApiError::invalid_body(format!("{what} cannot be stored: {error}")))?;
    Ok(document)
}

/// Returns the text of a body that says that it is JSON.
fn text<'b>(headers: &HeaderMap, bytes: &'b [u8]) -> Result<&'b str, ApiError> {
    let media_type = body::media_type(headers);
    if !media_type.as_deref().is_some_and(is_json) {
        return Err(ApiError::unsupported_media_type(media_type.as_deref(), "application/json"));
    }
    encoding::utf8(bytes).map_err(|why| ApiError::invalid_body(format!("the body {why}")))
}

/// Reads a JSON object. The error is a message.
fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // Serde would accept an array for a struct, with the fields in their order.
    if text.trim_ascii_start().starts_with('[') {
        return Err("the body must be a JSON object, not an array".to_owned());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value =
        serde_path_to_error::deserialize(&mut json).map_err(|error| message(error.path(), error.inner()))?;
    json.end().map_err(|error| format!("the body is not valid JSON: {error}"))?;
    Ok(value)
}

/// Returns the message about the value at a path.
fn message(path: &Path, error: &serde_json::Error) -> String {
    let text = error.to_string();
    match (text.strip_prefix(TOO_DEEP), error.classify()) {
        (Some(position), _) => {
            let text = format!("more than {MOST_DEPTH} levels of arrays and objects{position}");
            format!("the body is invalid: {}", at(path, &text))
        }
        (None, Category::Data) => format!("the body is invalid: {}", at(path, &text)),
        (None, _) => format!("the body is not valid JSON: {}", at(path, &text)),
    }
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use axum::http::header;
    use serde_json::Value;

    use super::super::start::StartBody;
    use super::super::tenants::NewTenant;
    use super::*;
    use crate::tenants::{NewKey, NewSecret};

    fn wrong<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        parse::<T>(text).unwrap_err()
    }

    #[test]
    fn an_error_names_the_field_and_its_position_in_the_text_that_was_sent() {
        for (message, shown) in [
            (
                wrong::<NewTenant>("{\"name\": \"a\",\n  \"limits\": {\n    \"versions\": \"5\"}}"),
                "the body is invalid: `limits.versions`: invalid type: string \"5\", expected a whole number, 0 or more at \
                 line 3 column 19",
            ),
            (
                wrong::<NewTenant>("{\"name\": \"a\",\n \"egress\": [\"https://a.example\", 5]}"),
                "the body is invalid: `egress[1]`: invalid type: integer `5`, expected a string at line 2 column 34",
            ),
            (
                wrong::<StartBody>("{\"input\": {},\n \"version\": -1}"),
                "the body is invalid: `version`: invalid value: integer `-1`, expected a whole number from 0 to 4294967295 \
                 at line 2 column 14",
            ),
            (
                wrong::<StartBody>(r#"{"input": {"items": }"#),
                "the body is not valid JSON: `input`: expected value at line 1 column 21",
            ),
            (
                wrong::<NewSecret>(r#"{"value": "v", "servers": "https://a.example"}"#),
                "the body is invalid: `servers`: invalid type: string \"https://a.example\", expected an array at line 1 \
                 column 45",
            ),
            (
                wrong::<NewKey>(r#"{"role": "root", "name": "a"}"#),
                "the body is invalid: `role`: unknown variant `root`, expected one of `read`, `start`, `deploy`, `admin` at \
                 line 1 column 15",
            ),
            (wrong::<NewTenant>("{ }"), "the body is invalid: missing field `name` at line 1 column 3"),
            (
                wrong::<NewTenant>(r#"{"name": "a", "limit": {}}"#),
                "the body is invalid: unknown field `limit`, expected one of `name`, `egress`, `egress_private`, `limits`, \
                 `retention`, `suspended` at line 1 column 21",
            ),
            (
                wrong::<StartBody>("{} {}"),
                "the body is not valid JSON: trailing characters at line 1 column 4",
            ),
        ] {
            assert_eq!(message, shown);
        }
    }

    #[test]
    fn a_body_that_is_too_deep_is_told_how_deep_it_may_be() {
        #[derive(Debug, serde::Deserialize)]
        struct Named {
            #[expect(dead_code, reason = "only errors are looked at")]
            name: Value,
        }
        let deep = format!("{{\"name\":{}1{}}}", "[".repeat(127), "]".repeat(127));
        let error = wrong::<Named>(&deep);
        assert!(error.contains("more than 127 levels of arrays and objects at line 1 column 135"), "{error}");
    }

    #[tokio::test]
    async fn a_json_body_is_an_object() {
        #[derive(Debug, Default, PartialEq, serde::Deserialize)]
        struct Named {
            name: String,
        }
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().unwrap())]);
        let limit = || BodyLimit::fixed(100);
        let read = async |text: &'static str| {
            super::read::<Named>(&headers, Body::from(text), limit(), "`name`").await
        };
        assert_eq!(read(r#"{"name":"a"}"#).await.unwrap().name, "a");
        assert_eq!(read("\u{feff}{\"name\":\"a\"}").await.unwrap().name, "a");
        let error = format!("{:?}", read("").await.unwrap_err());
        assert!(error.contains("the body is empty; it must have `name`"), "{error}");
        for wrong in [" [\"a\"]", "{", "null", "1", "{\"name\":1}"] {
            read(wrong).await.unwrap_err();
        }
        let without_type = HeaderMap::new();
        super::read::<Named>(&without_type, Body::from("{\"name\":\"a\"}"), limit(), "").await.unwrap_err();
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        assert!(is_json("application/json") && is_json("application/problem+json") && !is_json("text/json"));
    }
}
