//! HTTP in tests.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::host::http;

/// A request that the workflow made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestRequest {
    /// The step that made it, or whose compensation did. None for the workflow's body.
    pub step: Option<String>,
    /// `GET`, `POST`, ...
    pub method: String,
    /// The URL.
    pub url: String,
    /// The headers that the workflow set, names in lower case. The host adds others.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl TestRequest {
    pub(super) fn new(step: Option<String>, request: &http::Request) -> Self {
        TestRequest {
            step,
            method: request.method.clone(),
            url: request.url.clone(),
            headers: request.headers.clone(),
            body: request.body.clone(),
        }
    }

    /// The first header with this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is no such JSON.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("the body of {} {}: {error}", self.method, self.url),
        }
    }
}

/// An answer to a request, or that there is none.
#[derive(Debug, Clone)]
pub struct TestResponse {
    pub(super) outcome: Result<http::Response, Failure>,
    pub(super) after: Duration,
}

impl TestResponse {
    /// An answer with this status and no body.
    pub fn status(status: u16) -> Self {
        let answer = http::Response { status, headers: Vec::new(), body: Vec::new() };
        TestResponse { outcome: Ok(answer), after: Duration::ZERO }
    }

    /// An answer with this text.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let body: String = body.into();
        TestResponse::status(status).header("content-type", "text/plain").with_body(body.into_bytes())
    }

    /// An answer with this JSON.
    pub fn json(status: u16, body: impl Serialize) -> Self {
        let body = super::json(body).to_string();
        TestResponse::status(status).header("content-type", "application/json").with_body(body.into_bytes())
    }

    /// No answer: the call fails, and may be tried again.
    pub fn unreachable(message: &str) -> Self {
        TestResponse { outcome: Err(Failure::new(Failure::HTTP, message)), after: Duration::ZERO }
    }

    /// The same answer with one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Ok(answer) = &mut self.outcome {
            answer.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }

    /// The same answer after this time.
    pub fn after(self, after: Duration) -> Self {
        TestResponse { after, ..self }
    }

    fn with_body(mut self, body: Vec<u8>) -> Self {
        if let Ok(answer) = &mut self.outcome {
            answer.body = body;
        }
        self
    }
}
