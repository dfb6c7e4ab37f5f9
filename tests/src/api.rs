//! A client of the HTTP API.

use program::Block;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::described;
use crate::{PATIENCE, Services, eventually_some};

/// The time for which one request waits for a run. The connection may lead to a host that was killed.
const WAIT: u64 = 10;

/// A client of one host. It finds the host again after a restart, and is cheap to clone.
#[derive(Clone)]
pub struct Api {
    client: Client,
    url: watch::Receiver<Option<String>>,
    token: Option<String>,
    tenant: Option<String>,
}

/// A response of any status.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; a string if it is no JSON.
    pub body: Value,
    /// The `Retry-After` header.
    pub retry_after: Option<String>,
}

impl Answer {
    /// Returns the body of a response that is no error.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "the host answers {}: {}", self.status, self.body);
        self.body
    }

    /// Returns the code and message of an error with this status.
    #[track_caller]
    pub fn refused(self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "the host answers {}", self.body);
        let text = |part: &str| match &self.body["error"][part] {
            Value::String(text) => text.clone(),
            _ => panic!("an error has a `{part}`, this one has not: {}", self.body),
        };
        (text("code"), text("message"))
    }
}

/// Chooses the TLS of HTTP clients, which are built without one of their own. Another test may have done it.
pub fn choose_tls() {
    _ = rustls::crypto::ring::default_provider().install_default();
}

impl Api {
    pub(crate) fn new(url: watch::Receiver<Option<String>>) -> Self {
        choose_tls();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client can be made");
        Self { client, url, token: None, tenant: None }
    }

    /// Returns the address of the host; an empty one while it is down.
    pub fn url(&self) -> String {
        self.url.borrow().clone().unwrap_or_default()
    }

    /// Returns a client that uses an API key.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Returns a client that names a tenant.
    pub fn for_tenant(&self, tenant: &str) -> Self {
        Self { tenant: Some(tenant.to_owned()), ..self.clone() }
    }

    /// Returns a client of this host with the API key and the tenant of another client.
    pub fn like(&self, other: &Self) -> Self {
        Self { token: other.token.clone(), tenant: other.tenant.clone(), ..self.clone() }
    }

    /// Creates a request to the process that serves now.
    pub async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let serving = url.wait_for(Option::is_some);
        let serving = tokio::time::timeout(PATIENCE, serving).await.expect("the host serves in time");
        let url = serving.expect("the host is there").clone().expect("it serves");
        let mut request = self.client.request(method, format!("{url}{path}"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("forge-tenant", tenant);
        }
        request
    }

    /// Sends a request, with a JSON body if there is one.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request = self.request(method, path).await;
        answered(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        answered(self.request(Method::GET, path).await).await
    }

    /// Sends a `POST` without a body.
    pub async fn post(&self, path: &str) -> Answer {
        answered(self.request(Method::POST, path).await).await
    }

    /// Sends a `POST` with a JSON body.
    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        answered(self.request(Method::POST, path).await.json(body)).await
    }

    /// Uploads a component.
    pub async fn upload(&self, component: &[u8]) -> Answer {
        let request = self.request(Method::POST, "/_api/workflows").await;
        answered(request.header("content-type", "application/wasm").body(component.to_vec())).await
    }

    /// Uploads a component that the host accepts.
    pub async fn deploy(&self, component: &[u8]) -> Value {
        self.upload(component).await.ok()
    }

    /// Sends a start that may be refused.
    pub async fn try_start(&self, workflow: &str, body: &Value) -> Answer {
        self.post_json(&format!("/_api/workflows/{workflow}/start"), body).await
    }

    /// Starts a run and returns its id.
    pub async fn start(&self, workflow: &str, input: Value) -> String {
        let started = self.try_start(workflow, &json!({ "input": input })).await;
        assert_eq!(started.status, 202, "{}", started.body);
        text(&started.body["run_id"])
    }

    /// Starts a run with a key, and repeats the request until a host has acknowledged it, also across
    /// restarts.
    pub async fn start_acknowledged(&self, workflow: &str, body: &Value) -> String {
        let path = format!("/_api/workflows/{workflow}/start");
        eventually_some("a start is acknowledged", async || {
            let answer = try_answer(self.request(Method::POST, &path).await.json(body)).await.ok()?;
            match answer.status {
                202 => Some(text(&answer.body["run_id"])),
                503 => None,
                _ => panic!("the start is refused: {}", answer.body),
            }
        })
        .await
    }

    /// Starts a run of the interpreter and returns its id.
    pub async fn start_program(&self, services: &Services, body: Block) -> String {
        self.start("program", services.program(body)).await
    }

    /// Sends an event to a run. Returns the answer.
    pub async fn send_event(&self, run: &str, name: &str, payload: &Value, key: Option<&str>) -> Value {
        let body = json!({ "payload": payload, "key": key });
        self.post_json(&format!("/_api/runs/{run}/events/{name}"), &body).await.ok()
    }

    /// Returns a run's record.
    pub async fn record(&self, run: &str) -> Value {
        self.get(&format!("/_api/runs/{run}")).await.ok()
    }

    /// Returns a run's journal, from all pages.
    pub async fn steps(&self, run: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), json!(0));
        while !cursor.is_null() {
            let mut page = self.get(&format!("/_api/runs/{run}/steps?cursor={cursor}")).await.ok();
            match page["steps"].take() {
                Value::Array(steps) => all.extend(steps),
                other => panic!("the steps are a list, not {other}"),
            }
            cursor = page["next_cursor"].take();
        }
        all
    }

    /// Returns the lines that a run has logged, from all pages, with a query such as `level=warn`.
    pub async fn logs(&self, run: &str, query: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), json!(0));
        while !cursor.is_null() {
            let mut page = self.get(&format!("/_api/runs/{run}/logs?cursor={cursor}&{query}")).await.ok();
            match page["lines"].take() {
                Value::Array(lines) => all.extend(lines),
                other => panic!("the lines are a list, not {other}"),
            }
            cursor = page["next_cursor"].take();
        }
        all
    }

    /// Returns the row of a run's journal with this kind and name.
    pub async fn step(&self, run: &str, kind: &str, name: &str) -> Value {
        let steps = self.steps(run).await;
        let found = steps.iter().find(|step| step["kind"] == kind && step["step_name"] == name);
        found.unwrap_or_else(|| panic!("run {run} has no {kind} `{name}`: {steps:#?}")).clone()
    }

    /// Waits until a run is final or paused, also across restarts of the host.
    pub async fn settled(&self, run: &str) -> Value {
        let path = format!("/_api/runs/{run}?wait={WAIT}");
        eventually_some(&format!("run {run} is final or paused"), async || {
            let answer = try_answer(self.request(Method::GET, &path).await).await.ok()?;
            let status = answer.body["status"].as_str();
            let settled = matches!(status, Some("completed" | "compensated" | "failed" | "paused"));
            settled.then(|| answer.ok())
        })
        .await
    }

    /// Waits until a run has this status.
    pub async fn until_status(&self, run: &str, status: &str) -> Value {
        eventually_some(&format!("run {run} is {status}"), async || {
            Some(self.record(run).await).filter(|record| record["status"] == status)
        })
        .await
    }

    /// Waits until the row of this kind and name has this status.
    pub async fn until_step(&self, run: &str, kind: &str, name: &str, status: &str) {
        eventually_some(&format!("{kind} `{name}` of run {run} is {status}"), async || {
            let is_it =
                |step: &Value| step["kind"] == kind && step["step_name"] == name && step["status"] == status;
            self.steps(run).await.iter().any(is_it).then_some(())
        })
        .await;
    }

    /// Cancels a run.
    pub async fn cancel(&self, run: &str) -> Answer {
        self.post(&format!("/_api/runs/{run}/cancel")).await
    }

    /// Resumes a run.
    pub async fn resume(&self, run: &str) -> Answer {
        self.post(&format!("/_api/runs/{run}/resume")).await
    }

    /// Pauses a run.
    pub async fn pause(&self, run: &str) -> Answer {
        self.post(&format!("/_api/runs/{run}/pause")).await
    }

    /// Terminates a run.
    pub async fn terminate(&self, run: &str) -> Answer {
        self.post(&format!("/_api/runs/{run}/terminate")).await
    }

    /// Deletes a run.
    pub async fn delete(&self, run: &str) -> Answer {
        self.send(Method::DELETE, &format!("/_api/runs/{run}"), None).await
    }

    /// Resolves a step of a run.
    pub async fn resolve(&self, run: &str, step: &str, outcome: &Value) -> Answer {
        self.post_json(&format!("/_api/runs/{run}/steps/{step}/resolve"), outcome).await
    }

    /// Returns the host's health.
    pub async fn health(&self) -> Value {
        self.get("/_api/health").await.body
    }
}

async fn answered(request: RequestBuilder) -> Answer {
    try_answer(request).await.expect("the host answers")
}

/// Sends a request and reads the response, which the OpenAPI document must have.
pub(crate) async fn try_answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let response = client.execute(request).await?;
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.map(str::to_owned);
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    described::check(&method, &path, status, &body);
    Ok(Answer { status, body, retry_after })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text is expected, not {value}")).to_owned()
}
