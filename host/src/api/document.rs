use axum::Json;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Api, responses};

/// The head of the document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Forge",
        description = "Durable workflows in a WebAssembly sandbox.\n\n\
            The body of an error is `{\"error\":{\"code\",\"message\"}}`. `code` is for programs and stable; \
            `message` is for people. Repeat a request that returned 429 or 503 after the time in `Retry-After`.",
    ),
    tags(
        (name = "workflows", description = "Components, and the versions of their workflows."),
        (name = "runs", description = "Runs of workflows."),
        (name = "db", description = "The tenant's store: JSON documents under keys."),
        (name = "tenants", description = "Tenants with their API keys, secrets, audit log and usage."),
        (name = "host", description = "The host."),
    ),
)]
struct Document;

/// `GET /_api/openapi.json`.
pub(super) fn router() -> OpenApiRouter<Api> {
    let mut described = Document::openapi();
    super::requirements::describe(&mut described);
    OpenApiRouter::with_openapi(described).routes(routes!(document))
}

/// Returns the OpenAPI document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = super::resources().into_openapi();
    // OpenAPI has no other form for a parameter that may contain `/`.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    responses::complete(&mut document);
    document
}

/// Read the OpenAPI document
#[utoipa::path(
    get, path = "/_api/openapi.json", operation_id = "openapi", tag = "host",
    security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = serde_json::Value)),
)]
async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
