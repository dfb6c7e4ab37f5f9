//! The JSON documents that the journal stores for an HTTP request and its response.

use std::ops::Range;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{Failure, Outcome, Reach, Timestamp, kind};

/// A request, as the journal stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredRequest")]
pub struct HttpRequest {
    /// The method, such as `GET`.
    pub method: String,
    /// The absolute URL.
    pub url: String,
    /// The headers, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
    /// The timeout in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Do not send the request again if it may have arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_most_once: bool,
}

/// A response, as the journal stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredResponse")]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// The headers, in order, with names in lower case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The body.
    #[serde(flatten)]
    pub body: Body,
    /// Whether the host sent the request more than once, because a crash or a connection that the server closed left it
    /// unknown whether the first one arrived.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resent: bool,
    /// The bytes that were examined to find secrets in the response, for which the guest is charged.
    #[serde(skip_serializing_if = "is_zero")]
    pub searched: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The body of a request or response. The journal stores UTF-8 as text and other bytes as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Body {
    #[serde(rename = "body", skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(rename = "body_base64", skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

/// A request, as it is read. Without a flattened field, for which serde would copy every value.
#[derive(Deserialize)]
struct StoredRequest {
    method: String,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    at_most_once: bool,
}

impl From<StoredRequest> for HttpRequest {
    fn from(stored: StoredRequest) -> Self {
        let StoredRequest { method, url, headers, body, body_base64, timeout_ms, at_most_once } = stored;
        Self {
            method,
            url,
            headers,
            body: Body { text: body, base64: body_base64 },
            timeout_ms,
            at_most_once,
        }
    }
}

/// A response, as it is read.
#[derive(Deserialize)]
struct StoredResponse {
    status: u16,
    #[serde(default)]
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    #[serde(default)]
    resent: bool,
    #[serde(default)]
    searched: u64,
}

impl From<StoredResponse> for HttpResponse {
    fn from(stored: StoredResponse) -> Self {
        let StoredResponse { status, headers, body, body_base64, resent, searched } = stored;
        Self { status, headers, body: Body { text: body, base64: body_base64 }, resent, searched }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) if text.is_empty() => Self::default(),
            Ok(text) => Self { text: Some(text), base64: None },
            Err(error) => Self { text: None, base64: Some(STANDARD.encode(error.as_bytes())) },
        }
    }
}

impl Body {
    /// Returns the bytes. The result is empty if the base64 in the journal is invalid.
    pub fn into_bytes(self) -> Vec<u8> {
        match (self.text, self.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => STANDARD.decode(base64).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

/// The answers after which a request has had no effect.
const REJECTIONS: Range<u16> = 400..500;

/// The answers among them that may be about an earlier request with the same key, or come from a proxy: timeout, conflict,
/// too early, too many requests.
const UNCLEAR: [u16; 4] = [408, 409, 425, 429];

/// Returns whether a request had no effect, by the status of its answer.
pub fn is_rejection(status: u16) -> bool {
    REJECTIONS.contains(&status) && !UNCLEAR.contains(&status)
}

/// Returns whether the status of an answer tells what became of the request, and of earlier ones with the same key and
/// content. A server error and an unclear rejection do not.
pub fn is_conclusive(status: u16) -> bool {
    status < REJECTIONS.start || is_rejection(status)
}

impl HttpRequest {
    /// Returns the idempotency key that the workflow set, if it set one.
    pub fn idempotency_key(&self) -> Option<&str> {
        header(&self.headers, "idempotency-key")
    }

    /// Returns the document that the journal stores.
    ///
    /// # Errors
    /// The reason why the request has no JSON form.
    pub fn to_json(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| format!("cannot encode the request: {error}"))
    }

    /// Reads the JSON document that the journal stores.
    ///
    /// # Errors
    /// A message that says what is wrong with the document.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("it is not a request: {error}"))
    }
}

impl HttpResponse {
    /// Returns whether the status means "not now" for a request that the server may be working on: 409 (Conflict), which
    /// services answer to an idempotency key that is in use, or 425 (Too Early).
    #[must_use]
    pub const fn is_conflict(&self) -> bool {
        matches!(self.status, 409 | 425)
    }

    /// Returns the time before which the server wants no further request, from the header `Retry-After` (RFC 9110, section
    /// 10.2.3) of a response that arrived at this time. A date is compared with the server's own clock if the response has
    /// the header `Date`.
    pub fn retry_after(&self, arrived: Timestamp) -> Option<Timestamp> {
        let value = header(&self.headers, "retry-after")?.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            let seconds: u64 = value.parse().unwrap_or(u64::MAX);
            return Some(arrived.plus(seconds.saturating_mul(1_000)));
        }
        let until = date(value)?;
        let sent = header(&self.headers, "date").and_then(date).unwrap_or(arrived);
        Some(arrived.plus(until.since(sent)))
    }

    /// Returns the document that the journal stores.
    ///
    /// # Errors
    /// The reason why the response has no JSON form.
    pub fn to_json(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| format!("cannot encode the response: {error}"))
    }

    /// Returns the outcome of the request that the journal stores.
    pub fn outcome(&self) -> Outcome {
        match self.to_json() {
            Ok(document) => Ok(Some(document.into())),
            Err(why) => Err(Failure::permanent(kind::HTTP, why).with_reach(Reach::Answered)),
        }
    }

    /// Reads the JSON document that the journal stores.
    ///
    /// # Errors
    /// A message that says what is wrong with the document.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("it is not a response: {error}"))
    }
}

/// Returns the first header with this name, which is in lower case.
fn header<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some(value)
}

/// Reads an HTTP date in any of its three forms.
fn date(text: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_journal_keeps_of_a_request_and_an_answer_is_what_they_were() {
        let text = Body::from(b"text".to_vec());
        let bytes = Body::from(vec![0xff]);
        for (body, timeout_ms, at_most_once) in
            [(text, Some(1), true), (bytes, None, false), (Body::default(), None, false)]
        {
            let headers = vec![("a".to_owned(), "b".to_owned())];
            let (method, url) = ("POST".to_owned(), "http://a/".to_owned());
            let request = HttpRequest {
                method,
                url,
                headers: headers.clone(),
                body: body.clone(),
                timeout_ms,
                at_most_once,
            };
            assert_eq!(HttpRequest::from_json(&request.to_json().unwrap()), Ok(request));
            let response = HttpResponse { status: 200, headers, body, resent: at_most_once, searched: 0 };
            assert_eq!(HttpResponse::from_json(&response.to_json().unwrap()), Ok(response));
        }
        let least = HttpRequest::from_json(r#"{"method":"GET","url":"http://a/"}"#).unwrap();
        assert_eq!(least.to_json().unwrap(), r#"{"method":"GET","url":"http://a/"}"#);
        assert!(HttpResponse::from_json("{}").is_err());
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date_on_the_clock_of_the_server() {
        let arrived = Timestamp(1_000_000);
        let wait = |headers: &[(&str, &str)]| {
            let headers =
                headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let response =
                HttpResponse { status: 429, headers, body: Body::default(), resent: false, searched: 0 };
            response.retry_after(arrived).map(|until| until.since(arrived))
        };
        assert_eq!(wait(&[("Retry-After", " 120 ")]), Some(120_000));
        assert_eq!(wait(&[("retry-after", "99999999999999999999999")]), Some(Timestamp::MAX.since(arrived)));
        // Without `Date`, the date is compared with the time of arrival, 1970-01-01T00:16:40Z.
        assert_eq!(wait(&[("retry-after", "Thu, 01 Jan 1970 00:17:00 GMT")]), Some(20_000));
        let server = ("date", "Sun, 06 Nov 1994 08:49:30 GMT");
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(wait(&[server, ("retry-after", date)]), Some(7_000), "{date}");
        }
        assert_eq!(wait(&[server, ("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT")]), Some(0));
        for wrong in ["", "soon", "-1", "1.5"] {
            assert_eq!(wait(&[("retry-after", wrong)]), None, "{wrong}");
        }
        assert_eq!(wait(&[]), None);
    }
}
