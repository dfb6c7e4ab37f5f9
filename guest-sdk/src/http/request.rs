//! Describing and sending a request.

use std::fmt::{Display, Write as _};
use std::future::IntoFuture;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use serde::Serialize;

use super::Response;
use crate::call::Call;
use crate::error::{Error, Failure, Result};
use crate::host::http::{self, Request};
use crate::time::millis;
use crate::{runtime, scope};

/// A request being described. Nothing is sent until [`send`](RequestBuilder::send), which also
/// reports what went wrong in describing it.
#[derive(Debug)]
#[must_use = "a request is not sent until `.send().await`"]
pub struct RequestBuilder {
    request: Request,
    /// The first thing that went wrong.
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
            self.fail(format_args!("`{name}` is no name of a header"));
        } else if !is_header_value(value) {
            // It may be a secret: it is not shown.
            self.fail(format_args!("the value of header `{name}` has characters that headers cannot have"));
        } else {
            self.request.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        self
    }

    /// Adds `Authorization: Bearer ...`.
    pub fn bearer_auth(self, token: impl Display) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds one `name=value` to the URL's query, encoded.
    pub fn query(mut self, name: &str, value: impl Display) -> Self {
        let url = &mut self.request.url;
        let fragment = url.find('#').map(|at| url.split_off(at)).unwrap_or_default();
        url.push(if url.contains('?') { '&' } else { '?' });
        encode(url, name);
        url.push('=');
        encode(url, &value.to_string());
        url.push_str(&fragment);
        self
    }

    /// Sends `value` as JSON.
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

    /// Sends these bytes.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.request.body = body.into();
        self
    }

    /// Gives the call this long; then it fails with kind `timeout`. The host has a limit of its own.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.request.timeout = Some(millis(timeout));
        self
    }

    /// Sends this `Idempotency-Key` instead of the host's. The host's is the same whenever it sends
    /// this call again, also in further attempts of its step.
    pub fn idempotency_key(self, key: impl AsRef<str>) -> Self {
        self.header("idempotency-key", key)
    }

    /// Never sends the request twice. If a crash makes it unknown whether it arrived, the run is
    /// paused for a person to decide. For services without idempotency keys.
    pub fn at_most_once(mut self) -> Self {
        self.request.at_most_once = true;
        self
    }

    /// Sends the request and waits for the answer, whatever its status.
    ///
    /// # Errors
    /// A [`Failure`] if there is no answer: not connected, timed out, not allowed.
    pub async fn send(self) -> Result<Response> {
        runtime::checkpoint().await;
        let RequestBuilder { request, error } = self;
        let asked = format!("{} {}", request.method, request.url);
        if let Some(error) = error {
            return Err(Failure::permanent(format!("{asked}: {error}")).into());
        }
        let call = Call::new(http::send(scope::current(), &request));
        let id = call.id();
        call.await;
        let answer = http::take(id).map_err(|failure| Error::new(Failure::from(failure)))?;
        Ok(Response::new(asked, answer))
    }

    fn fail(&mut self, error: impl Display) {
        self.error.get_or_insert_with(|| error.to_string());
    }
}

/// `.await` without `.send()`.
impl IntoFuture for RequestBuilder {
    type Output = Result<Response>;
    type IntoFuture = LocalBoxFuture<'static, Result<Response>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// A token of RFC 9110. Not the `http` crate's parser: its table of known headers alone would
/// be a twentieth of a small component.
fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// No control characters but the tab: no line breaks above all.
fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Percent-encodes everything but RFC 3986's unreserved characters.
fn encode(url: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(byte.into()),
            // Writing to a string cannot fail.
            _ => _ = write!(url, "%{byte:02X}"),
        }
    }
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
        assert_eq!(builder.error.as_deref(), Some("`a b` is no name of a header"));
        for (name, value) in [("", "x"), ("a:", "x"), ("é", "x"), ("a", "b\r\nc: d"), ("a", "\0")] {
            assert!(RequestBuilder::new("GET", "http://x".into()).header(name, value).error.is_some());
        }
        let fine = RequestBuilder::new("GET", "http://x".into()).header("X-A_b", "\tü \"q\"");
        assert_eq!(fine.request.headers, [("x-a_b".to_owned(), "\tü \"q\"".to_owned())]);
    }
}
