//! Axum's extractors for path and query, with errors of this API.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::ApiError;
use super::plain::plain;

/// The parameters in the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        check_names(parts.uri.path())?;
        let AxumPath(parameters) = AxumPath::from_request_parts(parts, state)
            .await
            .map_err(|rejection: PathRejection| invalid(&rejection.body_text(), "Invalid URL: "))?;
        Ok(Self(parameters))
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

/// The parameters in the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let AxumQuery(parameters) =
            AxumQuery::from_request_parts(parts, state).await.map_err(|rejection: QueryRejection| {
                invalid(&rejection.body_text(), "Failed to deserialize query string: ")
            })?;
        Ok(Self(parameters))
    }
}

fn invalid(text: &str, prefix: &str) -> ApiError {
    ApiError::invalid_parameter(plain(text.strip_prefix(prefix).unwrap_or(text)))
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
