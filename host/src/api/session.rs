//! Sessions: what a browser has instead of an API key after its user has logged in.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::BodyLimit;
use super::server::ThroughProxy;
use super::{Api, ApiError, CallerInfo, ErrorBody, browser, credentials, json};
use crate::tenants::{Caller, Granted, Session};
use forge_clock as clock;

/// The maximum size of the body, which has an API key.
const LOGIN: BodyLimit = BodyLimit::fixed(4 << 10);

/// The header in which a proxy says how the client reached it.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The session of a browser.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(begin_session, show_session, end_session))
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The API key.
    pub key: String,
}

/// A session, and the caller that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SessionInfo {
    /// What each request that changes something sends in the header `Forge-CSRF`; `null` without a session.
    pub csrf: Option<String>,
    /// When the session ends; `null` without a session.
    pub expires_at: Option<DateTime<Utc>>,
    /// The caller.
    #[serde(flatten)]
    pub caller: CallerInfo,
}

impl From<Caller> for SessionInfo {
    fn from(caller: Caller) -> Self {
        let (csrf, expires_at) = match caller.session.clone() {
            Some(Session { csrf, expires_at }) => (Some(csrf), Some(expires_at)),
            None => (None, None),
        };
        Self { csrf, expires_at, caller: caller.into() }
    }
}

/// Begin a session
///
/// Logs in with an API key. The session is a cookie that ends after `--session-time`, or with the key. The path of the cookie
/// is that of this endpoint: the dashboard logs in at `/login`.
#[utoipa::path(
    post, path = "/_api/session", tag = "tenants",
    security(()),
    request_body = Login,
    responses(
        (status = 200, description = "The session, whose cookie is set.", body = SessionInfo),
        (status = 400, description = "The body is invalid.", body = ErrorBody),
        (status = 401, description = "The API key is unknown, revoked or expired.", body = ErrorBody),
        (status = 403, description = "A page of another origin logs in.", body = ErrorBody),
    ),
)]
async fn begin_session(
    api: State<Api>,
    headers: HeaderMap,
    extensions: Extensions,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    // The session of a page of another origin would not be used anyway: it must not get the CSRF token either.
    browser::check_same_origin(&headers)?;
    let Login { key } = json::read(&headers, body, LOGIN, "`key`").await?;
    let (session, caller) = api.host.tenants().log_in(&key).await?;
    let cookie = session_cookie(&session, &headers, &extensions)?;
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(SessionInfo::from(caller))))
}

/// Read the session
///
/// Returns the caller, and the CSRF token of its session.
#[utoipa::path(
    get, path = "/_api/session", tag = "tenants",
    security(("key" = ["read"])),
    responses((status = 200, description = "The caller, and its session if it has one.", body = SessionInfo)),
)]
async fn show_session(caller: Caller) -> Json<SessionInfo> {
    Json(caller.into())
}

/// End the session
///
/// Removes the cookie.
#[utoipa::path(
    delete, path = "/_api/session", tag = "tenants",
    security(("key" = ["read"])),
    responses((status = 204, description = "The cookie is removed.")),
)]
async fn end_session() -> impl IntoResponse {
    (StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, no_session_cookie())]))
}

/// Returns the cookie of a session. It has no path, so it is sent to what is below the page that sets it, whatever base path a
/// proxy adds.
pub(crate) fn session_cookie(
    session: &Granted<Session>,
    headers: &HeaderMap,
    extensions: &Extensions,
) -> Result<HeaderValue, ApiError> {
    let left = session.gives.expires_at - clock::now().to_datetime();
    let age = left.to_std().unwrap_or(Duration::ZERO).as_secs();
    let secure = if is_https(headers, extensions) { "; Secure" } else { "" };
    let (name, token) = (credentials::SESSION, &session.token);
    let text = format!("{name}={token}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}");
    let mut cookie = HeaderValue::from_str(&text).map_err(|error| ApiError::internal(&error))?;
    cookie.set_sensitive(true);
    Ok(cookie)
}

/// Returns the cookie that removes a session.
pub(crate) fn no_session_cookie() -> HeaderValue {
    HeaderValue::from_static("forge_session=; Max-Age=0; HttpOnly; SameSite=Strict")
}

/// Returns whether the client reached the host by https: a proxy on this machine, or one of `--api-proxy`, says so.
fn is_https(headers: &HeaderMap, extensions: &Extensions) -> bool {
    let proto = headers.get(FORWARDED_PROTO).and_then(|proto| proto.to_str().ok());
    let proto = proto.and_then(|protos| protos.split(',').next()).map(str::trim);
    extensions.get::<ThroughProxy>().is_some()
        && proto.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(proxied: bool, proto: Option<&'static str>) -> String {
        let (mut headers, mut extensions) = (HeaderMap::new(), Extensions::new());
        if proxied {
            extensions.insert(ThroughProxy);
        }
        if let Some(proto) = proto {
            headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
        }
        let expires_at = clock::now().plus(60_500).to_datetime();
        let gives = Session { csrf: String::new(), expires_at };
        let session = Granted { token: "forge_session_a.b".to_owned(), gives };
        session_cookie(&session, &headers, &extensions).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_hidden_from_scripts_and_other_sites_and_is_secure_behind_https() {
        let plain = "forge_session=forge_session_a.b; Max-Age=60; HttpOnly; SameSite=Strict";
        assert_eq!(set(true, None), plain);
        assert_eq!(set(true, Some("http")), plain);
        assert_eq!(set(false, Some("https")), plain, "anybody can send the header");
        assert_eq!(set(true, Some("https")), format!("{plain}; Secure"));
        assert_eq!(set(true, Some("https, http")), format!("{plain}; Secure"));
    }

    #[test]
    fn the_cookie_that_removes_a_session_has_its_name() {
        assert!(no_session_cookie().to_str().unwrap().starts_with(&format!("{}=;", credentials::SESSION)));
    }
}
