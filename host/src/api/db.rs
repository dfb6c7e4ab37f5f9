use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path as AxumPath, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::BodyLimit;
use super::parameters::{Query, page};
use super::{Api, ApiError, ApiResult, ErrorBody, json};
use crate::tenants::Caller;
use forge_journal::db::{Entry, Operation};
use forge_store::{DbFilter, DbPage};

/// The tenant's store.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_entries)).routes(routes!(get_entry, put_entry, delete_entry))
}

/// A page of the tenant's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EntryPage {
    /// The entries, in the order of the UTF-8 bytes of their keys.
    pub entries: Vec<Entry>,
    /// The cursor of the next page: the last key of this one. `None`: this is the last page.
    pub next_cursor: Option<String>,
}

/// An entry that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct StoredEntry {
    /// The key.
    pub key: String,
    /// The version that the entry has now.
    pub version: u64,
}

/// The query of a page of the tenant's store.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// Return only entries whose keys begin with this.
    prefix: Option<String>,
    /// The maximum number of entries. A page may be shorter, because its values are bounded.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page, or another key: the page begins after it.
    cursor: Option<String>,
}

/// The key in the path. It may contain `/`, also as `%2F`.
struct Key(String);

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = AxumPath::<String>::from_request_parts(parts, state).await;
        let invalid = |rejection: PathRejection| ApiError::invalid_parameter(rejection.body_text());
        key.map(|AxumPath(key)| Self(key)).map_err(invalid)
    }
}

/// List the entries
///
/// Returns the entries of the tenant's store with their values, in the order of their keys.
#[utoipa::path(
    get, path = "/_api/db", tag = "db",
    security(("key" = ["read"])),
    params(EntriesQuery),
    responses(
        (status = 200, description = "A page of entries.", body = EntryPage),
        (status = 400, description = "A parameter is invalid.", body = ErrorBody),
    ),
)]
async fn list_entries(
    api: State<Api>,
    caller: Caller,
    Query(query): Query<EntriesQuery>,
) -> ApiResult<EntryPage> {
    let EntriesQuery { prefix, limit, cursor } = query;
    let filter = DbFilter {
        prefix: prefix.unwrap_or_default(),
        after: cursor,
        limit: page(limit)?,
        ..DbFilter::default()
    };
    let DbPage { entries, has_more } = api.executor(&caller).db_list(filter).await?;
    let next_cursor = entries.last().map(|entry| entry.key.clone()).filter(|_| has_more);
    Ok(Json(EntryPage { entries, next_cursor }))
}

/// Read an entry
///
/// Returns the value. The header `ETag` has the version.
#[utoipa::path(
    get, path = "/_api/db/{*key}", tag = "db",
    security(("key" = ["read"])),
    params(
        ("key" = String, Path, description = "The key. `/` may be written as it is or as `%2F`."),
        ("If-None-Match" = Option<String>, Header, description = "A version that the client has, as an `ETag`."),
    ),
    responses(
        (status = 200, description = "The value.", body = serde_json::Value,
            headers(("ETag" = String, description = "The version, in quotation marks."))),
        (status = 304, description = "The entry has the version of `If-None-Match`."),
        (status = 400, description = "The key or a header is invalid.", body = ErrorBody),
        (status = 404, description = "The key does not exist.", body = ErrorBody),
    ),
)]
async fn get_entry(
    api: State<Api>,
    caller: Caller,
    Key(key): Key,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let known = tag(&headers, header::IF_NONE_MATCH)?;
    let entry = api.executor(&caller).db_get(&key).await?;
    let entry = entry.ok_or_else(|| ApiError::unknown_entry(&key))?;
    let tag = (header::ETAG, etag(entry.version));
    Ok(match known {
        Some(Tag::Version(version)) if version == entry.version => {
            (StatusCode::NOT_MODIFIED, [tag]).into_response()
        }
        _ => ([tag], Json(entry.value)).into_response(),
    })
}

/// Store an entry
///
/// The body is the value, any JSON document. With `If-Match`, the entry is stored only if it has that version; with
/// `If-None-Match: *`, only if the key does not exist. It is durable when the response is sent.
#[utoipa::path(
    put, path = "/_api/db/{*key}", tag = "db",
    security(("key" = ["start"])),
    params(
        ("key" = String, Path, description = "The key. `/` may be written as it is or as `%2F`."),
        ("If-Match" = Option<String>, Header, description = "The version that the entry must have, as an `ETag`."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: the key must not exist."),
    ),
    request_body = serde_json::Value,
    responses(
        (status = 200, description = "The entry is stored.", body = StoredEntry,
            headers(("ETag" = String, description = "The version, in quotation marks."))),
        (status = 400, description = "The key, a header or the body is invalid.", body = ErrorBody),
        (status = 403, description = "The tenant has reached a limit.", body = ErrorBody),
        (status = 412, description = "The entry has another version, or exists.", body = ErrorBody),
        (status = 413, description = "The value is too large.", body = ErrorBody),
        (status = 415, description = "The body is not JSON, or it is compressed.", body = ErrorBody),
    ),
)]
async fn put_entry(
    api: State<Api>,
    caller: Caller,
    Key(key): Key,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let executor = api.executor(&caller);
    let limits = executor.db_limits().await?;
    let mut operations: Vec<Operation> = requirement(&key, &headers)?.into_iter().collect();
    let limit = BodyLimit::db_value(limits.value_bytes);
    let value = json::document(&headers, body, limit, "the value").await?;
    operations.push(Operation::Put { key: key.clone(), value });
    let versions = executor.db_commit(operations).await?;
    let version = versions.last().copied().unwrap_or_default();
    Ok(([(header::ETAG, etag(version))], Json(StoredEntry { key, version })).into_response())
}

/// Delete an entry
///
/// The entry may not exist. With `If-Match`, it is deleted only if it has that version.
#[utoipa::path(
    delete, path = "/_api/db/{*key}", tag = "db",
    security(("key" = ["start"])),
    params(
        ("key" = String, Path, description = "The key. `/` may be written as it is or as `%2F`."),
        ("If-Match" = Option<String>, Header, description = "The version that the entry must have, as an `ETag`."),
    ),
    responses(
        (status = 204, description = "The key does not exist."),
        (status = 400, description = "The key or a header is invalid.", body = ErrorBody),
        (status = 412, description = "The entry has another version.", body = ErrorBody),
    ),
)]
async fn delete_entry(
    api: State<Api>,
    caller: Caller,
    Key(key): Key,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut operations: Vec<Operation> = requirement(&key, &headers)?.into_iter().collect();
    operations.push(Operation::Delete { key });
    api.executor(&caller).db_commit(operations).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The content of a header with an `ETag`.
enum Tag {
    /// `*`.
    Any,
    Version(u64),
}

/// Returns what the headers require of a key.
fn requirement(key: &str, headers: &HeaderMap) -> Result<Option<Operation>, ApiError> {
    let require = |version| Some(Operation::Require { key: key.to_owned(), version });
    match (tag(headers, header::IF_MATCH)?, tag(headers, header::IF_NONE_MATCH)?) {
        (None, None) => Ok(None),
        (Some(Tag::Version(version)), None) => Ok(require(Some(version))),
        (None, Some(Tag::Any)) => Ok(require(None)),
        _ => Err(ApiError::invalid_parameter(
            "a change takes `If-Match` with a version, or `If-None-Match: *`, and not both",
        )),
    }
}

/// Reads a header with an `ETag`.
fn tag(headers: &HeaderMap, name: HeaderName) -> Result<Option<Tag>, ApiError> {
    let Some(value) = headers.get(&name) else { return Ok(None) };
    let value = value.to_str().unwrap_or_default().trim();
    if value == "*" {
        return Ok(Some(Tag::Any));
    }
    let version = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let version = version.and_then(|version| version.parse().ok());
    version.map(Tag::Version).map(Some).ok_or_else(|| {
        ApiError::invalid_parameter(format!(
            "the header `{name}` must be `*` or a version in quotation marks, such as \"7\""
        ))
    })
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}
