use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Url, redirect};

use super::{Body, HttpRequest, HttpResponse};
use crate::journal::{Failure, Outcome, kind};

/// Redirects that are followed before the answer is given up.
const REDIRECTS: usize = 5;

/// Idle connections kept for each host.
const IDLE_CONNECTIONS: usize = 64;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The HTTP client cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct EgressError(String);

/// Sends the requests of workflows.
pub struct Egress {
    client: Client,
    default_timeout: Duration,
    response_bytes: usize,
}

impl Egress {
    /// Sets up the client.
    ///
    /// # Errors
    /// [`EgressError`] if TLS cannot be set up.
    pub fn new(default_timeout: Duration, response_bytes: usize) -> Result<Self, EgressError> {
        // The provider is the process's; whoever installed one first decides.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .no_proxy()
                .redirect(redirect::Policy::limited(REDIRECTS))
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                .tcp_nodelay(true)
                .user_agent(concat!("forge/", env!("CARGO_PKG_VERSION")))
        };
        // A machine without CA certificates can still speak plain http.
        let client = builder().build().or_else(|error| {
            tracing::warn!(error = describe(&error), "no CA certificates: requests to https will fail");
            builder().tls_certs_only([]).build()
        });
        let client = client.map_err(|error| EgressError(describe(&error)))?;
        Ok(Self { client, default_timeout, response_bytes })
    }

    /// Sends a request and gives its answer, or why there is none. `key` becomes its
    /// `Idempotency-Key`, unless the workflow set one.
    pub async fn send(&self, request: HttpRequest, key: &str) -> Outcome {
        let what = format!("{} {}", request.method, request.url);
        let timeout = request.timeout_ms.map_or(self.default_timeout, Duration::from_millis);
        match tokio::time::timeout(timeout, self.exchange(request, key)).await {
            Ok(Ok(response)) => Ok(Some(Arc::from(response.to_json()))),
            Ok(Err(mut failure)) => {
                failure.message = format!("{what}: {}", failure.message);
                Err(failure)
            }
            Err(_) => {
                let timeout = humantime::format_duration(timeout);
                Err(Failure::new(kind::TIMEOUT, format!("{what}: no answer within {timeout}")))
            }
        }
    }

    async fn exchange(&self, request: HttpRequest, key: &str) -> Result<HttpResponse, Failure> {
        let invalid = |message: String| Failure::permanent(kind::HTTP, message);
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| invalid(format!("`{}` is no HTTP method", request.method)))?;
        let url = Url::parse(&request.url)
            .map_err(|error| invalid(format!("not an absolute URL ({error}); write http://HOST/PATH")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid(format!("scheme `{}` is not supported; use http or https", url.scheme())));
        }
        let headers = headers(&request.headers, key)?;
        let sent = self.client.request(method, url).headers(headers).body(request.body.into_bytes()).send();
        let response = sent.await.map_err(|error| Failure::new(kind::HTTP, describe(&error)))?;
        self.read(response).await
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<HttpResponse, Failure> {
        let headers = response.headers().iter().map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let (status, headers) = (response.status().as_u16(), headers.collect());
        let mut body = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| Failure::new(kind::HTTP, describe(&error)))?
        {
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

fn headers(pairs: &[(String, String)], key: &str) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let invalid = |why: &str| Failure::permanent(kind::HTTP, format!("header `{name}` {why}"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("is no header name"))?;
        let value =
            HeaderValue::from_str(value).map_err(|_| invalid("has a value that no header can have"))?;
        headers.append(header, value);
    }
    if !headers.contains_key(IDEMPOTENCY_KEY) {
        let key = HeaderValue::from_str(key).or_else(|_| HeaderValue::from_bytes(key.as_bytes())).map_err(
            |_| Failure::permanent(kind::HTTP, "a step's name cannot be part of an Idempotency-Key header"),
        )?;
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    Ok(headers)
}

/// An error with its causes: the outermost alone says only that sending failed.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
