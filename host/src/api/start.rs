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

use super::body::BodyLimit;
use super::parameters::{Path, Query};
use super::wait::WaitQuery;
use super::{Api, ApiError, ErrorBody, SentEvent, StartEvent, json, trace};
use crate::encoding::null_as_absent;
use crate::executor::{self, Existing, OnFailed, StartRequest, WorkflowRecord};
use crate::tenants::Caller;
use forge_journal::{Document, Tags};

/// Bytes of the body in addition to the input: the version, the key, the tags and JSON's syntax.
const BESIDE_INPUT: usize = 32 << 10;

/// `POST /_api/workflows/{name}/start`.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(start_run))
}

/// A run to start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRun)]
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
    /// An event for the run. If the key has started the run before, the event is sent to that run, and its input may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<StartEvent>,
    /// What happens if the run that the key has started before has failed or was rolled back. With `restart`, another run
    /// starts and takes the key over; its input and version may differ.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "null_as_absent")]
    pub on_failed: OnFailed,
    /// Tags, by which the run is found: at most 16. A name has 1 to 64 characters of A-Z, a-z, 0-9, `_`, `.` and `-`; a value
    /// has at most 255 bytes and no control characters. A run that the key has started before keeps its tags.
    #[serde(default, skip_serializing_if = "Tags::is_empty", deserialize_with = "null_as_absent")]
    #[schema(required = false)]
    pub tags: Tags,
}

fn is_default(on_failed: &OnFailed) -> bool {
    *on_failed == OnFailed::default()
}

/// A run that was started. If the request waited for it, the body also has all fields of `WorkflowRecord`.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = StartedRun)]
pub struct Started {
    /// The id of the run.
    pub run_id: Uuid,
    /// The run as it was found, if the key has started it before. Absent if this request has started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<Existing>,
    /// The event of the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<SentEvent>,
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
            existing: Option<Existing>,
            event: Option<SentEvent>,
            id: Option<Uuid>,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let Ids { run_id, existing, event, id } =
            serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let record = id.map(|_| serde_json::from_str(text.get())).transpose().map_err(D::Error::custom)?;
        Ok(Self { run_id, existing, event, record })
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
        (status = 200, description = "With `wait`: the run is final. The body also has `run_id`, `existing` and `event`.", body = WorkflowRecord),
        (status = 400, description = "The input does not fit the schema of the version, or another part of the request is wrong.", body = ErrorBody),
        (status = 404, description = "The workflow or version does not exist.", body = ErrorBody),
        (status = 409, description = "The key was used with another input or version, a failed run cannot be restarted because steps of it are not compensated, all versions are deprecated, or the run that gets the event is final.", body = ErrorBody),
        (status = 413, description = "The input or the payload of the event is too large.", body = ErrorBody),
        (status = 429, description = "Too many starts wait, or start each second, or the inbox of the run that gets the event is full. Nothing was started.", body = ErrorBody),
        (status = 503, description = "The host cannot start runs now. After `outcome_unknown`, the run may have been started: repeat the start with the same `key`. After other codes, nothing was started.", body = ErrorBody),
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
    // The input and the payload of an event.
    let limit = BodyLimit::payloads(&tenant.limits(), 2, BESIDE_INPUT);
    let StartBody { input, version, key, event, on_failed, tags } =
        json::read(&headers, body, limit, "at least `{}`").await?;
    let trace_id = trace::trace_id(&headers);
    let (auth, event) = (caller.auth(), event.map(Into::into));
    let request = StartRequest { workflow, input, version, key, event, on_failed, tags, auth, trace_id };
    let executor = &api.executor(&caller);
    let executor::Started { run, existing, sent, record } = match at_most {
        Some(at_most) => executor.start_and_wait(request, api.patience(at_most)).await?,
        None => executor.start_or_find(request).await?,
    };
    let is_final = record.as_ref().is_some_and(|record| record.status.is_final());
    let status = if is_final { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(Started { run_id: run.0, existing, event: sent.map(Into::into), record }))
        .into_response())
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
    fn an_optional_field_may_be_null_and_so_may_the_input() {
        let body: StartBody =
            serde_json::from_str(r#"{"input":null,"version":null,"key":null,"on_failed":null}"#).unwrap();
        assert_eq!(body, StartBody { input: serde_json::Value::Null.into(), ..StartBody::default() });
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
