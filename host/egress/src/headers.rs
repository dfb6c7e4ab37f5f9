//! Builds the headers of a request from those of the workflow.

use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, RANGE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::content_encoding::ACCEPTED;
use super::hop::Hop;
use super::rules::Policy;
use crate::secrets::Secrets;
use forge_journal::{Failure, kind};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The headers about the connection and the length of the request. The host sets them: a wrong length would make the
/// server read the next request, which is another run's, as part of this one.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    CONTENT_LENGTH,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The maximum number of headers in a request: more than servers accept.
const MAX_HEADERS: usize = 256;

/// The maximum bytes of a request's header values that contain secrets: four of the largest secret. A short placeholder
/// can stand for a long value, and a request can have many.
const FILLED_BYTES: usize = 256 << 10;

/// The source of a request's headers, for each server that redirects lead to.
pub(super) struct HeaderSource<'r> {
    /// The headers of the workflow.
    pub(super) pairs: &'r [(String, String)],
    /// The `Idempotency-Key`, unless the workflow set one.
    pub(super) key: &'r str,
    /// The header that stands for `user:password@` in the URL.
    pub(super) credentials: Option<HeaderValue>,
}

impl HeaderSource<'_> {
    /// Returns the headers for the server of a hop, under this policy and with these secrets.
    pub(super) fn to(&self, policy: &Policy, secrets: &Secrets, hop: &Hop) -> Result<HeaderMap, Failure> {
        let mut headers = HeaderMap::new();
        // A server with several sites selects one by `Host`, so with rules or secrets it must be the host of the URL.
        let (mut may_name_host, mut room) = (policy.is_open(), FILLED_BYTES);
        if self.pairs.len() > MAX_HEADERS {
            let message = format!("a request has {} headers; the most is {MAX_HEADERS}", self.pairs.len());
            return Err(Failure::permanent(kind::LIMIT, message));
        }
        for (name, value) in self.pairs {
            let header =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid(name, "is no header name"))?;
            // A header that is not sent must not fail because of its secret.
            if !hop.carries(&header) || HOP_BY_HOP.contains(&header) {
                continue;
            }
            let filled = filled(secrets, hop.url(), value, &mut room)?;
            let mut text = HeaderValue::from_str(filled.as_deref().unwrap_or(value))
                .map_err(|_| invalid(name, "has a value that no header can have"))?;
            if filled.is_some() {
                text.set_sensitive(true);
                may_name_host = false;
            }
            headers.append(header, text);
        }
        // A part of a compressed content cannot be decoded.
        let accepted = if headers.contains_key(RANGE) { IDENTITY } else { ACCEPTED };
        if room < FILLED_BYTES {
            // Secrets are found only in what can be decoded.
            headers.insert(ACCEPT_ENCODING, accepted);
        } else {
            headers.entry(ACCEPT_ENCODING).or_insert(accepted);
        }
        if !may_name_host {
            headers.remove(HOST);
        }
        if let Some(credentials) = self.credentials.as_ref().filter(|_| hop.carries(&AUTHORIZATION)) {
            headers.entry(AUTHORIZATION).or_insert_with(|| credentials.clone());
        }
        if !headers.contains_key(IDEMPOTENCY_KEY) {
            headers.insert(IDEMPOTENCY_KEY, idempotency_key(self.key)?);
        }
        Ok(headers)
    }
}

fn filled(secrets: &Secrets, url: &Url, value: &str, room: &mut usize) -> Result<Option<String>, Failure> {
    let filled = secrets.fill(url, value, *room)?;
    *room -= filled.as_ref().map_or(0, String::len).min(*room);
    Ok(filled)
}

fn invalid(name: &str, why: &str) -> Failure {
    Failure::permanent(kind::HTTP, format!("header `{name}` {why}"))
}

fn idempotency_key(key: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(key).or_else(|_| HeaderValue::from_bytes(key.as_bytes())).map_err(|_| {
        Failure::permanent(kind::HTTP, "a step's name cannot be part of an Idempotency-Key header")
    })
}
