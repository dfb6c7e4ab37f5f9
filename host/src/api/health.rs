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

/// Read the health of the host
///
/// If the host has API keys, only a key of the host sees more than `status`.
#[utoipa::path(
    get, path = "/_api/health", tag = "host",
    security(()),
    responses(
        (status = 200, description = "The host works.", body = Health),
        (status = 503, description = "The host is degraded; `error` states the reason.", body = Health),
    ),
)]
async fn health(api: State<Api>, caller: Option<Extension<Caller>>) -> (StatusCode, Json<Health>) {
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
