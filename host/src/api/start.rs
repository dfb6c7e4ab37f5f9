use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::parameters::{Path, Query};
use super::wait::WaitQuery;
use super::{Api, ApiError, ErrorBody, body, trace};
use crate::config::size;
use crate::executor::{self, StartRequest, WorkflowRecord};
use crate::tenants::Caller;

/// Bytes that the body may have beside the input: a version, a key and what JSON needs around them.
const BESIDE_INPUT: usize = 4 << 10;

/// `POST /_api/workflows/{name}/start`.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(start))
}

/// What to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// The input; `{}` if there is none.
    #[serde(default = "no_input")]
    #[schema(default = json!({}))]
    pub input: Value,
    /// The version; none: the current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// An idempotency key of 1 to 255 bytes: a second start of the workflow with the same key, input
    /// and version leads to the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

fn no_input() -> Value {
    json!({})
}

impl Default for StartBody {
    fn default() -> Self {
        Self { input: no_input(), version: None, key: None }
    }
}

/// A run that was started and is not final, as far as is known. If the request waited for it, all fields
/// of `WorkflowRecord` are there too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Started {
    /// The run.
    pub run_id: Uuid,
    /// What is known of it, if the request waited for it.
    #[serde(flatten)]
    #[schema(ignore)]
    pub record: Option<WorkflowRecord>,
}

/// Start a run
///
/// An answer means that the run is recorded: it will be carried out, whatever happens to the host.
#[utoipa::path(
    post,
    path = "/_api/workflows/{name}/start",
    operation_id = "start_run",
    tag = "workflows",
    security(("key" = ["start"])),
    params(("name" = String, Path, description = "The workflow's name."), WaitQuery),
    request_body = StartBody,
    responses(
        (status = 202, description = "It is started, and not final when the answer is given.", body = Started),
        (status = 200, description = "With `wait`: it is final.", body = WorkflowRecord),
        (status = 400, description = "The body or a parameter is not what it should be.", body = ErrorBody),
        (status = 404, description = "There is no such workflow or version.", body = ErrorBody),
        (status = 409, description = "The key was used for something else, or all versions are deprecated.", body = ErrorBody),
        (status = 413, description = "The input is too large.", body = ErrorBody),
        (status = 415, description = "The content type is another.", body = ErrorBody),
        (status = 429, description = "More starts wait than may. Nothing was started.", body = ErrorBody),
        (status = 503, description = "Not now. Nothing was started.", body = ErrorBody),
    ),
)]
async fn start(
    State(api): State<Api>,
    caller: Caller,
    Path(workflow): Path<String>,
    Query(query): Query<WaitQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let at_most = query.duration()?;
    let tenant = api.host.tenants().get(&caller.tenant).await?;
    let limit = size(tenant.limits.payload_bytes).saturating_add(BESIDE_INPUT);
    let StartBody { input, version, key } = body::read_json(&headers, body, limit).await?;
    let trace_id = trace::trace_id(&headers);
    let request = StartRequest { workflow, input, version, key, auth: caller.auth(), trace_id };
    let executor = &api.executor(&caller);
    let executor::Started { run, record } = match at_most {
        Some(at_most) => executor.start_and_wait(request, api.patience(at_most)).await?,
        None => executor::Started { run: executor.start_with(request).await?, record: None },
    };
    Ok(match record {
        Some(record) if record.status.is_final() => Json(record).into_response(),
        record => (StatusCode::ACCEPTED, Json(Started { run_id: run.0, record })).into_response(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_without_input_has_an_empty_object() {
        assert_eq!(serde_json::from_str::<StartBody>("{}").unwrap(), StartBody::default());
        assert_eq!(StartBody::default().input, json!({}));
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = serde_json::from_str::<StartBody>(r#"{"inptu":1}"#).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown field `inptu`, expected one of `input`, `version`, `key`"),
            "{error}"
        );
    }
}
