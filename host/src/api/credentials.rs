//! The credentials of a request.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};

use super::browser;
use crate::tenants::{Credentials, Denied};

/// The name of the cookie with a session.
pub(super) const SESSION: &str = "forge_session";

/// Returns the credentials in the headers of a request: the API key or run token, or the session of a browser.
///
/// # Errors
/// [`Denied`] if the header `Authorization` has something else.
pub(super) fn of_headers(headers: &HeaderMap) -> Result<Credentials<'_>, Denied> {
    if let Some(token) = bearer(headers)? {
        return Ok(Credentials::Token(token));
    }
    // A page of another origin, even if it is allowed, does not act as the user of the dashboard.
    let session = if browser::is_foreign(headers) { None } else { session(headers) };
    Ok(session.map_or(Credentials::None, Credentials::Session))
}

/// Returns the run token in the query of a request whose client cannot send headers.
pub(super) fn of_query(query: &str) -> Option<Cow<'_, str>> {
    let mut fields = url::form_urlencoded::parse(query.as_bytes());
    fields.find(|(name, _)| name == "token").map(|(_, token)| token)
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Denied> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| Denied::InvalidKey)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Denied::NoKey),
    }
}

/// Returns the session in the cookies of a request. A browser sends the one with the longest path first.
fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == SESSION).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        let with = |value| headers(&[(header::AUTHORIZATION, value)]);
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(bearer(&with("Bearer forge_1_2")).unwrap(), Some("forge_1_2"));
        assert_eq!(bearer(&with("bearer  x")).unwrap(), Some("x"));
        for wrong in ["Basic dXNlcg==", "forge_1_2", ""] {
            assert!(bearer(&with(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_session_is_a_cookie_and_a_key_comes_first() {
        let cookie = (header::COOKIE, "a=b; forge_session=s; forge_session_=t");
        let read = |of: &[_]| format!("{:?}", of_headers(&headers(of)).unwrap());
        assert_eq!(read(std::slice::from_ref(&cookie)), r#"Session("s")"#);
        assert_eq!(read(&[cookie.clone(), (header::AUTHORIZATION, "Bearer k")]), r#"Token("k")"#);
        assert_eq!(read(&[(header::COOKIE, "forge_sessions=s; xforge_session=t")]), "None");
        let host = (header::HOST, "a.example");
        let page = |origin| read(&[cookie.clone(), host.clone(), (header::ORIGIN, origin)]);
        assert_eq!(page("https://a.example"), r#"Session("s")"#);
        assert_eq!(page("https://b.a.example"), "None");
    }

    #[test]
    fn a_token_in_the_query_is_decoded() {
        assert_eq!(of_query("since=1&token=forge_run_a%2Eb").as_deref(), Some("forge_run_a.b"));
        assert_eq!(of_query("since=1"), None);
    }
}
