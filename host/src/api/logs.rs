use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::parameters::{Path, Query, page};
use super::{Api, ApiError, ApiResult, ErrorBody};
use crate::executor::{LogQuery, Logs};
use crate::tenants::Caller;
use forge_journal::{LogLevel, RunId};

/// The lines that runs have logged.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list_logs))
}

/// The query of a page of lines.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogsParameters {
    /// The maximum number of lines. A page may be shorter, because its bytes are bounded.
    #[param(minimum = 1, maximum = 500, default = 500)]
    limit: Option<u32>,
    /// Return only lines after the one with this `seq`: the `next_cursor` of the previous page, or the last line that is known.
    cursor: Option<u64>,
    /// Return only lines of this level and of more severe ones.
    level: Option<LogLevel>,
    /// Return only lines of the steps with this name or with `name#2`, `name#3` and so on, as later passes of a step in a loop
    /// have it, and of their compensations.
    step: Option<String>,
}

impl TryFrom<LogsParameters> for LogQuery {
    type Error = ApiError;

    fn try_from(query: LogsParameters) -> Result<Self, ApiError> {
        let LogsParameters { limit, cursor, level, step } = query;
        let level = level.unwrap_or(Self::default().level);
        Ok(Self { cursor: cursor.unwrap_or_default(), limit: page(limit)?, level, step })
    }
}

/// Read the log of a run
///
/// Returns a page of the lines that the workflow has logged, in the order in which it logged them. A line is there as soon as
/// the run's next change is durable.
#[utoipa::path(
    get, path = "/_api/runs/{id}/logs", tag = "runs",
    security(("key" = ["read"]), ("run_token" = ["payloads"])),
    params(("id" = Uuid, Path, description = "The id of the run."), LogsParameters),
    responses(
        (status = 200, description = "A page of the lines of the run.", body = Logs),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
    ),
)]
async fn list_logs(
    api: State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<LogsParameters>,
) -> ApiResult<Logs> {
    Ok(Json(api.executor(&caller).logs(RunId(id), query.try_into()?).await?))
}
