use std::collections::BTreeMap;

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
use crate::config::{LimitChangesSchema, Retention};
use crate::encoding::null_as_absent;
use crate::tenants::{Caller, Role, SettingsChange, TenantInfo};

/// The maximum size of the body: some thousand rules.
const SETTINGS: BodyLimit = BodyLimit::fixed(256 << 10);

/// The tenants, and the caller.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_tenants, create_tenant))
        .routes(routes!(show_tenant, change_tenant))
        .routes(routes!(caller))
}

/// The tenants of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantList {
    /// The tenants by name.
    pub tenants: Vec<TenantInfo>,
}

/// A tenant to create, with its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// The name: 1 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// The servers that its workflows may reach; none if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<String>>,
    /// The private networks in which these servers may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress_private: Option<Vec<String>>,
    /// Limits by name; the host's values for the others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_absent")]
    #[schema(value_type = LimitChangesSchema)]
    pub limits: BTreeMap<String, Option<u64>>,
    /// How long final runs are kept; the host's rules apply where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub retention: Option<Retention>,
    /// Whether the tenant is suspended from the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<bool>,
}

impl NewTenant {
    /// Returns a tenant with this name and these settings.
    pub fn new(name: String, settings: SettingsChange) -> Self {
        let SettingsChange { egress, egress_private, limits, retention, suspended } = settings;
        Self { name, egress, egress_private, limits, retention, suspended }
    }

    /// Returns the name and the settings.
    fn into_parts(self) -> (String, SettingsChange) {
        let Self { name, egress, egress_private, limits, retention, suspended } = self;
        (name, SettingsChange { egress, egress_private, limits, retention, suspended })
    }
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallerInfo {
    /// The tenant that it acts for.
    pub tenant: String,
    /// The role.
    pub role: Role,
    /// Whether it acts for the host.
    pub host: bool,
    /// The id of the API key; `null` if the host has no keys.
    pub key: Option<String>,
}

impl From<Caller> for CallerInfo {
    fn from(caller: Caller) -> Self {
        Self {
            tenant: caller.tenant.to_string(),
            role: caller.role,
            host: caller.is_host,
            key: caller.key.map(|key| key.id),
        }
    }
}

/// List the tenants
#[utoipa::path(
    get, path = "/_api/tenants", tag = "tenants",
    security(("key" = ["read", "host"])),
    responses((status = 200, description = "The tenants.", body = TenantList)),
)]
async fn list_tenants(api: State<Api>) -> ApiResult<TenantList> {
    Ok(Json(TenantList { tenants: api.host.tenants().list().await? }))
}

/// Create a tenant
#[utoipa::path(
    post, path = "/_api/tenants", tag = "tenants",
    security(("key" = ["admin", "host"])),
    request_body = NewTenant,
    responses(
        (status = 201, description = "The created tenant.", body = TenantInfo),
        (status = 400, description = "The name, a limit or a rule is invalid.", body = ErrorBody),
        (status = 409, description = "A tenant with this name exists.", body = ErrorBody),
    ),
)]
async fn create_tenant(
    api: State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<TenantInfo>), ApiError> {
    let new: NewTenant = json::read(&headers, body, SETTINGS, "`name`").await?;
    let (name, settings) = new.into_parts();
    Ok((StatusCode::CREATED, Json(api.host.tenants().create(&name, &settings, &caller).await?)))
}

/// Read a tenant
///
/// Returns its settings and limits. A key of a tenant can read only its own tenant.
#[utoipa::path(
    get, path = "/_api/tenants/{tenant}", tag = "tenants",
    security(("key" = ["read"])),
    params(("tenant" = String, Path, description = "The name of the tenant.")),
    responses(
        (status = 200, description = "The tenant.", body = TenantInfo),
        (status = 404, description = "The tenant does not exist.", body = ErrorBody),
    ),
)]
async fn show_tenant(api: State<Api>, caller: Caller, Path(tenant): Path<String>) -> ApiResult<TenantInfo> {
    caller.check_tenant(&tenant)?;
    Ok(Json(api.host.tenants().show(&tenant).await?))
}

/// Change a tenant
///
/// Changes its limits, the servers that its workflows may reach, or whether it is suspended. Fields that are absent do
/// not change. The change applies to what is running.
#[utoipa::path(
    patch, path = "/_api/tenants/{tenant}", tag = "tenants",
    security(("key" = ["admin", "host"])),
    params(("tenant" = String, Path, description = "The name of the tenant.")),
    request_body = SettingsChange,
    responses(
        (status = 200, description = "The changed tenant.", body = TenantInfo),
        (status = 400, description = "A limit or a rule is invalid. Nothing was changed.", body = ErrorBody),
        (status = 404, description = "The tenant does not exist.", body = ErrorBody),
        (status = 409, description = "Another request changed it at the same time.", body = ErrorBody),
    ),
)]
async fn change_tenant(
    api: State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<TenantInfo> {
    let change: SettingsChange = json::read(&headers, body, SETTINGS, "at least `{}`").await?;
    Ok(Json(api.host.tenants().change(&tenant, &change, &caller).await?))
}

/// Read the caller
///
/// Returns the tenant and the role of the API key.
#[utoipa::path(
    get, path = "/_api/caller", tag = "tenants",
    security(("key" = ["read"])),
    responses((status = 200, description = "The caller.", body = CallerInfo)),
)]
async fn caller(caller: Caller) -> Json<CallerInfo> {
    Json(caller.into())
}
