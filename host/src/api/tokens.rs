//! Run tokens: what a backend gives to a browser that shows one run.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::body::BodyLimit;
use super::parameters::Path;
use super::{Api, ApiError, ErrorBody, json};
use crate::tenants::{Caller, Granted, RunScope};
use forge_journal::RunId;

/// The maximum size of the body.
const TOKEN: BodyLimit = BodyLimit::fixed(4 << 10);

/// The time for which a token is valid if the request does not say: longer than a page takes to load, and short enough that a
/// token in a log is worth nothing soon.
const TTL: Duration = Duration::from_secs(15 * 60);

/// Making run tokens.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create_run_token))
}

/// A run token to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRunToken {
    /// The time for which it is valid, such as `15m`, which is the default. At most 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Whether it reads inputs, outputs, results and log lines; by default, it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payloads: Option<bool>,
}

/// A run token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RunToken {
    /// The token, sent as `Authorization: Bearer`.
    pub token: String,
    /// When it expires.
    pub expires_at: DateTime<Utc>,
    /// The run that it reads.
    pub run_id: Uuid,
}

/// Make a run token
///
/// Returns a token for a browser, which only reads this run: its record, its steps, its logs and its live view. It expires with
/// the API key that made it.
#[utoipa::path(
    post, path = "/_api/runs/{id}/tokens", tag = "runs",
    security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    request_body = NewRunToken,
    responses(
        (status = 201, description = "The token.", body = RunToken),
        (status = 400, description = "The body is invalid, or `ttl` is too long.", body = ErrorBody),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
    ),
)]
async fn create_run_token(
    api: State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<RunToken>), ApiError> {
    let NewRunToken { ttl, payloads } = json::read(&headers, body, TOKEN, "at least `{}`").await?;
    let ttl = ttl.map_or(Ok(TTL), |ttl| {
        let wrong =
            || ApiError::invalid_body(format!("`ttl` must be a duration, such as 15m or 1h, not `{ttl}`"));
        humantime::parse_duration(&ttl).map_err(|_| wrong())
    })?;
    let run = RunId(id);
    api.executor(&caller).check(run).await?;
    let made = api.host.tenants().run_token(&caller, run, ttl, payloads.unwrap_or(true)).await?;
    let Granted { token, gives: RunScope { expires_at, .. } } = made;
    Ok((StatusCode::CREATED, Json(RunToken { token, expires_at, run_id: id })))
}
