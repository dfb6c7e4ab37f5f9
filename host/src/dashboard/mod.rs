//! The dashboard: pages for browsers, one file for each, with the modules and styles in `assets/`.
//!
//! A page reads with the functions that the API reads with, as the same caller, and has no rules of its own. Everything that
//! changes something is a request of the page's module to the API. A handler returns `Result<Response, ApiError>`; an error
//! becomes a page in [`frame`].

mod assets;
mod audit;
mod frame;
mod layout;
mod login;
mod next;
mod nodes;
mod parts;
mod run;
mod runs;
mod tags;
mod tenants;
mod view;
mod workflows;

use axum::extract::Request;
use axum::response::{Redirect, Response};
use axum::routing::get;
use axum::{Router, middleware};
use tokio_util::sync::CancellationToken;

use self::frame::Frame;
use crate::api::{self, ApiError, Gate};
use crate::config::Origin;
use crate::executor::WorkflowExecutor;
use crate::tenants::Caller;

/// What the handlers share.
#[derive(Clone)]
struct Pages {
    /// The executor, of any tenant.
    host: WorkflowExecutor,
    /// The rules of the API, which are those of the pages.
    gate: Gate,
}

impl Pages {
    /// Returns the executor of the caller's tenant.
    fn executor(&self, caller: &Caller) -> WorkflowExecutor {
        self.host.for_tenant(&caller.tenant)
    }
}

/// The result of a handler. An error becomes a page.
type PageResult = Result<Response, ApiError>;

/// Returns the API of an executor with the dashboard. Web pages of `origins` may use the API. Once `closing` is cancelled, no
/// request waits for a run any longer.
pub fn router(executor: WorkflowExecutor, origins: Vec<Origin>, closing: CancellationToken) -> Router {
    let (api, gate) = api::with_gate(executor.clone(), origins, closing);
    let pages = pages()
        .fallback(unknown_page)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Frame::new(gate.clone()), frame::frame))
        .merge(assets::router())
        .layer(middleware::from_fn(api::same_origin))
        .with_state(Pages { host: executor, gate });
    api.fallback_service(pages)
}

fn pages() -> Router<Pages> {
    Router::new()
        // Relative, so that it stays below the path under which a proxy serves the dashboard.
        .route("/", get(async || Redirect::to("runs")))
        .merge(runs::router())
        .merge(run::router())
        .merge(workflows::router())
        .merge(tenants::router())
        .merge(nodes::router())
        .merge(audit::router())
        .merge(login::router())
}

async fn unknown_page(request: Request) -> ApiError {
    ApiError::unknown_route(request.method(), request.uri().path())
}

async fn wrong_method(request: Request) -> ApiError {
    ApiError::wrong_method(request.method(), request.uri().path())
}
