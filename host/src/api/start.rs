use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::parameters::{Path, Query};
use super::wait::WaitQuery;
use super::{Api, ApiError, ErrorBody, body, trace};
use crate::config::size;
use crate::executor::{self, StartRequest, WorkflowRecord};
use crate::tenants::Caller;
use forge_journal::Document;

/// Bytes of the body in addition to the input: the version, the key and JSON's syntax.
const BESIDE_INPUT: usize = 4 << 10;

/// `POST /_api/workflows/{name}/start`.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(start_run))
}

/// A run to start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartBody {
    /// The input; `{}` if absent.
    #[serde(default)]
    #[schema(value_type = Value, default = json!({}))]
    pub input: Document,
    /// The version; the current one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// An idempotency key of 1 to 255 bytes. Another start of the workflow with the same key, input and version returns
    /// the same run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A run that was started. If the request waited for it, the body also has all fields of `WorkflowRecord`.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Started {
    /// The id of the run.
    pub run_id: Uuid,
    /// The run, if the request waited for it.
    #[serde(flatten)]
    #[schema(ignore)]
    pub record: Option<WorkflowRecord>,
}

/// Serde reads flattened fields into values first, which changes numbers.
impl<'de> Deserialize<'de> for Started {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Ids {
            run_id: Uuid,
            id: Option<Uuid>,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Ids { run_id, id } = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let record = id.map(|_| serde_json::from_str(text.get())).transpose().map_err(D::Error::custom)?;
        Ok(Self { run_id, record })
    }
}

/// Start a run
///
/// A successful response means that the run is durable: it is executed even if the host crashes. Set `key` to repeat a
/// start safely whose outcome is unknown.
#[utoipa::path(
    post, path = "/_api/workflows/{name}/start", tag = "workflows",
    security(("key" = ["start"])),
    params(("name" = String, Path, description = "The name of the workflow."), WaitQuery),
    request_body = StartBody,
    responses(
        (status = 202, description = "The run is started and not final.", body = Started),
        (status = 200, description = "With `wait`: the run is final.", body = WorkflowRecord),
        (status = 400, description = "The body or a parameter is invalid.", body = ErrorBody),
        (status = 404, description = "The workflow or version does not exist.", body = ErrorBody),
        (status = 409, description = "The key was used with another input or version, or all versions are deprecated.", body = ErrorBody),
        (status = 413, description = "The input is too large.", body = ErrorBody),
        (status = 415, description = "The content type is not JSON.", body = ErrorBody),
        (status = 429, description = "Too many starts wait, or start each second. Nothing was started.", body = ErrorBody),
        (status = 503, description = "The host cannot start runs now. After `store_unavailable`, the run may have been started if PostgreSQL did not answer the commit in time: repeat the start with the same `key`. After other codes, nothing was started.", body = ErrorBody),
    ),
)]
async fn start_run(
    api: State<Api>,
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
        assert_eq!(StartBody::default().input.to_string(), "{}");
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
