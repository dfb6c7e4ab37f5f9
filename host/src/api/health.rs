use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::executor::{Health, HealthStatus};
use crate::tenants::Caller;

/// `GET /_api/health`.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(health))
}

/// Whether the host can do its work
///
/// Where there are API keys, a key of the host is told more.
#[utoipa::path(
    get,
    path = "/_api/health",
    operation_id = "health",
    tag = "host",
    security(()),
    responses(
        (status = 200, description = "It can.", body = Health),
        (status = 503, description = "It cannot; `error` says why.", body = Health),
    ),
)]
async fn health(State(api): State<Api>, caller: Option<Extension<Caller>>) -> (StatusCode, Json<Health>) {
    let mut health = api.host.health().await;
    if !caller.is_some_and(|Extension(caller)| caller.is_host) {
        health.details = None;
    }
    let status = match health.status {
        HealthStatus::Ok => StatusCode::OK,
        HealthStatus::Degraded => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health))
}
