//! HTTP in tests.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::host::bindings::forge::workflow::http;
use crate::testing::{TestRun, json};

/// A request that the workflow sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestRequest {
    /// The step that sent it, itself or in its compensation. `None` for the workflow's body.
    pub step: Option<String>,
    /// The method, such as `GET`.
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers that the workflow set, with names in lower case. The host adds others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl TestRequest {
    /// Returns the first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Returns the body, deserialised from JSON.
    ///
    /// # Panics
    /// If the body does not deserialise as `T`.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body of {} {}: {error}", self.method, self.url),
        }
    }
}

/// A response to a request, or the failure to get one.
#[derive(Debug, Clone)]
pub struct TestResponse {
    outcome: Result<http::Response, Failure>,
    after: Duration,
}

impl TestResponse {
    /// Returns a response with this status and no body.
    pub fn status(status: u16) -> Self {
        let response = http::Response { status, headers: Vec::new(), body: Vec::new() };
        TestResponse { outcome: Ok(response), after: Duration::ZERO }
    }

    /// Returns a response with this text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        TestResponse::status(status).with_body("text/plain", body.into())
    }

    /// Returns a response with this JSON.
    pub fn json(status: u16, body: impl Serialize) -> Self {
        TestResponse::status(status).with_body("application/json", json(body).to_string())
    }

    /// Returns a failure to get a response. The failure is retryable.
    pub fn unreachable(message: &str) -> Self {
        TestResponse { outcome: Err(Failure::new(Failure::HTTP, message)), after: Duration::ZERO }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(response) = &mut self.outcome {
            response.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }

    /// Delays the response.
    pub fn after(self, after: Duration) -> Self {
        TestResponse { after, ..self }
    }

    fn with_body(mut self, content_type: &str, body: String) -> Self {
        if let Ok(response) = &mut self.outcome {
            response.body = body.into_bytes();
        }
        self.header("content-type", content_type)
    }
}

impl<W> TestRun<W> {
    /// Sets the function that responds to the workflow's HTTP requests.
    pub fn http(mut self, respond: impl FnMut(&TestRequest) -> TestResponse + 'static) -> Self {
        self.host.http.respond = Some(Box::new(respond));
        self
    }
}

/// The function that responds to requests in tests.
type Respond = Box<dyn FnMut(&TestRequest) -> TestResponse>;

/// The part of the `TestHost` for requests.
#[derive(Default)]
pub(crate) struct Http {
    respond: Option<Respond>,
    pub(crate) requests: Vec<TestRequest>,
}

/// The host's interface `http`.
pub(super) mod host {
    use super::{TestRequest, TestResponse};
    use crate::error::Failure;
    use crate::host::bindings::Failure as WireFailure;
    use crate::host::bindings::forge::workflow::http::{Request, Response};
    use crate::testing::host::with;
    use crate::time::millis;

    pub(crate) fn send(scope: u64, request: &Request) -> u64 {
        let Request { method, url, headers, body, timeout, .. } = request.clone();
        let line = format!("{method} {url}");
        let (mut respond, request) = with(|host| {
            let request = TestRequest { step: host.step_name(scope), method, url, headers, body };
            host.http.requests.push(request.clone());
            (host.http.respond.take(), request)
        });
        // The test's function may log, which borrows the test host: here it is not borrowed.
        let TestResponse { outcome, after } = match &mut respond {
            Some(respond) => respond(&request),
            None => TestResponse::unreachable(&format!("{line}: no response; set one with TestRun::http")),
        };
        let (after, limit) = (millis(after), timeout.unwrap_or(u64::MAX));
        let outcome = match after > limit {
            true => Err(Failure::new(Failure::TIMEOUT, format!("{line} timed out after {limit} ms"))),
            false => outcome,
        };
        with(|host| {
            host.http.respond = respond;
            host.submit(after.min(limit), outcome)
        })
    }

    pub(crate) fn take(call: u64) -> Result<Response, WireFailure> {
        with(|host| host.take::<Result<Response, Failure>>(call)).map_err(WireFailure::from)
    }
}
