//! Subscriptions: a WebSocket for many, and server-sent events for one run.

mod events;
mod message;
mod socket;
mod subscriber;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use self::socket::Socket;
use super::auth::TENANT;
use super::parameters::{Path, Query};
use super::server::{InUse, Lasts};
use super::{Api, ApiError, ErrorBody};
use crate::executor::live::FollowRun;
use crate::tenants::Caller;
use forge_journal::RunId;

/// The bytes that a WebSocket buffers of what its client sends, and of small frames.
const BUFFER: usize = 4 << 10;

/// The header with the position from which a client of server-sent events goes on.
const LAST_EVENT_ID: &str = "last-event-id";

/// The subscriptions.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(live)).routes(routes!(live_run))
}

/// The query of a WebSocket.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LiveQuery {
    /// The tenant for which a key of the host acts: browsers cannot send the header `Forge-Tenant` here.
    tenant: Option<String>,
}

/// The query of server-sent events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LiveRunQuery {
    /// The position from which to go on. The header `Last-Event-ID` comes before it.
    since: Option<u64>,
    /// Whether the frames have inputs, outputs and results.
    #[param(default = true)]
    payloads: Option<bool>,
    /// Whether the frames have the lines that the run logs.
    #[param(default = false)]
    logs: Option<bool>,
    /// A run token: browsers cannot send the header `Authorization` here. API keys are refused in a URL.
    #[expect(dead_code, reason = "it is read where requests are authorized")]
    token: Option<String>,
}

/// A connection that outlives its response; `None` if a server other than ours serves the router.
struct Kept(Option<Lasts>);

impl<S: Send + Sync> FromRequestParts<S> for Kept {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        match parts.extensions.get::<InUse>() {
            Some(connection) => Ok(Self(Some(connection.last().ok_or_else(ApiError::too_many_lasting)?))),
            None => Ok(Self(None)),
        }
    }
}

/// Follow runs and lists of runs
///
/// A WebSocket. `docs/live.md` describes its messages. A client that sends no API key with the request sends `{"token": "…"}`
/// as its first message.
#[utoipa::path(
    get, path = "/_api/live", tag = "live",
    security((), ("key" = ["read"]), ("run_token" = [])),
    params(LiveQuery),
    responses(
        (status = 101, description = "The connection is a WebSocket."),
        (status = 400, description = "The request is not that of a WebSocket.", body = ErrorBody),
        (status = 503, description = "There are too many connections for subscriptions.", body = ErrorBody),
    ),
)]
async fn live(
    State(api): State<Api>,
    Query(query): Query<LiveQuery>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    Kept(kept): Kept,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ApiError::invalid_parameter(rejection.body_text()))?;
    let tenant = tenant(query.tenant, &headers)?;
    let caller = api.gate.subscriber(&headers, tenant.as_deref()).await?;
    // A longer message than a client may send is answered. Beyond this, the connection is closed.
    let message_bytes = api.host.limits().live.message_bytes.saturating_mul(4);
    let upgrade = upgrade
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(message_bytes)
        .max_frame_size(message_bytes);
    let socket = |socket| async move {
        let _kept = kept;
        Socket::new(api, socket).serve(caller, tenant.as_deref()).await;
    };
    Ok(upgrade.on_upgrade(socket))
}

/// Follow a run
///
/// Server-sent events: the same frames as those of a WebSocket. `event` is the type of the frame, `id` its position. The
/// response ends with the run. A client that asks again from the end on is answered with 204.
#[utoipa::path(
    get, path = "/_api/runs/{id}/live", tag = "live",
    security(("key" = ["read"]), ("run_token" = [])),
    params(("id" = Uuid, Path, description = "The id of the run."), LiveRunQuery),
    responses(
        (status = 200, description = "The frames.", body = String, content_type = "text/event-stream"),
        (status = 204, description = "The run is final, and the client has all of it."),
        (status = 404, description = "The run does not exist.", body = ErrorBody),
    ),
)]
async fn live_run(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<LiveRunQuery>,
    headers: HeaderMap,
    Kept(kept): Kept,
) -> Result<Response, ApiError> {
    let executor = api.executor(&caller);
    let connection = executor.live_connection()?;
    let last = headers.get(LAST_EVENT_ID).map(|id| id.to_str().ok().and_then(|id| id.parse().ok()));
    // What is no position is of another server: then all is sent.
    let since = last.unwrap_or(query.since);
    let (payloads, logs) = (query.payloads.unwrap_or(true), query.logs.unwrap_or_default());
    let follow = allowed(&caller, FollowRun { run: RunId(id), since, payloads, logs })?;
    let mut subscription = executor.follow(&connection, follow)?;
    if !subscription.begins().await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Ok(events::response(api, caller, &connection, subscription, kept))
}

/// Returns the tenant that the query or the header names.
fn tenant(in_query: Option<String>, headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let in_header = headers.get(TENANT).map(|tenant| tenant.to_str().map(str::to_owned)).transpose();
    let in_header = in_header
        .map_err(|_| ApiError::invalid_parameter("the header `Forge-Tenant` is not a valid name"))?;
    Ok(in_query.or(in_header))
}

/// Returns what a caller may follow of what it asks for.
///
/// # Errors
/// The run is not the one of its token, or the token does not read logs.
fn allowed(caller: &Caller, mut follow: FollowRun) -> Result<FollowRun, ApiError> {
    if let Some(scope) = &caller.scope
        && (scope.run != follow.run || (follow.logs && !scope.payloads))
    {
        return Err(ApiError::token_scope(scope));
    }
    follow.payloads &= caller.reads_payloads();
    Ok(follow)
}
