use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::Path;
use super::{Api, ApiError, ErrorBody, body};
use crate::tenants::{Caller, NewSecret, SecretInfo};

/// Bytes that a secret may have with its rules, in JSON.
const SECRET_BYTES: usize = 256 << 10;

/// Lists, sets, removes and seals anew.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(set, remove)).routes(routes!(reseal))
}

/// The secrets that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretList {
    /// By name, without their values.
    pub secrets: Vec<SecretInfo>,
}

/// How many secrets were sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Resealed {
    /// With the newest key, and with another before.
    pub resealed: u64,
}

/// List the secrets
///
/// Nobody gets a value back.
#[utoipa::path(
    get,
    path = "/_api/secrets",
    operation_id = "list_secrets",
    tag = "tenants",
    security(("key" = ["admin"])),
    responses((status = 200, description = "All of them, without their values.", body = SecretList)),
)]
async fn list(State(api): State<Api>, caller: Caller) -> Result<Json<SecretList>, ApiError> {
    Ok(Json(SecretList { secrets: api.host.tenants().secrets(&caller.tenant).await? }))
}

/// Set a secret
///
/// Workflows write `{{secret:NAME}}` in the value of a header. It is filled in for the servers that are named here, and
/// for no other.
#[utoipa::path(
    put,
    path = "/_api/secrets/{name}",
    operation_id = "set_secret",
    tag = "tenants",
    security(("key" = ["admin"])),
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_` and `-`.")),
    request_body = NewSecret,
    responses(
        (status = 200, description = "It is set.", body = SecretInfo),
        (status = 400, description = "Its name, its value or a rule cannot be.", body = ErrorBody),
        (status = 403, description = "The tenant has as many as it may.", body = ErrorBody),
        (status = 409, description = "The host has no key to seal it with.", body = ErrorBody),
    ),
)]
async fn set(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SecretInfo>, ApiError> {
    let new: NewSecret = body::need_json(&headers, body, SECRET_BYTES, "`value` and `servers`").await?;
    Ok(Json(api.host.tenants().set_secret(&caller.tenant, &name, new, &caller).await?))
}

/// Remove a secret
#[utoipa::path(
    delete,
    path = "/_api/secrets/{name}",
    operation_id = "remove_secret",
    tag = "tenants",
    security(("key" = ["admin"])),
    params(("name" = String, Path, description = "The secret's name.")),
    responses(
        (status = 204, description = "It is removed."),
        (status = 404, description = "There is no such secret.", body = ErrorBody),
    ),
)]
async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.host.tenants().remove_secret(&caller.tenant, &name, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Seal all secrets with the newest key
///
/// After a new key was put before the old one; then the old one can be removed.
#[utoipa::path(
    post,
    path = "/_api/reseal-secrets",
    operation_id = "reseal_secrets",
    tag = "tenants",
    security(("key" = ["admin", "host"])),
    responses(
        (status = 200, description = "All are sealed with the newest key.", body = Resealed),
        (status = 409, description = "One cannot be opened, or the host has no key.", body = ErrorBody),
    ),
)]
async fn reseal(State(api): State<Api>, caller: Caller) -> Result<Json<Resealed>, ApiError> {
    Ok(Json(Resealed { resealed: api.host.tenants().reseal(&caller).await? }))
}
