use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::Path;
use super::{Api, ApiError, ErrorBody, body};
use crate::tenants::{Caller, Role, SettingsChange, TenantInfo};

/// Bytes that a description of a tenant may have: some thousand rules.
const SETTINGS_BYTES: usize = 256 << 10;

/// Makes, lists, shows and changes; who asks.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(show, change)).routes(routes!(caller))
}

/// The tenants that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TenantList {
    /// By name.
    pub tenants: Vec<TenantInfo>,
}

/// A tenant to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "Map<String, Value>")]
pub struct NewTenant {
    /// 1 to 63 lower-case letters, digits and `-`.
    pub name: String,
    /// What to set of it.
    #[serde(flatten)]
    pub settings: SettingsChange,
}

/// What is not known is refused: serde would leave it aside behind `flatten`.
impl TryFrom<Map<String, Value>> for NewTenant {
    type Error = serde_json::Error;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, Self::Error> {
        let name = fields.remove("name").ok_or_else(|| serde_json::Error::missing_field("name"))?;
        Ok(Self {
            name: serde_json::from_value(name)?,
            settings: serde_json::from_value(Value::Object(fields))?,
        })
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CallerInfo {
    /// For which tenant.
    pub tenant: String,
    /// What may be done.
    pub role: Role,
    /// It is a key of the host, or nobody needs one.
    pub host: bool,
    /// The API key's id; none where nobody needs one.
    pub key: Option<String>,
}

/// List the tenants
#[utoipa::path(
    get,
    path = "/_api/tenants",
    operation_id = "list_tenants",
    tag = "tenants",
    security(("key" = ["read", "host"])),
    responses((status = 200, description = "All of them.", body = TenantList)),
)]
async fn list(State(api): State<Api>) -> Result<Json<TenantList>, ApiError> {
    Ok(Json(TenantList { tenants: api.host.tenants().list().await? }))
}

/// Make a tenant
#[utoipa::path(
    post,
    path = "/_api/tenants",
    operation_id = "create_tenant",
    tag = "tenants",
    security(("key" = ["admin", "host"])),
    request_body = NewTenant,
    responses(
        (status = 201, description = "It is there.", body = TenantInfo),
        (status = 400, description = "Its name, a limit or a rule cannot be.", body = ErrorBody),
        (status = 409, description = "There is one with this name.", body = ErrorBody),
    ),
)]
async fn create(
    State(api): State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<TenantInfo>), ApiError> {
    let NewTenant { name, settings } = body::need_json(&headers, body, SETTINGS_BYTES, "`name`").await?;
    Ok((StatusCode::CREATED, Json(api.host.tenants().create(&name, &settings, &caller).await?)))
}

/// A tenant
///
/// What is set of it, and its limits. A tenant's key shows its own tenant.
#[utoipa::path(
    get,
    path = "/_api/tenants/{tenant}",
    operation_id = "show_tenant",
    tag = "tenants",
    security(("key" = ["read"])),
    params(("tenant" = String, Path, description = "The tenant's name.")),
    responses(
        (status = 200, description = "It.", body = TenantInfo),
        (status = 404, description = "There is no such tenant.", body = ErrorBody),
    ),
)]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
) -> Result<Json<TenantInfo>, ApiError> {
    if !caller.is_host && *caller.tenant != *tenant {
        return Err(crate::tenants::TenantError::Unknown(tenant).into());
    }
    Ok(Json(api.host.tenants().show(&tenant).await?))
}

/// Change a tenant
///
/// Its limits, the servers that its workflows may reach, whether it is suspended. What is not mentioned stays.
#[utoipa::path(
    patch,
    path = "/_api/tenants/{tenant}",
    operation_id = "change_tenant",
    tag = "tenants",
    security(("key" = ["admin", "host"])),
    params(("tenant" = String, Path, description = "The tenant's name.")),
    request_body = SettingsChange,
    responses(
        (status = 200, description = "It is changed.", body = TenantInfo),
        (status = 400, description = "A limit or a rule cannot be. Nothing was changed.", body = ErrorBody),
        (status = 404, description = "There is no such tenant.", body = ErrorBody),
    ),
)]
async fn change(
    State(api): State<Api>,
    caller: Caller,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<TenantInfo>, ApiError> {
    let change: SettingsChange = body::read_json(&headers, body, SETTINGS_BYTES).await?;
    Ok(Json(api.host.tenants().change(&tenant, &change, &caller).await?))
}

/// Who asks
///
/// For which tenant the API key acts, and what it may do.
#[utoipa::path(
    get,
    path = "/_api/caller",
    operation_id = "caller",
    tag = "tenants",
    security(("key" = ["read"])),
    responses((status = 200, description = "Whoever asks.", body = CallerInfo)),
)]
async fn caller(caller: Caller) -> Json<CallerInfo> {
    Json(CallerInfo {
        tenant: caller.tenant.to_string(),
        role: caller.role,
        host: caller.is_host,
        key: caller.key.map(|key| key.id),
    })
}
