//! Injected faults.
//!
//! - `POST /faults` with a [`Fault`] adds one. The oldest fault that matches a request applies to it.
//! - `GET /faults`: the faults that have requests left
//! - `DELETE /faults` removes all faults
//!
//! Faults apply to all resources except `/ledger` and `/faults`. A request enters the ledger before its fault
//! applies, so a test can see that a delayed request is in flight.

use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures::stream;
use serde::{Deserialize, Serialize};

use crate::answer::{Json, Problem};
use crate::{Services, lock};

/// A fault of the next requests that match it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Matches requests whose path has this prefix.
    #[serde(default)]
    pub path_prefix: Option<String>,
    /// Matches requests with this effect in the ledger. With `path_prefix`, both must match.
    #[serde(default)]
    pub effect: Option<String>,
    /// The number of requests that it applies to.
    #[serde(default = "once")]
    pub fail: u32,
    /// Respond with this status and perform nothing. The key remains unused.
    #[serde(default)]
    pub status: Option<u16>,
    /// Wait this many milliseconds first. Without `status` and `drop`, the request then succeeds.
    #[serde(default)]
    pub delay_ms: u64,
    /// Perform the request, then close the connection without a response.
    #[serde(default)]
    pub drop: bool,
}

fn once() -> u32 {
    1
}

impl Fault {
    fn fits(&self, path: &str, effect: Option<&str>) -> bool {
        self.path_prefix.as_deref().is_none_or(|prefix| path.starts_with(prefix))
            && self.effect.as_deref().is_none_or(|name| effect == Some(name))
    }

    /// Waits `delay_ms`.
    pub(crate) async fn delay(&self) {
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
    }

    /// The response to send instead of performing the request.
    pub(crate) fn response(&self) -> Option<Response> {
        let status = StatusCode::from_u16(self.status?).ok()?;
        Some(Problem::new(status, "fault", "this failure was ordered with POST /faults").into_response())
    }
}

/// The faults, oldest first.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        lock(&self.0).push(fault);
    }

    /// Removes all faults.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    /// Applies the oldest fault that matches.
    pub(crate) fn next(&self, path: &str, effect: Option<&str>) -> Option<Fault> {
        let mut faults = lock(&self.0);
        faults.retain(|fault| fault.fail > 0);
        let fault = faults.iter_mut().find(|fault| fault.fits(path, effect))?;
        fault.fail -= 1;
        Some(fault.clone())
    }
}

/// A response that closes the connection before a byte of it is sent.
pub(crate) fn hang_up() -> Response {
    // hyper gives up the connection when a body fails, and the head has not been flushed by then.
    let failure = std::io::Error::other("dropped by a fault");
    Body::from_stream(stream::iter([Err::<&'static [u8], _>(failure)])).into_response()
}

/// Applies faults to the routes in `routes`, which only read. Keyed routes apply faults themselves.
pub(crate) fn fallible(services: &Services, routes: MethodRouter<Services>) -> MethodRouter<Services> {
    routes.layer(from_fn_with_state(services.clone(), hit))
}

async fn hit(State(services): State<Services>, request: Request, next: Next) -> Response {
    let Some(fault) = services.faults.next(request.uri().path(), None) else {
        return next.run(request).await;
    };
    fault.delay().await;
    match fault.response() {
        Some(response) => response,
        None if fault.drop => hang_up(),
        None => next.run(request).await,
    }
}

/// `/faults`.
pub fn router() -> Router<Services> {
    Router::new().route("/faults", get(list).post(add).delete(clear))
}

async fn list(State(services): State<Services>) -> axum::Json<Vec<Fault>> {
    let faults = lock(&services.faults.0);
    axum::Json(faults.iter().filter(|fault| fault.fail > 0).cloned().collect())
}

async fn add(State(services): State<Services>, Json(fault): Json<Fault>) -> Result<StatusCode, Problem> {
    let problem = |message| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_fault", message);
    if fault.status.is_some() && fault.drop {
        return Err(problem("`status` answers before the request is performed, `drop` after it: choose one"));
    }
    if fault.status.is_some_and(|status| !(200..1000).contains(&status)) {
        return Err(problem("`status` must be from 200 to 999"));
    }
    services.faults.add(fault);
    Ok(StatusCode::CREATED)
}

async fn clear(State(services): State<Services>) -> StatusCode {
    services.faults.clear();
    StatusCode::NO_CONTENT
}
