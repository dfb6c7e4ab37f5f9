use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::BodyLimit;
use super::parameters::{Path, Query};
use super::{Api, ApiError, ApiResult, ErrorBody, json};
use crate::tenants::{ApiKey, Caller, CreatedKey, NewKey};

/// The maximum size of the body.
const KEY: BodyLimit = BodyLimit::fixed(4 << 10);

/// The API keys.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_keys, create_key)).routes(routes!(revoke_key))
}

/// The API keys of a tenant or of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyList {
    /// The keys, oldest first, including revoked ones.
    pub keys: Vec<ApiKey>,
}

/// Selects the owner of the keys.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeysQuery {
    /// Select the keys of the host. Requires a key of the host.
    #[serde(default)]
    host: bool,
}

/// List the API keys
///
/// Returns the keys of the tenant, or of the host with `host=true`.
#[utoipa::path(
    get, path = "/_api/keys", tag = "tenants",
    security(("key" = ["admin"])),
    params(KeysQuery),
    responses((status = 200, description = "The keys, without their tokens.", body = KeyList)),
)]
async fn list_keys(api: State<Api>, caller: Caller, Query(query): Query<KeysQuery>) -> ApiResult<KeyList> {
    Ok(Json(KeyList { keys: api.host.tenants().keys(caller.whose(query.host)?).await? }))
}

/// Create an API key
///
/// Once the host has a key, requests without a key are rejected.
#[utoipa::path(
    post, path = "/_api/keys", tag = "tenants",
    security(("key" = ["admin"])),
    request_body = NewKey,
    responses(
        (status = 201, description = "The key and its token, which is shown only once.", body = CreatedKey),
        (status = 400, description = "The body is invalid, or the key would be unusable.", body = ErrorBody),
        (status = 403, description = "The tenant has reached its limit, or a key of the host is required.", body = ErrorBody),
        (status = 409, description = "Another request changed it at the same time.", body = ErrorBody),
    ),
)]
async fn create_key(
    api: State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let new: NewKey = json::read(&headers, body, KEY, "`role` and `name`").await?;
    let created = api.host.tenants().create_key(caller.whose(new.host)?, new, &caller).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke an API key
///
/// This node rejects the key from now on, other nodes that share the database after at most 5 seconds. Requests that wait
/// with the key are answered with 401. A revoked key of a tenant is listed for a day.
#[utoipa::path(
    delete, path = "/_api/keys/{id}", tag = "tenants",
    security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The id of the key."), KeysQuery),
    responses(
        (status = 200, description = "The revoked key.", body = ApiKey),
        (status = 404, description = "The key does not exist.", body = ErrorBody),
        (status = 409, description = "Another request changed it at the same time.", body = ErrorBody),
    ),
)]
async fn revoke_key(
    api: State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<KeysQuery>,
) -> ApiResult<ApiKey> {
    Ok(Json(api.host.tenants().revoke_key(caller.whose(query.host)?, &id, &caller).await?))
}
