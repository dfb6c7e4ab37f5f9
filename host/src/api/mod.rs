//! The HTTP API: one file per resource, each with a `router()` whose routes are also the OpenAPI document.
//!
//! All bodies are JSON, except for an upload, whose body is the component. All errors are [`ApiError`]s, also those that
//! axum would report in its own format: unknown routes, wrong methods, invalid parameters.

mod answers;
mod audit;
mod auth;
mod body;
mod browser;
mod changes;
mod credentials;
mod db;
mod document;
mod error;
mod error_code;
mod events;
mod form;
mod health;
mod json;
mod keys;
mod lasting_body;
mod live;
mod logs;
mod nodes;
mod operators;
mod parameters;
mod plain;
mod requirements;
mod responses;
mod run_filter;
mod runs;
mod secrets;
mod server;
mod session;
mod start;
mod tenants;
mod tokens;
mod trace;
mod wait;
mod workflows;

#[cfg(test)]
mod tests;

use axum::extract::Request;
use axum::{Json, Router, middleware};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use auth::{CSRF, TENANT};
pub use db::{EntryPage, StoredEntry};
pub use document::openapi;
pub use error::{ApiError, ErrorBody, ErrorDetail};
pub use error_code::ErrorCode;
pub use events::{EventBody, KeyedEventBody, SentEvent, StartEvent};
pub use keys::KeyList;
pub use nodes::Nodes;
pub use operators::ResolveBody;
pub use secrets::{Resealed, SecretList};
pub use server::serve;
pub use session::{Login, SessionInfo};
pub use start::{StartBody, Started};
pub use tenants::{CallerInfo, NewTenant, TenantList};
pub use tokens::{NewRunToken, RunToken};
pub use wait::MAX_WAIT;
pub use workflows::Workflows;

pub(crate) use auth::Gate;
pub(crate) use browser::same_origin;
pub(crate) use form::Form;
pub(crate) use parameters::{Path, Query};
pub(crate) use run_filter::run_filter;
pub(crate) use session::{no_session_cookie, session_cookie};

use self::browser::Allowed;
use crate::config::Origin;
use crate::executor::WorkflowExecutor;
use crate::tenants::Caller;

/// What the handlers share.
#[derive(Clone)]
struct Api {
    /// The executor, of any tenant.
    host: WorkflowExecutor,
    /// Identifies clients that present their credentials later.
    gate: Gate,
    /// Cancelled when the host stops. Requests that wait for a run are answered then.
    closing: CancellationToken,
}

/// Returns the API of an executor.
pub fn router(executor: WorkflowExecutor) -> Router {
    with_gate(executor, Vec::new(), CancellationToken::new()).0
}

/// Returns the API of an executor, for its own pages and those of other `origins`, and the gate through which the pages of the
/// dashboard go, too. Once `closing` is cancelled, no request waits for a run any longer.
pub(crate) fn with_gate(
    executor: WorkflowExecutor,
    origins: Vec<Origin>,
    closing: CancellationToken,
) -> (Router, Gate) {
    let (router, document) = resources().split_for_parts();
    let gate = Gate::new(executor.clone(), &document);
    let router = router
        .route_layer(middleware::from_fn_with_state(gate.clone(), auth::admit))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Allowed::new(origins), browser::allowed_origins))
        .layer(middleware::from_fn(browser::keep_private))
        .with_state(Api { host: executor, gate: gate.clone(), closing });
    (router, gate)
}

/// The result of a handler that answers with a document.
type ApiResult<T> = Result<Json<T>, ApiError>;

impl Api {
    /// Returns the executor of the caller's tenant.
    fn executor(&self, caller: &Caller) -> WorkflowExecutor {
        self.host.for_tenant(&caller.tenant)
    }
}

fn resources() -> OpenApiRouter<Api> {
    document::router()
        .merge(workflows::router())
        .merge(runs::router())
        .merge(logs::router())
        .merge(operators::router())
        .merge(health::router())
        .merge(nodes::router())
        .merge(tenants::router())
        .merge(keys::router())
        .merge(session::router())
        .merge(tokens::router())
        .merge(secrets::router())
        .merge(db::router())
        .merge(audit::router())
        .layer(middleware::from_fn(changes::run_to_completion))
        // A start runs to completion by itself, faster. An upload may be dropped while it waits, and what the writer has of
        // an event is committed anyway.
        .merge(start::router())
        .merge(events::router())
        .merge(workflows::uploads())
        .merge(live::router())
}

async fn unknown_route(request: Request) -> ApiError {
    ApiError::unknown_route(request.method(), request.uri().path())
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::wrong_method(request.method(), request.uri().path())
}
