//! Web pages may not use the API unless the API's own server delivered them.
//!
//! A host on a developer's machine is reachable by every page that the developer's browser shows, and
//! nothing asks who calls. Browsers say where a page that asks comes from; other clients say nothing.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::ApiError;

/// Refuses requests of web pages that come from elsewhere.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    match foreign_origin(request.headers()) {
        Some(origin) => ApiError::cross_site(&origin).into_response(),
        None => next.run(request).await,
    }
}

/// The page's origin, if there is one and it is not this server.
fn foreign_origin(headers: &HeaderMap) -> Option<String> {
    let origin = String::from_utf8_lossy(headers.get(header::ORIGIN)?.as_bytes()).into_owned();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok())?;
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    (!authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

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
