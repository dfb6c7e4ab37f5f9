use axum::Json;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// What the document says of the API as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Forge",
        description = "Durable workflows in a WebAssembly sandbox.\n\n\
            An answer that is an error has the body `{\"error\":{\"code\",\"message\"}}`: `code` is for \
            programs and does not change, `message` is for people. After a 503 ask again; `Retry-After` \
            says when.",
    ),
    tags(
        (name = "workflows", description = "Components and the versions of the workflows that they hold."),
        (name = "runs", description = "Workflows that run or ran."),
        (name = "tenants", description = "Whose workflows and runs they are, who may act for them, what they used."),
        (name = "host", description = "The host itself."),
    ),
)]
struct Document;

/// `GET /_api/openapi.json`.
pub(super) fn router() -> OpenApiRouter<Api> {
    let mut described = Document::openapi();
    super::auth::describe(&mut described);
    OpenApiRouter::with_openapi(described).routes(routes!(document))
}

/// The OpenAPI document of the API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    super::resources().into_openapi()
}

/// This document.
#[utoipa::path(
    get,
    path = "/_api/openapi.json",
    operation_id = "openapi",
    tag = "host",
    security(()),
    responses((status = 200, description = "An OpenAPI 3.1 document.", body = serde_json::Value)),
)]
async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
