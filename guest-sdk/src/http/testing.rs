//! HTTP in tests.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::forge::workflow::http;
use crate::error::Failure;
use crate::test_host::json;
use crate::timestamp::millis;

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
        TestResponse::status(status).with_body("application/json", json(body))
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

/// The most bytes of a response's body: the host's default.
const RESPONSE_BYTES: usize = 4 << 20;

/// The most bytes of a request: the host's default.
const REQUEST_BYTES: u64 = 1 << 20;

/// The function that responds to requests in tests.
type Respond = Box<dyn FnMut(&TestRequest) -> TestResponse>;

/// The state of the test host for requests.
#[derive(Default)]
pub(crate) struct Http {
    pub(crate) respond: Option<Respond>,
    pub(crate) requests: Vec<TestRequest>,
    /// What identifies the requests that were sent to their servers.
    sent: BTreeSet<Identity>,
}

/// The path of the call, which further attempts share, or the workflow's own key with the method and URL.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Path(String),
    Key(String, String),
}

/// The outcome of a call.
struct Outcome {
    scope: u64,
    /// A request with the same idempotency key was sent before.
    resent: bool,
    answer: Result<http::Response, Failure>,
}

/// Returns the time, in milliseconds since 1970, before which a server that responds now wants no further
/// request: the header `Retry-After`, a number of seconds or a date.
fn retry_after(response: &http::Response, now: u64) -> Option<u64> {
    let header = |name: &str| {
        let (_, value) = response.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.trim())
    };
    let date = |text: &str| {
        let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(millis(since))
    };
    let value = header("retry-after")?;
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: u64 = value.parse().unwrap_or(u64::MAX);
        return Some(now.saturating_add(seconds.saturating_mul(1_000)));
    }
    let sent = header("date").and_then(date).unwrap_or(now);
    Some(now.saturating_add(date(value)?.saturating_sub(sent)))
}

/// The host's interface `http`.
pub(super) mod host {
    use super::{
        Http, Identity, Outcome, REQUEST_BYTES, RESPONSE_BYTES, TestRequest, TestResponse, retry_after,
    };
    use crate::bindings::Failure as WireFailure;
    use crate::bindings::forge::workflow::http::{Answer, Request};
    use crate::error::Failure;
    use crate::test_host::with;
    use crate::timestamp::millis;

    pub(crate) fn send(scope: u64, request: &Request) -> u64 {
        let Request { method, url, headers, body, timeout, .. } = request.clone();
        let line = format!("{method} {url}");
        let (mut respond, request, resent) = with(|host| {
            let request = TestRequest { step: host.step_name(scope), method, url, headers, body };
            host.effect::<Http>().requests.push(request.clone());
            let path = Identity::Path(host.places.next_call(scope));
            let key = request.header("idempotency-key");
            let identity = key.map_or(path, |key| Identity::Key(key.to_owned(), line.clone()));
            let resent = !host.effect::<Http>().sent.insert(identity);
            (host.effect::<Http>().respond.take(), request, resent)
        });
        // The test's function may log, which borrows the test host: here it is not borrowed.
        let TestResponse { outcome, after } = match &mut respond {
            Some(respond) => respond(&request),
            None => TestResponse::unreachable(&format!("{line}: no response; set one with TestRun::http")),
        };
        let (after, limit) = (millis(after), timeout.unwrap_or(u64::MAX));
        let answer = match outcome {
            _ if after > limit => {
                Err(Failure::new(Failure::TIMEOUT, format!("{line} timed out after {limit} ms")))
            }
            Ok(response) if response.body.len() > RESPONSE_BYTES => Err(too_large(&line)),
            outcome => outcome,
        };
        with(|host| {
            host.effect::<Http>().respond = respond;
            host.submit(after.min(limit), Outcome { scope, resent, answer })
        })
    }

    pub(crate) fn refuse_large(scope: u64, request: &Request, bytes: u64) -> Option<u64> {
        if bytes <= REQUEST_BYTES {
            return None;
        }
        let message = format!(
            "the request {} {} has {bytes} bytes; the most is {REQUEST_BYTES} (payload_bytes). Nothing was sent. Store \
             large data elsewhere and pass a reference",
            request.method, request.url
        );
        let answer = Err(Failure::new(Failure::LIMIT, message).not_retryable());
        Some(with(|host| {
            host.places.next_call(scope);
            host.submit(0, Outcome { scope, resent: false, answer })
        }))
    }

    fn too_large(line: &str) -> Failure {
        let message = format!(
            "{line}: the answer has more than {RESPONSE_BYTES} bytes, the most that a workflow may receive \
             (response_bytes); the server has handled the request, and its effect stands"
        );
        Failure::new(Failure::LIMIT, message).not_retryable()
    }

    pub(crate) fn receive(call: u64) -> Result<Answer, WireFailure> {
        let Outcome { scope, resent, answer } = with(|host| host.take(call));
        let response = answer?;
        with(|host| {
            if let Some(until) = retry_after(&response, host.now()) {
                host.places.ask_to_wait(scope, until);
            }
        });
        let in_progress = resent && matches!(response.status, 409 | 425);
        Ok(Answer { response, in_progress })
    }
}
