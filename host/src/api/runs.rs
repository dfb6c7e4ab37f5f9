use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::parameters::{Path, Query, page};
use super::run_filter::{CountsQuery, RunsQuery, counts_filter, run_filter};
use super::wait::WaitQuery;
use super::{Api, ApiError, ApiResult, ErrorBody};
use crate::executor::{RunCounts, RunPage, Steps, StepsQuery, WorkflowRecord};
use crate::tenants::Caller;
use forge_journal::RunId;
use forge_store::RemoteCommand;

/// The runs.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_runs))
        .routes(routes!(count_runs))
        .routes(routes!(show_run))
        .routes(routes!(list_steps))
        .routes(routes!(cancel_run))
        .routes(routes!(resume_run))
        .routes(routes!(pause_run))
}

/// The query of a page of a run's journal.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StepsParameters {
    /// The maximum number of calls. A page may be shorter, because its documents are bounded.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    cursor: Option<u64>,
    /// Whether the calls have their inputs and results.
    #[param(default = true)]
    payloads: Option<bool>,
}

impl TryFrom<StepsParameters> for StepsQuery {
    type Error = ApiError;

    fn try_from(query: StepsParameters) -> Result<Self, ApiError> {
        let StepsParameters { limit, cursor, payloads } = query;
        let (cursor, payloads) = (cursor.unwrap_or_default(), payloads.unwrap_or(true));
        Ok(Self { cursor, limit: page(limit)?, payloads })
    }
}

/// List the runs
///
/// Returns the newest runs first. `tag.NAME=VALUE` returns only runs with this tag; with several, runs that have all of them. A
/// page costs the same however many runs there are: if several filters leave many runs out, it is shorter than asked for, or
/// empty, and has a `next_cursor`.
#[utoipa::path(
    get, path = "/_api/runs", tag = "runs",
    security(("key" = ["read"])),
    params(RunsQuery),
    responses(
        (status = 200, description = "A page of runs.", body = RunPage),
    ),
)]
async fn list_runs(api: State<Api>, caller: Caller, RawQuery(query): RawQuery) -> ApiResult<RunPage> {
    let filter = run_filter(&query.unwrap_or_default())?;
    Ok(Json(api.executor(&caller).list(filter).await?))
}

/// Count the runs by status
///
/// `tag.NAME=VALUE` counts only runs with this tag.
#[utoipa::path(
    get, path = "/_api/runs/counts", tag = "runs",
    security(("key" = ["read"])),
    params(CountsQuery),
    responses(
        (status = 200, description = "The number of runs with each status.", body = RunCounts),
    ),
)]
async fn count_runs(api: State<Api>, caller: Caller, RawQuery(query): RawQuery) -> ApiResult<RunCounts> {
    let filter = counts_filter(&query.unwrap_or_default())?;
    Ok(Json(api.executor(&caller).counts(filter).await?))
}

/// Read a run
///
/// With `wait`, the response is sent when the run is final or paused, or after that time.
#[utoipa::path(
    get, path = "/_api/runs/{id}", tag = "runs",
    security(("key" = ["read"]), ("run_token" = [])),
    params(("id" = Uuid, Path, description = "The id of the run."), WaitQuery),
    responses(
        (status = 200, description = "The run.", body = WorkflowRecord),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
    ),
)]
async fn show_run(
    api: State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<WaitQuery>,
) -> ApiResult<WorkflowRecord> {
    let record = match query.duration()? {
        None | Some(Duration::ZERO) => api.executor(&caller).status(RunId(id)).await?,
        Some(at_most) => api.wait(&caller, RunId(id), at_most).await?,
    };
    Ok(Json(if caller.reads_payloads() { record } else { record.without_payloads() }))
}

/// Read the steps of a run
///
/// Returns a page of the journaled calls: steps, compensations, requests, timers.
#[utoipa::path(
    get, path = "/_api/runs/{id}/steps", tag = "runs",
    security(("key" = ["read"]), ("run_token" = [])),
    params(("id" = Uuid, Path, description = "The id of the run."), StepsParameters),
    responses(
        (status = 200, description = "A page of the calls of the run.", body = Steps),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
    ),
)]
async fn list_steps(
    api: State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<StepsParameters>,
) -> ApiResult<Steps> {
    let mut query = StepsQuery::try_from(query)?;
    query.payloads &= caller.reads_payloads();
    Ok(Json(api.executor(&caller).steps_page(RunId(id), query).await?))
}

/// The responses to a command for a run.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, clippy::large_enum_variant, reason = "for the OpenAPI document")]
enum Commanded {
    /// The command is durable. The run as it is now.
    #[response(status = 202)]
    Accepted(WorkflowRecord),
    /// The run does not exist.
    #[response(status = 404)]
    Unknown(ErrorBody),
    /// The status of the run does not allow the command, or the run would be paused again at once.
    #[response(status = 409)]
    Conflict(ErrorBody),
}

/// Cancel a run
///
/// Rolls the run back: its completed steps are compensated. If compensations of the run failed, they are retried.
#[utoipa::path(
    post, path = "/_api/runs/{id}/cancel", tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    responses(Commanded),
)]
async fn cancel_run(api: State<Api>, caller: Caller, id: Path<Uuid>) -> Result<Accepted, ApiError> {
    command(&api, &caller, RunId(id.0), RemoteCommand::Cancel, "run.cancel").await
}

/// Resume a run
///
/// Continues a paused run. If compensations of the run failed, they are retried. The response is sent when the run was loaded
/// and replayed.
#[utoipa::path(
    post, path = "/_api/runs/{id}/resume", tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    responses(Commanded),
)]
async fn resume_run(api: State<Api>, caller: Caller, id: Path<Uuid>) -> Result<Accepted, ApiError> {
    command(&api, &caller, RunId(id.0), RemoteCommand::Resume, "run.resume").await
}

/// Pause a run
///
/// Stops the run until it is resumed or cancelled.
#[utoipa::path(
    post, path = "/_api/runs/{id}/pause", tag = "runs",
    security(("key" = ["start"])),
    params(("id" = Uuid, Path, description = "The id of the run.")),
    responses(Commanded),
)]
async fn pause_run(api: State<Api>, caller: Caller, id: Path<Uuid>) -> Result<Accepted, ApiError> {
    command(&api, &caller, RunId(id.0), RemoteCommand::Pause, "run.pause").await
}

type Accepted = (StatusCode, Json<WorkflowRecord>);

/// Writes a command to the audit log and sends it to the run, if the run exists.
async fn command(
    api: &Api,
    caller: &Caller,
    run: RunId,
    command: RemoteCommand,
    action: &str,
) -> Result<Accepted, ApiError> {
    let executor = api.executor(caller);
    executor.check(run).await?;
    api.host.tenants().note(caller, action, &run.to_string(), None).await?;
    executor.command(run, command).await?;
    Ok((StatusCode::ACCEPTED, Json(executor.status(run).await?)))
}
