use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::parameters::{Path, Query, page};
use super::wait::WaitQuery;
use super::{Api, ApiError, ErrorBody};
use crate::executor::{RunFilter, RunPage, StepRecord, WorkflowRecord};
use crate::tenants::Caller;
use forge_journal::{RunId, WorkflowStatus};

/// Lists, shows, cancels, pauses and resumes.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(steps))
        .routes(routes!(cancel))
        .routes(routes!(resume))
        .routes(routes!(pause))
}

/// The journal of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Steps {
    /// Its calls, in the order in which they began.
    pub steps: Vec<StepRecord>,
}

/// Which runs to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RunsQuery {
    /// Only those of this workflow.
    workflow: Option<String>,
    /// Only those with this status.
    status: Option<WorkflowStatus>,
    /// At most so many.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<Uuid>,
}

impl TryFrom<RunsQuery> for RunFilter {
    type Error = ApiError;

    fn try_from(query: RunsQuery) -> Result<Self, ApiError> {
        let RunsQuery { workflow, status, limit, cursor } = query;
        Ok(Self { workflow, status, limit: page(limit)?, cursor })
    }
}

/// List runs
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/_api/runs",
    operation_id = "list_runs",
    tag = "runs",
    security(("key" = ["read"])),
    params(RunsQuery),
    responses(
        (status = 200, description = "A page of them.", body = RunPage),
        (status = 400, description = "A parameter is not what it should be.", body = ErrorBody),
    ),
)]
async fn list(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<RunsQuery>,
) -> Result<Json<RunPage>, ApiError> {
    Ok(Json(api.executor(&caller).list(query.try_into()?).await?))
}

/// A run
///
/// With `wait`: once it is final or paused, or as it is after that time.
#[utoipa::path(
    get,
    path = "/_api/runs/{id}",
    operation_id = "show_run",
    tag = "runs",
    security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The run's id."), WaitQuery),
    responses(
        (status = 200, description = "The run.", body = WorkflowRecord),
        (status = 400, description = "A parameter is not what it should be.", body = ErrorBody),
        (status = 404, description = "There is no such run.", body = ErrorBody),
    ),
)]
async fn show(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<WaitQuery>,
) -> Result<Json<WorkflowRecord>, ApiError> {
    let record = match query.duration()? {
        None | Some(Duration::ZERO) => api.executor(&caller).status(RunId(id)).await?,
        Some(at_most) => api.wait(&caller, RunId(id), at_most).await?,
    };
    Ok(Json(record))
}

/// The steps of a run
///
/// All its journaled calls: steps, compensations, requests, timers.
#[utoipa::path(
    get,
    path = "/_api/runs/{id}/steps",
    operation_id = "list_steps",
    tag = "runs",
    security(("key" = ["read"])),
    params(("id" = Uuid, Path, description = "The run's id.")),
    responses(
        (status = 200, description = "Its steps.", body = Steps),
        (status = 404, description = "There is no such run.", body = ErrorBody),
    ),
)]
async fn steps(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Steps>, ApiError> {
    Ok(Json(Steps { steps: api.executor(&caller).steps(RunId(id)).await? }))
}

/// Cancel a run
///
/// What it did is compensated. Of a run whose compensation failed: the failed compensations are tried again.
#[utoipa::path(
    post,
    path = "/_api/runs/{id}/cancel",
    operation_id = "cancel_run",
    tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The run's id.")),
    responses(
        (status = 202, description = "It will be. The run as it is now.", body = WorkflowRecord),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 409, description = "Its status does not allow it.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<WorkflowRecord>), ApiError> {
    note(&api, &caller, "run.cancel", RunId(id)).await?;
    api.executor(&caller).cancel(RunId(id)).await?;
    accepted(&api, &caller, RunId(id)).await
}

/// Resume a run
///
/// Of a paused run: it goes on. Of a run whose compensation failed: the failed compensations are tried again.
#[utoipa::path(
    post,
    path = "/_api/runs/{id}/resume",
    operation_id = "resume_run",
    tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The run's id.")),
    responses(
        (status = 202, description = "It will be. The run as it is now.", body = WorkflowRecord),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 409, description = "Its status does not allow it.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn resume(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<WorkflowRecord>), ApiError> {
    note(&api, &caller, "run.resume", RunId(id)).await?;
    api.executor(&caller).resume(RunId(id)).await?;
    accepted(&api, &caller, RunId(id)).await
}

/// Pause a run
///
/// It stops until somebody resumes or cancels it.
#[utoipa::path(
    post,
    path = "/_api/runs/{id}/pause",
    operation_id = "pause_run",
    tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The run's id.")),
    responses(
        (status = 202, description = "It will be. The run as it is now.", body = WorkflowRecord),
        (status = 404, description = "There is no such run.", body = ErrorBody),
        (status = 409, description = "Its status does not allow it.", body = ErrorBody),
        (status = 503, description = "Not now.", body = ErrorBody),
    ),
)]
async fn pause(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<(StatusCode, Json<WorkflowRecord>), ApiError> {
    note(&api, &caller, "run.pause", RunId(id)).await?;
    api.executor(&caller).pause(RunId(id)).await?;
    accepted(&api, &caller, RunId(id)).await
}

async fn accepted(
    api: &Api,
    caller: &Caller,
    run: RunId,
) -> Result<(StatusCode, Json<WorkflowRecord>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(api.executor(caller).status(run).await?)))
}

/// Puts into the audit log what is about to be done with a run that is there.
async fn note(api: &Api, caller: &Caller, action: &str, run: RunId) -> Result<(), ApiError> {
    api.executor(caller).check(run).await?;
    Ok(api.host.tenants().note(caller, action, &run.to_string(), None).await?)
}
