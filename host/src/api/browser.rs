//! Protection against web pages of other origins.
//!
//! A host without API keys on a developer's machine is reachable from every page in the developer's browser. Browsers
//! send the origin of a page, and requests from other origins are rejected. A page can also change the address of its own
//! DNS name to this machine (DNS rebinding), so that its requests have the same origin. A host without API keys therefore
//! accepts only an IP address or `localhost` as its name.
//!
//! The operator can allow pages of further origins (CORS). These present an API key or a run token: a session counts only for
//! the pages of this host.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;
use crate::config::Origin;

/// What pages of allowed origins may send and read, beside what every page may. They send no cookies.
const ALLOWED_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const ALLOWED_HEADERS: &str = "authorization, content-type, forge-tenant, idempotency-key, if-match, if-none-match, \
                               last-event-id, traceparent";
const EXPOSED_HEADERS: &str = "etag, retry-after";

/// The seconds for which a browser keeps the answer to a preflight: the longest that Chromium keeps one.
const PREFLIGHT_AGE: &str = "7200";

/// Headers of all answers.
const PRIVATE: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The origins other than this server whose pages may use the API.
#[derive(Clone)]
pub(super) struct Allowed(Arc<[Origin]>);

impl Allowed {
    pub(super) fn new(origins: Vec<Origin>) -> Self {
        Self(origins.into())
    }
}

/// Rejects requests of web pages from other origins, except the allowed ones.
pub(super) async fn allowed_origins(
    State(Allowed(allowed)): State<Allowed>,
    request: Request,
    next: Next,
) -> Response {
    let allowing = !allowed.is_empty();
    let mut response = match foreign_origin(request.headers()) {
        None => next.run(request).await,
        Some(origin) => match allowed.iter().find(|allowed| allowed.as_str() == origin) {
            None => ApiError::cross_site(&origin).into_response(),
            Some(origin) => cross_origin(origin, request, next).await,
        },
    };
    if allowing {
        // A cache must not give the response for one origin to another.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// Answers a page of an allowed origin.
async fn cross_origin(origin: &Origin, request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_preflight {
        let allowed = [
            (header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE),
        ];
        (StatusCode::NO_CONTENT, allowed).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if let Ok(origin) = HeaderValue::from_str(origin.as_str()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    response
}

/// Returns whether a page of another origin sends a request.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    foreign_origin(headers).is_some()
}

/// Rejects requests of web pages from other origins.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    match foreign_origin(request.headers()) {
        Some(origin) => ApiError::cross_site(&origin).into_response(),
        None => next.run(request).await,
    }
}

/// Checks that no page of another origin sends a request, not even an allowed one.
pub(super) fn check_same_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    foreign_origin(headers).map_or(Ok(()), |origin| Err(ApiError::cross_site(&origin)))
}

/// Returns the origin of the page, if it is not this server. A request that does not say which server it is for is of none.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = String::from_utf8_lossy(headers.get(header::ORIGIN)?.as_bytes()).into_owned();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = ["http://", "https://"].into_iter().find_map(|scheme| origin.strip_prefix(scheme));
    let is_own = authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host));
    (!is_own).then_some(origin)
}

/// Keeps answers out of caches, and out of pages of other origins that embed them: they are a tenant's data.
pub(super) async fn keep_private(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in PRIVATE {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Checks that the request addresses the server by an IP address or as `localhost`.
pub(super) fn check_host(headers: &HeaderMap) -> Result<(), ApiError> {
    // Browsers always send it.
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = String::from_utf8_lossy(host.as_bytes());
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => &*host,
    };
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    Err(ApiError::foreign_name(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_keys_goes_by_its_address_or_as_localhost() {
        let is_known = |host: &'static str| {
            check_host(&HeaderMap::from_iter([(header::HOST, host.parse().unwrap())])).is_ok()
        };
        for known in ["127.0.0.1:7070", "127.0.0.1", "[::1]:7070", "[::1]", "localhost:7070", "LOCALHOST"] {
            assert!(is_known(known), "{known}");
        }
        for foreign in
            ["evil.example:7070", "evil.example", "localhost.evil.example:7070", "127.0.0.1.evil.example", ""]
        {
            assert!(!is_known(foreign), "{foreign}");
        }
        assert!(check_host(&HeaderMap::new()).is_ok());
    }

    fn from(origin: Option<&'static str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:7070".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        foreign_origin(&headers)
    }

    #[test]
    fn only_pages_of_other_servers_are_foreign() {
        assert_eq!(from(None), None);
        assert_eq!(from(Some("http://127.0.0.1:7070")), None);
        assert_eq!(from(Some("https://example.com")), Some("https://example.com".to_owned()));
        assert_eq!(from(Some("null")), Some("null".to_owned()));
        assert_eq!(from(Some("http://127.0.0.1:8080")), Some("http://127.0.0.1:8080".to_owned()));
        assert_eq!(from(Some("ftp://127.0.0.1:7070")), Some("ftp://127.0.0.1:7070".to_owned()));
        let without_host = HeaderMap::from_iter([(header::ORIGIN, "http://a.example".parse().unwrap())]);
        assert_eq!(foreign_origin(&without_host), Some("http://a.example".to_owned()));
    }
}
