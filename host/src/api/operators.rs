//! What an operator does with a run that its code cannot end: terminate it, resolve a call, delete it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::body::BodyLimit;
use super::parameters::Path;
use super::{Api, ApiError, ApiResult, ErrorBody, json};
use crate::executor::WorkflowRecord;
use crate::tenants::Caller;
use forge_journal::{Document, Failure, RunId, kind};
use forge_store::Resolution;

/// Bytes of the body in addition to the result.
const BESIDE_RESULT: usize = 4 << 10;

/// What is recorded if a person says only that a call failed.
const NO_EFFECT: &str = "a person resolved it as failed";

/// Terminating, resolving and deleting runs.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(terminate_run))
        .routes(routes!(resolve_step))
        .routes(routes!(delete_run))
}

/// The outcome of a call, as a person found it. One of the two fields.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StepOutcome)]
pub struct ResolveBody {
    /// The call completed with this result: of a step, what it returns; of a request, the response with `status`,
    /// `headers` and `body`. `null` for a compensation.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    pub completed: Option<Document>,
    /// The call failed, for this reason; `null` for none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub failed: Option<Option<String>>,
}

/// Reads a field that is present: a `null` is a value, too.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl TryFrom<ResolveBody> for Resolution {
    type Error = ApiError;

    fn try_from(body: ResolveBody) -> Result<Self, ApiError> {
        match (body.completed, body.failed) {
            (Some(result), None) => {
                result
                    .check()
                    .map_err(|why| ApiError::invalid_body(format!("the result cannot be read: {why}")))?;
                Ok(Self::Completed(result.to_string()))
            }
            (None, Some(why)) => {
                let message = why.unwrap_or_else(|| NO_EFFECT.to_owned());
                Ok(Self::Failed(Failure::permanent(kind::ERROR, message)))
            }
            _ => Err(ApiError::invalid_body("the body must have either `completed` or `failed`")),
        }
    }
}

/// Terminate a run
///
/// Ends a run as `failed` without executing its code, whatever its state. `not_compensated` lists the completed steps that
/// stay as they are. A terminated run cannot be resumed.
#[utoipa::path(
    post, path = "/_api/runs/{id}/terminate", tag = "runs",
    security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    responses(
        (status = 200, description = "The run is terminated.", body = WorkflowRecord),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
        (status = 409, description = "The run has ended in another way.", body = ErrorBody),
    ),
)]
async fn terminate_run(api: State<Api>, caller: Caller, Path(id): Path<Uuid>) -> ApiResult<WorkflowRecord> {
    let (executor, run) = (api.executor(&caller), RunId(id));
    executor.check(run).await?;
    api.host.tenants().note(&caller, "run.terminate", &run.to_string(), None).await?;
    executor.terminate(run).await?;
    Ok(Json(executor.status(run).await?))
}

/// Resolve a step
///
/// Gives the outcome of a call in doubt, or of a compensation that fails or never ends. A run that is paused as `in_doubt`
/// continues.
#[utoipa::path(
    post, path = "/_api/runs/{id}/steps/{step}/resolve", tag = "runs",
    security(("key" = ["admin"])),
    params(
        ("id" = Uuid, Path, description = "The id of the run."),
        ("step" = String, Path, description = "The name of the step or call, or its `seq`. A compensation has the name of its step."),
    ),
    request_body = ResolveBody,
    responses(
        (status = 200, description = "The outcome is durable. The run as it is now.", body = WorkflowRecord),
        (status = 400, description = "The body is invalid, or the result does not fit the call.", body = ErrorBody),
        (status = 404, description = "The run or step does not exist.", body = ErrorBody),
        (status = 409, description = "The outcome of the step is not in doubt.", body = ErrorBody),
    ),
)]
async fn resolve_step(
    api: State<Api>,
    caller: Caller,
    Path((id, step)): Path<(Uuid, String)>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult<WorkflowRecord> {
    let (executor, run) = (api.executor(&caller), RunId(id));
    let tenant = api.host.tenants().get(&caller.tenant).await?;
    let limit = BodyLimit::payload(&tenant.limits(), BESIDE_RESULT);
    let body: ResolveBody = json::read(&headers, body, limit, "`completed` or `failed`").await?;
    let resolution = Resolution::try_from(body)?;
    executor.check(run).await?;
    let outcome = match &resolution {
        Resolution::Completed(_) => json!("completed"),
        Resolution::Failed(failure) => json!({ "failed": failure.message }),
    };
    let detail = json!({ "step": step, "outcome": outcome });
    api.host.tenants().note(&caller, "run.resolve", &run.to_string(), Some(detail)).await?;
    executor.resolve(run, &step, resolution, &caller.actor()).await?;
    Ok(Json(executor.status(run).await?))
}

/// Delete a run
///
/// Deletes a final run with its journal. A later start with its key starts a new run.
#[utoipa::path(
    delete, path = "/_api/runs/{id}", tag = "runs",
    security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    responses(
        (status = 204, description = "The run is deleted."),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
        (status = 409, description = "The run is not final.", body = ErrorBody),
    ),
)]
async fn delete_run(api: State<Api>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, ApiError> {
    let (executor, run) = (api.executor(&caller), RunId(id));
    let found = executor.status(run).await?;
    let detail = json!({ "workflow": found.workflow_name, "status": found.status, "key": found.key });
    api.host.tenants().note(&caller, "run.delete", &run.to_string(), Some(detail)).await?;
    executor.delete(run).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_completed_or_failed_and_may_be_null() {
        let resolution =
            |text: &str| Resolution::try_from(serde_json::from_str::<ResolveBody>(text).unwrap());
        assert_eq!(resolution(r#"{"completed":null}"#).unwrap(), Resolution::Completed("null".to_owned()));
        assert_eq!(
            resolution(r#"{"completed":{"a":1}}"#).unwrap(),
            Resolution::Completed(r#"{"a":1}"#.to_owned())
        );
        for (text, message) in
            [(r#"{"failed":null}"#, NO_EFFECT), (r#"{"failed":"no such order"}"#, "no such order")]
        {
            let Ok(Resolution::Failed(failure)) = resolution(text) else { panic!("{text}") };
            assert_eq!((failure.message.as_str(), failure.retryable), (message, false));
        }
        for neither in ["{}", r#"{"completed":1,"failed":null}"#] {
            assert!(resolution(neither).is_err(), "{neither}");
        }
    }
}
