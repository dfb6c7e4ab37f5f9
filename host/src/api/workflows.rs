use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::parameters::Path;
use super::{Api, ApiError, ErrorBody, body};
use crate::registry::{Registered, WorkflowInfo, WorkflowVersions};

/// Uploads, lists, activates and deprecates.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(upload, list))
        .routes(routes!(show))
        .routes(routes!(activate))
        .routes(routes!(deprecate))
}

/// The workflows that there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Workflows {
    /// By name.
    pub workflows: Vec<WorkflowVersions>,
}

/// A WebAssembly component, as it is.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "a name for the document")]
struct Component(Vec<u8>);

/// A version in a path.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
struct VersionPath {
    /// The workflow's name.
    name: String,
    /// The version.
    version: u32,
}

/// Upload a component
///
/// Registers the workflows that it holds. The same bytes again change nothing.
#[utoipa::path(
    post,
    path = "/_api/workflows",
    operation_id = "upload_component",
    tag = "workflows",
    request_body(content = Component, content_type = "application/wasm"),
    responses(
        (status = 201, description = "Its workflows are registered.", body = Registered),
        (status = 200, description = "They were already, with the same bytes.", body = Registered),
        (status = 409, description = "A version is registered with other code.", body = ErrorBody),
        (status = 413, description = "It is too large.", body = ErrorBody),
        (status = 415, description = "The content type is another.", body = ErrorBody),
        (status = 422, description = "It is no workflow component.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn upload(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Registered>), ApiError> {
    let media_type = body::media_type(&headers);
    if !matches!(media_type.as_deref(), Some("application/wasm" | "application/octet-stream")) {
        return Err(ApiError::unsupported_media_type(media_type.as_deref(), "application/wasm"));
    }
    let component = body::read(body, api.executor.limits().module_bytes, "the component").await?;
    let registered = api.executor.registry().register(&component).await?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(registered)))
}

/// List the workflows
#[utoipa::path(
    get,
    path = "/_api/workflows",
    operation_id = "list_workflows",
    tag = "workflows",
    responses((status = 200, description = "All of them.", body = Workflows)),
)]
async fn list(State(api): State<Api>) -> Result<Json<Workflows>, ApiError> {
    Ok(Json(Workflows { workflows: api.executor.registry().list().await? }))
}

/// A workflow and its versions
#[utoipa::path(
    get,
    path = "/_api/workflows/{name}",
    operation_id = "show_workflow",
    tag = "workflows",
    params(("name" = String, Path, description = "The workflow's name.")),
    responses(
        (status = 200, description = "It and its versions.", body = WorkflowVersions),
        (status = 404, description = "There is no such workflow.", body = ErrorBody),
    ),
)]
async fn show(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<WorkflowVersions>, ApiError> {
    Ok(Json(api.executor.registry().versions(&name).await?))
}

/// Activate a version
///
/// New runs take it from now on, also if another one is higher. Runs under way stay with theirs.
#[utoipa::path(
    post,
    path = "/_api/workflows/{name}/versions/{version}/activate",
    operation_id = "activate_version",
    tag = "workflows",
    params(VersionPath),
    responses(
        (status = 200, description = "The version.", body = WorkflowInfo),
        (status = 404, description = "There is no such workflow or version.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn activate(
    State(api): State<Api>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<Json<WorkflowInfo>, ApiError> {
    Ok(Json(api.executor.registry().activate(&name, version).await?))
}

/// Deprecate a version
///
/// New runs take it only if they ask for it by its number. Runs under way stay with it.
#[utoipa::path(
    post,
    path = "/_api/workflows/{name}/versions/{version}/deprecate",
    operation_id = "deprecate_version",
    tag = "workflows",
    params(VersionPath),
    responses(
        (status = 200, description = "The version.", body = WorkflowInfo),
        (status = 404, description = "There is no such workflow or version.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn deprecate(
    State(api): State<Api>,
    Path(VersionPath { name, version }): Path<VersionPath>,
) -> Result<Json<WorkflowInfo>, ApiError> {
    Ok(Json(api.executor.registry().deprecate(&name, version).await?))
}
