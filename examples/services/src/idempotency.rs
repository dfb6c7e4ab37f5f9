//! `Idempotency-Key`: a request that is sent several times is performed once.
//!
//! - No key: 400.
//! - The first request with a key performs the effect. Its response is stored, also if it is an error.
//! - A repeat of the same request gets the stored response with `Idempotency-Replayed: true`. If the first
//!   is still being performed, the repeat waits for it.
//! - The same key with another method, path or body: 422.
//!
//! A request runs to completion even if its client disconnects; the response is lost then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use tokio::sync::OnceCell;
use tokio::task::JoinError;

use crate::answer::{Problem, Unchanged};
use crate::faults::{Fault, hang_up};
use crate::ledger::Arrival;
use crate::{Services, lock};

/// The request header that names an effect.
pub const KEY: &str = "idempotency-key";

/// The response header of a stored response.
pub const REPLAYED: &str = "idempotency-replayed";

/// The largest request body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// The responses to earlier requests.
#[derive(Default)]
pub struct Keys(Mutex<HashMap<String, Arc<Slot>>>);

/// The request of a key.
struct Slot {
    fingerprint: Fingerprint,
    /// Empty while the first request is being performed.
    answer: OnceCell<Stored>,
}

/// A request that arrived.
struct Received {
    effect: String,
    key: Option<String>,
    fingerprint: Fingerprint,
}

/// The parts that must be equal in repeated requests.
#[derive(Clone, PartialEq)]
struct Fingerprint {
    method: Method,
    path: String,
    body: Bytes,
}

#[derive(Clone)]
struct Stored {
    status: StatusCode,
    body: Bytes,
    /// Whether the first request changed data.
    changed: bool,
}

/// The outcome of one request.
struct Outcome {
    response: Response,
    performed: bool,
}

/// Makes the routes in `routes` keyed: they perform the effect `name` once per key, and the ledger records
/// every request.
pub fn keyed(
    services: &Services,
    name: &'static str,
    routes: MethodRouter<Services>,
) -> MethodRouter<Services> {
    let state = (services.clone(), Some(name));
    routes.layer(from_fn_with_state(state, perform_once))
}

/// Like [`keyed`], with the last segment of the path as the name of the effect.
pub fn keyed_by_path(services: &Services, routes: MethodRouter<Services>) -> MethodRouter<Services> {
    let state = (services.clone(), None);
    routes.layer(from_fn_with_state(state, perform_once))
}

async fn perform_once(
    State((services, name)): State<(Services, Option<&'static str>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return too_large().into_response();
    };
    let received = Received::new(&parts, body.clone(), name);
    let seq = services.ledger.arrived(received.arrival());
    let request = Request::from_parts(parts, Body::from(body));

    // A task of its own, because this handler is dropped when the client disconnects.
    let work = tokio::spawn(async move {
        let path = &received.fingerprint.path;
        let fault = services.faults.next(path, Some(&received.effect));
        if let Some(fault) = &fault {
            fault.delay().await;
        }
        let outcome = match (fault.as_ref().and_then(Fault::response), received.key) {
            (Some(response), _) => Outcome::refused(response),
            (None, None) => Outcome::refused(missing_key().into_response()),
            (None, Some(key)) => {
                let perform = || next.run(request);
                services.keys.first(key, received.fingerprint, perform).await
            }
        };
        let status = outcome.response.status();
        services.ledger.answered(seq, outcome.performed, status);
        match fault {
            Some(fault) if fault.drop => hang_up(),
            _ => outcome.response,
        }
    });
    work.await.unwrap_or_else(|panicked| internal(&panicked).into_response())
}

impl Received {
    fn new(parts: &Parts, body: Bytes, name: Option<&str>) -> Self {
        let key = parts.headers.get(KEY).and_then(|key| key.to_str().ok());
        let path = parts.uri.path_and_query().map(PathAndQuery::as_str);
        let last_segment = parts.uri.path().rsplit('/').next();
        Self {
            effect: name.or(last_segment).unwrap_or_default().to_owned(),
            key: key.map(str::to_owned),
            fingerprint: Fingerprint {
                method: parts.method.clone(),
                path: path.unwrap_or("/").to_owned(),
                body,
            },
        }
    }

    fn arrival(&self) -> Arrival<'_> {
        Arrival {
            key: self.key.as_deref(),
            method: self.fingerprint.method.as_str(),
            path: &self.fingerprint.path,
            effect: &self.effect,
            body: &self.fingerprint.body,
        }
    }
}

impl Outcome {
    /// Returns a response that does not depend on the key.
    fn refused(response: Response) -> Self {
        Self { response, performed: false }
    }
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body has more than {MAX_BODY} bytes"),
    )
}

fn internal(panicked: &JoinError) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", panicked.to_string())
}

fn missing_key() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "missing_idempotency_key",
        "a request that changes data needs an Idempotency-Key header",
    )
}

impl Keys {
    /// Runs `perform` if this is the first request with `key`. Otherwise waits for the first response.
    async fn first<F>(&self, key: String, fingerprint: Fingerprint, perform: impl FnOnce() -> F) -> Outcome
    where
        F: Future<Output = Response>,
    {
        let slot = lock(&self.0)
            .entry(key)
            .or_insert_with(|| Arc::new(Slot { fingerprint: fingerprint.clone(), answer: OnceCell::new() }))
            .clone();
        if slot.fingerprint != fingerprint {
            let problem = Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key was used for another request",
            );
            return Outcome::refused(problem.into_response());
        }
        let mut is_first = false;
        let stored = slot.answer.get_or_init(|| {
            is_first = true;
            let response = perform();
            async { Stored::read(response.await).await }
        });
        let stored = stored.await.clone();
        Outcome { performed: is_first && stored.changed, response: stored.into_response(!is_first) }
    }
}

impl Stored {
    async fn read(response: Response) -> Self {
        let status = response.status();
        let changed = status.is_success() && response.extensions().get::<Unchanged>().is_none();
        // The body is in memory already, so it needs no limit.
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
        Self { status, body, changed }
    }

    fn into_response(self, replayed: bool) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        let mut response = (self.status, json, self.body).into_response();
        if replayed {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
