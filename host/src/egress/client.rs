use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::sync::Semaphore;
use url::Url;

use super::connector::{Connections, connections};
use super::guard::{Lookup, denied, system_lookup};
use super::hop::{Hop, strip_credentials};
use super::policy::{Denied, Policy};
use super::{Body, HttpRequest, HttpResponse};
use crate::config::Limits;
use crate::journal::{Failure, Outcome, kind};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The HTTP client cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct EgressError(#[from] rustls::Error);

/// Sends the requests of workflows.
pub struct Egress {
    policy: Arc<Policy>,
    connections: Connections,
    /// Requests that may be under way at once.
    places: Semaphore,
    default_timeout: Duration,
    response_bytes: usize,
}

impl Egress {
    /// Sets up the client.
    ///
    /// # Errors
    /// [`EgressError`] if TLS cannot be set up.
    pub fn new(policy: Policy, limits: &Limits) -> Result<Self, EgressError> {
        Self::with_lookup(policy, limits, system_lookup())
    }

    /// The same with a look-up of names of the caller's.
    pub(super) fn with_lookup(policy: Policy, limits: &Limits, lookup: Lookup) -> Result<Self, EgressError> {
        let policy = Arc::new(policy);
        Ok(Self {
            connections: connections(Arc::clone(&policy), lookup)?,
            policy,
            places: Semaphore::new(limits.http_requests.clamp(1, Semaphore::MAX_PERMITS)),
            default_timeout: limits.http_timeout,
            response_bytes: limits.response_bytes,
        })
    }

    /// Sends a request and gives its answer, or why there is none. `key` becomes its
    /// `Idempotency-Key`, unless the workflow set one.
    pub async fn send(&self, mut request: HttpRequest, key: &str) -> Outcome {
        let body = std::mem::take(&mut request.body);
        let what = || format!("{} {}", request.method, request.url);
        let timeout = request.timeout_ms.map_or(self.default_timeout, Duration::from_millis);
        match tokio::time::timeout(timeout, self.exchange(&request, body, key)).await {
            Ok(Ok(response)) => Ok(Some(Arc::from(response.to_json()))),
            Ok(Err(mut failure)) => {
                failure.message = format!("{}: {}", what(), failure.message);
                Err(failure)
            }
            Err(_) => {
                let timeout = humantime::format_duration(timeout);
                Err(Failure::new(kind::TIMEOUT, format!("{}: no answer within {timeout}", what())))
            }
        }
    }

    async fn exchange(&self, request: &HttpRequest, body: Body, key: &str) -> Result<HttpResponse, Failure> {
        let invalid = |message: String| Failure::permanent(kind::HTTP, message);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("`{}` is no HTTP method", request.method)))?;
        let mut url = Url::parse(&request.url)
            .map_err(|error| invalid(format!("not an absolute URL ({error}); write http://HOST/PATH")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("scheme `{}` is not supported; use http or https", url.scheme())));
        }
        let credentials = credentials(&url);
        if credentials.is_some() {
            strip_credentials(&mut url);
        }
        let mut hop = Hop::new(method, url, body.into_bytes());
        // It is never closed.
        let _place = self.places.acquire().await;
        loop {
            self.policy.permit_url(hop.url()).map_err(|denied| not_permitted(&denied))?;
            let mut headers = headers(&request.headers, key)?;
            if let Some(credentials) = &credentials {
                headers.entry(AUTHORIZATION).or_insert_with(|| credentials.clone());
            }
            let failed = |message: String| Failure::new(kind::HTTP, message);
            let sent = self.connections.request(hop.request(headers).map_err(failed)?);
            let response = sent.await.map_err(|error| match denied(&error) {
                Some(denied) => not_permitted(denied),
                None => failed(with_causes(format!("error sending request for url ({})", hop.url()), &error)),
            })?;
            match hop.redirected(&response).map_err(failed)? {
                Some(next) => hop = next,
                None => return self.read(response).await,
            }
        }
    }

    async fn read(&self, response: Response<Incoming>) -> Result<HttpResponse, Failure> {
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let mut frames = response.into_body();
        let mut body = Vec::new();
        while let Some(frame) = frames.frame().await {
            let frame = frame.map_err(|error| {
                Failure::new(kind::HTTP, with_causes("error decoding response body".to_owned(), &error))
            })?;
            // What is no data are trailers, which a workflow does not see.
            let Ok(chunk) = frame.into_data() else { continue };
            if body.len() + chunk.len() > self.response_bytes {
                let most = self.response_bytes;
                let message =
                    format!("the answer has more than {most} bytes, the most that a workflow may receive");
                return Err(Failure::permanent(kind::LIMIT, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body: Body::from(body) })
    }
}

fn not_permitted(denied: &Denied) -> Failure {
    Failure::permanent(kind::DENIED, denied.to_string())
}

/// The header that stands for `user:password@` in a URL.
fn credentials(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text| percent_decode_str(text).decode_utf8();
    let user = decoded(url.username()).ok()?;
    let password = url.password().and_then(|password| decoded(password).ok()).unwrap_or_default();
    let mut header =
        HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).ok()?;
    header.set_sensitive(true);
    Some(header)
}

fn headers(pairs: &[(String, String)], key: &str) -> Result<HeaderMap, Failure> {
    let too_many = || Failure::permanent(kind::HTTP, "the request has too many headers");
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let invalid = |why: &str| Failure::permanent(kind::HTTP, format!("header `{name}` {why}"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("is no header name"))?;
        let value =
            HeaderValue::from_str(value).map_err(|_| invalid("has a value that no header can have"))?;
        headers.try_append(header, value).map_err(|_| too_many())?;
    }
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        let key = HeaderValue::from_str(key).or_else(|_| HeaderValue::from_bytes(key.as_bytes())).map_err(
            |_| Failure::permanent(kind::HTTP, "a step's name cannot be part of an Idempotency-Key header"),
        )?;
        headers.try_insert(IDEMPOTENCY_KEY, key).map_err(|_| too_many())?;
    }
    Ok(headers)
}

/// What failed, with its causes: the outermost alone says only that sending failed.
fn with_causes(mut text: String, error: &dyn Error) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let cause_text = error.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        cause = error.source();
    }
    text
}
