use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::BodyLimit;
use super::parameters::Path;
use super::{Api, ApiError, ApiResult, ErrorBody, json};
use crate::tenants::{Caller, NewSecret, SecretInfo};

/// The maximum size of the body.
const SECRET: BodyLimit = BodyLimit::fixed(256 << 10);

/// The secrets.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_secrets))
        .routes(routes!(set_secret, remove_secret))
        .routes(routes!(reseal_secrets))
}

/// The secrets of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SecretList {
    /// The secrets by name, without their values.
    pub secrets: Vec<SecretInfo>,
}

/// The result of a re-encryption.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ResealedSecrets)]
pub struct Resealed {
    /// The number of secrets that were encrypted with another key before.
    pub resealed: u64,
}

/// List the secrets
///
/// The API never returns the value of a secret.
#[utoipa::path(
    get, path = "/_api/secrets", tag = "tenants",
    security(("key" = ["admin"])),
    responses((status = 200, description = "The secrets, without their values.", body = SecretList)),
)]
async fn list_secrets(api: State<Api>, caller: Caller) -> ApiResult<SecretList> {
    Ok(Json(SecretList { secrets: api.host.tenants().secrets(&caller.tenant).await? }))
}

/// Set a secret
///
/// Workflows write `{{secret:NAME}}` in the value of a header. The host replaces it with the value in requests to these
/// servers, and rejects requests with it to others.
#[utoipa::path(
    put, path = "/_api/secrets/{name}", tag = "tenants",
    security(("key" = ["admin"])),
    params(("name" = String, Path, description = "1 to 64 letters, digits, `_` and `-`.")),
    request_body = NewSecret,
    responses(
        (status = 200, description = "The secret is set.", body = SecretInfo),
        (status = 400, description = "The name, the value or a rule is invalid.", body = ErrorBody),
        (status = 403, description = "The tenant has reached its limit.", body = ErrorBody),
        (status = 409, description = "The host has no key to encrypt it, or it conflicts with another secret.", body = ErrorBody),
    ),
)]
async fn set_secret(
    api: State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<SecretInfo> {
    let new: NewSecret = json::read(&headers, body, SECRET, "`value` and `servers`").await?;
    Ok(Json(api.host.tenants().set_secret(&caller.tenant, &name, new, &caller).await?))
}

/// Remove a secret
#[utoipa::path(
    delete, path = "/_api/secrets/{name}", tag = "tenants",
    security(("key" = ["admin"])),
    params(("name" = String, Path, description = "The name of the secret.")),
    responses(
        (status = 204, description = "The secret is removed."),
        (status = 404, description = "The secret does not exist.", body = ErrorBody),
    ),
)]
async fn remove_secret(
    api: State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    api.host.tenants().remove_secret(&caller.tenant, &name, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Encrypt all secrets with the newest key
///
/// Use it after a new key was added to the host. The old key can be removed afterwards.
#[utoipa::path(
    post, path = "/_api/reseal-secrets", tag = "tenants",
    security(("key" = ["admin", "host"])),
    responses(
        (status = 200, description = "All secrets are encrypted with the newest key.", body = Resealed),
        (status = 409, description = "A secret cannot be decrypted, or the host has no key.", body = ErrorBody),
    ),
)]
async fn reseal_secrets(api: State<Api>, caller: Caller) -> ApiResult<Resealed> {
    Ok(Json(Resealed { resealed: api.host.tenants().reseal(&caller).await? }))
}
