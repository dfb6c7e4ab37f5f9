use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::{Path, Query};
use super::{Api, ApiError, ErrorBody, body};
use crate::tenants::{ApiKey, Caller, CreatedKey, NewKey};

/// Bytes that a description of a key may have.
const KEY_BYTES: usize = 4 << 10;

/// Makes, lists and revokes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// The API keys that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KeyList {
    /// The oldest first; those that are revoked, too.
    pub keys: Vec<ApiKey>,
}

/// Whose keys.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct KeysQuery {
    /// The host's own, for which a key of the host is needed.
    #[serde(default)]
    host: bool,
}

/// List the API keys
///
/// Those that act for the tenant.
#[utoipa::path(
    get,
    path = "/_api/keys",
    operation_id = "list_keys",
    tag = "tenants",
    security(("key" = ["admin"])),
    params(KeysQuery),
    responses((status = 200, description = "All of them, without what they are presented with.", body = KeyList)),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<KeysQuery>,
) -> Result<Json<KeyList>, ApiError> {
    Ok(Json(KeyList { keys: api.host.tenants().keys(caller.whose(query.host)?).await? }))
}

/// Make an API key
///
/// Once there is a key, nobody acts without one any more.
#[utoipa::path(
    post,
    path = "/_api/keys",
    operation_id = "create_key",
    tag = "tenants",
    security(("key" = ["admin"])),
    request_body = NewKey,
    responses(
        (status = 201, description = "The key, and what to present. That is shown only now.", body = CreatedKey),
        (status = 400, description = "The body is not what it should be, or the key could not be used.", body = ErrorBody),
        (status = 403, description = "The tenant has as many as it may, or a key of the host is needed.", body = ErrorBody),
    ),
)]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<CreatedKey>), ApiError> {
    let new: NewKey = body::need_json(&headers, body, KEY_BYTES, "`role` and `name`").await?;
    let created = api.host.tenants().create_key(caller.whose(new.host)?, new, &caller).await?;
    Ok((StatusCode::CREATED, Json(created)))
}

/// Revoke an API key
///
/// It is refused from now on: on other hosts that share the database after some seconds at the latest.
#[utoipa::path(
    delete,
    path = "/_api/keys/{id}",
    operation_id = "revoke_key",
    tag = "tenants",
    security(("key" = ["admin"])),
    params(("id" = String, Path, description = "The key's id."), KeysQuery),
    responses(
        (status = 200, description = "It is revoked.", body = ApiKey),
        (status = 404, description = "There is no such key.", body = ErrorBody),
    ),
)]
async fn revoke(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<KeysQuery>,
) -> Result<Json<ApiKey>, ApiError> {
    Ok(Json(api.host.tenants().revoke_key(caller.whose(query.host)?, &id, &caller).await?))
}
