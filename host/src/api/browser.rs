//! Protection against web pages of other origins.
//!
//! A host without API keys on a developer's machine is reachable from every page in the developer's browser. Browsers
//! send the origin of a page, and requests from other origins are rejected. A page can also change the address of its own
//! DNS name to this machine (DNS rebinding), so that its requests have the same origin. A host without API keys therefore
//! accepts only an IP address or `localhost` as its name.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;

/// Rejects requests of web pages from other origins.
pub(crate) async fn same_origin(request: Request, next: Next) -> Response {
    match foreign_origin(request.headers()) {
        Some(origin) => ApiError::cross_site(&origin).into_response(),
        None => next.run(request).await,
    }
}

/// Returns the origin of the page, if it is not this server.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = String::from_utf8_lossy(headers.get(header::ORIGIN)?.as_bytes()).into_owned();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok())?;
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    (!authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))).then_some(origin)
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
    }
}
