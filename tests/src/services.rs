//! The services that the workflows call: the example services, with routes that tests control.
//!
//! - `POST /gate/{name}` is answered once the test has opened the gate
//! - `POST /flaky/{times}/{name}` fails for so many different keys, then succeeds
//! - `POST /busy/{name}` works until the test has opened the gate, and answers 409 to the same key meanwhile
//! - `POST /later/{seconds}/{name}` answers 429 with `Retry-After` to the first request with a key
//! - `POST /never` is never answered
//!
//! Like all others they need an `Idempotency-Key` and write the ledger. Besides, requests to any path
//! can be held before they reach the services.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use forge_example_services::faults::Fault;
use forge_example_services::idempotency::{KEY, keyed_by_path};
use forge_example_services::ledger::Entry;
use program::{Block, Program};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::eventually_some;

/// The services, in this process: they outlive every restart of a host.
pub struct Services {
    services: forge_example_services::Services,
    stage: Stage,
    url: String,
    server: JoinHandle<()>,
}

/// The state that the test controls.
#[derive(Clone, Default)]
struct Stage {
    /// The headers of requests to `/headers`.
    echoed: Arc<Mutex<Vec<Value>>>,
    open_gates: watch::Sender<BTreeSet<String>>,
    /// How many requests to each path were aborted by their client.
    aborted: watch::Sender<BTreeMap<String, usize>>,
    /// Paths whose requests are held, and how many are.
    held: watch::Sender<BTreeMap<String, usize>>,
    /// What looks at every request before anything else, by its key.
    observer: Arc<Mutex<Option<Observer>>>,
    /// The keys of the requests to services that remember keys, by the name of the service.
    keys: watch::Sender<BTreeMap<String, Vec<String>>>,
    /// The keys that flaky routes have seen, without what differs from attempt to attempt.
    attempts: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

type Observer = Arc<dyn Fn(&str) + Send + Sync>;

impl Services {
    /// Shows the key of every request that arrives from now on, before anything is done with it.
    pub fn on_request(&self, observe: impl Fn(&str) + Send + Sync + 'static) {
        *self.stage.observer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(observe));
    }

    /// Starts services on a free port.
    pub async fn start() -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.expect("a port is free"))
    }

    /// Services at this address, for journals that have it already. Waits until the address is free.
    pub async fn start_at(address: SocketAddr) -> Self {
        let bind = async || TcpListener::bind(address).await.ok();
        Self::listen(eventually_some(&format!("{address} is free"), bind).await)
    }

    fn listen(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        let services = forge_example_services::Services::default();
        let stage = Stage::default();
        let router = forge_example_services::router(services.clone()).merge(routes(&services, &stage));
        let router = router.layer(from_fn_with_state(stage.clone(), hold));
        let server = tokio::spawn(async { axum::serve(listener, router).await.expect("the services serve") });
        Self { services, stage, url, server }
    }

    /// Returns the URL of the services.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the interpreter's input for a program that calls these services.
    pub fn program(&self, body: Block) -> Value {
        json!(Program { services: self.url.clone(), body })
    }

    /// Returns whether this many requests to a path are aborted by their client within this time.
    pub async fn are_aborted(&self, path: &str, times: usize, at_most: Duration) -> bool {
        let mut aborted = self.stage.aborted.subscribe();
        let enough = aborted.wait_for(|aborted| aborted.get(path).is_some_and(|requests| *requests >= times));
        tokio::time::timeout(at_most, enough).await.is_ok()
    }

    /// Returns the headers of the requests to `/headers`, in order.
    pub fn echoed(&self) -> Vec<Value> {
        self.stage.echoed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a gate.
    pub fn open(&self, gate: &str) {
        self.stage.open_gates.send_modify(|gates| _ = gates.insert(gate.to_owned()));
    }

    /// Answers the next requests for this effect with 503, and performs nothing.
    pub fn refuse(&self, effect: &str, times: u32) {
        self.fault(Fault { status: Some(503), ..fault_of(effect, times) });
    }

    /// Lets the next requests for this effect take longer.
    pub fn delay(&self, effect: &str, times: u32, milliseconds: u64) {
        self.fault(Fault { delay_ms: milliseconds, ..fault_of(effect, times) });
    }

    /// Lets every request take longer.
    pub fn slow_down(&self, milliseconds: u64) {
        let every = Fault { effect: None, ..fault_of("", u32::MAX) };
        self.fault(Fault { delay_ms: milliseconds, ..every });
    }

    fn fault(&self, fault: Fault) {
        self.services.faults.add(fault);
    }

    /// Holds all requests to this path from now on.
    pub fn hold(&self, path: &str) {
        self.stage.held.send_modify(|held| _ = held.entry(path.to_owned()).or_default());
    }

    /// Waits until a request to this path is held.
    pub async fn until_held(&self, path: &str) {
        let mut held = self.stage.held.subscribe();
        let is_held = held.wait_for(|held| held.get(path).is_some_and(|requests| *requests > 0));
        let in_time = tokio::time::timeout(crate::PATIENCE, is_held).await;
        assert!(in_time.is_ok(), "waited in vain for a request to {path}");
    }

    /// Passes the held requests to this path.
    pub fn release(&self, path: &str) {
        self.stage.held.send_modify(|held| _ = held.remove(path));
    }

    /// Waits until a service that is busy, or that asks to wait, got this many requests. Returns their keys.
    pub async fn until_busy(&self, name: &str, times: usize) -> Vec<String> {
        let mut keys = self.stage.keys.subscribe();
        let enough =
            |keys: &BTreeMap<String, Vec<String>>| keys.get(name).is_some_and(|keys| keys.len() >= times);
        match tokio::time::timeout(crate::PATIENCE, keys.wait_for(enough)).await {
            Ok(Ok(keys)) => keys.get(name).cloned().unwrap_or_default(),
            _ => panic!("waited in vain for {times} requests for {name}: {:?}", self.stage.keys.borrow()),
        }
    }

    /// Waits until this many requests for this effect have arrived.
    pub async fn until_asked(&self, effect: &str, times: usize) {
        let asked = self.ledger.until(|entries| of(entries, effect).count() >= times);
        let in_time = tokio::time::timeout(crate::PATIENCE, asked).await;
        assert!(
            in_time.is_ok(),
            "waited in vain for {times} requests for {effect}: {:#?}",
            self.ledger.entries()
        );
    }

    /// Waits for the next request. Returns `false` if none came in this time.
    pub async fn next_request(&self, at_most: Duration) -> bool {
        let known = self.ledger.summary().requests;
        tokio::time::timeout(at_most, self.ledger.until(|entries| entries.len() > known)).await.is_ok()
    }

    /// Returns the requests for this effect, in order of arrival.
    pub fn asked(&self, effect: &str) -> Vec<Entry> {
        of(&self.ledger.entries(), effect).cloned().collect()
    }

    /// Returns the effects that were performed, in order.
    pub fn performed(&self) -> Vec<String> {
        let entries = self.ledger.entries();
        entries.into_iter().filter(|entry| entry.performed).map(|entry| entry.effect).collect()
    }
}

impl Deref for Services {
    type Target = forge_example_services::Services;

    fn deref(&self) -> &Self::Target {
        &self.services
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn fault_of(effect: &str, times: u32) -> Fault {
    Fault {
        path_prefix: None,
        effect: Some(effect.to_owned()),
        fail: times,
        status: None,
        delay_ms: 0,
        drop: false,
    }
}

fn of<'a>(entries: &'a [Entry], effect: &'a str) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(move |entry| entry.effect == effect)
}

fn routes(services: &forge_example_services::Services, stage: &Stage) -> Router {
    Router::new()
        .route("/gate/{name}", keyed_by_path(services, post(gate)))
        .route("/flaky/{times}/{name}", keyed_by_path(services, post(flaky)))
        .route("/busy/{name}", post(busy))
        .route("/later/{seconds}/{name}", post(later))
        .route("/headers", axum::routing::get(echo))
        .route("/never", keyed_by_path(services, post(never)))
        .layer(Extension(stage.clone()))
        .with_state(services.clone())
}

async fn hold(State(stage): State<Stage>, request: Request, next: Next) -> Response {
    let observer = stage.observer.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let (Some(observe), Some(key)) = (observer, request.headers().get(KEY)) {
        observe(key.to_str().unwrap_or_default());
    }
    let path = request.uri().path();
    let mut unanswered = Unanswered { stage: stage.clone(), path: Some(path.to_owned()) };
    let is_held = stage.held.send_if_modified(|held| {
        let Some(requests) = held.get_mut(path) else { return false };
        *requests += 1;
        true
    });
    if is_held {
        // The sender is in `stage`, so the path is released or the request is dropped.
        _ = stage.held.subscribe().wait_for(|held| !held.contains_key(path)).await;
    }
    let response = next.run(request).await;
    unanswered.path = None;
    response
}

async fn gate(Extension(stage): Extension<Stage>, Path(name): Path<String>) -> Json<Value> {
    let mut open_gates = stage.open_gates.subscribe();
    // The sender is in `stage`, so a change comes or the future is dropped.
    _ = open_gates.wait_for(|gates| gates.contains(&name)).await;
    Json(json!({ "passed": name }))
}

/// A request until it is answered. It is dropped when its client goes away.
struct Unanswered {
    stage: Stage,
    path: Option<String>,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            self.stage.aborted.send_modify(|aborted| *aborted.entry(path).or_default() += 1);
        }
    }
}

/// Records a request to a service that remembers keys. Returns whether it is the first with its key.
fn is_first(stage: &Stage, name: &str, headers: &HeaderMap) -> bool {
    let key = headers.get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    let mut is_first = false;
    stage.keys.send_modify(|keys| {
        let keys = keys.entry(name.to_owned()).or_default();
        is_first = !keys.iter().any(|known| known == key);
        keys.push(key.to_owned());
    });
    is_first
}

async fn busy(
    Extension(stage): Extension<Stage>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    if is_first(&stage, &name, &headers) {
        drop(gate(Extension(stage), Path(name)).await);
    } else if !stage.open_gates.borrow().contains(&name) {
        return (StatusCode::CONFLICT, Json(json!({ "error": "a request with this key is in progress" })));
    }
    (StatusCode::OK, Json(json!({ "worked": true })))
}

async fn later(
    Extension(stage): Extension<Stage>,
    Path((seconds, name)): Path<(u32, String)>,
    headers: HeaderMap,
) -> Response {
    if is_first(&stage, &name, &headers) {
        let asked = [("retry-after", seconds.to_string())];
        return (StatusCode::TOO_MANY_REQUESTS, asked).into_response();
    }
    Json(json!({ "after": seconds })).into_response()
}

async fn flaky(
    Extension(stage): Extension<Stage>,
    Path((times, _)): Path<(usize, String)>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let key = headers.get(KEY).and_then(|key| key.to_str().ok()).unwrap_or_default();
    let (call, _) = key.rsplit_once(':').unwrap_or_default();
    let mut attempts = stage.attempts.lock().unwrap_or_else(PoisonError::into_inner);
    let keys = attempts.entry(call.to_owned()).or_default();
    keys.insert(key.to_owned());
    if keys.len() <= times {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": "not yet" })));
    }
    (StatusCode::OK, Json(json!({ "after": times })))
}

/// All headers of the request, and those that a test looks for.
async fn echo(Extension(stage): Extension<Stage>, headers: HeaderMap) -> (HeaderMap, Json<Value>) {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let all: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| (name.to_string(), json!(text(value)))).collect();
    stage.echoed.lock().unwrap_or_else(PoisonError::into_inner).push(Value::Object(all.clone()));
    let mut back = HeaderMap::new();
    if let Some(value) = headers.get("x-test") {
        back.insert("x-test", value.clone());
    }
    (back, Json(Value::Object(all)))
}

async fn never() -> StatusCode {
    std::future::pending().await
}
