//! What all pages have in common: who looks, the headers of the response, and errors as pages.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::next::NextPage;
use super::view::View;
use super::{layout, login};
use crate::api::{ApiError, ErrorCode, Gate};

/// The most segments of a path below `/` for which pages are rendered: an error page repeats `../` for each of them in each
/// of its links.
const DEEPEST: usize = 8;

/// Only files and requests of the host itself. No inline script or style, no frames.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);

/// Identifies the callers of pages.
#[derive(Clone)]
pub(super) struct Frame {
    gate: Gate,
}

impl Frame {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate }
    }
}

/// Passes a request for a page on, with its [`View`], and completes the response.
pub(super) async fn frame(State(frame): State<Frame>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // The API has its own errors.
    if path == "/_api" || path.starts_with("/_api/") || path.matches('/').count() > DEEPEST {
        return ApiError::unknown_route(request.method(), path).into_response();
    }
    let mut view = View::new(request.uri());
    let response = match frame.gate.identify(request.headers(), view.tenant().as_deref()).await {
        Ok(caller) => {
            view = view.with_caller(caller.clone());
            let request = with_view(request, &view);
            frame.gate.pass(caller, request, next).await
        }
        Err(error) if error.code() == ErrorCode::Unauthorized && is_public(&request) => {
            next.run(with_view(request, &view)).await
        }
        Err(error) if error.code() == ErrorCode::Unauthorized && request.method() == Method::GET => {
            to_login(&view, is_from_elsewhere(request.headers()))
        }
        Err(error) => error.into_response(),
    };
    let mut response = as_page(&view, response);
    set_headers(response.headers_mut());
    response
}

/// Returns whether a request needs no credentials: for the pages on which a session begins and ends, and for pages that do not
/// exist.
fn is_public(request: &Request) -> bool {
    request.extensions().get::<MatchedPath>().is_none_or(|path| login::PUBLIC.contains(&path.as_str()))
}

fn with_view(mut request: Request, view: &View) -> Request {
    request.extensions_mut().insert(view.clone());
    request
}

/// Sends the browser to the login, and from there back to the page.
///
/// A browser that follows a link on another site brings no session along, also not to where it is redirected. A page that leads
/// to the login begins anew: a browser that has a session sends it there, and is led to the page.
fn to_login(view: &View, is_from_elsewhere: bool) -> Response {
    let next = NextPage::of(view);
    let query = next.as_ref().map(|next| ("next", next.as_str()));
    let login = view.href_with(&["login"], query.as_slice());
    if !is_from_elsewhere {
        return Redirect::to(&login).into_response();
    }
    let mut page = layout::leading_page(view, &login);
    if let Ok(refresh) = HeaderValue::from_str(&format!("0;url={login}")) {
        page.headers_mut().insert(header::REFRESH, refresh);
    }
    page
}

/// Returns whether a link on another site led to the page, as browsers say.
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}

/// Replaces the JSON of an error by a page.
fn as_page(view: &View, response: Response) -> Response {
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let mut page = layout::error_page(view, error);
    *page.status_mut() = response.status();
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = response.headers().get(&name) {
            page.headers_mut().insert(name, value.clone());
        }
    }
    page
}

fn set_headers(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PERMISSIONS, HeaderValue::from_static("camera=(), microphone=(), geolocation=()"));
}

/// The features of a browser that no page uses.
const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");
