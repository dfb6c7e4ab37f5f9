//! Responses.

use serde::de::DeserializeOwned;

use super::StatusCode;
use crate::bindings::forge::workflow::http;
use crate::error::{Error, Failure, Result, short_type_name};

/// The number of characters of a body that an error message shows: enough for most error documents.
const EXCERPT: usize = 200;

/// U+FEFF in UTF-8, which programs on Windows write before a text.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A response with any status and its complete body.
#[derive(Debug, Clone)]
pub struct Response {
    /// The method and URL of the request, for messages.
    request: String,
    status: StatusCode,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    in_progress: bool,
}

impl Response {
    pub(super) fn new(request: String, answer: http::Answer) -> Result<Self> {
        let http::Answer { response: http::Response { status, headers, body }, in_progress } = answer;
        let status = StatusCode::from_u16(status).map_err(|_| {
            Failure::new(Failure::HTTP, format!("{request} answered {status}, which is not an HTTP status"))
        })?;
        Ok(Response { request, status, headers, body, in_progress })
    }

    /// Returns the status. It can be compared with numbers: `response.status() == 404`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns `true` if the server may still work on the request: the status is 409 or 425, and a request
    /// with the same `Idempotency-Key` was sent before: by an earlier attempt of the step, before a restart of
    /// the host, or on a connection that the server closed. Such a response is not final.
    pub fn is_in_progress(&self) -> bool {
        self.in_progress
    }

    /// Returns the first header with this name. Upper and lower case are the same.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    /// Returns all headers in order, with names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns the response if its status is below 400.
    ///
    /// # Errors
    /// Returns a [`Failure`] of kind `http` that shows the status and the start of the body. It is
    /// retryable for 408, 429 and from 500 on, and if the request [is in progress](Self::is_in_progress).
    /// The next attempt of the step does not begin before the time in the response's header `Retry-After`.
    pub fn error_for_status(self) -> Result<Self> {
        let status = self.status;
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(self);
        }
        let mut message = format!("{} answered {status}", self.request);
        if !self.body.is_empty() {
            message = format!("{message}: {}", self.excerpt());
        }
        if self.in_progress {
            message += " (the same request was sent before and may still be in progress)";
        }
        let failure = Failure::new(Failure::HTTP, message);
        let retryable = self.in_progress
            || status.is_server_error()
            || status == StatusCode::REQUEST_TIMEOUT
            || status == StatusCode::TOO_MANY_REQUESTS;
        Err(if retryable { failure } else { failure.not_retryable() }.into())
    }

    /// Returns the body, deserialised from JSON. A UTF-8 byte order mark at its beginning is skipped.
    ///
    /// # Errors
    /// Returns a [`Failure`] of kind `http` that names the request and shows the start of the body. It is
    /// not retryable, because the request has arrived.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let document = self.body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.body);
        serde_json::from_slice(document).map_err(|error| {
            let body = if self.body.is_empty() {
                "it is empty".into()
            } else {
                format!("it begins: {}", self.excerpt())
            };
            self.unreadable(format_args!("is not a `{}`: {error}; {body}", short_type_name::<T>()))
        })
    }

    /// Returns the body as text.
    ///
    /// # Errors
    /// Returns a [`Failure`] of kind `http` if it is not UTF-8.
    pub fn text(&self) -> Result<String> {
        let text = std::str::from_utf8(&self.body);
        text.map(str::to_owned).map_err(|error| self.unreadable(format_args!("is not UTF-8: {error}")))
    }

    /// Returns the body.
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    fn unreadable(&self, why: std::fmt::Arguments<'_>) -> Error {
        let message = format!("the body of the response to {} {why}", self.request);
        Failure::new(Failure::HTTP, message).not_retryable().into()
    }

    fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        match text.char_indices().nth(EXCERPT) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        answer(status, body, false)
    }

    fn answer(status: u16, body: &str, in_progress: bool) -> Response {
        let response = http::Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
        Response::new("POST http://pay/charges".into(), http::Answer { response, in_progress }).unwrap()
    }

    fn failure(error: Error) -> Failure {
        error.downcast().expect("a failure")
    }

    #[test]
    fn an_error_status_shows_the_start_of_the_body() {
        let failure = failure(response(503, &"x".repeat(500)).error_for_status().unwrap_err());
        let expected =
            format!("POST http://pay/charges answered 503 Service Unavailable: {}…", "x".repeat(200));
        assert_eq!((failure.kind.as_str(), failure.message), ("http", expected));
    }

    #[test]
    fn only_statuses_that_may_pass_are_retryable() {
        for (status, retryable) in
            [(500, true), (503, true), (408, true), (429, true), (400, false), (404, false)]
        {
            let failure = failure(response(status, "").error_for_status().unwrap_err());
            assert_eq!(failure.retryable, retryable, "{status}");
        }
        assert!(response(302, "").error_for_status().is_ok());
    }

    #[test]
    fn a_conflict_is_retryable_only_if_the_request_may_be_in_progress() {
        for (in_progress, message) in [
            (false, "POST http://pay/charges answered 409 Conflict"),
            (
                true,
                "POST http://pay/charges answered 409 Conflict (the same request was sent before and may still \
                 be in progress)",
            ),
        ] {
            let response = answer(409, "", in_progress);
            assert_eq!(response.is_in_progress(), in_progress);
            let failure = failure(response.error_for_status().unwrap_err());
            assert_eq!((failure.message.as_str(), failure.retryable), (message, in_progress));
        }
    }

    #[test]
    fn a_byte_order_mark_before_a_document_is_skipped() {
        assert_eq!(response(200, "\u{feff}[1]").json::<Vec<u8>>().unwrap(), [1]);
        assert_eq!(response(200, "\u{feff}1").text().unwrap(), "\u{feff}1");
        assert!(response(200, "\u{feff}\u{feff}1").json::<u8>().is_err(), "only one");
    }

    #[test]
    fn a_body_that_does_not_fit_is_explained() {
        let failure = failure(response(200, "<html>").json::<Vec<u8>>().unwrap_err());
        assert_eq!(
            failure.message,
            "the body of the response to POST http://pay/charges is not a `Vec<u8>`: expected value at line 1 \
             column 1; it begins: <html>"
        );
        assert!(!failure.retryable);
    }
}
