//! One request to one server, and the next request after a redirect.

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION,
    PROXY_AUTHORIZATION, REFERER, USER_AGENT, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use url::Url;

/// The maximum number of redirects that are followed.
const REDIRECTS: usize = 5;

/// The headers that describe a body.
const BODY_HEADERS: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_ENCODING];

/// The headers that are sent to the first server only.
const CREDENTIALS: [HeaderName; 5] =
    [AUTHORIZATION, COOKIE, HeaderName::from_static("cookie2"), PROXY_AUTHORIZATION, WWW_AUTHENTICATE];

const FORGE: HeaderValue = HeaderValue::from_static(concat!("forge/", env!("CARGO_PKG_VERSION")));

/// A request on its way.
pub(super) struct Hop {
    method: Method,
    url: Url,
    body: Bytes,
    /// The number of redirects before this request.
    redirects: usize,
    /// Whether a redirect has removed the body and the headers that describe it.
    bodiless: bool,
    /// Whether a redirect has led to another server, which does not get credentials.
    elsewhere: bool,
    /// The URL that the last redirect came from.
    referer: Option<HeaderValue>,
}

impl Hop {
    /// Returns the first request.
    pub(super) fn new(method: Method, url: Url, body: Vec<u8>) -> Self {
        let body = body.into();
        Self { method, url, body, redirects: 0, bodiless: false, elsewhere: false, referer: None }
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Returns whether a header of the workflow is sent to this server.
    pub(super) fn carries(&self, header: &HeaderName) -> bool {
        !(self.bodiless && BODY_HEADERS.contains(header) || self.elsewhere && CREDENTIALS.contains(header))
    }

    /// Returns the HTTP request with these headers.
    pub(super) fn request(&self, mut headers: HeaderMap) -> Result<Request<Bytes>, String> {
        let uri = Uri::try_from(self.url.as_str())
            .map_err(|error| format!("builder error for url ({}): {error}", self.url))?;
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(FORGE);
        if self.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(&self.method) {
            // Servers that expect a body reject requests without a length.
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if let Some(referer) = &self.referer {
            headers.insert(REFERER, referer.clone());
        }
        let mut request = Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Returns whether a redirect with this status says that the request was handled: its answer is elsewhere.
    pub(super) fn is_handled(&self, status: StatusCode) -> bool {
        self.becomes_get(status) == Some(true)
    }

    /// Returns whether the request after a redirect with this status is a `GET` without a body. `None`: it is no redirect.
    fn becomes_get(&self, status: StatusCode) -> Option<bool> {
        match status {
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => Some(self.method == Method::POST),
            StatusCode::SEE_OTHER => Some(true),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => Some(false),
            _ => None,
        }
    }

    /// Returns the request that follows a redirect, or `None` if the response is none.
    ///
    /// # Errors
    /// The reason why the redirect is not followed.
    pub(super) fn redirected<B>(&self, response: &Response<B>) -> Result<Option<Self>, String> {
        let Some(to_get) = self.becomes_get(response.status()) else { return Ok(None) };
        let location =
            response.headers().get(LOCATION).and_then(|value| str::from_utf8(value.as_bytes()).ok());
        let Some(mut url) = location.and_then(|location| self.url.join(location).ok()) else {
            return Ok(None);
        };
        if self.redirects >= REDIRECTS {
            return Err(format!("error following redirect for url ({}): too many redirects", self.url));
        }
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("builder error for url ({url}): URL scheme is not allowed"));
        }
        strip_credentials(&mut url);
        let method = if to_get && self.method != Method::HEAD { Method::GET } else { self.method.clone() };
        Ok(Some(Self {
            method,
            body: if to_get { Bytes::new() } else { self.body.clone() },
            redirects: self.redirects + 1,
            bodiless: self.bodiless || to_get,
            elsewhere: self.elsewhere || server(&self.url) != server(&url),
            referer: referer(&self.url, &url),
            url,
        }))
    }
}

/// Returns the server of a URL. The default port of the scheme is `None`.
fn server(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port())
}

/// Returns the `Referer` of the next request. Another server gets none, because a URL may contain a secret for its own
/// server.
fn referer(from: &Url, to: &Url) -> Option<HeaderValue> {
    if server(from) != server(to) {
        return None;
    }
    let mut from = from.clone();
    from.set_fragment(None);
    HeaderValue::from_str(from.as_str()).ok()
}

/// Removes `user:password@` from a URL, so that neither messages nor a `Referer` contain it.
pub(super) fn strip_credentials(url: &mut Url) {
    // Neither call fails for http and https.
    let _ = url.set_username("");
    let _ = url.set_password(None);
}
