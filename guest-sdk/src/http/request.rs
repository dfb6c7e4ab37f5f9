//! Building and sending a request.

use std::fmt::Display;
use std::future::IntoFuture;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::{Response, host};
use crate::bindings::forge::workflow::http::Request;
use crate::error::{Error, Failure, Result};
use crate::timestamp::millis;
use crate::{call, runtime};

/// The characters that are percent-encoded in a query: all but RFC 3986's unreserved ones.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The bytes of a request that every host reads, whatever its limits.
const TAKEN: usize = 1 << 20;

/// The characters of a URL that a host is shown when it is asked about a large request.
const SHOWN: usize = 1 << 10;

/// A builder of a request. [`send`](RequestBuilder::send) sends the request, or returns the first error
/// that a method of the builder found.
#[derive(Debug)]
#[must_use = "a request is not sent until `.send().await`"]
pub struct RequestBuilder {
    request: Request,
    /// The first error.
    error: Option<String>,
}

impl RequestBuilder {
    pub(super) fn new(method: impl Into<String>, url: String) -> Self {
        let request = Request {
            method: method.into(),
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: None,
            at_most_once: false,
        };
        RequestBuilder { request, error: None }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let (name, value) = (name.as_ref(), value.as_ref());
        if !is_header_name(name) {
            self.fail(format_args!("`{name}` is not a valid header name"));
        } else if !is_header_value(value) {
            // The value may be a secret, so the message leaves it out.
            self.fail(format_args!("the value of header `{name}` has characters that headers cannot have"));
        } else {
            self.request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }

    /// Adds the header `Authorization: Bearer` with this token.
    pub fn bearer_auth(self, token: impl Display) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds `name=value` to the URL's query, percent-encoded.
    pub fn query(mut self, name: &str, value: impl Display) -> Self {
        let url = &mut self.request.url;
        let fragment = url.find('#').map(|at| url.split_off(at)).unwrap_or_default();
        url.push(if url.contains('?') { '&' } else { '?' });
        url.extend(utf8_percent_encode(name, RESERVED));
        url.push('=');
        url.extend(utf8_percent_encode(&value.to_string(), RESERVED));
        url.push_str(&fragment);
        self
    }

    /// Sets the body to `value` as JSON and, unless the request has one, the header `Content-Type`.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => {
                self.request.body = body;
                if !self.request.headers.iter().any(|(name, _)| name == "content-type") {
                    self = self.header("content-type", "application/json");
                }
            }
            Err(error) => self.fail(format_args!("the body cannot be written as JSON: {error}")),
        }
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Sets a timeout, after which the call fails with kind `timeout`. Without it, the host's default
    /// applies.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(millis(timeout));
        self
    }

    /// Sets the `Idempotency-Key`. Without it, the host sends a key that is the same whenever it sends this
    /// call again, also in further attempts of the step.
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key)
    }

    /// Never sends the request twice. If a crash leaves it unknown whether the request arrived, the run is
    /// paused until an operator decides. Meant for services without idempotency keys.
    pub fn at_most_once(mut self) -> Self {
        self.request.at_most_once = true;
        self
    }

    /// Sends the request and waits for the response, which may have any status.
    ///
    /// # Errors
    /// Returns a [`Failure`] if the request is invalid or gets no response: the connection failed, the
    /// timeout ended, or the host does not allow the request.
    pub async fn send(self) -> Result<Response> {
        runtime::stop_if_unwinding().await;
        let RequestBuilder { request, error } = self;
        let line = format!("{} {}", request.method, request.url);
        if let Some(error) = error {
            return Err(Failure::permanent(format!("{line}: {error}")).into());
        }
        let call = call::perform(|scope| submit(scope, &request)).await;
        let answer = host::receive(call).map_err(|failure| Error::new(Failure::from(failure)))?;
        Response::new(line, answer)
    }

    fn fail(&mut self, error: impl Display) {
        self.error.get_or_insert_with(|| error.to_string());
    }
}

/// Submits a request, and returns its call.
fn submit(scope: u64, request: &Request) -> u64 {
    let headers = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let bytes = request.method.len() + request.url.len() + headers + request.body.len();
    let refused =
        if bytes > TAKEN { host::refuse_large(scope, &excerpt(request), bytes as u64) } else { None };
    refused.unwrap_or_else(|| host::send(scope, request))
}

/// Returns a request without what may be large.
fn excerpt(request: &Request) -> Request {
    let start = |text: &str| text.chars().take(SHOWN).collect();
    let (method, url) = (start(&request.method), start(&request.url));
    let (timeout, at_most_once) = (request.timeout, request.at_most_once);
    Request { method, url, headers: Vec::new(), body: Vec::new(), timeout, at_most_once }
}

/// Makes `.await` the same as `.send().await`.
impl IntoFuture for RequestBuilder {
    type Output = Result<Response>;
    type IntoFuture = LocalBoxFuture<'static, Result<Response>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// Returns `true` for a token of RFC 9110. The parser of the `http` crate would make a small component
/// larger by a twentieth, because of its table of known headers.
fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Returns `true` if the value has no control characters except tabs. A line break would start another
/// header.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(builder: RequestBuilder) -> String {
        builder.request.url
    }

    #[test]
    fn query_parameters_are_encoded_and_come_before_the_fragment() {
        let builder = RequestBuilder::new("GET", "http://x/a#top".into());
        assert_eq!(url(builder.query("q", "a b&ü").query("n", 7)), "http://x/a?q=a%20b%26%C3%BC&n=7#top");
    }

    #[test]
    fn json_does_not_replace_a_content_type() {
        let builder = RequestBuilder::new("POST", "http://x".into());
        let headers = builder.header("Content-Type", "application/merge-patch+json").json(&1).request.headers;
        assert_eq!(headers, [("content-type".to_owned(), "application/merge-patch+json".to_owned())]);
    }

    #[test]
    fn the_first_mistake_is_kept_for_send() {
        let builder = RequestBuilder::new("GET", "http://x".into()).header("a b", "1").header("x", "a\nb");
        assert_eq!(builder.error.as_deref(), Some("`a b` is not a valid header name"));
        for (name, value) in [("", "x"), ("a:", "x"), ("é", "x"), ("a", "b\r\nc: d"), ("a", "\0")] {
            assert!(RequestBuilder::new("GET", "http://x".into()).header(name, value).error.is_some());
        }
        let fine = RequestBuilder::new("GET", "http://x".into()).header("X-A_b", "\tü \"q\"");
        assert_eq!(fine.request.headers, [("x-a_b".to_owned(), "\tü \"q\"".to_owned())]);
    }
}
