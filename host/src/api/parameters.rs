//! The parameters in path and query, with errors of this API that name the parameter.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path as AxumPath};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::ApiError;
use super::plain::{at, type_name};

/// The parameters in the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        check_names(parts.uri.path())?;
        match AxumPath::from_request_parts(parts, state).await {
            Ok(AxumPath(parameters)) => Ok(Self(parameters)),
            Err(rejection) => Err(ApiError::invalid_parameter(invalid_path(rejection))),
        }
    }
}

/// The bytes of a name in a path. The longest are names of steps, and of their requests; these have a number, too.
const NAME: usize = 1 << 10;

/// Checks the lengths of the names in a path, before one of them is looked for, noted or logged.
fn check_names(path: &str) -> Result<(), ApiError> {
    match path.split('/').map(|name| percent_decode_str(name).count()).find(|bytes| *bytes > NAME) {
        None => Ok(()),
        Some(bytes) => Err(ApiError::invalid_parameter(format!(
            "a name in the path has {bytes} bytes; the most is {NAME}. A step or call can be named by its `seq`"
        ))),
    }
}

/// Returns the message about a path whose parameters cannot be read.
fn invalid_path(rejection: PathRejection) -> String {
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return rejection.body_text();
    };
    match error.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            let expected = type_name(expected_type).unwrap_or_else(|| "another value".to_owned());
            format!("`{key}` in the path must be {expected}, not `{value}`")
        }
        ErrorKind::DeserializeError { key, value, message } => {
            format!("`{key}` in the path cannot be `{value}`: {message}")
        }
        ErrorKind::InvalidUtf8InPathParam { key } => format!("`{key}` in the path is not valid UTF-8"),
        other => other.to_string(),
    }
}

/// The parameters in the query.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        query_parameters(query).map(Self).map_err(ApiError::invalid_parameter)
    }
}

/// Reads the parameters of a query. The error is a message.
pub(super) fn query_parameters<T: DeserializeOwned>(query: &str) -> Result<T, String> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let reader = serde_urlencoded::Deserializer::new(pairs);
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let message = error.inner().to_string().replace("unknown field", "unknown parameter");
        at(error.path(), &message)
    })
}

/// The maximum length of a page.
const MAX_PAGE: u32 = 500;

/// Checks the length of a page; 0 stands for the default.
pub(super) fn page(limit: Option<u32>) -> Result<u32, ApiError> {
    match limit {
        Some(limit) if limit == 0 || limit > MAX_PAGE => {
            Err(ApiError::invalid_parameter(format!("`limit` must be a number from 1 to {MAX_PAGE}")))
        }
        limit => Ok(limit.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde::Deserialize;

    use super::*;

    #[test]
    fn an_error_names_the_parameter_of_the_query() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only errors are looked at")]
        struct Parameters {
            limit: Option<u32>,
            since: Option<DateTime<Utc>>,
        }
        for (query, shown) in [
            ("limit=x", "`limit`: expected a whole number"),
            ("limit=", "`limit`: expected a whole number, not an empty value"),
            ("limit=99999999999", "`limit`: the number is too large"),
            ("since=1", "`since`: premature end of input"),
            ("lmit=1", "unknown parameter `lmit`, expected `limit` or `since`"),
            ("limit=1&limit=2", "duplicate field `limit`"),
        ] {
            assert_eq!(query_parameters::<Parameters>(query).unwrap_err(), shown);
        }
    }
}
