use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::timeout;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::BodyLimit;
use super::parameters::{Path, Query};
use super::{Api, ApiError, ApiResult, ErrorBody, body};
use crate::executor::ExecutorError;
use crate::registry::{
    Prepared, Registered, UploadPlace, WorkflowInfo, WorkflowRegistry, WorkflowVersions, digest,
};
use crate::tenants::Caller;

/// The upload and the list. An upload waits for its turn, and is dropped if the client disconnects before it is registered.
pub(super) fn uploads() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(upload_component, list_workflows))
}

/// A workflow and its versions.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(show_workflow))
        .routes(routes!(show_input_schema))
        .routes(routes!(activate_version))
        .routes(routes!(deprecate_version))
}

/// The workflows of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WorkflowList)]
pub struct Workflows {
    /// The workflows by name.
    pub workflows: Vec<WorkflowVersions>,
}

/// A WebAssembly component.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "a name for the document")]
struct Component(Vec<u8>);

/// A version in a path.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct VersionPath {
    /// The name of the workflow.
    name: String,
    /// The version.
    version: u32,
}

/// Upload a component
///
/// Registers the workflows of the component. Uploading the same bytes again has no effect. The content type is
/// `application/octet-stream` or `application/wasm`.
#[utoipa::path(
    post, path = "/_api/workflows", tag = "workflows",
    security(("key" = ["deploy"])),
    request_body(content = Component, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "The workflows of the component are registered.", body = Registered),
        (status = 200, description = "The same component was uploaded before.", body = Registered),
        (status = 409, description = "A version is registered with another component.", body = ErrorBody),
        (status = 422, description = "The body is not a workflow component.", body = ErrorBody),
        (status = 429, description = "The tenant has an upload that waits, or has used its compile time. `Retry-After` says when to try again.", body = ErrorBody),
    ),
)]
async fn upload_component(
    api: State<Api>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Registered>), ApiError> {
    let media_type = body::media_type(&headers);
    if !matches!(media_type.as_deref(), Some("application/wasm" | "application/octet-stream")) {
        let wanted = "application/wasm or application/octet-stream";
        return Err(ApiError::unsupported_media_type(media_type.as_deref(), wanted));
    }
    body::check_coding(&headers, "the component")?;
    let registry = api.executor(&caller).registry();
    let (_place, prepared) = tokio::select! {
        prepared = prepare(&api, &caller, &registry, body) => prepared?,
        () = api.closing.cancelled() => return Err(ExecutorError::ShuttingDown.into()),
    };
    let registered = registry.publish(prepared).await?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(registered)))
}

/// Reads and checks an upload. The body is read once the upload has its turn and memory for it, which it keeps to its end.
async fn prepare(
    api: &Api,
    caller: &Caller,
    registry: &WorkflowRegistry,
    body: Body,
) -> Result<(UploadPlace, Prepared), ApiError> {
    let time = api.host.limits().upload_time;
    let place = match registry.admit(body::stated_size(&body)).await {
        Ok(place) => place,
        Err(error) => {
            body::discard(body);
            return Err(error.into());
        }
    };
    let reading =
        timeout(time, body::read_reserved(body, BodyLimit::component(place.limit), "the component"));
    let component = reading.await.map_err(|_| ApiError::upload_too_slow("the component", time))??;
    let (bytes, digest) = (component.len(), digest(&component));
    let prepared = registry.prepare(component, digest.clone(), None).await;
    // Before it is registered. What is refused has no names, and is noted, too.
    let detail = match &prepared {
        Ok(prepared) => json!({ "bytes": bytes, "workflows": prepared.names() }),
        Err(_) => json!({ "bytes": bytes }),
    };
    api.host.tenants().note(caller, "component.upload", &digest, Some(detail)).await?;
    Ok((place, prepared?))
}

/// List the workflows
#[utoipa::path(
    get, path = "/_api/workflows", tag = "workflows",
    security(("key" = ["read"])),
    responses((status = 200, description = "The workflows.", body = Workflows)),
)]
async fn list_workflows(api: State<Api>, caller: Caller) -> ApiResult<Workflows> {
    Ok(Json(Workflows { workflows: api.executor(&caller).registry().list().await? }))
}

/// Read a workflow and its versions
#[utoipa::path(
    get, path = "/_api/workflows/{name}", tag = "workflows",
    security(("key" = ["read"])),
    params(("name" = String, Path, description = "The name of the workflow.")),
    responses(
        (status = 200, description = "The workflow and its versions.", body = WorkflowVersions),
        (status = 404, description = "The workflow does not exist.", body = ErrorBody),
    ),
)]
async fn show_workflow(
    api: State<Api>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<WorkflowVersions> {
    Ok(Json(api.executor(&caller).registry().versions(&name).await?))
}

/// The version whose schema is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct SchemaQuery {
    /// The version; the current one if absent.
    version: Option<u32>,
}

/// Read the JSON Schema of the input
///
/// A start whose input does not fit the schema is refused with `invalid_input`. The schema is of draft 2020-12.
#[utoipa::path(
    get, path = "/_api/workflows/{name}/schema", tag = "workflows",
    security(("key" = ["read"])),
    params(("name" = String, Path, description = "The name of the workflow."), SchemaQuery),
    responses(
        (status = 200, description = "The schema.", body = serde_json::Value),
        (status = 404, description = "The workflow or version does not exist, or its input has no schema.", body = ErrorBody),
        (status = 409, description = "All versions are deprecated; name one.", body = ErrorBody),
    ),
)]
async fn show_input_schema(
    api: State<Api>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<SchemaQuery>,
) -> Result<Response, ApiError> {
    let registry = api.executor(&caller).registry();
    let info = registry.find(&name, query.version).await?;
    let schema = registry.input_schema(&info).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], schema).into_response())
}

/// Activate a version
///
/// New runs use this version from now on, even if another version is higher. Existing runs keep their version.
#[utoipa::path(
    post, path = "/_api/workflows/{name}/versions/{version}/activate", tag = "workflows",
    security(("key" = ["deploy"])),
    params(VersionPath),
    responses(
        (status = 200, description = "The version.", body = WorkflowInfo),
        (status = 404, description = "The workflow or version does not exist.", body = ErrorBody),
    ),
)]
async fn activate_version(
    api: State<Api>,
    caller: Caller,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> ApiResult<WorkflowInfo> {
    api.executor(&caller).registry().get_version(&name, version).await?;
    note(&api, &caller, "version.activate", &name, version).await?;
    Ok(Json(api.executor(&caller).registry().activate(&name, version).await?))
}

/// Deprecate a version
///
/// New runs use this version only if they request it by number. Existing runs keep it.
#[utoipa::path(
    post, path = "/_api/workflows/{name}/versions/{version}/deprecate", tag = "workflows",
    security(("key" = ["deploy"])),
    params(VersionPath),
    responses(
        (status = 200, description = "The version.", body = WorkflowInfo),
        (status = 404, description = "The workflow or version does not exist.", body = ErrorBody),
    ),
)]
async fn deprecate_version(
    api: State<Api>,
    caller: Caller,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> ApiResult<WorkflowInfo> {
    api.executor(&caller).registry().get_version(&name, version).await?;
    note(&api, &caller, "version.deprecate", &name, version).await?;
    Ok(Json(api.executor(&caller).registry().deprecate(&name, version).await?))
}

/// Writes a change of a version to the audit log.
async fn note(api: &Api, caller: &Caller, action: &str, name: &str, version: u32) -> Result<(), ApiError> {
    Ok(api.host.tenants().note(caller, action, &format!("{name} {version}"), None).await?)
}
